"""What lies in the folder of a run: its receipts, and everything by address."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from seqdrop.failure.verdict import Verdict
from seqdrop.plan import layout
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri


def receipts(folder: S3Uri) -> dict[str, Any]:
    found = {}
    for step in layout.STEPS:
        with contextlib.suppress(s3.MissingError, ValueError):  # what cannot be read is none
            found[step] = s3.read_json(layout.receipt_uri(folder, step))
    return found


def published(folder: S3Uri) -> dict[str, tuple[str, int]]:
    """ETag and size of each object, by address."""
    found = s3.listed(folder.bucket, f"{folder.key}/")
    return {str(S3Uri(folder.bucket, entry["Key"])): (entry["ETag"].strip('"'), entry["Size"]) for entry in found}


def verdicts(folder: S3Uri, addresses: Iterable[str]) -> dict[str, Verdict]:
    """The last verdict of each step, of all that lies in a run's folder; what cannot be read is none."""
    found = {}
    below = f"{folder / 'failures'}/"
    for uri in map(S3Uri.parse, sorted(address for address in addresses if address.startswith(below))):
        with contextlib.suppress(s3.MissingError, ValueError):
            found[uri.name.split(".")[0]] = Verdict.from_json(s3.read_json(uri))
    return found
