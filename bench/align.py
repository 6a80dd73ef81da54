"""The lines `align` and `slow-link`: from FASTQs in S3 to a sorted, marked and indexed BAM in S3."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bacterium
import reads
import staging
from measure import GateError, Line, Side, run

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
# The commands of nf-core/sarek 3 with `--skip_tools baserecalibrator`; MarkDuplicates of GATK is that of Picard. fastp
# splits the reads there; here it copies them, and removes none, so that all sides have the same.
SAREK_TOOLS = ("fastp", "PicardCommandLine")
SAREK = f"""
fastp --thread 2 --disable_adapter_trimming --disable_quality_filtering --disable_length_filtering \
    -i S_R1.fastq.gz -I S_R2.fastq.gz -o 1.S_R1.fastq.gz -O 1.S_R2.fastq.gz -j fastp.json -h fastp.html
bwa mem -t 2 -K 100000000 -Y -R {shlex.quote(GROUP)} genome.fa 1.S_R1.fastq.gz 1.S_R2.fastq.gz \
| samtools sort -@ 2 -o sorted.bam -
PicardCommandLine MarkDuplicates -I sorted.bam -O S.bam -M metrics.txt
samtools index -@ 2 S.bam
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


def lines(scratch: Path, log: Path, wanted: str) -> Iterator[Line]:
    """Yield the lines `align` and `slow-link`."""
    source = scratch / "align"
    source.mkdir(exist_ok=True)
    reads.make(source)
    (source / "g").mkdir(exist_ok=True)
    for file in source.glob("genome.fa*"):
        file.replace(source / "g" / file.name)
    write_inputs(source)
    work = scratch / "work"
    work.mkdir(exist_ok=True)
    values = {"sample": "S", "reference": "s3://b/g/genome.fa", "reads": "s3://b/S/r/reads.json", "vcpus": 2,
              "bam": "s3://b/S/r/S.bam", "results": "s3://b/S/r", "run": "r", "attempt": 1, "memory": 4096,
              "args": "[]"}  # fmt: skip
    wrapper = bacterium.wrapper("bwa_mem3", values)

    def side(name: str, command: list[str | Path], env: dict[str, str]) -> Side:
        return Side(name, command, lambda: check(source), {**env, "SEQDROP_SCRATCH": str(work)})

    with staging.server(source, ".bam") as env:
        if "align".startswith(wanted):
            scripts = {"file by file": CLASSIC, "bwa mem + one pipe": PIPE}
            if all(map(shutil.which, SAREK_TOOLS)):
                scripts["the tools of sarek"] = SAREK
            others = [side(name, [sys.executable, __file__, work, text], env) for name, text in scripts.items()]
            yield Line("align S3 to S3", [side("seqdrop", [*wrapper], env), *others])
        if "slow-link".startswith(wanted):
            fast = side("a fast link", [*wrapper], env)
            seconds = run(fast, log).wall
            check(source)
            with staging.server(source, ".bam", _size(source) / (seconds / 2)) as slow:
                yield Line("slow-link: of half the compute", [side("seqdrop", [*wrapper], slow), fast])


def _size(source: Path) -> int:
    """Return the bytes that the job reads; those that it writes are about as many as its reads."""
    index = [*(source / "g").glob("genome.fa.*"), source / "g/genome.fa"]
    own = [path for path in index if path.suffix not in {f".{suffix}" for suffix in BWA} - {".ann", ".amb", ".pac"}]
    fastqs = [source / f"S_R{mate}.fastq.gz" for mate in (1, 2)]
    return sum(path.stat().st_size for path in [*own, *fastqs, *fastqs])


if __name__ == "__main__":
    by_hand(*sys.argv[1:])
