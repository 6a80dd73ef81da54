"""Find pip commands in scripts and Dockerfiles that install what no hash verifies."""

from __future__ import annotations

import re

RULE = "pip-hashes"
MESSAGE = (
    "installs packages without verifying them; use --require-hashes with an export of uv.lock, --no-index for local "
    "wheels, and --no-build-isolation --no-deps to build"
)
CONTINUATION = re.compile(r"\\\n\s*")
COMMAND = re.compile(
    r"\bpip3?(?:\.\d+)?[\"']?\s+(install|download|wheel)\b([^\n;&|]*)|\buv\s+(pip\s+install|add|tool)\b([^\n;&|]*)"
)
VERIFIED = {"--require-hashes", "--no-index"}
LOCAL_BUILD = {"--no-build-isolation", "--no-deps"}


def unverified(text: str) -> list[str]:
    """Return the pip and uv commands of a text that install packages without hashes, in order."""
    lines = [line for line in CONTINUATION.sub(" ", text).splitlines() if not line.lstrip().startswith("#")]
    commands = [match for line in lines for match in COMMAND.finditer(line)]
    return [match[0].strip() for match in commands if not is_verified(match)]


def is_verified(command: re.Match[str]) -> bool:
    """Return whether every package of a command is a local file or has a hash."""
    words = set((command[2] or command[4] or "").split())
    return bool(words & VERIFIED) or (command[1] == "wheel" and words >= LOCAL_BUILD)
