"""The line `align`: from FASTQs in S3 to a sorted, marked and indexed BAM in S3."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import reads
import staging
from measure import GateError, Line, Side

HERE = Path(__file__).parent
GROUP = "@RG\\tID:HXYZTDSXX.1\\tSM:S\\tLB:S\\tPL:ILLUMINA\\tPU:HXYZTDSXX.1.S"
BWA = ("amb", "ann", "bwt", "pac", "sa")
MARK = "samtools markdup -@ 2 --write-index -O bam,level=1"
CLASSIC = f"""
bwa mem -t 2 -K 100000000 -Y -R {shlex.quote(GROUP)} genome.fa S_R1.fastq.gz S_R2.fastq.gz > all.sam
samtools view -@ 2 -b -o all.bam all.sam
samtools fixmate -@ 2 -m all.bam fixed.bam
samtools sort -@ 2 -o sorted.bam fixed.bam
samtools markdup -@ 2 sorted.bam S.bam
samtools index -@ 2 S.bam
"""
PIPE = f"""
bwa mem -t 2 -K 100000000 -Y -R {shlex.quote(GROUP)} genome.fa S_R1.fastq.gz S_R2.fastq.gz \
| samtools fixmate -u -m - - | samtools sort -@ 2 -u - | {MARK} - S.bam##idx##S.bam.bai
"""


def by_hand(folder: str, script: str) -> None:
    """Download with boto3, run a script, upload with boto3."""
    import boto3

    client, work = boto3.client("s3"), Path(folder)
    for name in ("S_R1.fastq.gz", "S_R2.fastq.gz", "g/genome.fa", *(f"g/genome.fa.{suffix}" for suffix in BWA)):
        client.download_file("b", name, str(work / Path(name).name))
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=work, check=True)
    for name in ("S.bam.bai", "S.bam"):
        client.upload_file(str(work / name), "b", f"S/r/{name}")


def write_inputs(folder: Path) -> None:
    """Write reads.json and reference.json, and the folder of the run."""
    results = folder / "S/r"
    results.mkdir(parents=True, exist_ok=True)
    pins = {f"fastq_{mate}": {"uri": f"s3://b/S_R{mate}.fastq.gz"} for mate in (1, 2)}
    lane = {"lane": "L001", "read_group": "HXYZTDSXX.1", **pins}
    (results / "reads.json").write_text(json.dumps({"sample": "S", "lanes": [lane], "warnings": []}))
    contigs = [{"name": "c", "length": reads.GENOME, "md5": "0" * 32}]
    (results / "reference.json").write_text(json.dumps({"contigs": contigs}))


def check(folder: Path) -> str:
    """Return the primary records of the BAM that arrived, and delete it; most reads must have their place."""
    bam = folder / "S/r/S.bam"
    primary, placed = (
        int(subprocess.run(["samtools", "view", "-c", "-F", flag, bam], capture_output=True, check=True).stdout)
        for flag in ("0x900", "0x904")
    )
    if primary != 2 * reads.PAIRS or placed < 0.99 * primary:
        raise GateError(f"of {2 * reads.PAIRS} reads, {primary} are in the BAM, {placed} with a place")
    bam.unlink()
    return str(primary)


def lines(scratch: Path) -> Iterator[Line]:
    """Yield the line `align`."""
    source = scratch / "align"
    source.mkdir(exist_ok=True)
    reads.make(source)
    (source / "g").mkdir(exist_ok=True)
    for file in source.glob("genome.fa*"):
        file.replace(source / "g" / file.name)
    write_inputs(source)
    with staging.server(source, ".bam") as env:
        work = scratch / "work"
        work.mkdir(exist_ok=True)
        values = {"sample": "S", "reference": "s3://b/g/genome.fa", "reads": "s3://b/S/r/reads.json", "vcpus": 2,
                  "bam": "s3://b/S/r/S.bam", "results": "s3://b/S/r", "run": "r", "attempt": 1, "memory": 4096,
                  "args": "[]"}  # fmt: skip
        flags = [str(word) for name, value in values.items() for word in (f"--{name}", value)]
        wrapper = [sys.executable, "-m", "containers.bwa_mem3.run", *flags]
        yield Line("align S3 to S3", [
            Side("seqdrop", wrapper, lambda: check(source), {**env, "SEQDROP_SCRATCH": str(work)}),
            Side("file by file", [sys.executable, __file__, work, CLASSIC], lambda: check(source), env),
            Side("bwa mem + one pipe", [sys.executable, __file__, work, PIPE], lambda: check(source), env),
        ])  # fmt: skip


if __name__ == "__main__":
    by_hand(*sys.argv[1:])
