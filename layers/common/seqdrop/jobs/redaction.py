"""Redact sample ids, file names and secrets in the log of a job."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from seqdrop.storage.uri import S3Uri
from seqdrop.text import plain_line

SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|CREDENTIALS|ACCESS_KEY")  # in the name of an environment variable
MIN_SECRET = 8  # characters: a shorter value is not a secret, and to replace it would garble the log


class Redactor:
    """Texts to redact, each with its replacement."""

    def __init__(self, sample: str = "") -> None:
        """Redact a sample id, and the secrets in the environment."""
        self._replacements: dict[str, str] = {}
        self._compiled = 0, re.compile("(?!)")  # number of texts, and their pattern; renewed when it is needed
        self.add_samples(sample)
        secrets = {value for name, value in os.environ.items() if SECRET.search(name)}
        self._add("<secret>", *(secret for secret in secrets if len(secret) >= MIN_SECRET))

    def redact(self, text: str) -> str:
        """Return the text with every known text replaced."""
        known = len(self._replacements)  # before the pattern is made: another thread may add texts meanwhile
        if self._compiled[0] != known:
            self._compiled = known, self._compile()
        return self._compiled[1].sub(lambda match: self._replacements[match[0]], text)

    def add_samples(self, *samples: str) -> None:
        """Replace more sample ids: those that a joint run reads."""
        self._add("<sample>", *samples)

    def add_object(self, uri: S3Uri, name: str) -> None:
        """Replace the key of a user's file by its local `name`, in plain, URL, Python and JSON notation.

        Messages have names without control characters and terminal escapes: these forms are replaced as well.
        """
        notations = [notation for text in (uri.key, uri.name) for notation in _notations(text)]
        self._add(self.redact(name), *notations)

    def install(self, logger: Logger) -> None:
        """Redact every line of a logger, including tracebacks and lines of libraries and tools."""
        formatter = logger.registered_formatter
        assert isinstance(formatter, LambdaPowertoolsFormatter)  # noqa: S101  for mypy
        serialize = formatter.json_serializer
        formatter.json_serializer = lambda line: serialize(self._redact_values(line))

    def _add(self, replacement: str, *texts: str) -> None:
        self._replacements |= dict.fromkeys(filter(None, texts), replacement)

    def _compile(self) -> re.Pattern[str]:
        longest_first = sorted(self._replacements, key=len, reverse=True)
        # Only whole words: a sample with the id "t" would garble every line otherwise.
        return re.compile(f"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, longest_first))})(?![A-Za-z0-9])")

    def _redact_values(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, Mapping):
            return {key: self._redact_values(inner) for key, inner in value.items()}
        return [self._redact_values(inner) for inner in value] if isinstance(value, list | tuple) else value


def _notations(text: str) -> tuple[str, ...]:
    escaped = repr(text)[1:-1], json.dumps(text)[1:-1]
    return (text, plain_line(text), quote(text), quote(text, safe=""), *escaped)
