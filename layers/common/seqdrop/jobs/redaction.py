"""What no log line of a job may say: whose reads they are, where they lie, and what would let somebody in."""

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

SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|CREDENTIALS|ACCESS_KEY")  # in the name of an environment variable
SHORTEST_SECRET = 8  # what is shorter is none, and would spoil sentences


class Redactor:
    """Texts and what stands in their place."""

    def __init__(self, sample: str = "") -> None:
        self._instead: dict[str, str] = {}
        self._pattern = re.compile("(?!)")
        if sample:
            self._add("<sample>", sample)
        secrets = {value for name, value in os.environ.items() if SECRET.search(name)}
        self._add("<secret>", *(secret for secret in secrets if len(secret) >= SHORTEST_SECRET))

    def redact(self, text: str) -> str:
        return self._pattern.sub(lambda found: self._instead[found[0]], text)

    def add_object(self, uri: S3Uri, name: str) -> None:
        """The address of a person's file, which is known as `name` in here, in all the ways it may be written."""
        for text in (uri.key, uri.name):
            self._add(
                self.redact(name), text, quote(text), quote(text, safe=""), repr(text)[1:-1], json.dumps(text)[1:-1]
            )

    def install(self, logger: Logger) -> None:
        """Let no line out as it is, whoever wrote it: a traceback, a library, a tool."""
        formatter = logger.registered_formatter
        assert isinstance(formatter, LambdaPowertoolsFormatter)  # noqa: S101  for the type alone
        as_json = formatter.json_serializer
        formatter.json_serializer = lambda line: as_json(self._redact_values(line))

    def _add(self, instead: str, *texts: str) -> None:
        self._instead |= dict.fromkeys(filter(None, texts), instead)
        longest_first = sorted(self._instead, key=len, reverse=True)
        if longest_first:
            # As words of their own, or a sample called "t" would spoil every sentence.
            self._pattern = re.compile(f"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, longest_first))})(?![A-Za-z0-9])")

    def _redact_values(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, Mapping):
            return {key: self._redact_values(inner) for key, inner in value.items()}
        return [self._redact_values(inner) for inner in value] if isinstance(value, list | tuple) else value
