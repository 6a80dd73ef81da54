"""`python -m embedded_aws`: deploy a built SAM template on this machine and serve it until a signal ends it."""

import gc

if __name__ == "__main__":
    gc.disable()  # until the server is ready: looking for garbage after each import takes a third of the time

import argparse
import errno
import json
import os
import signal
import sys
import threading
from pathlib import Path

from . import full_disk, server
from .adapters.lambda_pool import Limits
from .faults import FaultsError, FaultsFile, read
from .lifecycle import Options, serve
from .patches import PatchError
from .runners.selection import NoEngineError
from .server import PortInUseError
from .state_file import AlreadyRunningError
from .template import TemplateError

PARENT_POLL = 1.0  # seconds
SECRETS = ("access_key_id", "secret_access_key")  # only in the state file: standard output is often a log
# Objects that are new before the garbage collector looks at them. At Python's 700 it looks at all that moto keeps again
# and again: a twentieth of the time of the server.
MANY_OBJECTS = 50_000
ERRORS = (AlreadyRunningError, FaultsError, NoEngineError, PatchError, PortInUseError, TemplateError)


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    args = parse_args(argv)
    stop, keep = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGUSR1, lambda *_: keep.set())
    server.reduce_logging()
    server.raise_file_limit()
    try:
        with serve(options(args)) as state:
            gc.collect()
            gc.freeze()  # what is left stays to the end
            gc.set_threshold(MANY_OBJECTS)
            gc.enable()
            public = {name: value for name, value in state.items() if name not in SECRETS}
            print(json.dumps(public), flush=True)  # noqa: T201  # the first line is for the program that started this one
            wait(stop, keep, args.with_parent)
    except ERRORS as error:
        print(f"embedded_aws: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(f"embedded_aws: {full_disk.message()}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m embedded_aws", description=__doc__)
    parser.add_argument("--template", type=Path, required=True, help="the template that `sam build` wrote")
    parser.add_argument("--stack", default="local", help="name of the stack (default: local)")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="folder for STACK.json and volumes/")
    parser.add_argument("--port", type=int, default=0, help="default: any free port")
    parser.add_argument("--executor", choices=("auto", "docker", "process"), default="auto", help="how jobs run")
    parser.add_argument("--parameter", type=assignment, action="append", default=[], metavar="K=V")
    parser.add_argument("--vcpus", type=float, default=os.cpu_count(), help="vCPUs for the jobs of all queues")
    parser.add_argument("--workers", type=positive, metavar="N", help="Lambda workers of all functions")
    parser.add_argument(
        "--preload", action="append", default=[], metavar="MODULE", help="fork jobs in Python from a process with it"
    )
    parser.add_argument("--inject", type=Path, metavar="FILE", help="faults to inject: see README")
    parser.add_argument(
        "--with-parent", type=int, metavar="PID", help="end with this parent process, unless it sends SIGUSR1"
    )
    return parser.parse_args(argv)


def options(args: argparse.Namespace) -> Options:
    """Convert the command line to options; raise FaultsError if the faults file is not valid."""
    return Options(
        template=args.template,
        stack=args.stack,
        state=args.state.resolve(),
        port=args.port,
        executor=args.executor,
        parameters=dict(args.parameter),
        vcpus=args.vcpus,
        workers=Limits.of(args.workers) if args.workers else Limits.of_this_machine(),
        faults=read(args.inject) if args.inject else FaultsFile(),
        preload=tuple(args.preload),
    )


def assignment(text: str) -> tuple[str, str]:
    """Split K=V."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not K=V")
    return name, value


def positive(text: str) -> int:
    """Convert to a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def wait(stop: threading.Event, keep: threading.Event, parent: int | None) -> None:
    """Return when `stop` is set, or when the parent process has ended and `keep` is not set."""
    while not stop.wait(PARENT_POLL):
        if parent is not None and os.getppid() != parent and not keep.is_set():
            return


if __name__ == "__main__":
    sys.exit(main())
