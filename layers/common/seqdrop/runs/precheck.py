"""Check the first reads of a pair before an instance starts, and refuse what they show at once.

Only the beginning of each file is read here. The job that aligns the reads verifies all of them.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import bam_header, bam_reads, mates, records
from seqdrop.fastq.inflate import ExtraBytesError, inflate
from seqdrop.fastq.records import GZIP_MAGIC, Batch
from seqdrop.plan.names import ONE_FILE, PAIRED, SINGLE, UNALIGNED, printable
from seqdrop.storage import s3
from seqdrop.storage.s3 import StoredObject
from seqdrop.storage.uri import S3Uri

READ_SIZE = 64 << 10  # bytes of the object: hundreds of reads
BAM_READ_SIZE = 1 << 20  # bytes: a header may be long
FLAGS = 2  # records whose flags are read
MAX_TEXT = 1 << 20  # bytes: a gzip of one repeated letter grows a thousandfold
MIN_SIZE = 1 << 20  # bytes: sizes of smaller files say little
MIN_ALIGNED = 30  # bases: the minimum score of bwa, with one for each base
MAX_SIZE_RATIO = 10  # mates have equal numbers of reads, and reads of barcode mates have a fifth of the length


@dataclass(frozen=True, slots=True)
class Beginning:
    """The complete reads in the first bytes of one FASTQ."""

    name: str  # of the file, printable
    size: int  # bytes of the whole object
    is_gzip: bool
    reads: Batch
    group: str | None  # `<flowcell>.<lane>`, if the names of the reads have it

    @classmethod
    def parse(cls, name: str, size: int, data: bytes) -> Beginning:
        """Parse the first bytes of a file; raise BadInputError."""
        if size == 0:
            raise BadInputError("EMPTY", f"{name} is empty: it has no bytes")
        is_gzip = data.startswith(GZIP_MAGIC)
        if not is_gzip and not data.startswith(b"@"):
            if name.lower().endswith(".gz"):
                raise BadInputError("NOT_GZIP", f"{name} is not a gzip file")
            raise BadInputError("MALFORMED", f"{name} is not a FASTQ: it does not begin with '@'")
        text, at_end = _unzip(name, data) if is_gzip else (data, True)
        at_end = at_end and len(data) >= size
        if at_end and not text.strip():
            raise BadInputError("EMPTY", f"{name} has no reads")
        return cls(name, size, is_gzip, _parse_reads(name, text, at_end), records.read_group(data))


def check_lane(entry: Mapping[str, Any], layout: str = "") -> str | None:
    """Check an entry of reads.json; return the read group in the names of its reads. Raises BadInputError.

    A part of an object has no checksum. Before a pair is refused, its first bytes are therefore read again: the first
    time they may have been damaged on their way.
    """
    for _ in range(s3.ATTEMPTS - 1):
        with contextlib.suppress(BadInputError):
            return _check_lane(entry, layout)
    return _check_lane(entry, layout)


def _check_lane(entry: Mapping[str, Any], layout: str) -> str | None:
    if UNALIGNED in entry:
        return None  # `layout_of_alignments` has read it
    if layout in ONE_FILE:
        only = _read_beginning(entry["fastq_1"])
        check = mates.check_no_mates if layout == SINGLE else mates.check_neighbours
        check(only.name, only.reads, 0)
        return only.group
    one, two = (_read_beginning(entry[mate]) for mate in ("fastq_1", "fastq_2"))
    check_mates(one, two)
    return one.group


def _read_beginning(pin: Mapping[str, Any]) -> Beginning:
    uri = S3Uri.parse(pin["uri"])
    data = s3.store().read_start(uri, READ_SIZE, pin["version_id"]) if pin["size"] else b""
    return Beginning.parse(printable(uri.name), pin["size"], data)


def layout_of_alignments(stored: StoredObject) -> str:
    """Return the layout of a BAM by the flags of its first reads; "" for a CRAM, which must be decoded for that.

    Raises BadInputError if the file is neither a BAM nor a CRAM, or if its reads are aligned.
    """
    for _ in range(s3.ATTEMPTS - 1):  # as for `check_lane`
        with contextlib.suppress(BadInputError):
            return _layout_of_alignments(stored)
    return _layout_of_alignments(stored)


def _layout_of_alignments(stored: StoredObject) -> str:
    name = printable(stored.uri.name)
    if not stored.size:
        raise BadInputError("EMPTY", f"{name} is empty: it has no bytes")
    head = s3.store().read_start(stored.uri, BAM_READ_SIZE, stored.version_id)
    return layout_of_head(name, head)


def layout_of_head(name: str, head: bytes) -> str:
    """Return the layout of a BAM by its first bytes, as `layout_of_alignments` does; raise BadInputError."""
    form = bam_header.format_of(head)
    if not form:
        raise BadInputError("CORRUPT_BAM", f"{name} is neither a BAM nor a CRAM")
    if form == "cram":
        return ""
    texts = bam_reads.divide(name, _parts(head), FLAGS)
    try:
        [data] = next(texts)
    except BadInputError as error:
        if error.failure_class != "BAD_INPUT.TRUNCATED":
            raise
        raise BadInputError("LAYOUT", f"the header of {name} is too long to find its reads: state its layout") from None
    except StopIteration:
        raise BadInputError("EMPTY", f"{name} contains no reads") from None
    flags = bam_reads.flags_of(data)
    layout = PAIRED if flags[0] & bam_reads.PAIRED else SINGLE
    bam_reads.check_flags(name, 1 if layout == SINGLE else 2, flags, 0)
    return layout


def _parts(head: bytes) -> Iterator[bytes]:
    """Yield the decompressed bytes of the beginning of a BAM; the job reports damage."""
    with contextlib.suppress(zlib.error):
        for part, _ in inflate([head], MAX_TEXT):
            yield part


def check_mates(one: Beginning, two: Beginning) -> None:
    """Raise BadInputError unless the files are R1 and R2 of one pair."""
    records.check_mates(one.reads, two.reads, one.name, two.name, 0)
    _check_lengths(one, two)
    small, large = sorted((one, two), key=lambda mate: mate.size)
    if one.is_gzip == two.is_gzip and large.size > MIN_SIZE and large.size > MAX_SIZE_RATIO * small.size:
        ratio = large.size // small.size
        raise BadInputError(
            "MATE_COUNT", f"{large.name} is {ratio} times as large as {small.name}: one of them is incomplete"
        )


def _check_lengths(one: Beginning, two: Beginning) -> None:
    """Raise BadInputError if one mate is a barcode or a UMI: no aligner can place it, and no variant would be found.

    A mate that is much shorter than the other but can be aligned gives a warning of the job, not a refusal.
    """
    short, long = sorted((one, two), key=lambda mate: records.median_length(mate.reads))
    bases, others = (records.median_length(mate.reads) for mate in (short, long))
    if 0 < bases < MIN_ALIGNED and records.have_different_lengths(one.reads, two.reads):
        raise BadInputError(
            "MATE_LENGTHS",
            f"the reads of {short.name} have {bases} bases, those of {long.name} {others}: {short.name} looks like a "
            "barcode or a UMI, not like a mate",
        )


def _unzip(name: str, data: bytes) -> tuple[bytes, bool]:
    """Return the text of all gzip members in the data, and whether the last of them is complete."""
    text, at_end = b"", False
    try:
        for part, complete in inflate([data], MAX_TEXT):
            text, at_end = text + part, complete
            if len(text) >= MAX_TEXT:
                return text[:MAX_TEXT], False
    except ExtraBytesError:
        return text, at_end  # the job reports them
    except zlib.error:
        raise BadInputError("CORRUPT_GZIP", f"{name} is damaged: it cannot be unzipped") from None
    return text, at_end


def _parse_reads(name: str, text: bytes, at_end: bool) -> Batch:
    """Return every complete read; an incomplete read at the end of the file is refused."""
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    if at_end:
        lines = records.strip_trailing_blanks(lines)
    else:
        lines = lines[:-1]  # the last line may continue after these bytes
        lines = lines[: len(lines) - len(lines) % records.LINES_PER_READ]
    reads = records.parse_reads(lines, name, 0)
    records.check_phred33(reads.qualities, name)
    return reads
