"""Send messages to start_run itself, through its queue: work for later, or work for many samples."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from seqdrop import aws

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_DELAY = 900  # seconds, a limit of SQS: longer waits are a chain of messages


@cache
def client() -> SQSClient:
    """Return the SQS client of this process."""
    return aws.client("sqs")


def send(message: Mapping[str, Any], delay: int = 0) -> None:
    """Send a message that arrives after `delay` seconds, or after 15 minutes if that is less."""
    client().send_message(
        QueueUrl=os.environ["START_QUEUE"], MessageBody=json.dumps(message), DelaySeconds=min(delay, MAX_DELAY)
    )
