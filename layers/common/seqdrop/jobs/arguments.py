"""Parse the command line of a job and the options that a plan may set for its tool."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from seqdrop.failure.verdict import UsageError
from seqdrop.plan import options, steps
from seqdrop.plan.names import WHOLE_GENOME
from seqdrop.plan.options import OptionError
from seqdrop.storage.uri import S3Uri
from seqdrop.storage.web_address import WebAddress, is_web

# Every job has these arguments; the others are its inputs and outputs.
COMMON = ("run", "attempt", "vcpus", "memory", "args")


def parse(argv: Sequence[str] | None, description: str | None, *names: str) -> argparse.Namespace:
    """Parse the command line of a job: one required `--name` for each of its `names` and the common arguments.

    `vcpus`, `memory` (MiB) and `parts` become numbers, `args` a list, inputs and outputs S3 addresses; the rest stay
    text.
    """
    parser = argparse.ArgumentParser(description=description)
    types: dict[str, Any] = {"vcpus": int, "memory": int, "args": parse_json_list, "attempt": str, "run": str}
    types |= {
        "sample": str,
        "parts": int,
        "aligner": str,
        "caller": str,
        "sources": parse_json_object,
        "intervals": optional_uri,
        "fasta": optional_file,
        "genes": optional_file,
    }
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
    """Parse an S3 address; return None for `all` (intervals) and `none` (genes, fasta)."""
    return None if text in {WHOLE_GENOME, "none"} else S3Uri.parse(text)


def optional_file(text: str) -> S3Uri | WebAddress | None:
    """Parse the address of a file of a user, in S3 or on the web; return None for `none`."""
    return WebAddress.parse(text) if is_web(text) else optional_uri(text)


def parse_json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object of JSON objects; raise ValueError."""
    value = json.loads(text)
    if not isinstance(value, dict) or not all(isinstance(inner, dict) for inner in value.values()):
        raise ValueError("not a JSON object of JSON objects")
    return value


def parse_json_list(text: str) -> Any:
    """Parse a JSON list; return other text unchanged, for `parse_options` to refuse."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def parse_options(args: Any, tool: str) -> argparse.Namespace:
    """Parse the options that a plan sets for a tool (`--args`) by its row in the table; raise UsageError.

    Options that are not set are None, or False for flags.
    """
    try:
        return options.parse(tool, steps.tool(tool).options, args)
    except OptionError as error:
        raise UsageError(str(error)) from None


def tool_options(chosen: argparse.Namespace, **flags: str) -> list[str]:
    """Return the flags of a tool with their values, for those of its options that the plan sets.

    `tool_options(chosen, min_mq="-q", min_bq="-Q")` is `["-q", "20"]` if only `min_mq` is set.
    """
    values = ((flag, getattr(chosen, name)) for name, flag in flags.items())
    return [argument for flag, value in values if value is not None for argument in (flag, str(value))]
