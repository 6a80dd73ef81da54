"""Generate small FASTQs and genomes with fixed seeds."""

from __future__ import annotations

import gzip
import random
import struct
import subprocess
import zlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

Record = tuple[str, str, str]  # header without "@", bases, qualities
FLOWCELL = "A00123:45:HXYZTDSXX"
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def bases(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))  # noqa: S311


def records(mate: int, count: int, *, lane: int = 1, header: str = "casava", length: int = 30) -> list[Record]:
    """Generate the reads of one mate; the other mate has the same names. `header` is casava, slash or bare."""
    ending = {"casava": f" {mate}:N:0:ACGT", "slash": f"/{mate}", "bare": ""}[header]
    reads = []
    for number in range(count):
        rng = random.Random(f"{mate}.{number}")  # noqa: S311
        qualities = "".join(rng.choices("#,:F", k=length))
        name = f"{FLOWCELL}:{lane}:1101:{1000 + number}:{2000 + number}"
        reads.append((name + ending, "".join(rng.choices("ACGT", k=length)), qualities))
    return reads


def text(reads: Sequence[Record], newline: str = "\n") -> bytes:
    return "".join(f"@{head}{newline}{seq}{newline}+{newline}{qual}{newline}" for head, seq, qual in reads).encode()


def read_records(path: Path, number: int | None = None) -> list[Record]:
    """Return the first reads of a gzipped FASTQ, or all."""
    with gzip.open(path, "rt") as file:
        lines = [line.rstrip("\n") for line in islice(file, 4 * number if number else None)]
    return [(head[1:], seq, qual) for head, seq, qual in zip(lines[0::4], lines[1::4], lines[3::4], strict=True)]


def to_gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def bgzf(data: bytes, block: int = 700) -> bytes:
    """Compress like bcl2fastq and bgzip: small members with their size in the header, and an empty last member."""
    blocks = []
    for start in range(0, len(data) + block, block):
        part = data[start : start + block]
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = packer.compress(part) + packer.flush()
        head = struct.pack("<4BI2BH2BHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(body) + 25)
        blocks.append(head + body + struct.pack("<2I", zlib.crc32(part), len(part)))
    return b"".join(blocks)


def to_bam(sam: str, form: str = "bam") -> bytes:
    """Return a SAM as BAM or CRAM."""
    command = ["samtools", "view", "--no-PG", "-O", form, "-"]
    return subprocess.run(command, input=sam.encode(), capture_output=True, check=True).stdout


def flip_byte(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def edit_read(reads: Sequence[Record], place: int, **change: str) -> bytes:
    """Return a gzip file of the reads with one of them changed: its head, seq or qual."""
    record = dict(zip(("head", "seq", "qual"), reads[place], strict=True)) | change
    return to_gzip(text([*reads[:place], (record["head"], record["seq"], record["qual"]), *reads[place + 1 :]]))


def write_pair(folder: Path, one: bytes, two: bytes, ending: str = ".fastq.gz") -> tuple[Path, Path]:
    paths = folder / f"lane1_R1{ending}", folder / f"lane1_R2{ending}"
    for path, data in zip(paths, (one, two), strict=True):
        path.write_bytes(data)
    return paths


def fastq(mate: int, count: int = 4, *, lane: int = 1, header: str = "casava") -> bytes:
    """Return a complete gzip file."""
    return to_gzip(text(records(mate, count, lane=lane, header=header)))


def pairs_of(genome: str, count: int, seed: int, length: int = 100) -> tuple[list[Record], list[Record]]:
    """Sample read pairs from a genome, with one sequencing error in about a hundred bases."""
    rng = random.Random(seed)  # noqa: S311
    one, two = [], []
    for number in range(count):
        insert = min(len(genome), max(length, round(rng.gauss(300, 30))))
        start = rng.randrange(len(genome) - insert + 1)
        fragment = genome[start : start + insert]
        if rng.random() < 0.5:
            fragment = fragment.translate(COMPLEMENT)[::-1]
        for mate, part in ((one, fragment[:length]), (two, fragment.translate(COMPLEMENT)[::-1][:length])):
            read = "".join(rng.choice("ACGT") if rng.random() < 0.01 else base for base in part)
            mate.append((f"{FLOWCELL}:1:1101:{number}:{number}", read, "F" * length))
    return one, two


def write_genome(path: Path, contigs: dict[str, str]) -> Path:
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in contigs.items()))
    return path
