"""Send the message at the end of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from seqdrop import aws
from seqdrop.runs import commands, table

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


@cache
def client() -> SNSClient:
    """Return the SNS client of this process."""
    return aws.client("sns")


def send(run: str, subject: str, lines: Sequence[str]) -> None:
    """Publish a message with complete commands and record that it was sent.

    The subject names no sample: mail systems log subjects.
    """
    text = commands.complete("\n".join(lines), run)
    client().publish(TopicArn=os.environ["RUN_TOPIC"], Subject=subject, Message=text)
    table.clear_notify_pending(run)
