"""Make a bacterium of 4.6 Mb with genes and variants, its reads at depth 30, and a prepared reference in S3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import simulate
from measure import GateError

GENOME, DEPTH, VARIANTS = 4_600_000, 30, 0.001
CONTIG = "c"
GROUP = "@RG\\tID:HXYZTDSXX.1\\tSM:S\\tLB:S\\tPL:ILLUMINA\\tPU:HXYZTDSXX.1.S"


def make(folder: Path, size: int = GENOME, depth: int = DEPTH, contigs: int = 1) -> Path:
    """Write genome.fa, genes.gtf, truth.json and reads in another process, unless they exist; return the folder."""
    if not (folder / "truth.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, __file__, "make", folder, str(size), str(depth), str(contigs)], check=True)
    return folder


def make_here(path: str, size: str, depth: str, contigs: str) -> None:
    """Write a genome of contigs of equal sizes, its genes, its reads and the positions of its variants."""
    import numpy as np

    folder, genome, length = Path(path), simulate.random_bases(int(size), 4), int(size) // int(contigs)
    # A haploid organism: all variants are in all reads.
    sample = simulate.haplotypes(genome, VARIANTS)[0]
    names = [CONTIG if contigs == "1" else f"{CONTIG}{number}" for number in range(int(contigs))]
    with (folder / "genome.fa").open("wb") as file:
        for number, name in enumerate(names):
            contig = genome[number * length : (number + 1) * length]
            file.write(b">%s\n%s\n" % (name.encode(), contig.tobytes()))
    simulate.write_genes(folder / "genes.gtf", names[0], genome[:length], every=3_000)
    simulate.write_reads(folder, (sample,), round(int(depth) * len(genome) / (2 * simulate.LENGTH)))
    places = np.flatnonzero(sample != genome)
    truth = [f"{names[place // length]}:{place % length + 1}:{chr(sample[place])}" for place in places]
    (folder / "truth.json").write_text(json.dumps(truth))


def prepare(folder: Path, env: Mapping[str, str]) -> None:
    """Prepare the reference `g` in S3, unless it is there."""
    if (folder / "g/reference.json").exists():
        return
    sources = subprocess.run(
        [sys.executable, __file__, "pin"], env=whole(env), capture_output=True, check=True, text=True
    )
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    environment = {**env, "SEQDROP_SCRATCH": str(scratch)}
    genes = "s3://b/genes.gtf" if (folder / "genes.gtf").stat().st_size else "none"  # short contigs have none
    values = {"fasta": "s3://b/genome.fa", "genes": genes, "sources": sources.stdout.strip(),
              "aligner": "bwa", "reference": "s3://b/g/genome.fa", "results": "s3://b/g/preparation/r", "run": "r",
              "attempt": 1, "vcpus": 2, "memory": 2048, "args": '["--ploidy", "1"]'}  # fmt: skip
    subprocess.run(wrapper("reference", values), env=whole(environment), check=True, stdout=sys.stderr)


def pin() -> None:
    """Print the versions of the sources of the reference."""
    from seqdrop.storage import s3
    from seqdrop.storage.uri import S3Uri

    names = {"fasta": "genome.fa", "genes": "genes.gtf"}
    found = {name: s3.store().find(S3Uri("b", key)) for name, key in names.items()}
    sys.stdout.write(json.dumps({name: stored.source() for name, stored in found.items() if stored}))


def whole(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of this process with other values."""
    return {**os.environ, **env}


def wrapper(tool: str, values: Mapping[str, object]) -> list[str]:
    """Return the command line of a job."""
    flags = [str(word) for name, value in values.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", f"containers.{tool}.run", *flags]


def align(folder: Path) -> Path:
    """Write S.bam, sorted, with duplicates marked and indexed, unless it exists."""
    bam = folder / "S/r/S.bam"
    if not bam.with_suffix(".bam.bai").exists():
        bam.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["bwa", "index", folder / "genome.fa"], check=True, capture_output=True)
        pipe = (
            f"bwa mem -t 2 -Y -R '{GROUP}' genome.fa S_R1.fastq.gz S_R2.fastq.gz | samtools fixmate -u -m - - | "
            "samtools sort -u - | samtools markdup --write-index -O bam,level=1 - S/r/S.bam##idx##S/r/S.bam.bai"
        )
        subprocess.run(["bash", "-euo", "pipefail", "-c", pipe], cwd=folder, check=True, capture_output=True)
    return bam


def found(folder: Path, vcf: Path) -> list[str]:
    """Return the true variants that a VCF has, and delete the VCF."""
    rows = subprocess.run(
        ["bcftools", "query", "-f", "%CHROM:%POS:%ALT\n", vcf], capture_output=True, check=True, text=True
    )
    vcf.unlink()
    return sorted(set(rows.stdout.split()) & set(json.loads((folder / "truth.json").read_text())))


def check_calls(folder: Path, vcf: Path, least: float) -> str:
    """Raise GateError unless a VCF has at least this share of the variants."""
    wanted, right = len(json.loads((folder / "truth.json").read_text())), len(found(folder, vcf))
    if right < least * wanted:
        raise GateError(f"{right} of {wanted} variants were found")
    return "found"


if __name__ == "__main__":
    {"make": make_here, "pin": pin}[sys.argv[1]](*sys.argv[2:])
