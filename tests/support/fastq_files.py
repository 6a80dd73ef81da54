"""Generate pairs of FASTQ files and compare the real reader with the slow one on them."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import strategies as st
from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import gunzip, reader
from seqdrop.fastq.pairs import Pairs
from seqdrop.fastq.records import Batch

from support import slow_reader
from support.made_reads import bgzf, text, write_pair

BATCH = 3  # small, as are the blocks below, so that small files have the same edge cases as large ones
NAMES = st.one_of(st.sampled_from(["r1", "r2", "r3", "r4"]), st.text("ab/12@: \tä~", max_size=6), st.just("n" * 255))
BASES = st.one_of(st.text("ACGTN", min_size=1, max_size=5), st.text("ACa.=1 ", max_size=4))
COMMENTS = st.sampled_from(["", "", "/{}", " {}:N:0:A", "\t{}:N", " length=4"])
Edit = tuple[str, int, bytes]  # kind, offset (in 1/1000 of the data), bytes to write
EDITS = st.tuples(
    st.sampled_from(["cut", "flip", "insert", "append"]), st.integers(0, 999), st.binary(min_size=1, max_size=6)
)


def apply_edits(data: bytes, edits: Sequence[Edit]) -> bytes:
    for kind, offset, new in edits:
        place = len(data) * offset // 1000
        if kind == "cut":
            data = data[:place]
        elif kind == "append":
            data += new
        else:
            data = data[:place] + new + data[place + (len(new) if kind == "flip" else 0) :]
    return data


def with_header(data: bytes, flags: int) -> bytes:
    """Return a gzip member with optional header parts: extra field 4, name 8, comment 16, header checksum 2."""
    parts = {4: b"\x03\x00abc", 8: b"name\0", 16: b"comment\0"}
    head = bytes([31, 139, 8, flags, 0, 0, 0, 0, 0, 3]) + b"".join(parts[bit] for bit in parts if flags & bit)
    head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little") if flags & 2 else b""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = packer.compress(data) + packer.flush()
    return head + body + zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")


def pack(data: bytes, file_format: str) -> bytes:
    half = len(data) // 2
    return {
        "plain": lambda: data,
        "gzip": lambda: gzip.compress(data, mtime=0),
        "stored": lambda: gzip.compress(data, 0, mtime=0),
        "members": lambda: gzip.compress(data[:half]) + with_header(data[half:], 4 | 8 | 16 | 2) + bytes(3),
        "BGZF": lambda: bgzf(data, 20),
    }[file_format]()


FORMATS = st.sampled_from(["plain", "gzip", "stored", "members", "BGZF"])


@st.composite
def fastq_pairs(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Generate the files of a pair: mostly valid, with independent variants and errors in each file."""
    names = draw(st.lists(NAMES, max_size=8))
    files = []
    for mate in (1, 2):
        comment = draw(COMMENTS).format(draw(st.sampled_from([mate, mate, mate, 3 - mate])))
        reads = [(name + comment, *draw(bases_and_qualities())) for name in names]
        newline = draw(st.sampled_from(["\n", "\n", "\r\n"]))
        content = text(reads, newline)
        content = content[: len(content) - draw(st.sampled_from([0, 0, 1, 2]))] + draw(
            st.sampled_from([b"", b"\n", b"\n\n\n\n"])
        )
        content = apply_edits(content, draw(st.lists(EDITS, max_size=1)))
        files.append(apply_edits(pack(content, draw(FORMATS)), draw(st.lists(EDITS, max_size=1))))
    return files[0], draw(st.sampled_from([files[1], files[1], files[1], files[0]]))


@st.composite
def bases_and_qualities(draw: st.DrawFn) -> tuple[str, str]:
    bases = draw(BASES)
    return bases, draw(st.sampled_from(["#", "F", "F", "h"])) * (
        len(bases) + draw(st.sampled_from([0, 0, 0, 0, 0, 0, 0, 1]))
    )


def assert_readers_agree(files: tuple[bytes, bytes]) -> None:
    """Read one pair of files with the real reader and with the slow one, and compare the results."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(gunzip, "BLOCK_SIZE", 64)
        patch.setattr(gunzip, "PLAIN_BLOCK_SIZE", 16)
        patch.setattr(reader, "BATCH_SIZE", BATCH)
        paths = write_pair(Path(folder), *files)
        one, two = (slow_reader.read(path) for path in paths)
        errors = slow_reader.find_errors(one, two, BATCH)
        error, reads = read_pairs(pairs := Pairs(*paths))
        if errors:
            assert error.removeprefix("BAD_INPUT.") in errors
            return
        assert (error, reads) == ("", list(zip(one.reads, two.reads, strict=True)))
        assert (pairs.count, pairs.duplicate_names) == (len(reads), slow_reader.count_duplicate_names(one.reads, BATCH))


def read_pairs(pairs: Pairs) -> tuple[str, list[tuple[slow_reader.Read, slow_reader.Read]]]:
    reads = list[tuple[slow_reader.Read, slow_reader.Read]]()
    try:
        for one, two in pairs.batches():
            reads += zip(to_reads(one), to_reads(two), strict=True)
    except BadInputError as error:
        return error.failure_class, reads
    return "", reads


def to_reads(batch: Batch) -> list[slow_reader.Read]:
    return list(zip(batch.names, batch.sequences, batch.qualities, strict=True))
