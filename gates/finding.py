"""Define the finding that a gate reports, and its suppression by the template."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Problem = tuple[str, str]  # rule, message
LocatedProblem = tuple[str, str, str]  # rule, location, message


@dataclass(frozen=True, order=True)
class Finding:
    """A violated rule: its message says what is wrong and what to do."""

    gate: str
    rule: str
    location: str
    message: str

    def __str__(self) -> str:
        return f"{self.gate}: {self.rule}: {self.location}: {self.message}"


def drop_duplicates(findings: Iterable[Finding]) -> list[Finding]:
    """Return each finding once: several deployments may have the same fault."""
    return list(dict.fromkeys(findings))


def drop_suppressed(findings: Iterable[Finding], resources: dict[str, Any]) -> list[Finding]:
    """Return the findings without a suppression in the metadata of their resource.

    A suppression needs a comment: `Metadata: {gates: {skip: [{id: RULE, comment: REASON}]}}`.
    """
    suppressed = {
        (name, skip["id"])
        for name, resource in resources.items()
        for skip in resource.get("Metadata", {}).get("gates", {}).get("skip", [])
        if skip.get("comment")
    }
    return [finding for finding in findings if (finding.location.split(".")[0], finding.rule) not in suppressed]
