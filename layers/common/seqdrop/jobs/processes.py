"""Programs as a job runs them: lists of words, every exit status looked at, none left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, BinaryIO, TypeVar, cast

from seqdrop.failure.verdict import JobError
from seqdrop.jobs.child import STOP_GRACE, Program, ToolError
from seqdrop.jobs.process_tree import adopt_orphans, group_exists, list_descendants
from seqdrop.jobs.redaction import Redactor
from seqdrop.log import logger
from seqdrop.signals import defer_signals
from seqdrop.text import plain_line

Argument = str | Path | int
Command = list[Argument]
Item = TypeVar("Item")
Result = TypeVar("Result")
# No tool has business with AWS: it gets none of the job's credentials.
PRIVATE_PREFIXES = ("AWS_", "ECS_")
MIN_FREE_BYTES = 256 << 20  # bytes: a disk with less room, and with less than a hundredth of it free, is full


class Processes:
    """The programs of one job. `stop` ends them and whatever they started."""

    def __init__(
        self,
        cwd: Path,
        redactor: Redactor | None = None,
        inherited_files: Sequence[int] = (),
        *,
        stop_descendants: bool = False,
    ) -> None:
        """`inherited_files`: open files that every program keeps open. `stop_descendants`: nothing but this job runs below us."""
        self.redactor = redactor or Redactor()
        self._cwd, self._inherited_files = cwd, tuple(inherited_files)
        self._alive: dict[subprocess.Popen[bytes], None] = {}  # in the order they were started
        self._stopped = False
        self._starting = threading.RLock()
        self._stop_descendants = stop_descendants
        if stop_descendants:
            adopt_orphans()

    def run(self, *words: Argument, stdout: Path | None = None) -> None:
        """Run one program to its end; raises ToolError."""
        with contextlib.ExitStack() as files:
            out: IO[bytes] | int = files.enter_context(stdout.open("wb")) if stdout else subprocess.DEVNULL
            self.wait(self.start(*words, stdout=out))

    def output(self, *words: Argument) -> str:
        """What a program prints: for the short answers of `--version`, `view -c`."""
        program = self.start(*words, stdout=subprocess.PIPE)
        text = cast(IO[bytes], program.popen.stdout).read().decode(errors="replace")
        self.wait(program)
        return text

    def pipe(
        self, feed: Callable[[BinaryIO], None] | None, *commands: Command, stdout: Path | BinaryIO | None = None
    ) -> None:
        """`feed` writes into the first command, each command into the next, the last one into `stdout`.

        Raises ToolError for the program to blame, or what `feed` raises.
        """
        programs: list[Program] = []
        upstream: IO[bytes] | int = subprocess.PIPE if feed else subprocess.DEVNULL
        for place, words in enumerate(commands, start=1):
            with contextlib.ExitStack() as files:
                downstream: IO[bytes] | int = subprocess.PIPE
                if place == len(commands):
                    opened = files.enter_context(stdout.open("wb")) if isinstance(stdout, Path) else stdout
                    downstream = opened or subprocess.DEVNULL
                programs.append(self.start(*words, stdin=upstream, stdout=downstream))
            if not isinstance(upstream, int):
                upstream.close()  # the next program alone holds it now, and so sees the end of it
            upstream = programs[-1].popen.stdout or subprocess.DEVNULL
        if feed:
            self._feed(feed, cast(BinaryIO, programs[0].popen.stdin))
        self.wait(*programs)

    def _feed(self, feed: Callable[[BinaryIO], None], stdin: BinaryIO) -> None:
        try:
            feed(stdin)
            stdin.close()
        except BrokenPipeError:
            pass  # a reader that has failed says why by its own exit status
        except BaseException:
            # A half-fed pipe must not look finished to those behind it. First of all: to close it is to write what
            # is left, for which a reader that hangs would let us wait for ever.
            self.stop()
            raise
        finally:
            with contextlib.suppress(OSError):
                stdin.close()

    def wait(self, *programs: Program) -> None:
        """Wait for all of a row; raises ToolError for the one to blame."""
        exits = [(program, program.wait()) for program in programs]
        for program in programs:
            self._alive.pop(program.popen, None)
        failed = [(program, code) for program, code in exits if code]
        # One that lost its reader failed because of a later one: blame the first that did not.
        culprits = [(program, code) for program, code in failed if code != -signal.SIGPIPE and not program.lost_reader]
        for program, code in culprits or failed:
            raise ToolError(program.name, code, list(program.tail), disk_full=self._disk_is_full())

    def _disk_is_full(self) -> bool:
        """Not every tool says why it could not write (`samtools markdup` does not): what it wrote still lies there."""
        disk = os.statvfs(self._cwd)
        return disk.f_bavail < min(disk.f_blocks // 100, MIN_FREE_BYTES // disk.f_frsize)

    def run_parallel(self, function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> list[Result]:
        """Call `function` on every item, `workers` at a time: threads that wait for programs; an error ends all."""
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.stop()
                raise

    def start(self, *words: Argument, stdin: IO[bytes] | int = subprocess.DEVNULL, stdout: IO[bytes] | int) -> Program:
        # Relative to the job's directory: tools write their command line into headers, where a path made up anew
        # for every job would make equal results unequal.
        line = [str(word).replace(f"{self._cwd}/", "") for word in words]
        logger.info("command", command=plain_line(self.redactor.redact(" ".join(line))))
        with defer_signals(), self._starting:
            if self._stopped:  # another thread has failed, or the job was told to stop
                raise JobError("INTERNAL", "the job is ending")
            try:
                popen = self._begin(line, stdin, stdout)
            except FileNotFoundError:
                raise JobError("INTERNAL", f"{line[0]} is not installed here") from None
            self._alive[popen] = None
        return Program(Path(line[0]).name, popen, self.redactor)

    def _begin(self, line: list[str], stdin: IO[bytes] | int, stdout: IO[bytes] | int) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PRIVATE_PREFIXES)}
        return subprocess.Popen(
            line,
            cwd=self._cwd,
            env=environment,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            pass_fds=self._inherited_files,
            start_new_session=True,
        )

    def stop(self) -> None:
        """End every program that still runs, with all it started; safe to call again."""
        with self._starting:
            self._stopped = True
        # The last of a row first: one that outlived what it reads from would take that for the end of its input.
        groups = [popen.pid for popen in reversed(list(self._alive))]
        for how in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + STOP_GRACE
            self._signal(groups, how)
            while self._living(groups) and time.monotonic() < deadline:
                time.sleep(0.02)
                if how == signal.SIGKILL:
                    self._signal(groups, how)  # what was started meanwhile

    def _signal(self, groups: Sequence[int], how: signal.Signals) -> None:
        """A tool's children are in its group, unless they have left it for one of their own."""
        for group in groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, how)
        for process in list_descendants() if self._stop_descendants else ():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, how)

    def _living(self, groups: Sequence[int]) -> bool:
        for popen in list(self._alive):
            if popen.poll() is not None:
                self._alive.pop(popen, None)
        if self._stop_descendants:
            return bool(list_descendants())
        return bool(self._alive) or any(map(group_exists, groups))
