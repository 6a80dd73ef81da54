"""Report errors to the user: one sentence and an exit code, never a traceback."""

from __future__ import annotations

import errno
import signal
import tempfile
from collections.abc import Callable
from typing import Any

import typer
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)
from seqdrop.storage.s3 import ArchivedError, IntegrityError, MissingError
from typer.core import TyperGroup

from seqdrop_cli import usage
from seqdrop_cli.screen import Screen

INTERRUPTED_EXIT = 130  # the exit code that shells expect after Ctrl-C


class CliError(Exception):
    """A command cannot continue. The message says what happened, where, and what to do."""

    def __init__(self, message: str, code: int = 1) -> None:
        """Create the error with the exit code of the command."""
        super().__init__(message)
        self.code = code


class ResultsNotFetchedError(CliError):
    """A run has results that could not be downloaded: the AWS that has them must stay up."""


# Errors that a user can correct.
KNOWN_ERRORS = (ArchivedError, CliError, BotoCoreError, ClientError, IntegrityError, MissingError, OSError)


class CommandGroup(TyperGroup):
    """The commands of `seqdrop`. Errors that a user can correct end them with a sentence and an exit code."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command with complete help; None if there is none of this name."""
        command = super().get_command(ctx, cmd_name)
        if command:
            name = f"{ctx.info_name} {cmd_name}" if ctx.parent else cmd_name  # `qc check`
            usage.complete(command, name, command.get_help_option(ctx))
        return command

    def get_params(self, ctx: Any) -> Any:
        """Return the options of `seqdrop` itself."""
        params = super().get_params(ctx)
        usage.name_values(params)
        return params

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was typed."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            error = CliError("Interrupted. Nothing was left running.", INTERRUPTED_EXIT)
        except CliError as raised:
            error = raised
        except KNOWN_ERRORS as raised:
            error = CliError(describe_error(raised))
        # Created here, not at import: each test captures another stderr.
        Screen(stderr=True).say(str(error), style="red")
        raise typer.Exit(error.code)


def describe_error(error: Exception) -> str:
    """Return a sentence on one of the KNOWN_ERRORS."""
    if isinstance(error, BotoCoreError | ClientError):
        return describe_aws_error(error)
    if isinstance(error, IntegrityError | MissingError):
        return f"{error}: run the same command again."
    return describe_os_error(error) if isinstance(error, OSError) else str(error)


def describe_aws_error(error: BotoCoreError | ClientError) -> str:
    """Return a sentence on an error of AWS or of the connection to it."""
    if isinstance(error, ClientError):
        details = error.response["Error"]
        code, message = details.get("Code", "?"), details.get("Message", "no reason given")
        return f"AWS refused {error.operation_name}: {code}: {message}"
    if isinstance(error, EndpointConnectionError):
        url = error.kwargs["endpoint_url"]
        return f"{url} does not answer: check that the embedded AWS is up (`seqdrop up`) and that the network works."
    if isinstance(error, NoCredentialsError):
        return "No AWS credentials were found: set AWS_PROFILE or run `aws configure`."
    if isinstance(error, NoRegionError):
        return "No AWS region is set: give --region or set AWS_REGION."
    if isinstance(error, ProfileNotFound):
        return f"{error}: `aws configure list-profiles` lists the existing profiles."
    return str(error)


def describe_os_error(error: OSError) -> str:
    """Return a sentence on an error of the operating system."""
    where = f" at {error.filename}" if error.filename else ""
    if error.errno == errno.ENOSPC:
        folder = where or f" (files without a name are in {tempfile.gettempdir()}, or where TMPDIR says)"
        return f"The disk is full{folder}: free some space and run the same command again."
    return f"{error.strerror or error}{where}."


def interrupt_on_termination() -> None:
    """Clean up after SIGTERM and SIGHUP as after Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP, and that stays
            signal.signal(number, interrupt)


def without_interrupts(work: Callable[[], None]) -> None:
    """Run a clean-up to its end, even if Ctrl-C is pressed again."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work()
    finally:
        signal.signal(signal.SIGINT, handler)


def warn(message: str) -> None:
    """Print a warning to standard error."""
    Screen(stderr=True).say(message)
