"""Read the stderr of one program into the log, and classify its failure."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, cast

from seqdrop.failure.verdict import JobError
from seqdrop.jobs.redaction import Redactor
from seqdrop.log import logger
from seqdrop.text import plain_line

TAIL_LINES = 20  # last lines of a tool's stderr that a verdict keeps
HEAD_LINES = 20  # first lines that are searched for the reason of a failure
STOP_GRACE = 5  # seconds between SIGTERM and SIGKILL for tools; the job itself has 30
MAX_LOG_LINES = 20_000  # of one program in the log; bwa writes about 6,000 for a 30x genome
MAX_LINE_BYTES = 1 << 16  # the rest of a longer line is ignored
# What tools write when disk or memory runs out. Isaac never says that the disk is full; `taskExitCode` is the exit code
# of a worker of Strelka.
SIGNS = {
    "NO_SPACE": re.compile("No space left on device|Failed to write into .*: iostream error"),
    "OUT_OF_MEMORY": re.compile(
        "bad_alloc|Cannot allocate memory|couldn't allocate memory|thread_resource_error|taskExitCode -9"
    ),
}
NOT_FOUND = 127  # of a script whose interpreter is not installed
# Lines that say why, among others: of C++ programs, Isaac's option parser (before 800 lines of help), and Strelka.
REASON = re.compile(r"what\(\): |\*\*\* .* \*\*\*|FATAL_ERROR|taskExitCode")


class ToolError(JobError):
    """A program ended with an exit code other than 0."""

    def __init__(
        self, tool: str, status: int, tail: Sequence[str], *, head: Sequence[str] = (), disk_full: bool = False
    ) -> None:
        """Classify the failure by its exit status, the first and last lines of stderr, and whether the disk is full."""
        killed = status == -signal.SIGKILL
        how = "was killed, most likely for using too much memory" if killed else f"ended with exit code {status}"
        failure_class = _failure_class(status, [*head, *tail])
        if disk_full and not killed:
            failure_class, how = "NO_SPACE", f"{how} on a full scratch disk"
        self.sentence = _sentence(head, tail)
        super().__init__(failure_class, f"{tool} {how}" + (f": {self.sentence}" if self.sentence else ""))
        self.tool, self.status, self.tail = tool, status, tuple(tail)


def _failure_class(status: int, lines: Sequence[str]) -> str:
    for failure_class, sign in SIGNS.items():
        if any(map(sign.search, lines)):
            return failure_class
    if status == -signal.SIGKILL:
        return "OUT_OF_MEMORY"
    return "INTERNAL" if status == NOT_FOUND else "TOOL_FAILED"


def _sentence(head: Sequence[str], tail: Sequence[str]) -> str:
    """Return the line that says why: the last one of a known form, else the last line."""
    reasons = [line for line in (*head, *tail) if REASON.search(line)]
    return ["", *tail, *reasons][-1]


class Program:
    """A running program; its stderr goes to the log line by line."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], redactor: Redactor) -> None:
        """Read the stderr of `popen` in a thread, redacted."""
        self.name, self.popen, self.tail = name, popen, deque[str](maxlen=TAIL_LINES)
        self.head = list[str]()
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
            if number <= HEAD_LINES:
                self.head.append(line)
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


class Reading:
    """Read the output of a program in a thread. A failure closes the pipe, so that the program ends too."""

    def __init__(self, reader: Callable[[BinaryIO], None], stream: BinaryIO) -> None:
        """Begin to read `stream`."""
        self._reader, self._stream = reader, stream
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            with self._stream:
                self._reader(self._stream)
        except BaseException as error:  # noqa: BLE001  raised in the main thread
            self._error = error

    def finish(self) -> None:
        """Wait for the end; raise the error of the reader."""
        self._thread.join()
        if self._error:
            raise self._error


def read_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a stream, cut after MAX_LINE_BYTES."""
    while line := stream.readline(MAX_LINE_BYTES):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES)
        yield line
