"""Define the options that a run may pass to a tool, and check them: for the command line, start_run and the jobs."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn, Protocol

from seqdrop.text import plain_line

MAX_MESSAGE = 300  # characters: messages repeat no more of a hostile argument
MAX_WORD = 80  # characters of a word that is no option
MAX_WORDS = 50  # no tool has as many options


class OptionError(ValueError):
    """The words are no options of the tool. The message names those that it allows."""


class Value(Protocol):
    """What follows an option. Its text is that in messages and in the help."""

    def parse(self, text: str) -> Any:
        """Return the value; raise argparse.ArgumentTypeError."""


class Number(NamedTuple):
    """The value of an option: a number within bounds, in plain digits."""

    minimum: int
    maximum: int
    decimal: bool = False

    def __str__(self) -> str:
        """Return the bounds as in messages and in the help."""
        return f"{self.minimum} to {self.maximum}"

    def parse(self, text: str) -> float:
        """Return the number, an int unless decimals are allowed; raise argparse.ArgumentTypeError."""
        digits = r"[0-9]{1,9}(\.[0-9]{1,9})?" if self.decimal else "[0-9]{1,9}"
        if not re.fullmatch(digits, text) or not self.minimum <= float(text) <= self.maximum:
            kind = "number" if self.decimal else "whole number"
            raise argparse.ArgumentTypeError(f"must be a {kind} from {self.minimum} to {self.maximum}, not {text!r}")
        return float(text) if self.decimal else int(text)


class Word(NamedTuple):
    """The value of an option: one of some words."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        """Return the words as in messages and in the help."""
        return " or ".join(self.words)

    def parse(self, text: str) -> str:
        """Return the word; raise argparse.ArgumentTypeError."""
        if text not in self.words:
            raise argparse.ArgumentTypeError(f"must be {self}, not {text!r}")
        return text


class Option(NamedTuple):
    """An option: a flag, or with a value."""

    name: str  # `--min-quality`
    value: Value | None = None  # None for a flag

    def __str__(self) -> str:
        """Return the option as in messages and in the help."""
        return f"{self.name} N ({self.value})" if self.value else self.name


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise OptionError(plain_line(message, MAX_MESSAGE))


def parse(tool: str, options: Sequence[Option], words: Any) -> argparse.Namespace:
    """Parse the words that a run passes to a tool; raise OptionError unless all are options of the tool.

    Options that are not set are None, or False for flags.
    """
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise OptionError("args must be a JSON list of strings")
    if len(words) > MAX_WORDS:
        raise OptionError(f"args must have at most {MAX_WORDS} strings, not {len(words)}")
    parser = _Parser(add_help=False, allow_abbrev=False)
    for option in options:
        kind: dict[str, Any] = {"type": option.value.parse} if option.value else {"action": "store_true"}
        parser.add_argument(option.name, **kind)
    parsed, unknown = parser.parse_known_args(words)
    if unknown or "--" in words:
        word = plain_line((unknown or ["--"])[0], MAX_WORD)
        raise OptionError(f"{tool} has no option {word}; it allows {describe(options)}")
    return parsed


def describe(options: Sequence[Option]) -> str:
    """Return the options that a tool allows, with the bounds of their values."""
    return ", ".join(map(str, options)) or "none"
