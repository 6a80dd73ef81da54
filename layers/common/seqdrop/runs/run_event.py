"""Tell other systems through EventBridge that a run has ended. The schema is docs/run-finished.schema.json."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from seqdrop import aws
from seqdrop.plan.names import MANIFEST
from seqdrop.runs.manifest import figures_of_row
from seqdrop.runs.outcome import WITH_RESULTS

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

SOURCE, DETAIL_TYPE = "seqdrop", "Run finished"
VERSION = 1  # of the detail
TEXTS = ("run", "kind", "sample", "status", "class", "step", "qc", "reference", "results", "supersedes", "started",
         "finished")  # fmt: skip


class NotPublishedError(Exception):
    """EventBridge did not accept the event."""


@cache
def client() -> EventBridgeClient:
    """Return the EventBridge client of this process."""
    return aws.client("events")


def detail(row: Mapping[str, Any], stack: str) -> dict[str, Any]:
    """Return the detail of the event from the row of an ended run. Texts that the row lacks are empty."""
    results = str(row.get("results", ""))
    return {
        "version": VERSION,
        "stack": stack,
        **{name: str(row.get(name, "")) for name in TEXTS},
        "manifest": f"{results}/{MANIFEST}" if row["status"] in WITH_RESULTS else "",
        "warnings": len(row.get("warnings", ())),
        "usd": float(row.get("cost", 0)),
        "figures": figures_of_row(row),
    }


def publish(row: Mapping[str, Any]) -> None:
    """Publish the event of an ended run on the default bus; raise NotPublishedError. It may be repeated."""
    entry: PutEventsRequestEntryTypeDef = {
        "Source": SOURCE,
        "DetailType": DETAIL_TYPE,
        "Detail": json.dumps(detail(row, os.environ["STACK"])),
        "Resources": [str(row["execution"])] if "execution" in row else [],
    }
    answer = client().put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        raise NotPublishedError(answer["Entries"][0].get("ErrorCode", ""))  # its message may name the sample
