"""Find the read pairs of a run in the bucket. Nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seqdrop.plan import fastq_names
from seqdrop.plan.choices import LANES, ChoiceError, Choices
from seqdrop.plan.fastq_names import FastqName
from seqdrop.plan.names import printable
from seqdrop.runs import precheck
from seqdrop.storage import s3
from seqdrop.storage.s3 import StoredObject
from seqdrop.storage.uri import S3Uri


@dataclass(frozen=True, slots=True)
class Pair:
    """Both mates of one lane, at the versions that are current now."""

    lane: str
    fastq_1: StoredObject
    fastq_2: StoredObject

    def entry(self) -> dict[str, Any]:
        """Return the entry of reads.json: pinned versions, with the checksum of the whole object if S3 has it."""
        return {"lane": self.lane, "fastq_1": _pin(self.fastq_1), "fastq_2": _pin(self.fastq_2)}


@dataclass(frozen=True, slots=True)
class Missing:
    """Files that a run still waits for."""

    reason: str  # for the log: names no file
    message: str  # for the row
    names: Sequence[str]  # the keys that identify the row


@dataclass(frozen=True, slots=True)
class Pairing:
    """The complete pairs of a run, and the files that are missing."""

    pairs: list[Pair]
    missing: Missing | None
    complete: Sequence[Sequence[str]]  # for each complete pair, and for complete lanes, the names of its waiting row


def find_pairs(bucket: str, name: FastqName) -> Pairing:
    """Return the pairs that make one run.

    The versions are those that are current now, not those of the event: by the time it arrives, the object may have
    been replaced. The event of the replacement then finds a duplicate.
    """
    first = find_pair(bucket, name)
    if first is None:
        message = f"waits until both are there: {' and '.join(map(printable, name.mates))}"
        return Pairing([], Missing("the mate has not arrived", message, name.mates), [])
    lanes = first.fastq_1.metadata.get("seqdrop-lanes", "1")
    if lanes == "1" or not LANES.fullmatch(lanes):  # an invalid number is refused with the other choices
        return Pairing([first], None, [name.mates])
    keys = map(fastq_names.parse, s3.store().list_keys(bucket, name.lanes_prefix))
    names = {lane.lane: lane for lane in keys if lane and lane.is_lane_of(name)}
    pairs = {lane: first if lane == name.lane else find_pair(bucket, names[lane]) for lane in sorted(names)}
    complete = [names[lane].mates for lane, pair in pairs.items() if pair]
    present = [pair for pair in pairs.values() if pair]
    if len(present) < int(lanes):
        message = f"waits until all lanes that seqdrop-lanes promises are there: {printable(name.lanes_prefix)}"
        return Pairing(present, Missing("other lanes have not arrived", message, [name.lanes_prefix]), complete)
    return Pairing(present, None, [*complete, [name.lanes_prefix]])


def find_pair(bucket: str, name: FastqName) -> Pair | None:
    """Return both mates of a FASTQ; None unless both exist."""
    try:
        fastq_1, fastq_2 = (s3.store().head(S3Uri(bucket, key)) for key in name.mates)
    except s3.MissingError:
        return None
    return Pair(name.lane, fastq_1, fastq_2)


def common_choices(pairs: Sequence[Pair]) -> Choices:
    """Return the choices in the metadata of all mates, which must be equal; raise ChoiceError."""
    mates = [mate for pair in pairs for mate in (pair.fastq_1, pair.fastq_2)]
    choices = [Choices.from_metadata(mate.metadata) for mate in mates]
    if any(other != choices[0] for other in choices):
        raise ChoiceError("the mates carry different choices (x-amz-meta-seqdrop-*): upload both with the same")
    if len(pairs) != choices[0].lanes:
        raise ChoiceError(f"this sample has {len(pairs)} lanes, but seqdrop-lanes is {choices[0].lanes}")
    return choices[0]


def checked_entries(sample: str, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Check the first reads of every pair and return its entry with a read group; raise BadInputError.

    The read group is `<flowcell>.<lane>` from the names of the reads; without it, the lane in the file name.
    """
    checked: list[dict[str, Any]] = []
    for number, entry in enumerate(entries, start=1):
        group = precheck.check_pair(entry) or f"{sample}.{entry['lane'] or number}"
        used = {other["read_group"] for other in checked}
        checked.append({**entry, "read_group": f"{group}.{number}" if group in used else group})
    return checked


def _pin(stored: StoredObject) -> dict[str, Any]:
    checksum = {"crc64nvme": stored.crc64nvme} if stored.crc64nvme else {}
    return {**stored.pin(), **checksum}
