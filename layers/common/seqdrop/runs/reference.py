"""Check that a reference is prepared before a run starts."""

from __future__ import annotations

from typing import Any

from seqdrop.plan import layout
from seqdrop.plan.choices import ChoiceError, Choices
from seqdrop.plan.names import REFERENCE_JSON
from seqdrop.storage import s3
from seqdrop.storage.s3 import Store


class UnpreparedError(Exception):
    """The reference does not exist, or has no index for the aligner of this deployment."""


def check_reference(bucket: str, choices: Choices, aligner: str) -> str:
    """Return the fingerprint of the reference; raise UnpreparedError, ChoiceError."""
    folder = layout.reference_uri(bucket, choices.reference).parent
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
    if choices.intervals and choices.intervals not in s3.store().list_names(folder):
        uri = folder / choices.intervals
        raise ChoiceError(f"{choices.intervals} is not beside reference {choices.reference}: upload it to {uri}")
    return str(summary["fingerprint"])


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
