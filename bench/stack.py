"""Run the command line of seqdrop with an embedded AWS of its own, beside the one of this checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OWN = {".seqdrop", ".aws-sam", "build", "results"}  # what a stack must not share with this checkout
SEQDROP = (sys.executable, "-m", "seqdrop_cli")


@dataclass(frozen=True)
class Stack:
    """An embedded AWS that is up."""

    folder: Path  # the commands work here
    pid: int

    def run(self, *arguments: str | Path) -> None:
        """Run a command of seqdrop; raise CalledProcessError."""
        subprocess.run([*SEQDROP, *arguments], cwd=self.folder, check=True, stdout=sys.stderr)


@contextmanager
def up(scratch: Path, executor: str, parameters: Sequence[str] = (), *, built: bool = False) -> Iterator[Stack]:
    """Start an embedded AWS that has this checkout deployed, and stop it at the end.

    `built`: scratch/stack has a built template of its own.
    """
    folder = scratch / "stack"
    folder.mkdir(parents=True, exist_ok=True)
    for path in ROOT.iterdir():
        if path.is_file():  # a link would be no file for containers/tag
            shutil.copy2(path, folder / path.name)
        elif path.name not in OWN and not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)
    if not built:
        shutil.rmtree(folder / ".aws-sam", ignore_errors=True)
        shutil.copytree(ROOT / ".aws-sam", folder / ".aws-sam")
    # `make bench` has built it: newer than its sources, it is not built again, with paths of this folder.
    (folder / ".aws-sam/build/template.yaml").touch()
    words = [word for parameter in parameters for word in ("--parameter", parameter)]
    subprocess.run([*SEQDROP, "up", "--executor", executor, *words], cwd=folder, check=True, stdout=sys.stderr)
    state: dict[str, Any] = json.loads((folder / ".seqdrop/seqdrop.json").read_text())
    try:
        yield Stack(folder, state["pid"])
    finally:
        subprocess.run([*SEQDROP, "down"], cwd=folder, check=True, stdout=sys.stderr)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, of its descendants and of those that they waited for."""
    tick = os.sysconf("SC_CLK_TCK")
    return sum(_ticks(process) for process in _tree(pid)) / tick


def _tree(pid: int) -> list[int]:
    found = [pid]
    for process in found:
        for tasks in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                found += map(int, tasks.read_text().split())
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
