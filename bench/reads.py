"""Make a genome and reads, and the line `prove`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from measure import GateError, Line, Side

HERE = Path(__file__).parent
GENOME, PAIRS, LENGTH = 5_000_000, 300_000, 150


def make(folder: Path) -> tuple[Path, Path]:
    """Write a genome and reads in another process: its memory would count as that of the programs that are timed."""
    if not (folder / "S_R2.fastq.gz").exists():
        subprocess.run([sys.executable, __file__, "make", folder], check=True)
    return folder / "S_R1.fastq.gz", folder / "S_R2.fastq.gz"


def make_here(folder: str) -> None:
    """Write a genome and reads."""
    import simulate

    genome = simulate.read_contig(make_genome(Path(folder)))
    simulate.write_reads(Path(folder), (genome,), PAIRS)


def make_genome(folder: Path) -> Path:
    """Write a random genome with the indexes of both aligners, unless it exists."""
    import simulate

    from containers.reference import bwa_mem3_index

    fasta = folder / "genome.fa"
    if not (folder / "genome.fa.bwt.2bit.64").exists():
        fasta.write_bytes(b">c\n" + simulate.random_bases(GENOME, 1).tobytes() + b"\n")
        subprocess.run(["bwa", "index", fasta], check=True, capture_output=True)
        subprocess.run(["samtools", "faidx", fasta], check=True)
        bwa_mem3_index.build_index(fasta)
    return fasta


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
