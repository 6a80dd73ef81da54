"""Run programs without a shell, check every exit status, and leave no process behind."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, BinaryIO, TypeVar, cast

from seqdrop.failure.verdict import JobError
from seqdrop.jobs.child import STOP_GRACE, Program, Reading, ToolError
from seqdrop.jobs.process_tree import adopt_orphans, group_exists, list_descendants
from seqdrop.jobs.redaction import Redactor
from seqdrop.log import logger
from seqdrop.signals import defer_signals
from seqdrop.text import plain_line

Argument = str | Path | int
Command = list[Argument]
Item = TypeVar("Item")
Result = TypeVar("Result")
# Tools do not get these environment variables: no tool needs the AWS credentials of the job.
PRIVATE_PREFIXES = ("AWS_", "ECS_")
MIN_FREE_BYTES = 256 << 20  # a disk with less, and with less than one percent free, counts as full


def tool_environment(cwd: Path) -> dict[str, str]:
    """Return the environment variables of a tool that runs in `cwd`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PRIVATE_PREFIXES)}
    # htslib looks here for the reference of a CRAM that a tool does not get; its default is the server of EBI.
    return environment | {"REF_PATH": str(cwd), "REF_CACHE": ""}


class Processes:
    """The programs of one job; `stop` ends them and all processes that they started."""

    def __init__(
        self,
        cwd: Path,
        redactor: Redactor | None = None,
        inherited_files: Sequence[int] = (),
        *,
        stop_descendants: bool = False,
    ) -> None:
        """Run programs in `cwd`, with `inherited_files` (descriptors) open.

        `stop_descendants`: `stop` ends every descendant of this process, which must be only the processes of the job.
        """
        self.redactor = redactor or Redactor()
        self._secrets = Redactor()  # the receipt is beside the results, which have the name of the sample
        self.commands: list[str] = []  # as they can be typed in the directory of the job, without secrets
        self._cwd, self._inherited_files = cwd, tuple(inherited_files)
        self._alive: dict[subprocess.Popen[bytes], None] = {}  # in the order of their start
        self._stopped = False
        self._starting = threading.RLock()
        self._stop_descendants = stop_descendants
        if stop_descendants:
            adopt_orphans()

    def run(self, *command: Argument, stdout: Path | None = None) -> None:
        """Run a program until it ends; raise ToolError if it fails."""
        with contextlib.ExitStack() as files:
            out: IO[bytes] | int = files.enter_context(stdout.open("wb")) if stdout else subprocess.DEVNULL
            self._record(list(command), stdout=stdout)
            self.wait(self.start(*command, stdout=out))

    def output(self, *command: Argument) -> str:
        """Return the output of a program that prints little, such as a version or a count; raise ToolError."""
        return self.read(lambda stream: stream.read().decode(errors="replace"), *command)

    def read(self, reader: Callable[[BinaryIO], Result], *command: Argument) -> Result:
        """Return what `reader` makes of the output of a program; raise ToolError if the program fails."""
        self._record(list(command))
        program = self.start(*command, stdout=subprocess.PIPE)
        stream = cast(BinaryIO, program.popen.stdout)
        try:
            result = reader(stream)
        except JobError:
            while stream.read(1 << 20):
                pass  # else the program would fail too, as it cannot write
            self.wait(program)  # its own failure is the reason for what the reader could not read
            raise
        self.wait(program)
        return result

    @contextlib.contextmanager
    def stream(self, *command: Argument) -> Iterator[BinaryIO]:
        """Start a program and return its output, which the block reads to its end; raise ToolError if it fails.

        If the block raises an error, the program runs until `stop`.
        """
        self._record(list(command))
        program = self.start(*command, stdout=subprocess.PIPE)
        yield cast(BinaryIO, program.popen.stdout)
        self.wait(program)

    def pipe(
        self,
        feed: Callable[[BinaryIO], None] | None,
        *commands: Command,
        stdout: Path | BinaryIO | None = None,
        reader: Callable[[BinaryIO], None] | None = None,
    ) -> None:
        """Run a pipe of programs: `feed` writes to the first one, the last one writes to `stdout` or to `reader`.

        Raise ToolError for the first program that failed by itself, or the error that `feed` or `reader` raises.
        `reader` is called in a thread.
        """
        self._record(*commands, stdout=stdout if isinstance(stdout, Path) else None)
        with contextlib.ExitStack() as files:
            opened = files.enter_context(stdout.open("wb")) if isinstance(stdout, Path) else stdout
            last = subprocess.PIPE if reader else opened or subprocess.DEVNULL
            programs = self._start_pipe(commands, subprocess.PIPE if feed else subprocess.DEVNULL, last)
        reading = Reading(reader, cast(BinaryIO, programs[-1].popen.stdout)) if reader else None
        if feed:
            self._feed(lambda stdins: feed(*stdins), programs[0])
        self.wait(*programs, reading=reading)

    def feed_pipes(self, feed: Callable[[Sequence[BinaryIO]], None], *pipes: Sequence[Command]) -> None:
        """Run pipes of programs side by side: `feed` writes to the first program of each.

        Raise as `pipe` does, when the first pipe has failed.
        """
        for commands in pipes:
            self._record(*commands)
        running = [self._start_pipe(commands, subprocess.PIPE, subprocess.DEVNULL) for commands in pipes]
        self._feed(feed, *(programs[0] for programs in running))
        try:
            while running:
                ended = [pipe for pipe in running if all(program.popen.poll() is not None for program in pipe)]
                for programs in ended:
                    self.wait(*programs)
                    running.remove(programs)
                if not ended:
                    time.sleep(0.02)
        except BaseException:
            self.stop()
            raise

    def _start_pipe(
        self, commands: Sequence[Command], upstream: IO[bytes] | int, last: IO[bytes] | int
    ) -> list[Program]:
        """Start the programs of a pipe, the last one with `last` as its output."""
        programs: list[Program] = []
        for number, command in enumerate(commands, start=1):
            downstream = last if number == len(commands) else subprocess.PIPE
            programs.append(self.start(*command, stdin=upstream, stdout=downstream))
            if not isinstance(upstream, int):
                upstream.close()  # only the next program has it open now, and so it sees its end
            upstream = programs[-1].popen.stdout or subprocess.DEVNULL
        return programs

    def _feed(self, feed: Callable[[Sequence[BinaryIO]], None], *programs: Program) -> None:
        stdins = [cast(BinaryIO, program.popen.stdin) for program in programs]
        try:
            feed(stdins)
            for stdin in stdins:
                stdin.close()
        except BrokenPipeError:
            pass  # the exit status of the program says why it stopped reading
        except BaseException:
            # Stop before stdin is closed: the programs must not take a partial input for a complete one. Closing also
            # flushes, which would wait for ever for a program that hangs.
            self.stop()
            raise
        finally:
            for stdin in stdins:
                with contextlib.suppress(OSError):
                    stdin.close()

    def wait(self, *programs: Program, reading: Reading | None = None) -> None:
        """Wait for the programs of a pipe and its reader; raise ToolError for the first one that failed by itself."""
        exits = [(program, program.wait()) for program in programs]
        for program in programs:
            self._alive.pop(program.popen, None)
        failed = [(program, code) for program, code in exits if code]
        # A program that lost its reader failed because a later one did.
        culprits = [(program, code) for program, code in failed if code != -signal.SIGPIPE and not program.lost_reader]
        if reading and not culprits:
            reading.finish()
        for program, code in culprits or failed:
            raise ToolError(program.name, code, list(program.tail), head=program.head, disk_full=self._disk_is_full())

    def _disk_is_full(self) -> bool:
        """Return True if the disk is full: some tools do not report it (`samtools markdup`), but their files remain."""
        disk = os.statvfs(self._cwd)
        return disk.f_bavail < min(disk.f_blocks // 100, MIN_FREE_BYTES // disk.f_frsize)

    def run_parallel(self, function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> list[Result]:
        """Call `function` for every item in `workers` threads, and return the results in order.

        The first error stops all programs and is raised.
        """
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.stop()
                raise

    def start(
        self, *command: Argument, stdin: IO[bytes] | int = subprocess.DEVNULL, stdout: IO[bytes] | int
    ) -> Program:
        """Start a program; raise JobError if it is not installed or the job is ending."""
        arguments = self._words(command)
        logger.info("command", command=plain_line(self.redactor.redact(" ".join(arguments))))
        with defer_signals(), self._starting:
            if self._stopped:  # another thread failed, or the job was stopped
                raise JobError("INTERNAL", "the job is ending")
            try:
                popen = self._popen(arguments, stdin, stdout)
            except FileNotFoundError:
                raise JobError("INTERNAL", f"{arguments[0]} is not installed") from None
            self._alive[popen] = None
        return Program(Path(arguments[0]).name, popen, self.redactor)

    def _words(self, command: Sequence[Argument]) -> list[str]:
        """Return the arguments with paths relative to the directory of the job.

        Tools write their command line into headers, where a different directory for every job would make the results
        of equal jobs differ.
        """
        return [str(argument).replace(f"{self._cwd}/", "") for argument in command]

    def _record(self, *commands: Sequence[Argument], stdout: Path | None = None) -> None:
        """Record the programs of a pipe, or one program, as one line for the shell."""
        words = [[self._printable(word) for word in self._words(command)] for command in commands]
        target = f" > {shlex.quote(self._printable(*self._words([stdout])))}" if stdout else ""
        self.commands.append(" | ".join(map(shlex.join, words)) + target)

    def _printable(self, word: str) -> str:
        """Return an argument without secrets and without the directory of the job."""
        return self._secrets.redact(word.replace(str(self._cwd), "."))

    def _popen(self, arguments: list[str], stdin: IO[bytes] | int, stdout: IO[bytes] | int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            arguments,
            cwd=self._cwd,
            env=tool_environment(self._cwd),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            pass_fds=self._inherited_files,
            start_new_session=True,
        )

    def stop(self) -> None:
        """End all running programs and the processes that they started; a second call does nothing."""
        with self._starting:
            self._stopped = True
        # The last program of a pipe first: it would take the end of the one before for the end of its input.
        groups = [popen.pid for popen in reversed(list(self._alive))]
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + STOP_GRACE
            self._signal(groups, number)
            while self._is_running(groups) and time.monotonic() < deadline:
                time.sleep(0.02)
                if number == signal.SIGKILL:
                    self._signal(groups, number)  # processes that were started meanwhile

    def _signal(self, groups: Sequence[int], number: signal.Signals) -> None:
        """Signal process groups, and descendants that have left their group."""
        for group in groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
        for process in list_descendants() if self._stop_descendants else ():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, number)

    def _is_running(self, groups: Sequence[int]) -> bool:
        for popen in list(self._alive):
            if popen.poll() is not None:
                self._alive.pop(popen, None)
        if self._stop_descendants:
            return bool(list_descendants())
        return bool(self._alive) or any(map(group_exists, groups))
