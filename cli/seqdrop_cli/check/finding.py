"""The result of one check, and the guard that turns a refused request into one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError

from seqdrop_cli.errors import CliError, describe_error
from seqdrop_cli.stack import Stack


class Status(StrEnum):
    """What a check found."""

    ok = "ok"
    warning = "warning"  # runs work, with a limit
    failed = "failed"  # runs do not work
    unknown = "unknown"  # the check could not be made; not a success
    skipped = "skipped"  # does not apply, or was not asked for


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table."""

    check: str
    status: Status
    finding: str
    what_to_do: str = ""


Check = Callable[[Stack], Iterator[Finding]]


def guarded(name: str, check: Check, stack: Stack) -> Iterator[Finding]:
    """Yield the findings of a check; `unknown` if AWS refuses a request, `failed` for a CliError."""
    try:
        yield from check(stack)
    except (ClientError, BotoCoreError) as error:
        what = "Allow your role this request, or check it in the console."
        yield Finding(name, Status.unknown, describe_error(error), what)
    except CliError as error:
        yield Finding(name, Status.failed, str(error))
