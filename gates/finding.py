"""What a gate says: which rule, where, and why it matters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class Finding:
    gate: str
    rule: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.gate}: {self.rule}: {self.where}: {self.message}"


def unique(findings: Iterable[Finding]) -> list[Finding]:
    """Each once: the same fault shows in every deployment that has it."""
    return list(dict.fromkeys(findings))


def unexcused(findings: Iterable[Finding], resources: dict[str, Any]) -> list[Finding]:
    """Those without an excuse beside the resource: `Metadata: {gates: {skip: [{id: rule, comment: why}]}}`."""
    excused = {
        (name, skip["id"])
        for name, resource in resources.items()
        for skip in resource.get("Metadata", {}).get("gates", {}).get("skip", [])
        if skip.get("comment")
    }
    return [found for found in findings if (found.where.split(".")[0], found.rule) not in excused]
