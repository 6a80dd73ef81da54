"""What a prepared reference must have before a run may begin with it."""

from __future__ import annotations

from typing import Any

from seqdrop.plan import layout
from seqdrop.plan.choices import ChoiceError, Choices
from seqdrop.storage import s3


class UnpreparedError(Exception):
    """The reference a run asks for is not there, or not prepared for the aligner of this deployment."""


def check_reference(bucket: str, choices: Choices, aligner: str) -> str:
    """The fingerprint of the reference a run asks for; raises UnpreparedError, ChoiceError."""
    folder = layout.reference_uri(bucket, choices.reference).parent
    try:
        found: dict[str, Any] = s3.read_json(folder / layout.REFERENCE_JSON)
    except s3.MissingError:
        raise UnpreparedError(f"reference {choices.reference} is not prepared; {_known(bucket)}") from None
    if aligner not in found["indexes"]:
        has = ", ".join(found["indexes"])
        raise UnpreparedError(
            f"reference {choices.reference} has no index for {aligner} (it has: {has}); prepare it again"
        )
    if choices.intervals and choices.intervals not in s3.names_below(folder):
        place = folder / choices.intervals
        raise ChoiceError(f"{choices.intervals} is not beside reference {choices.reference}: put it at {place}")
    return str(found["fingerprint"])


def _known(bucket: str) -> str:
    keys = s3.keys_beginning(bucket, "")
    names = sorted({key.split("/")[0] for key in keys if key.endswith(f"/{layout.REFERENCE_JSON}")})
    return f"prepared are: {', '.join(names)}" if names else "none is prepared yet"
