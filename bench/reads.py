"""Make a genome and reads, and the line `prove`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from measure import GateError, Line, Side

HERE = Path(__file__).parent
GENOME, PAIRS, LENGTH, INSERT = 5_000_000, 300_000, 150, (350, 50)
ERRORS = 0.004  # of bases
QUALITIES = (b"F:,#", (0.88, 0.07, 0.04, 0.01))  # the four that NovaSeq writes, and their shares
CHUNK = 20_000  # pairs at a time


def make(folder: Path) -> tuple[Path, Path]:
    """Write a genome and reads in another process: its memory would count as that of the programs that are timed."""
    if not (folder / "S_R2.fastq.gz").exists():
        subprocess.run([sys.executable, __file__, "make", folder], check=True)
    return folder / "S_R1.fastq.gz", folder / "S_R2.fastq.gz"


def make_here(folder: str) -> None:
    """Write a genome and reads."""
    make_reads(Path(folder), make_genome(Path(folder)))


def make_genome(folder: Path) -> Path:
    """Write a random genome with the indexes of both aligners, unless it exists."""
    import numpy as np
    from seqdrop.jobs import bwa_mem3

    fasta = folder / "genome.fa"
    if not (folder / "genome.fa.bwt.2bit.64").exists():
        bases = np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(1).integers(0, 4, GENOME)]
        fasta.write_bytes(b">c\n" + bases.tobytes() + b"\n")
        subprocess.run(["bwa", "index", fasta], check=True, capture_output=True)
        subprocess.run(["samtools", "faidx", fasta], check=True)
        bwa_mem3.build_index(fasta)
    return fasta


def make_reads(folder: Path, fasta: Path, pairs: int = PAIRS) -> tuple[Path, Path]:
    """Write pairs of reads of the genome, gzipped as `gzip -6` does, unless they exist."""
    import numpy as np

    paths = folder / "S_R1.fastq.gz", folder / "S_R2.fastq.gz"
    if all(path.exists() for path in paths):
        return paths
    rng = np.random.default_rng(2)
    genome = np.frombuffer(fasta.read_bytes().split(b"\n")[1], np.uint8)
    complement = np.zeros(256, np.uint8)
    complement[list(b"ACGT")] = list(b"TGCA")
    writers = [subprocess.Popen(["gzip", "-6"], stdin=subprocess.PIPE, stdout=path.open("wb")) for path in paths]
    for first in range(0, pairs, CHUNK):
        starts = rng.integers(0, len(genome) - 1000, CHUNK)
        inserts = np.clip(rng.normal(*INSERT, CHUNK).astype(int), LENGTH, 900)
        at = np.arange(LENGTH)
        one, two = genome[starts[:, None] + at], complement[genome[(starts + inserts - 1)[:, None] - at]]
        for writer, mate, number in zip(writers, (one, two), (1, 2), strict=True):
            assert writer.stdin
            writer.stdin.write(_text(rng, mate, first, number))
    for writer in writers:
        assert writer.stdin
        writer.stdin.close()
        writer.wait()
    return paths


def _text(rng: Any, bases: Any, first: int, mate: int) -> bytes:
    import numpy as np

    letters, shares = QUALITIES
    wrong = rng.random(bases.shape) < ERRORS
    bases = np.where(wrong, np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, bases.shape)], bases)
    quality = np.frombuffer(letters, np.uint8)[rng.choice(len(letters), bases.shape, p=shares)]
    records = []
    for number, (sequence, marks) in enumerate(zip(bases, quality, strict=True), start=first):
        name = f"@A00001:12:HXYZTDSXX:1:{1101 + number // 5000}:{number % 5000 * 7 + 1000}:{number % 9000 + 1000}"
        records.append(b"%s %d:N:0:ACGTACGT\n%s\n+\n%s\n" % (name.encode(), mate, sequence.tobytes(), marks.tobytes()))
    return b"".join(records)


def prove(one: str, two: str) -> None:
    """Verify a pair of files with all the proofs of a job."""
    from seqdrop.fastq.pairs import Pairs

    pairs = Pairs(Path(one), Path(two))
    for _ in pairs.batches():
        pass
    sys.stdout.write(f"{pairs.count} {pairs.bases}\n")


def prove_line(scratch: Path, one: Path, two: Path, log: Path) -> Line:
    """Return the line `prove`: the others only unpack the files, or read them without a proof."""

    def counted() -> str:
        if log.read_text().split() != [str(PAIRS), str(2 * LENGTH * PAIRS)]:
            raise GateError(f"prove counted {log.read_text()!r}")
        return "counted"

    ours = Side("seqdrop", [sys.executable, __file__, "prove", one, two], counted)
    both = "{0} -dc {1} > /dev/null & {0} -dc {2} > /dev/null; wait"
    others: list[tuple[str, Sequence[str | Path]]] = [
        ("gzip", ["sh", "-c", both.format("gzip", one, two)]),
        ("igzip", ["sh", "-c", both.format("igzip", one, two)]),
        ("fastp", ["fastp", "-w", "2", "-i", one, "-I", two, "-j", scratch / "j.json", "-h", scratch / "h.html"]),
    ]
    found = [Side(program, command, lambda: "counted") for program, command in others if shutil.which(program)]
    return Line("prove", [ours, *found])


def lines(scratch: Path, log: Path) -> Iterator[Line]:
    """Yield the line `prove`."""
    yield prove_line(scratch, *make(scratch), log)


if __name__ == "__main__":
    {"make": make_here, "prove": prove}[sys.argv[1]](*sys.argv[2:])
