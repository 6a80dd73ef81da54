"""Find the files of a run in the bucket: read pairs, or one file for each lane. Nothing here writes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seqdrop.failure.verdict import BadInputError
from seqdrop.plan import fastq_names, input_names
from seqdrop.plan.choices import HOLD, LANES, ChoiceError, Choices
from seqdrop.plan.fastq_names import FastqName
from seqdrop.plan.input_names import NO_MATE
from seqdrop.plan.names import ONE_FILE, UNALIGNED, printable
from seqdrop.runs import precheck
from seqdrop.storage import s3
from seqdrop.storage.s3 import StoredObject
from seqdrop.storage.uri import S3Uri

MAX_NEAR = 3  # files that nearly match, in the message of a waiting row
Found = dict[str, tuple[FastqName, StoredObject]]  # by key


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of one lane, at the versions that are current now: both mates, or one file."""

    lane: str
    fastq_1: StoredObject  # or a BAM or CRAM
    fastq_2: StoredObject | None = None

    @property
    def files(self) -> list[StoredObject]:
        """The files of the lane, R1 before R2."""
        return [self.fastq_1, self.fastq_2] if self.fastq_2 else [self.fastq_1]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the files, R1 before R2."""
        return tuple(file.uri.key for file in self.files)

    @property
    def words(self) -> dict[str, StoredObject]:
        """The files by their words in reads.json."""
        if input_names.is_alignments(self.fastq_1.uri.key):
            return {UNALIGNED: self.fastq_1}
        return dict(zip(("fastq_1", "fastq_2"), self.files, strict=False))

    def entry(self) -> dict[str, Any]:
        """Return the entry of reads.json: pinned versions, with the checksum of the whole object if S3 has it."""
        return {"lane": self.lane, **{word: _pin(file) for word, file in self.words.items()}}


@dataclass(frozen=True, slots=True)
class Missing:
    """Files that a run still waits for."""

    reason: str  # for the log: names no file
    message: str  # for the row
    names: Sequence[str]  # the keys that identify the row


@dataclass(frozen=True, slots=True)
class Chunks:
    """The chunks of one lane, of which none may be read alone."""

    message: str
    pairs: Sequence[Pair]  # the complete ones


@dataclass(frozen=True, slots=True)
class Pairing:
    """The complete pairs of a run, and the files that are missing."""

    pairs: list[Pair]
    missing: Missing | None
    complete: Sequence[Sequence[str]]  # for each complete pair, and for complete lanes, the names of its waiting row
    chunks: Chunks | None = None  # if the pair is a part of its lane only
    group: str = ""  # the name of the waiting row of lanes whose number is not known: more may arrive
    held: bool = False  # a samplesheet will start the run


def find_pairs(bucket: str, name: FastqName, *, join_lanes: bool = False) -> Pairing:
    """Return the pairs that make one run.

    With `join_lanes`, these are all lanes of the sample that are there now, if their number is not among the choices.
    The versions are those that are current now, not those of the event: by the time it arrives, the object may have
    been replaced. The event of the replacement then finds a duplicate.
    """
    one, two = _find_mates(bucket, name)
    stored = one or two
    if any(HOLD in mate.metadata for mate in (one, two) if mate):
        return Pairing([], None, [], held=True)
    lanes = stored.metadata.get("seqdrop-lanes", "") if stored else "1"
    single = lanes in {"", "1"} or not LANES.fullmatch(lanes)  # an invalid number is refused with the other choices
    if single and (chunks := _find_chunks(bucket, name)):
        return chunks
    if join_lanes and name.lane and not lanes:
        return _join_lanes(bucket, name)
    pair = _pair_of(name, one, two)
    if not pair:
        return Pairing([], _missing_mate(bucket, name, one, two), [])
    if single:
        return Pairing([pair], None, _waiting_names(pair))
    return _find_lanes(bucket, name, pair, int(lanes))


def _pair_of(name: FastqName, one: StoredObject | None, two: StoredObject | None) -> Pair | None:
    """Return the files of a lane; None if a mate is missing."""
    if one and two:
        return Pair(name.lane_and_chunk, one, two)
    alone = one or two
    return Pair(name.lane_and_chunk, alone) if alone and is_one_file(name, alone) else None


def is_one_file(name: FastqName, stored: StoredObject) -> bool:
    """Return whether a file is all of a lane: by its layout, or as a BAM or CRAM. Its name may have a mate."""
    layout = stored.metadata.get("seqdrop-layout", "")
    if name.mate != NO_MATE:
        return layout in ONE_FILE
    return bool(layout or layout_of_name(name.key)) or input_names.is_alignments(name.key)


def layout_of_name(key: str) -> str:
    """Return the layout of a FASTQ whose metadata have none: that in its name, or that of this deployment; or ""."""
    default = os.environ["LAYOUT_WITHOUT_MATE"]
    return input_names.layout_in_name(key) or (default if default in ONE_FILE and fastq_names.has_no_mate(key) else "")


def is_held(uri: S3Uri) -> bool:
    """Return whether a samplesheet is to name this file."""
    stored = s3.store().find(uri)
    return bool(stored and HOLD in stored.metadata)


def _find_mates(bucket: str, name: FastqName) -> tuple[StoredObject | None, StoredObject | None]:
    """Return R1 and R2: in the same file format, or the only two files of the pair that have no mate in theirs."""
    if name.mate == NO_MATE:
        return s3.store().find(S3Uri(bucket, name.key)), None
    one, two = (s3.store().find(S3Uri(bucket, key)) for key in name.mates)
    if one and two:
        return one, two
    others = _single_formats(name, _names(bucket, name.pair_prefix))
    if not others:
        return one, two
    one, two = (s3.store().find(S3Uri(bucket, other.key)) for other in others)
    return one, two


def _single_formats(name: FastqName, names: Iterable[FastqName]) -> list[FastqName]:
    """Return R1 and R2 if they are the only two files of the pair that have no mate in their file format."""
    others = [other for other in names if other.is_of_pair(name)]
    keys = {other.key for other in others}
    single = sorted((other for other in others if not keys.issuperset(other.mates)), key=lambda other: other.mate)
    return single if [other.mate for other in single] == [1, 2] else []


def find_lane(bucket: str, name: FastqName) -> FastqName | None:
    """Return a file of the lanes of a sample, this one if it exists; None if all were deleted or a sheet names them."""
    lanes = _lanes_of(bucket, name)
    names = [other for other, _ in lanes.values()]
    return next((other for other in names if other.key == name.key), names[0] if names else None)


def _find_lanes(bucket: str, name: FastqName, first: Pair, expected: int) -> Pairing:
    """Return the pairs of all lanes and chunks of a sample."""
    pairs, missing_files = _pairs_of(_lanes_of(bucket, name), first)
    complete = [row for pair in pairs for row in _waiting_names(pair)]
    if len(pairs) < expected:
        message = f"{len(pairs)} of {expected} lanes: {', '.join(pair.lane or '-' for pair in pairs)}"
        missing = Missing("other lanes have not arrived", "; ".join([message, *missing_files]), [name.group])
        return Pairing(pairs, missing, complete)
    return Pairing(pairs, None, [*complete, [name.group]])


def _join_lanes(bucket: str, name: FastqName) -> Pairing:
    """Return the pairs of all lanes that are there now; more may arrive."""
    lanes = _lanes_of(bucket, name)
    for lane in {other.lane: other for other, _ in lanes.values()}.values():
        if chunks := _chunks_among(lane, lanes):
            return chunks
    pairs, missing_files = _pairs_of(lanes)
    if pairs and not missing_files:
        return Pairing(pairs, None, [], group=name.group)
    if pairs:
        message = "; ".join([f"{describe_lanes(pairs)} arrived", *missing_files])
        return Pairing(pairs, Missing("a mate of a lane has not arrived", message, [name.group]), [])
    missing = _missing_mate(bucket, name, *_find_mates(bucket, name))
    return Pairing([], replace(missing, names=[name.group]), [])


def describe_lanes(pairs: Sequence[Pair]) -> str:
    """Name the lanes of these pairs: `lane L001`, `lanes L001, L002`."""
    return f"lane{'' if len(pairs) == 1 else 's'} {', '.join(pair.lane for pair in pairs)}"


def _lanes_of(bucket: str, name: FastqName) -> Found:
    """Return the files of all lanes and chunks of a sample, without those that a samplesheet will start."""
    return _read(bucket, [other for other in _names(bucket, name.lanes_prefix) if other.is_lane_of(name)])


def _read(bucket: str, names: Iterable[FastqName]) -> Found:
    """Return the inputs among these files, each read once, without pairs that a samplesheet will start."""
    stored = ((name, s3.store().find(S3Uri(bucket, name.key))) for name in names)
    found = {name.key: (name, file) for name, file in stored if file}
    held = [name for name, file in found.values() if HOLD in file.metadata]
    return {
        key: (name, file)
        for key, (name, file) in found.items()
        if not any(name.is_of_pair(one) for one in held) and (name.mate != NO_MATE or is_one_file(name, file))
    }


def _pairs_of(found: Found, *known: Pair) -> tuple[list[Pair], list[str]]:
    """Return the complete pairs of these files by lane, and a phrase on each file that is missing."""
    present, incomplete = {pair.keys: pair for pair in known}, set[str]()
    for name, _ in found.values():
        if any(name.key in keys for keys in present):
            continue
        if pair := _pair_among(name, found):
            present[pair.keys] = pair
        else:
            incomplete.add(name.mates[2 - name.mate])
    pairs = sorted(present.values(), key=lambda pair: (pair.lane, pair.keys))
    return pairs, [f"{printable(key.rpartition('/')[2])} is missing" for key in sorted(incomplete)]


def _pair_among(name: FastqName, found: Found) -> Pair | None:
    """Return the files of a lane among these; None if a mate is missing."""
    if name.mate == NO_MATE:
        return Pair(name.lane_and_chunk, found[name.key][1])
    others = [] if found.keys() >= {*name.mates} else _single_formats(name, (other for other, _ in found.values()))
    keys = [other.key for other in others] or name.mates
    one, two = (found[key][1] if key in found else None for key in keys)
    return _pair_of(name, one, two)


def _find_chunks(bucket: str, name: FastqName) -> Pairing | None:
    """Return the chunks of a lane; None if the file is the only one."""
    if not name.chunk:
        return None
    names = [other for other in _names(bucket, name.lanes_prefix) if other.is_chunk_of(name)]
    if not name.is_later_chunk and all(other.chunk == name.chunk for other in names):
        return None
    return _chunks_among(name, _read(bucket, names))


def _chunks_among(name: FastqName, found: Found) -> Pairing | None:
    """Return the chunks of a lane among these files; None if the file is the only one."""
    chunks = {key: (other, file) for key, (other, file) in found.items() if other.is_chunk_of(name)}
    numbers = sorted({name.chunk, *(other.chunk for other, _ in chunks.values())})
    if not name.chunk or (len(numbers) == 1 and not name.is_later_chunk):
        return None
    message = (
        f"lane {name.lane or 'without a name'} of {name.sample} is in chunks ({', '.join(numbers)}): concatenate those "
        "of R1 and those of R2 in the same order with `cat`, or upload all with their number of pairs as seqdrop-lanes"
    )
    rows = [[name.group], *(other.mates for other, _ in chunks.values())]
    return Pairing([], None, rows, Chunks(message, _pairs_of(chunks)[0]))


def _missing_mate(bucket: str, name: FastqName, one: StoredObject | None, two: StoredObject | None) -> Missing:
    """Describe the mate that is missing, since when, and the files that could be meant."""
    if name.mate == NO_MATE:
        return Missing("the file was deleted", f"{printable(name.key)} was deleted", [name.key])
    missing = [key for key, stored in zip(name.mates, (one, two), strict=True) if stored is None]
    parts = [f"{' and '.join(printable(key) for key in missing)} {'is' if len(missing) == 1 else 'are'} missing"]
    if stored := one or two:
        parts.append(f"R{2 if one is None else 1} came {stored.modified}")
    near = [
        printable(other.key)
        for other in _names(bucket, name.pair_prefix)
        if other.mate != name.mate and other.is_lane_of(name) and other.lane == name.lane and other.key not in missing
    ]
    if near:
        parts.append(f"not its mate by name: {', '.join(near[:MAX_NEAR])}")
    return Missing("the mate has not arrived", "; ".join(parts), name.mates)


def _names(bucket: str, prefix: str) -> list[FastqName]:
    return [name for name in map(input_names.parse, s3.store().list_keys(bucket, prefix)) if name]


def _waiting_names(pair: Pair) -> list[tuple[str, str]]:
    """Return the names of the rows in which the mates of a pair may have waited for each other."""
    names = [name.mates for name in map(input_names.parse, pair.keys) if name and name.mate != NO_MATE]
    return list(dict.fromkeys(names))


def common_choices(pairs: Sequence[Pair], max_cost: str = "") -> Choices:
    """Return the choices in the metadata of all mates, which must be equal; raise ChoiceError.

    `max_cost` is a budget in USD instead of theirs.
    """
    mates = [mate for pair in pairs for mate in pair.files]
    budget = {"seqdrop-max-cost": max_cost} if max_cost else {}
    choices = [Choices.from_metadata({**mate.metadata, **budget}) for mate in mates]
    if not any("seqdrop-lanes" in mate.metadata for mate in mates):
        choices = [replace(choice, lanes=len(pairs)) for choice in choices]
    if any(other != choices[0] for other in choices):
        raise ChoiceError("the mates carry different choices (x-amz-meta-seqdrop-*): upload both with the same")
    lanes = [pair.lane for pair in pairs]
    if twice := sorted({lane for lane in lanes if lanes.count(lane) > 1}):
        raise ChoiceError(f"this sample has two pairs of lane {twice[0] or 'without a name'}: delete one of them")
    if len(pairs) != choices[0].lanes:
        raise ChoiceError(f"this sample has {len(pairs)} lanes, but seqdrop-lanes is {choices[0].lanes}")
    return choices[0]


def warnings(pairs: Sequence[Pair], *, joined: bool = False) -> list[dict[str, str]]:
    """Return the warnings that the names of the files give: the first job of the run puts them into its receipt.

    `joined`: the run has waited for other lanes.
    """
    return [*_warn_of_sample(pairs[0]), *([] if joined else _warn_of_lane(pairs))]


def _warn_of_sample(pair: Pair) -> Iterator[dict[str, str]]:
    """Warn if another sample may have the same id: `Müller` and `Möller` are both `M_ller`."""
    name = input_names.parse(pair.fastq_1.uri.key)
    if name and name.written_sample != name.sample:
        message = (  # without the name, which may be code for a browser: the report has this text
            f"the sample id {name.sample} was made from a file name with other characters, and other names give the "
            "same id: compare the file names in reads.json"
        )
        yield {"warning": "SAMPLE_ID", "message": message}


def _warn_of_lane(pairs: Sequence[Pair]) -> Iterator[dict[str, str]]:
    """Warn if a run has one lane, unless its metadata say that there is no other."""
    metadata = [mate.metadata for pair in pairs for mate in pair.files]
    if len(pairs) == 1 and pairs[0].lane and not any("seqdrop-lanes" in choices for choices in metadata):
        message = (
            f"the file names have lane {pairs[0].lane} and the choice seqdrop-lanes is missing: other lanes of this "
            "sample are runs of their own. Upload all lanes with their number as seqdrop-lanes, or this lane with 1 if "
            "there is no other"
        )
        yield {"warning": "ONE_LANE", "message": message}


def check_storage(pairs: Sequence[Pair]) -> None:
    """Raise BadInputError if a mate is archived: no job could read it."""
    mates = [mate for pair in pairs for mate in pair.files if mate.archived]
    if mates:
        names = " and ".join(f"{printable(mate.uri.name)} ({mate.archived})" for mate in mates[:2])
        more = f" and {len(mates) - 2} more" if len(mates) > 2 else ""
        raise BadInputError("ARCHIVED", f"archived FASTQs cannot be read: restore {names}{more} first")


def checked_entries(sample: str, entries: Sequence[dict[str, Any]], layout: str = "") -> list[dict[str, Any]]:
    """Check the first reads of every lane and return its entry with a read group; raise BadInputError.

    The read group is `<flowcell>.<lane>` from the names of the reads; without it, the lane in the file name.
    """
    checked: list[dict[str, Any]] = []
    for number, entry in enumerate(entries, start=1):
        group = precheck.check_lane(entry, layout) or f"{sample}.{entry['lane'] or number}"
        used = {other["read_group"] for other in checked}
        checked.append({**entry, "read_group": f"{group}.{number}" if group in used else group})
    return checked


def _pin(stored: StoredObject) -> dict[str, Any]:
    checksum = {"crc64nvme": stored.crc64nvme} if stored.crc64nvme else {}
    return {**stored.pin(), **checksum}
