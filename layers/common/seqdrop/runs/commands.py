"""Complete the commands in rows, messages and answers, so that they can be copied and run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from seqdrop.failure import advice


def complete(text: str, run: str) -> str:
    """Return a text whose commands name the run and, on AWS, the stack of this function."""
    return advice.complete(text, run, "" if "AWS_ENDPOINT_URL" in os.environ else os.environ["STACK"])


def complete_all(fields: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Return fields with complete commands in every text."""
    return {name: complete(value, run) if isinstance(value, str) else value for name, value in fields.items()}
