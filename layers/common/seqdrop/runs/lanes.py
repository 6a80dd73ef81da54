"""Describe the lanes of a run, so that a run of more lanes can name the one that it supersedes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqdrop.runs import table
from seqdrop.runs.pairing import Pair


def attributes(run: str, pairs: Sequence[Pair], group: str, settings: str) -> dict[str, Any]:
    """Return what the row of a run says about its lanes: `group`, `lane_names`, and `supersedes` after a late lane.

    `settings` is the hash of all that changes the results, without the files: both runs must have the same.
    """
    lanes = [pair.lane for pair in pairs]
    earlier = [
        other
        for other in table.with_group(group)
        if other["run"] != run
        and "lane_names" in other  # not that of a samplesheet
        and set(other["lane_names"]) < set(lanes)
        and other.get("settings") == settings
    ]
    newest = max(earlier, key=lambda other: str(other["started"]), default=None)
    described = {"group": group, "lane_names": lanes, "settings": settings}
    return {**described, **({"supersedes": str(newest["run"])} if newest else {})}


def warnings(described: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the warning of a run that supersedes another one; `described` is what `attributes` returns."""
    if "supersedes" not in described:
        return []
    lanes, run = ", ".join(described["lane_names"]), described["supersedes"]
    message = f"files came after run {run} had started: this run has lanes {lanes} and supersedes it"
    return [{"warning": "SUPERSEDES", "message": message}]
