"""One program of a job: its last words, and what it means that it failed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

from seqdrop.failure.verdict import JobError
from seqdrop.jobs.redaction import Redactor
from seqdrop.log import logger
from seqdrop.text import plain_line

TAIL_LINES = 20  # lines of a tool's last words that a verdict keeps
STOP_GRACE = 5  # seconds the tools have between SIGTERM and SIGKILL; the job itself has 30
MAX_LOG_LINES = 20_000  # of one program in the log; a 30x genome takes bwa about 6,000
MAX_LINE_BYTES = 1 << 16  # bytes of a line that are looked at


class ToolError(JobError):
    """A program did not end with 0."""

    def __init__(self, tool: str, exit_code: int, tail: Sequence[str], *, disk_full: bool = False) -> None:
        killed = exit_code == -signal.SIGKILL
        how = "was killed, most likely for memory" if killed else f"ended with exit code {exit_code}"
        failure_class = _failure_class(killed, tail)
        if disk_full and not killed:
            failure_class, how = "NO_SPACE", f"{how}, the scratch disk being full"
        super().__init__(failure_class, f"{tool} {how}" + (f": {tail[-1]}" if tail else ""))
        self.tool, self.tail = tool, tuple(tail)


def _failure_class(killed: bool, tail: Sequence[str]) -> str:
    if any("No space left on device" in line for line in tail):
        return "NO_SPACE"
    if killed or any("bad_alloc" in line or "Cannot allocate memory" in line for line in tail):
        return "OUT_OF_MEMORY"
    return "TOOL_FAILED"


class Program:
    """One running program, its stderr read into the log line by line."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], redactor: Redactor) -> None:
        self.name, self.popen, self.tail = name, popen, deque[str](maxlen=TAIL_LINES)
        self._redactor = redactor
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        number = 0
        for raw in read_lines(cast(BinaryIO, self.popen.stderr)):
            line = plain_line(self._redactor.redact(raw.decode(errors="replace")))
            if not line.strip():
                continue
            self.tail.append(line)
            number += 1
            if number <= MAX_LOG_LINES:
                logger.info("%s", line, tool=self.name)  # as an argument: a line that is JSON stays a line
        if number > MAX_LOG_LINES:
            logger.info("not all lines are shown", tool=self.name, lines=number - MAX_LOG_LINES)

    @property
    def lost_reader(self) -> bool:
        return any("Broken pipe" in line for line in self.tail)

    def wait(self) -> int:
        exit_code = self.popen.wait()
        with contextlib.suppress(ProcessLookupError):  # what it left behind would also hold its stderr open
            os.killpg(self.popen.pid, signal.SIGKILL)
        self._reader.join(STOP_GRACE)  # what left its group may hold it open all the same
        return exit_code


def read_lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a stream, of each no more than a start."""
    while line := stream.readline(MAX_LINE_BYTES):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES)
        yield line
