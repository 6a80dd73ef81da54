"""Write a genome, its genes and read pairs of it, fast enough for 30x of a human chromosome."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

LENGTH, INSERT, LONGEST = 150, (350, 50), 900  # bases: of a read, average and deviation of an insert, its limit
ERRORS = 0.004  # of bases
QUALITIES = (b"F:,#", (0.88, 0.07, 0.04, 0.01))  # the four that NovaSeq writes, and their shares
CHUNK = 20_000  # pairs at a time
BASES = np.frombuffer(b"ACGT", np.uint8)
HEADER = b"@A00001:12:HXYZTDSXX:1:%05d:%06d:%06d %d:N:0:ACGTACGT\n"  # tile, x, y, mate: always of the same length
FRAME = re.compile(rb"ATG(?:(?!TAA|TAG|TGA)[ACGT]{3}){60,}(?:TAA|TAG|TGA)")

COMPLEMENT = np.zeros(256, np.uint8)
COMPLEMENT[list(b"ACGTN")] = list(b"TGCAN")


def random_bases(length: int, seed: int) -> Any:
    """Return random bases."""
    return BASES[np.random.default_rng(seed).integers(0, 4, length)]


def read_contig(fasta: Path) -> Any:
    """Return the bases of a FASTA of one contig."""
    return np.frombuffer(fasta.read_bytes().partition(b"\n")[2].replace(b"\n", b"").upper(), np.uint8)


def haplotypes(genome: Any, rate: float, seed: int = 3) -> tuple[Any, Any]:
    """Return two copies of a genome with substitutions: two of three in one copy alone."""
    rng = np.random.default_rng(seed)
    one, two = genome.copy(), genome.copy()
    for copies in ([one], [two], [one, two]):
        places = rng.integers(0, len(genome), int(rate * len(genome) / 3))
        places = places[np.isin(genome[places], BASES)]
        other = BASES[(np.searchsorted(BASES, genome[places]) + rng.integers(1, 4, len(places))) % 4]
        for copy in copies:
            copy[places] = other
    return one, two


def write_genes(path: Path, contig: str, genome: Any, every: int = 50_000) -> None:
    """Write a GTF: the first open reading frame of each `every` bases is a gene of one exon."""
    with path.open("w") as file:
        for start in range(0, len(genome), every):
            frame = FRAME.search(genome[start : start + every].tobytes())
            if not frame:
                continue
            first, last, name = start + frame.start() + 1, start + frame.end(), start // every
            ids = f'gene_id "G{name}"; transcript_id "T{name}"; gene_name "G{name}"; gene_biotype "protein_coding";'
            for kind in ("gene", "transcript", "exon", "CDS"):
                end, phase = (last - 3, "0") if kind == "CDS" else (last, ".")  # the stop codon is not in the CDS
                file.write(f"{contig}\tbench\t{kind}\t{first}\t{end}\t.\t+\t{phase}\t{ids}\n")


def write_reads(folder: Path, genomes: tuple[Any, ...], pairs: int, gzip: str = "gzip -6") -> tuple[Path, Path]:
    """Write S_R1.fastq.gz and S_R2.fastq.gz: pairs of the genomes in turn, none of which has an N."""
    paths = folder / "S_R1.fastq.gz", folder / "S_R2.fastq.gz"
    rng = np.random.default_rng(2)
    with ExitStack() as stack:
        outs = [stack.enter_context(_packed(path, gzip)) for path in paths]
        for first in range(0, pairs, CHUNK):
            count = min(CHUNK, pairs - first)
            for number, bases in enumerate(_pairs(rng, genomes[first // CHUNK % len(genomes)], count)):
                outs[number].write(_records(rng, bases, first, number + 1))
    return paths


@contextmanager
def _packed(path: Path, gzip: str) -> Iterator[IO[bytes]]:
    with path.open("wb") as file, subprocess.Popen(gzip.split(), stdin=subprocess.PIPE, stdout=file) as program:
        assert program.stdin
        yield program.stdin
        program.stdin.close()
    if program.returncode:
        raise RuntimeError(f"{gzip} ended with {program.returncode}")


def _pairs(rng: Any, genome: Any, count: int) -> tuple[Any, Any]:
    """Return the bases of R1 and R2, a row for each read; half of the pairs are of the other strand."""
    at, found, ends = np.arange(LENGTH), np.zeros((0, LENGTH), np.uint8), np.zeros((0, LENGTH), np.uint8)
    while len(found) < count:
        starts = rng.integers(0, len(genome) - LONGEST, count - len(found))
        inserts = np.clip(rng.normal(*INSERT, len(starts)).astype(int), LENGTH, LONGEST)
        left, right = genome[starts[:, None] + at], COMPLEMENT[genome[(starts + inserts - 1)[:, None] - at]]
        good = ~((left == ord("N")).any(axis=1) | (right == ord("N")).any(axis=1))
        found, ends = np.concatenate([found, left[good]]), np.concatenate([ends, right[good]])
    other = rng.random(count) < 0.5
    return np.where(other[:, None], ends, found), np.where(other[:, None], found, ends)


def _records(rng: Any, bases: Any, first: int, mate: int) -> bytes:
    """Return reads as FASTQ; their records have the same length, so that they are made as rows of a table."""
    letters, shares = QUALITIES
    errors = rng.integers(0, bases.size, int(ERRORS * bases.size))
    bases.reshape(-1)[errors] = BASES[rng.integers(0, 4, len(errors))]
    ends_of_shares = np.round(256 * np.cumsum([0, *shares])).astype(int)
    table = np.repeat(np.frombuffer(letters, np.uint8), np.diff(ends_of_shares))  # a letter for each random byte
    names = b"".join(
        HEADER % (1101 + number // 5000, number % 5000 * 7 + 1000, number * 7919 % 900_000, mate)
        for number in range(first, first + len(bases))
    )
    names = np.frombuffer(names, np.uint8).reshape(len(bases), -1)
    ends = np.broadcast_to(np.frombuffer(b"\n+\n", np.uint8), (len(bases), 3))
    quality = table[rng.integers(0, 256, bases.shape, np.uint8)]
    newline = np.broadcast_to(np.uint8(ord("\n")), (len(bases), 1))
    return np.concatenate([names, bases, ends, quality, newline], axis=1).tobytes()
