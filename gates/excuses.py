"""Each suppression has its reason beside it: in its line, or in the comment above."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .finding import Finding

GATE = "excuses"
# Style may be excused by its code alone; what concerns security or deployment may not. Python's tests check themselves.
MARKS = {
    "noqa": re.compile(r"#\s*noqa: (?:S\d+|BLE001)(?:, \w+)*(?P<rest>.*)"),
    "allowlist": re.compile(r"#\s*pragma: allowlist secret(?P<rest>.*)"),
    "shellcheck": re.compile(r"#\s*shellcheck disable=[\w,]+(?P<rest>.*)"),
    "hadolint": re.compile(r"#\s*hadolint (?:global )?ignore=[\w,]+(?P<rest>.*)"),
    "cfn-lint": re.compile(r"ignore_checks:\s*\[[^\]]*\][\s}\]]*(?P<rest>.*)"),
    "checkov": re.compile(r"id: CKV\w+(?P<rest>.*)"),
}
WORDS = re.compile(r"\w+\W+\w+")  # a reason is two words at least


def check(texts: dict[str, str]) -> list[Finding]:
    """Files by path."""
    return [finding for name, text in texts.items() if read(name) for finding in bare(name, text)]


def read(name: str) -> bool:
    return not name.startswith(("tests/", "gates/")) and not name.endswith((".lock", ".md"))


def bare(name: str, text: str) -> Iterator[Finding]:
    above = ""
    for number, line in enumerate(text.splitlines(), 1):
        for kind, mark in MARKS.items():
            hit = mark.search(line)
            if hit and not WORDS.search(hit["rest"]) and not (above.startswith("#") and WORDS.search(above)):
                yield Finding(GATE, f"{kind}-reason", f"{name}:{number}", "an excuse without its reason")
        above = line.strip()
