"""Run the commands of a line in turn, check what they wrote, and compare their times."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import stack


class GateError(Exception):
    """A command failed, or what it wrote is wrong: its time means nothing."""


@dataclass(frozen=True)
class Side:
    """A command, and what must be true of its output."""

    name: str
    command: Sequence[str | Path]
    check: Callable[[], object]  # its value must be the same for all sides and repeats; raises GateError
    env: Mapping[str, str] = field(default_factory=dict)
    server: int = 0  # the id of a process that does a part of the work, whose CPU time counts


@dataclass(frozen=True)
class Line:
    """Ours, the first side, against the others."""

    name: str
    sides: Sequence[Side]


@dataclass(frozen=True)
class Cost:
    """What one run of a command took, with all processes that it waited for."""

    wall: float  # seconds
    cpu: float  # seconds
    memory: int  # MiB, of its largest process; not of a server


# A process begins with the peak memory of the one that starts it, which is therefore a small one.
LAUNCHER = """
import os, sys, time
begin = time.perf_counter()
_, status, used = os.wait4(os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ), 0)
wall = time.perf_counter() - begin
with open(sys.argv[1], "w") as answer:
    answer.write(f"[{status}, {wall}, {used.ru_utime + used.ru_stime}, {used.ru_maxrss >> 10}]")
"""


def run(side: Side, log: Path) -> Cost:
    """Run a command; raise GateError if it fails."""
    before, answer = stack.cpu_seconds(side.server) if side.server else 0, log.with_suffix(".cost")
    with log.open("wb") as out:
        launcher = [sys.executable, "-ISc", LAUNCHER, answer, *side.command]
        subprocess.run(launcher, env={**os.environ, **side.env}, stdout=out, stderr=out, check=True)
    status, wall, cpu, memory = json.loads(answer.read_text())
    if status:
        raise GateError(f"{side.name} ended with status {status}:\n{log.read_text(errors='replace')[-3000:]}")
    others = stack.cpu_seconds(side.server) - before if side.server else 0
    return Cost(wall, cpu + others, memory)


def compare(line: Line, log: Path, repeats: int) -> list[list[str]]:
    """Return a row of the table for each competitor: ratios are ours divided by theirs.

    The runs are interleaved: A, B, C, A, B, C. Other work on the machine slows all of them.
    """
    costs: dict[str, list[Cost]] = {side.name: [] for side in line.sides}
    answers = set()
    for _ in range(repeats):
        for side in line.sides:
            costs[side.name].append(run(side, log))
            answers.add(side.check())
            if len(answers) > 1:
                raise GateError(f"{line.name}: {side.name} has another result than the others: {answers}")
    ours = costs[line.sides[0].name]
    return [_row(line, side.name, ours, costs[side.name]) for side in line.sides[1:]]


def _row(line: Line, name: str, ours: Sequence[Cost], theirs: Sequence[Cost]) -> list[str]:
    walls = sorted(one.wall / other.wall for one, other in zip(ours, theirs, strict=True))
    cpus = statistics.median(one.cpu / other.cpu for one, other in zip(ours, theirs, strict=True))
    spread = f"{walls[0]:.2f} / {statistics.median(walls):.2f} / {walls[-1]:.2f}"
    seconds = " / ".join(f"{statistics.median(cost.cpu for cost in side):.2f}" for side in (ours, theirs))
    memory = " / ".join(f"{max(cost.memory for cost in side)}" for side in (ours, theirs))
    return [line.name, name, spread, f"{cpus:.2f}", seconds, memory]


HEAD = ["line", "against", "wall: min / median / max", "CPU", "CPU s: ours / theirs", "MiB: ours / theirs"]


def write_table(rows: Sequence[Sequence[str]]) -> None:
    """Write rows as a table of Markdown."""
    widths = [max(len(row[column]) for row in (HEAD, *rows)) for column in range(len(HEAD))]
    for row in (HEAD, ["-" * width for width in widths], *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()
