"""What lies in the folder of a run: its receipts, and everything by address."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seqdrop import layout, s3
from seqdrop.failure import Verdict
from seqdrop.uri import S3Uri


def receipts(folder: S3Uri) -> dict[str, Any]:
    found = {}
    for step in layout.STEPS:
        try:
            found[step] = s3.read_json(layout.receipt_uri(folder, step))
        except s3.MissingError:
            continue
    return found


def published(folder: S3Uri) -> dict[str, tuple[str, int]]:
    """ETag and size of each object, by address: a listing reads no data."""
    pages = s3.client().get_paginator("list_objects_v2").paginate(Bucket=folder.bucket, Prefix=f"{folder.key}/")
    found = [entry for page in pages for entry in page.get("Contents", [])]
    return {str(S3Uri(folder.bucket, entry["Key"])): (entry["ETag"].strip('"'), entry["Size"]) for entry in found}


def verdicts(addresses: Iterable[str]) -> dict[str, Verdict]:
    """The last verdict of each step, of all that lies in a folder; what cannot be read is none."""
    found = {}
    for uri in map(S3Uri.parse, sorted(address for address in addresses if "/failures/" in address)):
        try:
            found[uri.name.split(".")[0]] = Verdict.from_json(s3.read_json(uri))
        except (s3.MissingError, ValueError):
            continue
    return found
