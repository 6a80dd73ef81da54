"""Write the one parameter ImageTag into samconfig.toml's [default.deploy.parameters], leaving all else as it is."""

from __future__ import annotations

import re
import sys
from pathlib import Path

SECTION = "[default.deploy.parameters]\n"
LINE = re.compile(r"^parameter_overrides = \[(?P<words>.*)\]$", re.MULTILINE)


def with_tag(text: str, tag: str) -> str:
    """The configuration with `ImageTag=<tag>` among its parameter_overrides, once."""
    before, _, rest = text.partition(SECTION)
    section, brace, after = rest.partition("\n[")
    found = LINE.search(section)
    kept = [
        word for word in re.findall(r'"([^"]*)"', found["words"] if found else "") if not word.startswith("ImageTag=")
    ]
    words = ", ".join(f'"{word}"' for word in [*kept, f"ImageTag={tag}"])
    section = LINE.sub("", section).strip("\n")
    return f"{before}{SECTION}{section}\nparameter_overrides = [{words}]\n{brace}{after}"


if __name__ == "__main__":
    config = Path(__file__).parents[1] / "samconfig.toml"
    config.write_text(with_tag(config.read_text(), sys.argv[1]))
