"""Check that a reference is prepared before a run starts."""

from __future__ import annotations

from typing import Any

from seqdrop.plan import layout
from seqdrop.plan.choices import ChoiceError, Choices
from seqdrop.plan.names import REFERENCE_JSON
from seqdrop.storage import s3


class UnpreparedError(Exception):
    """The reference does not exist, or has no index for the aligner of this deployment."""


def check_reference(bucket: str, choices: Choices, aligner: str) -> str:
    """Return the fingerprint of the reference; raise UnpreparedError, ChoiceError."""
    folder = layout.reference_uri(bucket, choices.reference).parent
    try:
        summary: dict[str, Any] = s3.store().read_json(folder / REFERENCE_JSON)
    except s3.MissingError:
        raise UnpreparedError(f"reference {choices.reference} is not prepared; {_prepared(bucket)}") from None
    if aligner not in summary["indexes"]:
        indexes = ", ".join(summary["indexes"])
        raise UnpreparedError(
            f"reference {choices.reference} has no index for {aligner} (it has: {indexes}); prepare it again"
        )
    if choices.intervals and choices.intervals not in s3.store().list_names(folder):
        uri = folder / choices.intervals
        raise ChoiceError(f"{choices.intervals} is not beside reference {choices.reference}: upload it to {uri}")
    return str(summary["fingerprint"])


def _prepared(bucket: str) -> str:
    keys = s3.store().list_keys(bucket, "")
    names = sorted({key.split("/")[0] for key in keys if key.endswith(f"/{REFERENCE_JSON}")})
    return f"prepared are: {', '.join(names)}" if names else "none is prepared yet"
