"""Read the results folder of a run: its objects, its receipts and its verdicts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from seqdrop.failure.verdict import Verdict
from seqdrop.plan import layout, steps
from seqdrop.plan.names import REFERENCE_JSON, is_readable
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

Receipts = Mapping[str, Mapping[str, Any]]  # step -> receipt


@dataclass(frozen=True, slots=True)
class ResultsFolder:
    """The contents of a results folder, as one read found them."""

    objects: Mapping[str, tuple[str, int]] = field(default_factory=dict)  # address -> ETag and size
    receipts: Receipts = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)  # step -> its last verdict
    reference: Mapping[str, Any] = field(default_factory=dict)  # the pinned reference.json; empty for earlier runs
    failures: Sequence[tuple[str, Verdict]] = ()  # step and verdict of every failed attempt, in the order of attempts

    @property
    def complete(self) -> Receipts:
        """The receipts whose outputs are all in the folder, unchanged since they were published."""
        return {
            step: receipt
            for step, receipt in self.receipts.items()
            if all(self.objects.get(output["uri"]) == (output["etag"], output["size"]) for output in receipt["outputs"])
        }

    def has(self, uri: S3Uri) -> bool:
        """Return whether there is an object at this address."""
        return str(uri) in self.objects


def read_folder(folder: S3Uri, names: Iterable[str], parts: int = 0) -> ResultsFolder:
    """Read the folder of a run that has these steps. Receipts and verdicts that cannot be read are ignored.

    `parts` is the number of children of an array job, of the steps that are one.
    """
    receipts = read_receipts(folder, names, parts)  # first: an output that it lists is older than the listing
    listing = s3.store().list_objects(folder.bucket, f"{folder.key}/")
    objects = {str(S3Uri(folder.bucket, entry["Key"])): (entry["ETag"].strip('"'), entry["Size"]) for entry in listing}
    failures = list(_failures(folder, objects))
    return ResultsFolder(objects, receipts, dict(failures), _reference(folder), failures)


def _reference(folder: S3Uri) -> dict[str, Any]:
    with contextlib.suppress(s3.MissingError, ValueError):
        reference: dict[str, Any] = s3.store().read_json(folder / REFERENCE_JSON)
        return reference
    return {}


def read_receipts(folder: S3Uri, names: Iterable[str], parts: int = 0) -> dict[str, Any]:
    """Return the receipts of these steps that exist and can be read; `parts` as in `read_folder`."""
    receipts = {}
    for step in names:
        indexes = list(map(str, range(parts))) if steps.is_array(step) else [""]
        found = [receipt for index in indexes if (receipt := read_document(layout.receipt_uri(folder, step, index)))]
        if found and len(found) == len(indexes):
            receipts[step] = combine(found) if steps.is_array(step) else found[0]
    return receipts


def read_document(uri: S3Uri) -> dict[str, Any] | None:
    """Return a receipt or a verdict; None if it does not exist or cannot be read."""
    with contextlib.suppress(s3.MissingError, ValueError):
        document = s3.store().read_json(uri)
        return document if isinstance(document, dict) and is_readable(document.get("version")) else None
    return None


def combine(receipts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one receipt for all children of an array job: their ids, their seconds together, and no outputs.

    It has `started` of the first one and `ended` of the last one: children work at the same time.

    What children write is for the next step alone: it is no result of the run.
    """
    seconds = round(sum(receipt["seconds"] for receipt in receipts), 1)
    warnings = [warning for receipt in receipts for warning in receipt["warnings"]]
    names = {name for receipt in receipts for name in receipt.get("counts", ())}
    counts = {name: sum(receipt["counts"].get(name, 0) for receipt in receipts) for name in sorted(names)}
    together: dict[str, Any] = {
        "seconds": seconds, "children": len(receipts), "counts": counts, "warnings": warnings, "outputs": []
    }  # fmt: skip
    if all("started" in receipt for receipt in receipts):
        together["started"] = min(receipt["started"] for receipt in receipts)
        together["ended"] = max(map(end_of, receipts)).isoformat(timespec="seconds")
    first = {name: value for name, value in receipts[0].items() if name != "part"}  # of one child alone
    return {**first, **together, "job_ids": [str(receipt.get("job_id", "")) for receipt in receipts]}


def end_of(receipt: Mapping[str, Any]) -> datetime:
    """Return when a job ended, or the last child of an array job; `receipt` may be the job in a manifest."""
    if "ended" in receipt:
        return datetime.fromisoformat(receipt["ended"])
    return datetime.fromisoformat(receipt["started"]) + timedelta(seconds=receipt["seconds"])


def _failures(folder: S3Uri, addresses: Iterable[str]) -> Iterator[tuple[str, Verdict]]:
    prefix = f"{folder / 'failures'}/"
    for uri in map(S3Uri.parse, sorted(address for address in addresses if address.startswith(prefix))):
        with contextlib.suppress(s3.MissingError, ValueError):
            yield uri.name.split(".")[0], Verdict.from_json(s3.store().read_json(uri))
