"""Check that a reference is prepared before a run starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqdrop.plan import bed, layout
from seqdrop.plan.choices import Choices
from seqdrop.plan.names import REFERENCE_JSON
from seqdrop.storage import s3
from seqdrop.storage.s3 import Store


class IntervalsError(Exception):
    """The BED file of a run does not exist, or does not fit the reference."""


class UnpreparedError(Exception):
    """The reference does not exist, or has no index for the aligner of this deployment."""


def check_reference(bucket: str, choices: Choices, aligner: str) -> dict[str, Any]:
    """Return reference.json of the reference; raise UnpreparedError."""
    summary = read_summary(s3.store(), bucket, choices.reference)
    if summary is None:
        names = prepared_names(s3.store(), bucket)
        others = f"prepared are: {', '.join(names)}" if names else "none is prepared yet"
        raise UnpreparedError(f"reference {choices.reference} is not prepared; {others}")
    if aligner not in summary["indexes"]:
        indexes = ", ".join(summary["indexes"])
        raise UnpreparedError(
            f"reference {choices.reference} has no index for {aligner} (it has: {indexes}); prepare it again"
        )
    return summary


def read_intervals(store: Store, bucket: str, choices: Choices, summary: Mapping[str, Any]) -> bytes:
    """Return the regions of the BED file beside the reference, as `bed.read` does; b"" without one.

    Raises IntervalsError if the file does not exist or does not fit the reference.
    """
    if not choices.intervals:
        return b""
    uri = layout.reference_uri(bucket, choices.reference).parent / choices.intervals
    try:
        with store.open(uri) as file:
            return bed.read(file, choices.intervals, contig_lengths(summary))
    except s3.MissingError:
        name = choices.reference
        raise IntervalsError(f"{choices.intervals} is not beside reference {name}: upload it to {uri}") from None
    except bed.BedError as error:
        raise IntervalsError(f"{error}. Correct {uri}") from None


def contig_lengths(summary: Mapping[str, Any]) -> dict[str, int]:
    """Return the length of every contig in reference.json."""
    return {contig["name"]: contig["length"] for contig in summary["contigs"]}


def read_summary(store: Store, bucket: str, name: str) -> dict[str, Any] | None:
    """Return reference.json of a prepared reference; None if it is not prepared."""
    try:
        summary: dict[str, Any] = store.read_json(layout.reference_uri(bucket, name).parent / REFERENCE_JSON)
    except s3.MissingError:
        return None
    return summary


def prepared_names(store: Store, bucket: str) -> list[str]:
    """Return the names of the prepared references."""
    keys = store.list_keys(bucket, "")
    return sorted({key.split("/")[0] for key in keys if key.endswith(f"/{REFERENCE_JSON}")})
