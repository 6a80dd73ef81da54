"""One logger for functions and jobs: JSON lines by Powertools, its name from POWERTOOLS_SERVICE_NAME."""

from __future__ import annotations

from aws_lambda_powertools import Logger

logger = Logger()
