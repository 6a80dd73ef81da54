"""Check that each suppression of a checker has a reason, on its line or in a comment on the line above."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .finding import Finding

GATE = "suppressions"
# Style rules may be suppressed without a reason, security and deployment rules may not. The files in tests/ and gates/
# are exempt: they are never deployed.
PATTERNS = {
    "noqa": re.compile(r"#\s*noqa: (?:S\d+|BLE001)(?:, \w+)*(?P<rest>.*)"),
    "allowlist": re.compile(r"#\s*pragma: allowlist secret(?P<rest>.*)"),
    "shellcheck": re.compile(r"#\s*shellcheck disable=[\w,]+(?P<rest>.*)"),
    "hadolint": re.compile(r"#\s*hadolint (?:global )?ignore=[\w,]+(?P<rest>.*)"),
    "cfn-lint": re.compile(r"ignore_checks:\s*\[[^\]]*\][\s}\]]*(?P<rest>.*)"),
    "checkov": re.compile(r"id: CKV\w+(?P<rest>.*)"),
}
REASON = re.compile(r"\w+\W+\w+")  # at least two words


def check(texts: dict[str, str]) -> list[Finding]:
    """Return the suppressions without a reason in these texts, keyed by path."""
    return [finding for name, text in texts.items() if is_checked(name) for finding in check_text(name, text)]


def is_checked(name: str) -> bool:
    """Return whether this gate reads the file of this path."""
    return not name.startswith(("tests/", "gates/")) and not name.endswith((".lock", ".md"))


def check_text(name: str, text: str) -> Iterator[Finding]:
    """Yield a finding for each suppression without a reason."""
    line_above = ""
    for number, line in enumerate(text.splitlines(), 1):
        reason_above = line_above.startswith("#") and REASON.search(line_above)
        for kind, pattern in PATTERNS.items():
            match = pattern.search(line)
            if match and not REASON.search(match["rest"]) and not reason_above:
                message = "the suppression has no reason; give one on this line or in a comment above it"
                yield Finding(GATE, f"{kind}-reason", f"{name}:{number}", message)
        line_above = line.strip()
