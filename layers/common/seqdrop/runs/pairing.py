"""The mates of a FASTQ: whether all of a run's files are there, which versions, and what was chosen for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from seqdrop.plan import layout
from seqdrop.plan.choices import LANES, ChoiceError, Choices
from seqdrop.plan.layout import Fastq
from seqdrop.runs import precheck, table
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

Pair = dict[str, Any]  # an entry of reads.json
Found = tuple[Pair, list[dict[str, str]]]  # a pair, and the metadata of its two mates


class Lack(NamedTuple):
    """Why files are no run yet, in words that name none; and the row they wait in: what it says, what it is for."""

    reason: str
    message: str
    names: Sequence[str]


def find(bucket: str, name: Fastq) -> list[Found] | Lack:
    """The pairs that make one run, at the versions that lie there now, each with its mates' metadata; or what lacks.

    Not the version of the event: by the time it comes the object may be another, whose own event finds a duplicate.
    """
    first = pair_of(bucket, name)
    if first is None:
        message = f"waits until both are there: {' and '.join(map(layout.shown, name.mates))}"
        return Lack("the mate is not there yet", message, name.mates)
    lanes = first[1][0].get("seqdrop-lanes", "1")
    if lanes == "1" or not LANES.fullmatch(lanes):  # what cannot be is refused with the other choices
        return [first]
    keys = s3.keys_beginning(bucket, name.siblings)
    found = {lane.lane: lane for lane in map(layout.parse_fastq_key, keys) if lane and lane.is_beside(name)}
    pairs = [first if lane == name.lane else pair_of(bucket, found[lane]) for lane in sorted(found)]
    whole = [pair for pair in pairs if pair]
    if len(whole) < int(lanes):
        message = f"waits until as many lanes are there as seqdrop-lanes says: {layout.shown(name.siblings)}"
        return Lack("other lanes are not there yet", message, [name.siblings])
    table.forget_waiting(bucket, [name.siblings])
    return whole


def pair_of(bucket: str, name: Fastq) -> Found | None:
    try:
        one, two = (s3.head(S3Uri(bucket, key)) for key in name.mates)
    except s3.MissingError:
        return None
    table.forget_waiting(bucket, name.mates)
    pair = {"lane": name.lane, "fastq_1": pinned(one), "fastq_2": pinned(two)}
    return pair, [dict(one.metadata), dict(two.metadata)]


def pinned(stored: s3.Stored) -> dict[str, Any]:
    """One version of a FASTQ, and the checksum S3 holds of the whole of it, if it does."""
    checksum = {"crc64nvme": stored.crc64nvme} if stored.crc64nvme else {}
    return {**stored.pinned(), **checksum}


def agreed(found: Sequence[Found]) -> Choices:
    """The choices on all mates of all lanes, which must be the same and fit them; raises ChoiceError."""
    every = [Choices.from_metadata(mate) for _, metadata in found for mate in metadata]
    if any(choices != every[0] for choices in every):
        raise ChoiceError("the mates carry different choices (x-amz-meta-seqdrop-*): upload both with the same")
    if len(found) != every[0].lanes:
        raise ChoiceError(f"{len(found)} lanes of this sample are there, but seqdrop-lanes says {every[0].lanes}")
    return every[0]


def looked_at(sample: str, pairs: Sequence[Pair]) -> list[Pair]:
    """Every pair after its first look, with a read group; raises BadInputError.

    The group is `<flowcell>.<lane>` as the reads themselves say; where they do not, the lane of the file's name.
    """
    named: list[Pair] = []
    for place, pair in enumerate(pairs, start=1):
        group = precheck.look(pair) or f"{sample}.{pair['lane'] or place}"
        taken = {other["read_group"] for other in named}
        named.append({**pair, "read_group": f"{group}.{place}" if group in taken else group})
    return named
