"""The lines `call`, `contigs`, `annotate` and `index`: one job each, S3 to S3, against its tools by hand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import bacterium
import staging
from measure import GateError, Line, Side

ROOT = Path(__file__).resolve().parents[1]
CONTIGS = 10_000
INDEXED = 20_000_000  # bases
SIZES = {".0123": 2, ".64": 2, ".bwt": 0.5, ".sa": 0.5}  # bytes for a base, at least
MPILEUP = "bcftools mpileup -f genome.fa -B -d 100000 -L 200000 -g 1,10,20 -a FORMAT/AD,FORMAT/DP -Ou sorted.bam"
CALL = f"""
{MPILEUP} | bcftools call -m -g 1,10,20 --ploidy 1 -a GQ -Oz -o sites.g.vcf.gz -
bcftools index -t sites.g.vcf.gz
bcftools view -m2 -e 'ALT="<*>"' -Ou sites.g.vcf.gz | bcftools norm -f genome.fa -Oz -o S.vcf.gz -
bcftools index -t S.vcf.gz
"""
ANNOTATE = """
mkdir -p data && tar -xf genome.fa.snpeff.tar
java -Xmx1g -jar /usr/share/java/snpeff.jar ann -c snpEff.config -dataDir $PWD/data -nodownload genome S.vcf.gz > S.vcf
bgzip -c S.vcf > S.annotated.vcf.gz
bcftools index -t S.annotated.vcf.gz
"""
CALLED = ("g/genome.fa", "g/genome.fa.fai", "S/r/S.bam", "S/r/S.bam.bai")


def by_hand(folder: str, script: str, files: str, results: str) -> None:
    """Download with boto3, run a script, upload with boto3."""
    import boto3

    client, work = boto3.client("s3"), Path(folder)
    for key in files.split(","):
        client.download_file("b", key, str(work / Path(key).name.replace("S.bam", "sorted.bam")))
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=work, check=True)
    for name in results.split(","):
        client.upload_file(str(work / name), "b", f"S/r/{name}")


def hand(scratch: Path, script: str, files: tuple[str, ...], results: str) -> list[str | Path]:
    """Return the command that does the work of a job by hand, in an empty folder."""
    shutil.rmtree(scratch / "hand", ignore_errors=True)
    (scratch / "hand").mkdir(parents=True)
    return [sys.executable, __file__, scratch / "hand", script, ",".join(files), results]


def job(
    tool: str, scratch: Path, env: Mapping[str, str], vcpus: int = 2, **values: str
) -> tuple[list[str], dict[str, str]]:
    """Return the command line of a job of the run r and its environment."""
    (scratch / "work").mkdir(parents=True, exist_ok=True)
    common = {"sample": "S"} if tool == "bcftools" else {}
    common |= {"reference": "s3://b/g/genome.fa", "results": "s3://b/S/r", "run": "r", "args": "[]", **values}
    sizes = {"attempt": 1, "vcpus": vcpus, "memory": 2048}
    return bacterium.wrapper(tool, {**common, **sizes}), {**env, "SEQDROP_SCRATCH": str(scratch / "work")}


def _write_reference(folder: Path) -> None:
    """Give the run the reference.json that was prepared, without the pins of the sources."""
    shutil.copyfile(folder / "g/reference.json", folder / "S/r/reference.json")


def _calls(folder: Path, least: float) -> str:
    (folder / "S/r/jobs/call.json").unlink(missing_ok=True)  # else the next job finds its work done
    return bacterium.check_calls(folder, folder / "S/r/S.vcf.gz", least)


def call_line(name: str, folder: Path, scratch: Path, env: Mapping[str, str], least: float = 0.97) -> Line:
    """Return a line that calls the variants of a genome on 2 cores, against one process."""
    outputs = {"vcf": "s3://b/S/r/S.vcf.gz", "gvcf": "s3://b/S/r/S.g.vcf.gz"}
    values = {"intervals": "all", "bam": "s3://b/S/r/S.bam", "parts": "1", **outputs}
    command, environment = job("bcftools", scratch, env, **values)
    return Line(name, [
        Side("seqdrop", command, lambda: _calls(folder, least), environment),
        Side("one process", hand(scratch, CALL, CALLED, "S.vcf.gz.tbi,S.vcf.gz"), lambda: _calls(folder, least), env),
    ])  # fmt: skip


def annotate_line(folder: Path, scratch: Path, env: Mapping[str, str]) -> Line:
    """Return the line that annotates the variants of a bacterium."""
    values = {"vcf": "s3://b/S/r/S.vcf.gz", "annotated_vcf": "s3://b/S/r/S.annotated.vcf.gz"}
    command, environment = job("snpeff", scratch, env, **values)
    called = ("S/r/S.vcf.gz", "g/genome.fa.snpeff.tar")

    def annotated() -> str:
        (folder / "S/r/jobs/annotate.json").unlink(missing_ok=True)
        vcf = folder / "S/r/S.annotated.vcf.gz"
        rows = subprocess.run(
            ["bcftools", "query", "-f", "%POS %ANN\n", vcf], capture_output=True, check=True, text=True
        )
        vcf.unlink()
        effects = sum("missense_variant" in row for row in rows.stdout.splitlines())
        if not effects:
            raise GateError("no variant has an effect")
        return str(effects)

    results = "S.annotated.vcf.gz.tbi,S.annotated.vcf.gz"
    return Line("annotate", [
        Side("seqdrop", command, annotated, environment),
        Side("snpEff defaults", hand(scratch, ANNOTATE, called, results), annotated, env),
    ])  # fmt: skip


def index_line(scratch: Path) -> Line:
    """Return the line that writes the index of bwa-mem3 with positions of 64 bits, against `bwa index`."""
    import simulate

    folder = scratch / "index"
    folder.mkdir(exist_ok=True)
    fasta = folder / "genome.fa"
    fasta.write_bytes(b">c\n" + simulate.random_bases(INDEXED, 6).tobytes() + b"\n")
    build = "from containers.reference.bwa_mem3_index import build_index; build_index(Path('genome.fa'), force64=True)"
    script = f'bwa fa2pac -f genome.fa && exec {sys.executable} -c "from pathlib import Path; {build}"'

    def written(*suffixes: str) -> str:
        for path in (fasta.with_name(fasta.name + suffix) for suffix in suffixes):
            if not path.exists() or path.stat().st_size < SIZES[path.suffix] * INDEXED:
                raise GateError(f"{path.name} is missing or too short")
            path.unlink()
        return "written"

    return Line("index of 20 Mb", [
        Side("seqdrop", ["bash", "-ec", f"cd {folder}; PYTHONPATH={ROOT} {script}"],
             lambda: written(".0123", ".bwt.2bit.64")),
        Side("bwa index", ["bwa", "index", fasta], lambda: written(".bwt", ".sa")),
    ])  # fmt: skip


def lines(scratch: Path, wanted: str) -> Iterator[Line]:
    """Yield the lines of single jobs."""
    if "index".startswith(wanted):
        yield index_line(scratch)
    if any(name.startswith(wanted) for name in ("call", "annotate")):
        folder = bacterium.make(scratch / "bacterium")
        with ready(folder) as env:
            yield call_line("call, 2 cores", folder, scratch, env)
            _make_calls(folder, scratch, env)
            yield annotate_line(folder, scratch, env)
    if "contigs".startswith(wanted):
        folder = bacterium.make(scratch / "contigs", size=5_000_000, depth=5, contigs=CONTIGS)
        with ready(folder) as env:
            # At the ends of its contigs of 500 bases, and at depth 5, variants have few reads.
            yield call_line(f"contigs: call with {CONTIGS:,}", folder, scratch, env, least=0.8)


@contextmanager
def ready(folder: Path) -> Iterator[dict[str, str]]:
    """Serve a genome that is prepared and whose reads are aligned; yield the environment of the clients."""
    with staging.server(folder, "*") as env:
        bacterium.prepare(folder, env)
        bacterium.align(folder)
        _write_reference(folder)
        yield env


def _make_calls(folder: Path, scratch: Path, env: Mapping[str, str]) -> None:
    if not (folder / "S/r/S.vcf.gz").exists():
        command = hand(scratch, CALL, CALLED, "S.vcf.gz.tbi,S.vcf.gz")
        subprocess.run(command, env=bacterium.whole(env), check=True, capture_output=True)


if __name__ == "__main__":
    by_hand(*sys.argv[1:])
