"""Small FASTQs and genomes, made with a fixed seed."""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

Record = tuple[str, str, str]  # header without "@", bases, qualities
FLOWCELL = "A00123:45:HXYZTDSXX"
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def bases(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))  # noqa: S311


def records(mate: int, count: int, *, lane: int = 1, header: str = "casava", length: int = 30) -> list[Record]:
    """The reads of one mate; those of the other have the same names. `header`: casava, slash, bare."""
    ending = {"casava": f" {mate}:N:0:ACGT", "slash": f"/{mate}", "bare": ""}[header]
    made = []
    for number in range(count):
        random_of = random.Random(f"{mate}.{number}")  # noqa: S311
        qualities = "".join(random_of.choices("#,:F", k=length))
        name = f"{FLOWCELL}:{lane}:1101:{1000 + number}:{2000 + number}"
        made.append((name + ending, "".join(random_of.choices("ACGT", k=length)), qualities))
    return made


def text(made: Sequence[Record], newline: str = "\n") -> bytes:
    return "".join(f"@{head}{newline}{seq}{newline}+{newline}{qual}{newline}" for head, seq, qual in made).encode()


def to_gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def bgzf(data: bytes, block: int = 700) -> bytes:
    """As bcl2fastq and bgzip write: small members that say their size, and an empty one at the end."""
    blocks = []
    for start in range(0, len(data) + block, block):
        part = data[start : start + block]
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = packer.compress(part) + packer.flush()
        head = struct.pack("<4BI2BH2BHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(body) + 25)
        blocks.append(head + body + struct.pack("<2I", zlib.crc32(part), len(part)))
    return b"".join(blocks)


def flip_byte(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def edit_read(made: Sequence[Record], place: int, **change: str) -> bytes:
    """The file with one record made otherwise: head, seq or qual."""
    record = dict(zip(("head", "seq", "qual"), made[place], strict=True)) | change
    return to_gzip(text([*made[:place], (record["head"], record["seq"], record["qual"]), *made[place + 1 :]]))


def write_pair(folder: Path, one: bytes, two: bytes, ending: str = ".fastq.gz") -> tuple[Path, Path]:
    paths = folder / f"lane1_R1{ending}", folder / f"lane1_R2{ending}"
    for path, data in zip(paths, (one, two), strict=True):
        path.write_bytes(data)
    return paths


def fastq(mate: int, count: int = 4, *, lane: int = 1, header: str = "casava") -> bytes:
    """A whole gzip file."""
    return to_gzip(text(records(mate, count, lane=lane, header=header)))


def pairs_of(genome: str, count: int, seed: int, length: int = 100) -> tuple[list[Record], list[Record]]:
    """Reads of both mates, drawn from a genome with a sequencing error in every hundred bases or so."""
    made = random.Random(seed)  # noqa: S311
    one, two = [], []
    for number in range(count):
        insert = min(len(genome), max(length, round(made.gauss(300, 30))))
        start = made.randrange(len(genome) - insert + 1)
        fragment = genome[start : start + insert]
        if made.random() < 0.5:
            fragment = fragment.translate(COMPLEMENT)[::-1]
        for mate, part in ((one, fragment[:length]), (two, fragment.translate(COMPLEMENT)[::-1][:length])):
            read = "".join(made.choice("ACGT") if made.random() < 0.01 else base for base in part)
            mate.append((f"{FLOWCELL}:1:1101:{number}:{number}", read, "F" * length))
    return one, two


def write_genome(path: Path, contigs: dict[str, str]) -> Path:
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in contigs.items()))
    return path
