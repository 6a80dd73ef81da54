"""Start the embedded AWS, find it and stop it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any

from seqdrop_cli import project
from seqdrop_cli.errors import CliError, ResultsNotFetchedError, without_interrupts
from seqdrop_cli.screen import say

NAME = "seqdrop"  # of the stack
START_TIMEOUT = 180  # seconds; a start takes two, longer when the Docker engine is searched for images
STOP_TIMEOUT = 30  # seconds; its jobs are stopped first
MESSAGE_AFTER = 3.0  # seconds without a word
JOB_IMPORTS = "seqdrop_cli.job_imports"  # the module that jobs are forked with


@dataclass(frozen=True, slots=True)
class Embedded:
    """A running embedded AWS, as its state file describes it."""

    pid: int
    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    executor: str
    executor_reason: str
    parameters: dict[str, Any]  # name -> text, or a list of texts
    outputs: dict[str, str]
    skipped: list[Any]

    @classmethod
    def read(cls, path: Path) -> Embedded | None:
        """Read a state file; return None if it does not exist or is not complete yet."""
        try:
            state = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        state.setdefault("parameters", {})  # absent in the file of an older version
        return cls(**{each.name: state.get(each.name) for each in fields(cls)})


def state_file() -> Path:
    """Return the path of the state file in this checkout."""
    return project.state_folder() / f"{NAME}.json"


def running() -> Embedded | None:
    """Return the embedded AWS of this checkout if its process is alive."""
    embedded = Embedded.read(state_file())
    return embedded if embedded and _is_alive(embedded.pid) else None


def check_same(
    server: Embedded, executor: str, parameters: Sequence[str], port: int = 0, inject: Path | None = None
) -> None:
    """Raise CliError if a command asks for something else than the embedded AWS that is up has."""
    how = "in Docker" if server.executor == "docker" else "as processes"
    if executor not in {"auto", server.executor}:
        raise _differs(f"runs jobs {how} ({server.executor_reason})", f"--executor {executor}")
    for text in parameters:
        name, equals, value = text.partition("=")
        if not equals:
            raise CliError(f"--parameter {text!r}: expected K=V.")
        if name not in server.parameters:
            raise CliError(f"--parameter {text}: the template has no parameter {name}.")
        current = server.parameters[name]
        current = ",".join(current) if isinstance(current, list) else str(current)
        if value != current:
            raise _differs(f"has {name}={current}", f"--parameter {text}")
    if port and not server.endpoint.endswith(f":{port}"):
        raise _differs(f"is at {server.endpoint}", f"--port {port}")
    if inject:
        raise _differs("reads its faults at its start", f"--inject {inject}")


def _differs(current: str, asked: str) -> CliError:
    return CliError(
        f"The embedded AWS that is up {current}, not {asked}: leave out this option, or run `seqdrop down`, which "
        "deletes all runs in it, and then the same command again."
    )


def start(
    port: int = 0, executor: str = "auto", parameters: Sequence[str] = (), options: Sequence[str] = ()
) -> Embedded:
    """Start it in the background and wait until it is ready; raise CliError."""
    if current := running():
        raise CliError(f"The embedded AWS is already up at {current.endpoint}: `seqdrop down` stops it.")
    command = _command(project.built_template(), port, executor, [*project.local_parameters(), *parameters])
    state_file().parent.mkdir(mode=0o700, exist_ok=True)
    log = state_file().with_suffix(".log")
    with _open_private(log) as file:
        # In a session of its own: Ctrl-C in this terminal reaches the command only, which then stops the server.
        server = subprocess.Popen(
            [*command, *options],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=_environment(),
            start_new_session=True,
        )
    try:
        return _wait_until_ready(server, log)
    except BaseException:
        without_interrupts(lambda: _end(server.pid))
        raise


def _open_private(path: Path) -> IO[str]:
    """Open a file for writing that only its owner can read: the log may have the names of files."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")


def _command(template: Path, port: int, executor: str, parameters: Sequence[str]) -> list[str]:
    command = [sys.executable, "-m", "embedded_aws", "--template", str(template), "--stack", NAME]
    command += ["--state", str(state_file().parent), "--port", str(port), "--executor", executor]
    command += ["--preload", JOB_IMPORTS]
    for parameter in parameters:
        command += ["--parameter", parameter]
    return command


