"""Read the stderr of one program into the log, and classify its failure."""

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

TAIL_LINES = 20  # last lines of a tool's stderr that a verdict keeps
STOP_GRACE = 5  # seconds between SIGTERM and SIGKILL for tools; the job itself has 30
MAX_LOG_LINES = 20_000  # of one program in the log; bwa writes about 6,000 for a 30x genome
MAX_LINE_BYTES = 1 << 16  # the rest of a longer line is ignored


class ToolError(JobError):
    """A program ended with an exit code other than 0."""

    def __init__(self, tool: str, exit_code: int, tail: Sequence[str], *, disk_full: bool = False) -> None:
        """Classify the failure by its exit code, the last lines of stderr (`tail`), and whether the disk is full."""
        killed = exit_code == -signal.SIGKILL
        how = "was killed, most likely for using too much memory" if killed else f"ended with exit code {exit_code}"
        failure_class = _failure_class(killed, tail)
        if disk_full and not killed:
            failure_class, how = "NO_SPACE", f"{how} on a full scratch disk"
        super().__init__(failure_class, f"{tool} {how}" + (f": {tail[-1]}" if tail else ""))
        self.tool, self.tail = tool, tuple(tail)


def _failure_class(killed: bool, tail: Sequence[str]) -> str:
    if any("No space left on device" in line for line in tail):
        return "NO_SPACE"
    if killed or any("bad_alloc" in line or "Cannot allocate memory" in line for line in tail):
        return "OUT_OF_MEMORY"
    return "TOOL_FAILED"


class Program:
    """A running program; its stderr goes to the log line by line."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], redactor: Redactor) -> None:
        """Read the stderr of `popen` in a thread, redacted."""
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
                logger.info("%s", line, tool=self.name)  # as an argument: Powertools would parse a line of JSON
        if number > MAX_LOG_LINES:
            logger.info("lines omitted", tool=self.name, lines=number - MAX_LOG_LINES)

    @property
    def lost_reader(self) -> bool:
        """True if the program reports that the program after it in a pipe stopped reading."""
        return any("Broken pipe" in line for line in self.tail)

    def wait(self) -> int:
        """Wait until the program ends, kill the processes that it left, and return its exit code."""
        exit_code = self.popen.wait()
        with contextlib.suppress(ProcessLookupError):  # processes that it left would keep its stderr open
            os.killpg(self.popen.pid, signal.SIGKILL)
        self._reader.join(STOP_GRACE)  # bounded: a process that left the group can still keep it open
        return exit_code


def read_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a stream, cut after MAX_LINE_BYTES."""
    while line := stream.readline(MAX_LINE_BYTES):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES)
        yield line
