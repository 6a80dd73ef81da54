"""One logger for functions and jobs: JSON lines by Powertools, its name from POWERTOOLS_SERVICE_NAME."""

from __future__ import annotations

import traceback

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

logger = Logger()


def log_failure(what: str, error: Exception) -> None:
    """An error without its text, which may name a sample or a key: its kind, its code, where it was raised."""
    frames = [f"{at.filename}:{at.lineno} {at.name}" for at in traceback.extract_tb(error.__traceback__)]
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    logger.error(what, error=type(error).__name__, code=code, frames=frames)
