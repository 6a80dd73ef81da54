"""Send the message and the event at the end of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from seqdrop import aws
from seqdrop.runs import commands, run_event, table

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

MAX_SUBJECT = 100  # characters, a limit of SNS


@cache
def client() -> SNSClient:
    """Return the SNS client of this process."""
    return aws.client("sns")


def send(run: str, subject: str, lines: Sequence[str]) -> None:
    """Publish the event of a run, then a message with complete commands, and record that both were sent.

    The subject names the sample only if the deployment wants it: mail systems log subjects.
    """
    row = table.get(run) or {}
    run_event.publish(row)
    if os.environ["SAMPLE_IN_SUBJECT"] == "yes":
        subject = f"{row['sample']}: {subject}"
    text = commands.complete("\n".join(lines), run)
    client().publish(TopicArn=os.environ["RUN_TOPIC"], Subject=subject[:MAX_SUBJECT], Message=text)
    table.clear_notify_pending(run)
