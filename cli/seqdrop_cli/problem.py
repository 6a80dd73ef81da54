"""What a person reads when something cannot go on: one sentence, never a traceback."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Callable
from typing import Any

import typer
from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)
from rich.console import Console
from typer.core import TyperGroup

INTERRUPTED = 130  # what shells expect after Ctrl-C


class Problem(Exception):  # noqa: N818  read by people: `raise Problem("what, where, what to do")`
    """What, where, what to do."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


class Sentences(TyperGroup):
    """The command group that turns what a person can mend into a sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            problem = Problem("Interrupted. Nothing was left running.", INTERRUPTED)
        except Problem as error:
            problem = error
        except (BotoCoreError, ClientError) as error:
            problem = Problem(aws_sentence(error))
        except Boto3Error as error:  # of a file that travels in parts: it says which, where to, and why not
            problem = Problem(str(error))
        except OSError as error:
            problem = Problem(os_sentence(error))
        # Made here, not at import: a test's captured stderr is another one each time.
        Console(stderr=True, soft_wrap=True, highlight=False).print(str(problem), style="red", markup=False)
        raise typer.Exit(problem.code)


def aws_sentence(error: BotoCoreError | ClientError) -> str:
    if isinstance(error, ClientError):
        said = error.response["Error"]
        return f"AWS refused {error.operation_name}: {said.get('Code', '?')}: {said.get('Message', 'no reason given')}"
    if isinstance(error, EndpointConnectionError):
        return (
            f"{error.kwargs['endpoint_url']} does not answer: is the embedded AWS up (`seqdrop up`), the network there?"
        )
    if isinstance(error, NoCredentialsError):
        return "No AWS credentials were found: set AWS_PROFILE or run `aws configure`."
    if isinstance(error, NoRegionError):
        return "No AWS region is set: give --region or set AWS_REGION."
    if isinstance(error, ProfileNotFound):
        return f"{error}: `aws configure list-profiles` names those there are."
    return str(error)


def os_sentence(error: OSError) -> str:
    where = f" at {error.filename}" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"The disk is full{where}: make room and run the same command again."
    return f"{error.strerror or error}{where}"


def hear_termination() -> None:
    """A terminated or hung up command cleans up as after Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for name in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(name) is not signal.SIG_IGN:  # as nohup left it
            signal.signal(name, interrupt)


def uninterrupted(work: Callable[[], None]) -> None:
    """Run a clean-up to its end though Ctrl-C is pressed again."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work()
    finally:
        signal.signal(signal.SIGINT, before)


def warn(sentence: str) -> None:
    print(sentence, file=sys.stderr)  # noqa: T201  the command line speaks here
