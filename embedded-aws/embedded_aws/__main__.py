"""`python -m embedded_aws`: deploy a built SAM template on this machine and serve it until told to stop."""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from . import server
from .adapters.lambda_pool import Limits
from .faults import Document, FaultsError, read
from .patches import PatchError
from .runners.choice import NoEngineError
from .running import Options, running
from .server import BusyPortError
from .state_file import AlreadyRunningError
from .template import TemplateError

PARENT_POLL = 1.0  # seconds


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    server.quiet()
    server.allow_many_files()
    try:
        with running(options(args)) as state:
            print(json.dumps(state), flush=True)  # noqa: T201  # the first line is for the program that started this one
            wait(told, args.with_parent)
    except (AlreadyRunningError, BusyPortError, FaultsError, NoEngineError, PatchError, TemplateError) as error:
        print(f"embedded_aws: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m embedded_aws", description=__doc__)
    parser.add_argument("--template", type=Path, required=True, help="the template that `sam build` wrote")
    parser.add_argument("--stack", default="local", help="name of the stack")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="where STACK.json and volumes/ go")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--executor", choices=("auto", "docker", "process"), default="auto")
    parser.add_argument("--parameter", type=assignment, action="append", default=[], metavar="K=V")
    parser.add_argument("--vcpus", type=float, default=os.cpu_count(), help="what jobs may hold at one time")
    parser.add_argument("--workers", type=positive, metavar="N", help="interpreters of functions, in all; see README")
    parser.add_argument("--inject", type=Path, metavar="FILE", help="faults to inject: see README")
    parser.add_argument("--with-parent", type=int, metavar="PID", help="end when this process, the parent, ends")
    return parser.parse_args(argv)


def options(args: argparse.Namespace) -> Options:
    return Options(
        template=args.template,
        stack=args.stack,
        state=args.state.resolve(),
        port=args.port,
        executor=args.executor,
        parameters=dict(args.parameter),
        vcpus=args.vcpus,
        workers=Limits.of(args.workers) if args.workers else Limits.of_this_machine(),
        faults=read(args.inject) if args.inject else Document(),
    )


def assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not K=V")
    return name, value


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def wait(told: threading.Event, parent: int | None) -> None:
    while not told.wait(PARENT_POLL):
        if parent is not None and os.getppid() != parent:
            return


if __name__ == "__main__":
    sys.exit(main())
