"""Wait until all lanes of a sample have arrived, if nobody says how many there are.

Each new file writes a new ticket into the row of the lanes, and sends a message that arrives after the quiet time.
Only the message with the present ticket starts the run. So any order and number of events and messages starts one.
"""

from __future__ import annotations

import math
import os
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from seqdrop.plan import input_names
from seqdrop.plan.fastq_names import FastqName
from seqdrop.plan.input_names import NO_MATE
from seqdrop.runs import messages, pairing, table
from seqdrop.runs.pairing import Pairing
from seqdrop.runs.submit import Result
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

TASK = "end_wait"  # of the messages


class BusyError(Exception):
    """Another call is starting the run: the message must be delivered again."""


def quiet_seconds() -> int:
    """Return the quiet time of this deployment in seconds; 0: lanes do not wait for others."""
    return round(float(os.environ["LANE_WAIT_MINUTES"]) * 60)


def begin(bucket: str, name: FastqName, found: Pairing) -> Result:
    """Let the complete pairs of a sample wait for more files, for the whole quiet time again."""
    until = time.time() + quiet_seconds()
    moment = datetime.fromtimestamp(math.ceil(until), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    message = f"{pairing.describe_lanes(found.pairs)} arrived; the run starts at {moment} unless more files arrive"
    _write(bucket, name, message, until)
    return {"outcome": "waiting", "reason": "other lanes may arrive"}


def _write(bucket: str, name: FastqName, message: str, until: float) -> None:
    """Write the row first: a message without its row starts nothing, and the event of the file is tried again."""
    row, ticket = table.file_id("waiting", bucket, [name.group]), uuid.uuid4().hex
    quiet_until = datetime.fromtimestamp(until, UTC)
    table.set_wait(row, name.sample, message, str(S3Uri(bucket, name.key)), ticket, quiet_until)
    _send({"task": TASK, "row": row, "ticket": ticket, "until": until})


def _send(message: Mapping[str, Any]) -> None:
    messages.send(message, max(0, math.ceil(message["until"] - time.time())))


def end(message: Mapping[str, Any], start: Callable[[str, FastqName], Result]) -> Result:
    """Start the run of lanes if nothing arrived in the quiet time; raise BusyError if another call does so now."""
    run, ticket = message["row"], message["ticket"]
    row = table.get(run) or {}
    if row.get("ticket") != ticket:
        return {"outcome": "outdated", "reason": "a later file has arrived, or the run has started"}
    if message["until"] > time.time():  # the delay of a message is limited
        _send(message)
        return {"outcome": "waiting", "reason": "other lanes may arrive"}
    if not table.claim_wait(run, ticket):
        raise BusyError
    upload = S3Uri.parse(row["upload"])
    known = input_names.parse(upload.key)
    name = pairing.find_lane(upload.bucket, known) if known else None
    result = start(upload.bucket, name) if name else {"outcome": "ignored", "reason": "the files were deleted"}
    table.delete_wait(run, ticket)
    return result


def end_all(bucket: str, folder: str) -> Result:
    """End the wait of all lanes below a folder; of the bucket itself, those that are in no folder."""
    store = s3.store()
    keys = store.list_keys(bucket, folder) if folder else store.list_keys_outside_folders(bucket)
    groups = {name.group: name for name in map(input_names.parse, keys) if name and name.lane}
    groups = {group: name for group, name in groups.items() if name.mate != NO_MATE or pairing.find_lane(bucket, name)}
    for name in groups.values():
        end_now(bucket, name)
    return {"outcome": "marker", "reason": f"ends the wait of {len(groups)} samples"}


def end_now(bucket: str, name: FastqName) -> None:
    """End the wait of the lanes of a sample: its run starts as soon as the message arrives."""
    _write(bucket, name, "all lanes arrived; the run starts", time.time())
