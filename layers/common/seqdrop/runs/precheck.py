"""A first look at a pair of FASTQs, before any instance starts: what their first bytes show is refused at once.

It sees the beginning only. The job that aligns the reads proves every one of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import records
from seqdrop.fastq.records import GZIP_MAGIC, Batch
from seqdrop.plan import layout
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

REACH = 64 << 10  # bytes of the object: hundreds of reads
MOST_TEXT = 1 << 20  # bytes: gzip of a repeated letter grows a thousandfold
SMALL = 1 << 20  # bytes: below it, sizes say little
RATIO = 10  # mates hold as many reads as each other; barcode mates are a fifth of the others


@dataclass(frozen=True, slots=True)
class Beginning:
    """What the first bytes of one FASTQ hold: its whole reads, as far as the look reaches."""

    name: str  # of the file, as people may read it
    size: int  # bytes of the whole object
    zipped: bool
    reads: Batch
    group: str | None  # `<flowcell>.<lane>`, where its reads are named so

    @classmethod
    def of(cls, name: str, size: int, data: bytes) -> Beginning:
        """Raises BadInputError for what is no FASTQ."""
        if size == 0:
            raise BadInputError("EMPTY", f"{name} is empty: it has no bytes")
        zipped = data.startswith(GZIP_MAGIC)
        if not zipped and not data.startswith(b"@"):
            kind = "NOT_GZIP" if name.endswith(".gz") else "MALFORMED"
            raise BadInputError(kind, f"{name} is {'no gzip file' if kind == 'NOT_GZIP' else 'no FASTQ'}")
        text, ends = _unzipped(name, data) if zipped else (data, True)
        ends = ends and len(data) >= size
        if ends and not text.strip():
            raise BadInputError("EMPTY", f"{name} holds no reads")
        return cls(name, size, zipped, _reads(name, text, ends), records.read_group(data))


def look(pair: Mapping[str, Any]) -> str | None:
    """The read group that the reads of a pair name, if they do; raises BadInputError, with the files' own names."""
    try:
        return _looked(pair)
    except BadInputError:
        return _looked(pair)  # a refusal ends all: what came damaged from S3 is asked for once more


def _looked(pair: Mapping[str, Any]) -> str | None:
    one, two = (_beginning(pair[mate]) for mate in ("fastq_1", "fastq_2"))
    prove_mates(one, two)
    return one.group


def _beginning(pinned: Mapping[str, Any]) -> Beginning:
    uri = S3Uri.parse(pinned["uri"])
    data = s3.store().read_start(uri, REACH, pinned["version_id"]) if pinned["size"] else b""
    return Beginning.of(layout.shown(uri.name), pinned["size"], data)


def prove_mates(one: Beginning, two: Beginning) -> None:
    """Raises BadInputError for two files that are not the mates of one pair, in this order."""
    records.check_mates(one.reads, two.reads, one.name, two.name, 0)
    small, large = sorted((one, two), key=lambda mate: mate.size)
    if one.zipped == two.zipped and large.size > SMALL and large.size > RATIO * small.size:
        raise BadInputError(
            "MATE_COUNT",
            f"{large.name} is {large.size // small.size} times as large as {small.name}: one of them is not whole",
        )


def _unzipped(name: str, data: bytes) -> tuple[bytes, bool]:
    """The text of all gzip members as far as they reach, and whether the last of them has its end."""
    text, ends = b"", False
    while data.strip(b"\0") and len(text) < MOST_TEXT:
        if not data.startswith(GZIP_MAGIC):
            return text, ends  # bytes after the last member: the job says what they are
        member = zlib.decompressobj(wbits=31)
        try:
            text += member.decompress(data, MOST_TEXT - len(text))
        except zlib.error:
            raise BadInputError("CORRUPT_GZIP", f"{name} is damaged: it cannot be unzipped") from None
        data, ends = member.unused_data, member.eof
    return text, ends and not data.strip(b"\0")


def _reads(name: str, text: bytes, ends: bool) -> Batch:
    """Every whole read of the text; where the file `ends` with it, what is no whole read is refused."""
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    if ends:
        lines = records.strip_trailing_blanks(lines)
    else:
        lines = lines[:-1]  # the last may go on behind the look
        lines = lines[: len(lines) - len(lines) % records.LINES_PER_READ]
    reads = records.parse_reads(lines, name, 0)
    records.check_phred33(reads.qualities, name)
    return reads
