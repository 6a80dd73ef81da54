"""Write the one parameter ImageTag into samconfig.toml's [default.deploy.parameters], leaving all else as it is."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path

SECTION = "[default.deploy.parameters]\n"
LINE = re.compile(r"^parameter_overrides *=.*?(?=^\w|\Z)", re.MULTILINE | re.DOTALL)


def with_tag(text: str, tag: str) -> str:
    """The configuration with `ImageTag=<tag>` among its parameter_overrides, once.

    They are a list of words or, as `sam deploy --guided` writes them, one string. Raises KeyError without the section.
    """
    given = tomllib.loads(text)["default"]["deploy"]["parameters"].get("parameter_overrides", [])
    words = shlex.split(given) if isinstance(given, str) else given
    kept = [word for word in words if not word.startswith("ImageTag=")]
    listed = ", ".join(f'"{word}"' for word in [*kept, f"ImageTag={tag}"])
    before, _, rest = text.partition(SECTION)
    section, brace, after = rest.partition("\n[")
    section = LINE.sub("", section + "\n").strip("\n")
    return f"{before}{SECTION}{section}\nparameter_overrides = [{listed}]\n{brace}{after}"


if __name__ == "__main__":
    config = Path(__file__).parents[1] / "samconfig.toml"
    config.write_text(with_tag(config.read_text(), sys.argv[1]))
