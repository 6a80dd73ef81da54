"""The command line of a job, and the words a plan may add to a tool's."""

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

# Every job is told these; what else it is told is its own inputs and outputs.
COMMON = ("run", "attempt", "vcpus", "memory", "args")
SENTENCE = 300  # characters; of hostile words no more is repeated
MOST_WORDS = 50  # in `args`; no tool has as many options


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(plain_line(message, SENTENCE))


def parse(argv: Sequence[str] | None, description: str | None, *words: str) -> argparse.Namespace:
    """The command line of a job: `--word` for every word of its interface, all of them required.

    `sample` stays text, `vcpus` and `memory` (MiB) become numbers, `args` a list of words, the rest S3 addresses.
    """
    parser = argparse.ArgumentParser(description=description)
    kinds: dict[str, Any] = {"vcpus": int, "memory": int, "args": parse_json_list, "attempt": str, "run": str}
    kinds |= {"sample": str, "aligner": str, "intervals": optional_uri, "genes": optional_uri}
    for word in (*words, "results", *COMMON):
        parser.add_argument(f"--{word}", required=True, type=kinds.get(word, S3Uri.parse))
    return parser.parse_args(argv)  # argparse ends with 2; Batch gets USAGE_EXIT from `step` for what the plan says


def optional_uri(text: str) -> S3Uri | None:
    return None if text in {WHOLE_GENOME, "none"} else S3Uri.parse(text)


def parse_json_list(text: str) -> Any:
    """The list that a JSON text stands for; what is none is left for `parse_options` to refuse."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def integer(least: int, most: int) -> Callable[[str], int]:
    """The type of an option's value: a whole number in these bounds, in plain digits."""

    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return parse


def number(least: float, most: float) -> Callable[[str], float]:
    """The same with decimals."""

    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or not least <= float(text) <= most:
            raise argparse.ArgumentTypeError(f"must be a number from {least} to {most}, not {text!r}")
        return float(text)

    return parse


def parse_options(words: Sequence[str], *flags: str, **values: Callable[[str], Any]) -> argparse.Namespace:
    """The words a plan may add for one tool: only those named here. Raises UsageError.

    `flags` are switches, `values` take one argument of the kind given; both spelt `--like-this`.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    for flag in flags:
        parser.add_argument(flag, action="store_true")
    for name, kind in values.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise UsageError("args must be a JSON list of words")
    if len(words) > MOST_WORDS:
        raise UsageError(f"args must be at most {MOST_WORDS} words, not {len(words)}")
    return parser.parse_args(words)
