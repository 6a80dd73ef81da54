"""Parse the command line of a job and the options that a plan may set for its tool."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from seqdrop.failure.verdict import UsageError
from seqdrop.plan.names import WHOLE_GENOME
from seqdrop.storage.uri import S3Uri
from seqdrop.text import plain_line

# Every job has these arguments; the others are its inputs and outputs.
COMMON = ("run", "attempt", "vcpus", "memory", "args")
MAX_MESSAGE = 300  # characters: messages repeat no more of a hostile argument
MAX_ARGUMENTS = 50  # in `args`: no tool has as many options


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(plain_line(message, MAX_MESSAGE))


def parse(argv: Sequence[str] | None, description: str | None, *names: str) -> argparse.Namespace:
    """Parse the command line of a job: one required `--name` for each of its `names` and the common arguments.

    `vcpus` and `memory` (MiB) become numbers, `args` a list, inputs and outputs S3 addresses; the rest stay text.
    """
    parser = argparse.ArgumentParser(description=description)
    types: dict[str, Any] = {"vcpus": int, "memory": int, "args": parse_json_list, "attempt": str, "run": str}
    types |= {"sample": str, "aligner": str, "intervals": optional_uri, "genes": optional_uri}
    for name in (*names, "results", *COMMON):
        parser.add_argument(f"--{name}", required=True, type=types.get(name, addresses))
    # A wrong job definition ends with 2, the exit code of argparse; a wrong plan ends with 64 (`step`).
    return parser.parse_args(argv)


def addresses(text: str) -> S3Uri | list[S3Uri]:
    """Parse an S3 address, or a JSON list of addresses: inputs and outputs with one file for each lane."""
    if not text.startswith("["):
        return S3Uri.parse(text)
    try:
        return [S3Uri.parse(str(address)) for address in json.loads(text)]
    except RecursionError:
        raise ValueError("not a list of S3 addresses") from None


def optional_uri(text: str) -> S3Uri | None:
    """Parse an S3 address; return None for `all` (intervals) and `none` (genes)."""
    return None if text in {WHOLE_GENOME, "none"} else S3Uri.parse(text)


def parse_json_list(text: str) -> Any:
    """Parse a JSON list; return other text unchanged, for `parse_options` to refuse."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def integer(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return an argparse type for a whole number within bounds, in plain digits."""

    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not minimum <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(f"must be a whole number from {minimum} to {maximum}, not {text!r}")
        return int(text)

    return parse


def number(minimum: float, maximum: float) -> Callable[[str], float]:
    """Return an argparse type for a decimal number within bounds, in plain digits."""

    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or not minimum <= float(text) <= maximum:
            raise argparse.ArgumentTypeError(f"must be a number from {minimum} to {maximum}, not {text!r}")
        return float(text)

    return parse


def parse_options(args: Sequence[str], *flags: str, **values: Callable[[str], Any]) -> argparse.Namespace:
    """Parse the options that a plan sets for a tool (`--args`); raise UsageError for any option not listed here.

    `flags` are switches (`--exome`); each of `values` takes one argument of its type (`min_quality`: `--min-quality`).
    Options that are not set are None, or False for flags.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    for flag in flags:
        parser.add_argument(flag, action="store_true")
    for name, value_type in values.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=value_type)
    if not isinstance(args, list) or not all(isinstance(arg, str) for arg in args):
        raise UsageError("args must be a JSON list of strings")
    if len(args) > MAX_ARGUMENTS:
        raise UsageError(f"args must have at most {MAX_ARGUMENTS} strings, not {len(args)}")
    return parser.parse_args(args)


def tool_options(options: argparse.Namespace, **flags: str) -> list[str]:
    """Return the flags of a tool with their values, for those of its options that the plan sets.

    `tool_options(options, min_mq="-q", min_bq="-Q")` is `["-q", "20"]` if only `min_mq` is set.
    """
    values = ((flag, getattr(options, name)) for name, flag in flags.items())
    return [argument for flag, value in values if value is not None for argument in (flag, str(value))]
