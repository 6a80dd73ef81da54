"""Chromosome 20 at two depths through preparation and pipeline, each job within the memory of its parameters.

    apt-get install vt-examples; make bench LINE=human      # about half an hour on two cores

The jobs are containers with the limits of their job definitions. Two depths give the fixed part and the slope of each.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import simulate
import stack

CHROMOSOME = Path("/usr/share/doc/vt/examples/ref/20.fa.gz")
DEPTHS = (3, 30)
VARIANTS = 0.001  # a base, as in a human genome
LOCAL = 1024  # MiB for jobs whose default is that of `seqdrop up`


def make(folder: Path, depth: int) -> list[Path]:
    """Write the genome, its genes, and reads of a depth, unless they exist; return R1 and R2."""
    folder.mkdir(parents=True, exist_ok=True)
    fasta, reads = folder / "chr20.fa", folder / f"{depth}x"
    paths = [reads / f"S_R{mate}.fastq.gz" for mate in (1, 2)]
    if (reads / "done").exists():
        return paths
    with gzip.open(CHROMOSOME) as packed, fasta.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    genome = simulate.read_contig(fasta)
    simulate.write_genes(folder / "chr20.gtf", "20", genome)
    reads.mkdir(exist_ok=True)
    pairs = round(depth * len(genome) / (2 * simulate.LENGTH))
    simulate.write_reads(reads, simulate.haplotypes(genome, VARIANTS), pairs, "gzip -1")
    (reads / "done").touch()
    return paths


def measure(folder: Path, executor: str, parameters: Sequence[str]) -> dict[str, Any]:
    """Prepare the genome and run both depths; return each manifest by its depth."""
    manifests = {}
    with stack.up(folder, executor, parameters) as aws:
        aws.run("reference", folder / "chr20.fa", "--genes", folder / "chr20.gtf", "--name", "chr20")
        for depth in DEPTHS:
            out = folder / f"results{depth}"
            aws.run("run", *make(folder, depth), "--sample", f"D{depth}", "--reference", "chr20", "--results", out)
            (manifest,) = out.rglob("*manifest.json")
            manifests[str(depth)] = json.loads(manifest.read_text())
    return manifests


def main(scratch: str, executor: str = "docker", *parameters: str) -> None:
    """Write manifests.json of both depths."""
    folder = Path(scratch).resolve() / "human"
    for depth in DEPTHS:
        make(folder, depth)
    (folder / "manifests.json").write_text(json.dumps(measure(folder, executor, parameters), indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
