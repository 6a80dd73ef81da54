"""Provide the logger of functions and jobs: Powertools JSON lines, with the name in POWERTOOLS_SERVICE_NAME."""

from __future__ import annotations

import traceback

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

logger = Logger()


def log_failure(message: str, error: Exception) -> None:
    """Log the type, the AWS error code and the stack of an error, but not its text: it may contain a sample or key."""
    frames = [f"{at.filename}:{at.lineno} {at.name}" for at in traceback.extract_tb(error.__traceback__)]
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    logger.error(message, error=type(error).__name__, code=code, frames=frames)
