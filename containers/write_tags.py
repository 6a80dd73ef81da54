"""Write the tags of the images into samconfig.toml for `sam deploy`: `write_tags.py BwaImageTag=<tag> ...`."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

SECTION = "[default.deploy.parameters]\n"
LINE = re.compile(r"^parameter_overrides *=.*?(?=^\w|\Z)", re.MULTILINE | re.DOTALL)
SUFFIX = "ImageTag"


def with_tags(text: str, tags: Sequence[str]) -> str:
    """Return the configuration with these `<Tool>ImageTag=<tag>` as its only image tags; nothing else changes.

    `parameter_overrides` is a list of words or, as `sam deploy --guided` writes it, one string.
    Raise KeyError if the section `[default.deploy.parameters]` is missing.
    """
    overrides = tomllib.loads(text)["default"]["deploy"]["parameters"].get("parameter_overrides", [])
    words = shlex.split(overrides) if isinstance(overrides, str) else overrides
    others = [word for word in words if not word.partition("=")[0].endswith(SUFFIX)]
    quoted = ", ".join(f'"{word}"' for word in [*others, *tags])
    before, _, rest = text.partition(SECTION)
    section, brace, after = rest.partition("\n[")
    section = LINE.sub("", section + "\n").strip("\n")
    return f"{before}{SECTION}{section}\nparameter_overrides = [{quoted}]\n{brace}{after}"


if __name__ == "__main__":
    config = Path(__file__).parents[1] / "samconfig.toml"
    config.write_text(with_tags(config.read_text(), sys.argv[1:]))