def _environment() -> dict[str, str]:
    """Return the environment of the server: jobs that are processes find the programs beside this Python."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def _wait_until_ready(server: subprocess.Popen[bytes], log: Path) -> Embedded:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if server.poll() is not None:
            lines = log.read_text().strip().splitlines() or ["it printed nothing"]
            reason = lines[-1].removeprefix("embedded_aws: ")
            raise CliError(f"The embedded AWS did not start: {reason} (complete log: {log})")
        # Another process id belongs to a server that another command has just started.
        if (embedded := Embedded.read(state_file())) and embedded.pid == server.pid:
            return embedded
        time.sleep(0.1)
    raise CliError(f"The embedded AWS was not ready within {START_TIMEOUT} s: see {log}")


def stop(embedded: Embedded) -> None:
    """Stop it and wait for its end. Everything in it is deleted."""
    without_interrupts(lambda: _end(embedded.pid))
    state_file().unlink(missing_ok=True)


def _end(pid: int) -> None:
    """End the server, and after STOP_TIMEOUT kill it and remove what it has left."""
    _signal(pid, signal.SIGTERM)
    if _has_ended(pid, MESSAGE_AFTER):
        return
    say(f"Stopping the embedded AWS: it ends its jobs and deletes its files, in at most {STOP_TIMEOUT} s.")
    if _has_ended(pid, STOP_TIMEOUT):
        return
    say("It does not end: it is killed, and its jobs, containers and folders are removed.")
    _signal(pid, signal.SIGKILL)
    _has_ended(pid, STOP_TIMEOUT)
    clean_up()


def clean_up() -> None:
    """Remove what a killed server has left: jobs, containers, folders, its state file."""
    words = ["-m", "embedded_aws.clean_up", "--state", str(state_file().parent), "--stack", NAME]
    subprocess.run([sys.executable, *words], check=False, start_new_session=True)
    state_file().unlink(missing_ok=True)


def show_addresses(server: Embedded) -> None:
    """Print the buckets, and lines that upload a pair with any client of S3: each fits 80 columns and can be copied."""
    fastqs, results = (f"s3://{server.outputs.get(name)}/" for name in ("FastqBucket", "ResultsBucket"))
    say(f"  FASTQs   {fastqs}")
    say(f"  results  {results}")
    say("Prepare a genome: `seqdrop reference GENOME.fa --genes GENES.gtf --name hg`.")
    say("Then upload FASTQs with `seqdrop run`, or with any S3 client:")
    for name, value in (
        ("AWS_ENDPOINT_URL", server.endpoint),
        ("AWS_DEFAULT_REGION", server.region),
        ("AWS_ACCESS_KEY_ID", server.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", server.secret_access_key),
    ):
        say(f"  export {name}={value}")
    for mate in (1, 2):
        say(f"  aws s3 cp NA12878_R{mate}.fastq.gz {fastqs} \\\n    --metadata seqdrop-reference=hg")


def _signal(pid: int, number: signal.Signals) -> None:
    if _is_alive(pid):
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, number)


def _has_ended(pid: int, timeout: float) -> bool:
    """Wait for the end of a process; return False after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while _is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _is_alive(pid: int) -> bool:
    """Return whether the process is alive and is an embedded AWS: systems use process ids again."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:  # a child of this process that has just ended
            return False
    except ChildProcessError:
        pass
    return "embedded_aws" in command_line(pid)


def command_line(pid: int) -> str:
    """Return the command line of a process; "" if it does not exist."""
    if Path("/proc/self").exists():
        path = Path(f"/proc/{pid}/cmdline")
        try:
            return path.read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    listing = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listing.stdout


@contextmanager
def temporary(parameters: Sequence[str] = (), executor: str = "auto") -> Iterator[Embedded]:
    """Start an embedded AWS for one command, and stop it however the command ends.

    It stays up where it has results that could not be downloaded.
    """
    # --with-parent ends it even if this command is killed and cannot clean up.
    embedded = start(0, executor, parameters, ["--with-parent", str(os.getpid())])
    with ExitStack() as undo:
        undo.callback(stop, embedded)
        try:
            yield embedded
        except ResultsNotFetchedError as error:
            if not _keep_up(embedded):
                raise
            undo.pop_all()
            raise ResultsNotFetchedError(
                f"{error} The embedded AWS stays up for that: `seqdrop down` stops it and deletes all runs in it."
            ) from None


def _keep_up(embedded: Embedded) -> bool:
    """Let the server of this command outlive it; return False if it has ended."""
    if not _is_alive(embedded.pid):
        return False
    os.kill(embedded.pid, signal.SIGUSR1)
    return True
