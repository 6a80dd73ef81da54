"""Suggest sizes of jobs: compare what their attempts were given with what they have used. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Any

from seqdrop.plan import forms
from seqdrop.runs.attempts import SUCCEEDED

Row = Mapping[str, Any]
RESERVE = 1.25  # suggested sizes have a quarter more than was ever used
MIN_GAIN = 0.8  # a smaller size is suggested if it is at most this share of the present one
CACHE_PART = 4  # the reference cache has at most a quarter of the disk
MIN_ATTEMPTS = 3  # that succeeded, before a smaller size is suggested
BLOCK, MIN_MEMORY = 512, 512  # MiB
OUT_OF_MEMORY, NO_SPACE = "OUT_OF_MEMORY", "NO_SPACE"


@dataclass(frozen=True, slots=True)
class Use:
    """What the attempts of one step were given, and the most that one of them has used."""

    step: str
    attempts: int
    memory: int  # MiB, the largest that was given
    peak_memory: int  # MiB
    vcpus: int
    used_vcpus: float  # CPU seconds of a second
    scratch: int  # MiB, without files of the reference cache
    shared: int  # MiB of such files
    minutes: float  # median of those that succeeded
    failed_memory: int  # MiB: the largest with which an attempt ran out of memory; 0 if none did
    enough_memory: int  # MiB: the smallest above that with which one succeeded; 0 if none did
    disk_full: int  # attempts that filled the scratch disk


def use_of(rows: Iterable[Row]) -> list[Use]:
    """Return the use of each step, in the order of the rows; attempts that used nothing are left out.

    The job that gathers the parts of a run has the sizes of those that call them.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if "seconds" in row and "step" in row:
            groups.setdefault(forms.sizes_of(row, str(row["step"])), []).append(row)
    return [_use(step, group) for step, group in groups.items()]


def _use(step: str, rows: Sequence[Row]) -> Use:
    done = [row for row in rows if row["status"] == SUCCEEDED]
    failed = max((int(row["memory"]) for row in rows if row.get("class") == OUT_OF_MEMORY), default=0)
    return Use(
        step,
        len(done),
        max(int(row["memory"]) for row in rows),
        max(int(row.get("peak_memory", 0)) for row in rows),
        max(int(row["vcpus"]) for row in rows),
        max((float(row.get("cpu_seconds", 0)) / max(1.0, float(row["seconds"])) for row in done), default=0.0),
        max(int(row.get("scratch", 0)) for row in rows),
        max(int(row.get("shared", 0)) for row in rows),
        round(median(float(row["seconds"]) / 60 for row in done), 2) if done else 0.0,
        failed,
        min((int(row["memory"]) for row in done if int(row["memory"]) > failed), default=0) if failed else 0,
        sum(row.get("class") == NO_SPACE for row in rows),
    )


def suggest(uses: Sequence[Use], parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of the template to change, with their new values.

    `parameters` are those of the stack, with their present values: no other names are returned. No memory is less
    than attempts that failed needed.
    """
    changes: dict[str, str] = {}
    for use in uses:
        name = use.step.title()
        wanted = {f"{name}Memory": _memory(use, parameters), f"{name}Vcpus": _vcpus(use, parameters)}
        changes |= {key: str(value) for key, value in wanted.items() if value and parameters.get(key) != str(value)}
    if scratch := _scratch(uses, parameters):
        changes["ScratchSize"] = str(scratch)
    return changes


def _memory(use: Use, parameters: Mapping[str, str]) -> int:
    """Return the memory in MiB that the step should have; 0 for no change."""
    asked = int(parameters.get(f"{use.step.title()}Memory", 0))
    if not asked:
        return 0
    needed = max(MIN_MEMORY, _blocks(use.peak_memory * RESERVE))
    if use.failed_memory:
        needed = max(needed, use.enough_memory or _blocks(use.failed_memory * 2))
        return needed if needed > asked or _saves_enough(needed, asked) else 0
    enough = use.attempts >= MIN_ATTEMPTS and use.peak_memory
    return needed if enough and _saves_enough(needed, asked) else 0


def _vcpus(use: Use, parameters: Mapping[str, str]) -> int:
    """Return the vCPUs that the step should have; 0 for no change. More are never suggested: they only save time."""
    asked = int(parameters.get(f"{use.step.title()}Vcpus", 0))
    needed = max(1, ceil(use.used_vcpus * RESERVE))
    enough = asked and use.attempts >= MIN_ATTEMPTS and use.used_vcpus
    return needed if enough and _saves_enough(needed, asked) else 0


def _scratch(uses: Sequence[Use], parameters: Mapping[str, str]) -> int:
    """Return the GiB that the scratch volume of an instance should have; 0 for no change, or without a volume.

    The largest instance (WholeInstanceVcpus) must have space for as many jobs of a step as it has vCPUs for, beside
    the reference cache: ReferenceCacheSize, but at most a quarter of the disk, which must have room for the reference
    that the jobs shared. Else each job would have a copy.
    """
    asked, whole = int(parameters.get("ScratchSize", 0)), int(parameters.get("WholeInstanceVcpus", 0))
    if not asked or not uses:
        return 0
    needed = max(ceil(use.scratch * RESERVE * max(1, whole // max(1, use.vcpus)) / 1024) for use in uses)
    needed += min(int(parameters.get("ReferenceCacheSize", 0)), ceil(needed / (CACHE_PART - 1)))
    needed = max(needed, *(ceil(use.shared * CACHE_PART / 1024) for use in uses))
    if any(use.disk_full for use in uses):
        needed = max(needed, 2 * asked)
    enough = min(use.attempts for use in uses) >= MIN_ATTEMPTS
    return needed if needed > asked or (enough and needed and _saves_enough(needed, asked)) else 0


def _saves_enough(needed: int, asked: int) -> bool:
    """Return whether a smaller size is worth a change."""
    return needed <= asked * MIN_GAIN


def _blocks(memory: float) -> int:
    return ceil(memory / BLOCK) * BLOCK
