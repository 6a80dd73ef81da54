"""The wrappers of bcftools, snpEff, samtools stats and MultiQC, run with real tools; snpEff itself is a stand-in."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from seqdrop.jobs import calling
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from support.job_runs import in_this_process
from support.made_reads import bases, write_genome

from containers.bcftools import run as bcftools
from containers.multiqc import run as multiqc
from containers.samtools_stats import run as samtools_stats
from containers.snpeff import run as snpeff

REPORT_FILES = {
    "stats": "stats.txt",
    "vcf": "vcf.gz",
    "annotated_vcf": "annotated.vcf.gz",
    "report": "report.html",
}
HEADER = "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=2000>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
CALLS = 3
# Prints the VCF without its last lines, and writes its statistics to the file after -csvStats.
JAVA = """#!/bin/sh
case "$*" in *-version) echo SnpEff 5.1d; exit;; esac
while [ $# -gt 1 ]; do [ "$1" = -csvStats ] && echo statistics > "$2"; shift; done
zcat "$1" | head -n -{lost}
"""


class Run:
    """The folder of a run, and the arguments of its jobs."""

    def __init__(self, bucket: str, folder: Path) -> None:
        self.results, self.folder = S3Uri(bucket, "NA12878/r"), folder
        self.reference = S3Uri(bucket, "demo/genome.fa")

    def argv(self, **more: Any) -> list[str]:
        values = {"reference": self.reference, **more, "results": self.results, "run": "r", "attempt": "1"}
        values |= {"vcpus": 1, "memory": 1000, "args": "[]"}
        return [arg for name, value in values.items() for arg in (f"--{name}", str(value))]

    def put(self, path: Path, uri: S3Uri, *companions: str) -> S3Uri:
        for companion in ("", *companions):
            s3.store().upload(Path(f"{path}{companion}"), uri.companion(companion))
        return uri


@pytest.fixture
def run(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    in_this_process(monkeypatch, tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin")
    return Run(bucket, tmp_path)


def annotate(run: Run, lost: int) -> None:
    """Annotate three calls with a tool that loses `lost` of them."""
    java = run.folder / "bin/java"
    java.parent.mkdir()
    java.write_text(JAVA.replace("{lost}", str(lost)))
    java.chmod(0o755)
    calls = run.folder / "calls.vcf"
    calls.write_text(HEADER + "".join(f"chr1\t{at}\t.\tA\tC\t50\tPASS\t.\n" for at in range(1, CALLS + 1)))
    subprocess.run(["bgzip", calls], check=True)
    subprocess.run(["tabix", f"{calls}.gz"], check=True)
    database = run.folder / "database.tar"
    tarfile.open(database, "w").close()
    run.put(database, run.reference.companion(".snpeff.tar"))
    vcf = run.put(Path(f"{calls}.gz"), run.results / "NA12878.vcf.gz", ".tbi")
    snpeff.main(run.argv(vcf=vcf, annotated_vcf=run.results / "NA12878.annotated.vcf.gz"))


def test_snpeff_annotates_every_call(run: Run) -> None:
    annotate(run, lost=0)
    receipt = s3.store().read_json(run.results / "jobs/annotate.json")
    assert (receipt["counts"], receipt["tools"]["snpEff"]) == ({"variants": CALLS}, "5.1d")


def test_a_call_that_snpeff_loses_is_an_error(run: Run) -> None:
    with pytest.raises(SystemExit) as exited:
        annotate(run, lost=1)
    assert exited.value.code == 70
    verdict = s3.store().read_json(run.results / "failures/annotate.1.1.json")
    assert (verdict["class"], verdict["message"]) == ("TOOL_FAILED", "3 calls went in but 2 came out")
    assert s3.store().find(run.results / "NA12878.annotated.vcf.gz") is None


@pytest.mark.parametrize(
    ("mapped", "warnings"),
    [
        (
            1,
            ["only 1 of 20 reads align to the reference: check that it is the right one and that the sample is DNA"],
        ),
        (2, []),
    ],
)
def test_reads_that_do_not_align_to_the_reference_are_a_warning(run: Run, mapped: int, warnings: list[str]) -> None:
    genome = write_genome(run.folder / "genome.fa", {"chr1": bases(2_000, seed=3)})
    subprocess.run(["samtools", "faidx", genome], check=True)
    reads = "".join(
        f"r{number}\t0\tchr1\t{number + 1}\t60\t4M\t*\t0\t0\tACGT\tIIII\n"
        if number < mapped
        else f"r{number}\t4\t*\t0\t0\t*\t*\t0\t0\tACGT\tIIII\n"
        for number in range(20)
    )
    bam = run.folder / "aligned.bam"
    sam = f"@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:chr1\tLN:2000\n{reads}"
    subprocess.run(["samtools", "view", "-b", "-o", bam, "-"], input=sam.encode(), check=True)
    subprocess.run(["samtools", "index", bam], check=True)
    run.put(genome, run.reference, ".fai")
    uri = run.put(bam, run.results / "NA12878.bam", ".bai")
    samtools_stats.main(run.argv(bam=uri, stats=run.results / "NA12878.stats.txt"))
    receipt = s3.store().read_json(run.results / "jobs/collect.json")
    assert [warning["message"] for warning in receipt["warnings"]] == warnings


@pytest.mark.parametrize("sample", ["HG002.trimmed-10-reads.v2", "S1_R1_001.fastq.gz.flagstat"])
def test_the_report_has_the_whole_name_of_the_sample_and_the_warnings_of_all_steps(run: Run, sample: str) -> None:
    run.results = S3Uri(run.results.bucket, f"{sample}/r")
    sam = "@SQ\tSN:chr1\tLN:2000\nr1\t0\tchr1\t1\t60\t4M\t*\t0\t0\tACGT\tIIII\n"
    figures = subprocess.run(["samtools", "flagstat", "-"], input=sam.encode(), check=True, capture_output=True).stdout
    outputs = {output: run.results / f"{sample}.{ending}" for output, ending in REPORT_FILES.items()}
    (run.folder / "flagstat").write_bytes(figures)
    run.put(run.folder / "flagstat", outputs["stats"].companion(".flagstat"))
    warning = {"warning": "FEW_MAPPED", "message": "only 1 of <b>20</b> reads align"}
    s3.store().write_json(run.results / "jobs/collect.json", {"version": 1, "warnings": [warning]})
    multiqc.main(run.argv(sample=sample, **outputs)[2:])  # without --reference
    [names] = s3.store().read_json(outputs["report"].companion(".json"))["report_general_stats_data"].values()
    assert list(names) == [sample]
    text = s3.store().read_start(outputs["report"], 64 << 20).decode()
    assert "Read before you use the results: 1 warning." in text
    assert "collect: only 1 of &lt;b&gt;20&lt;/b&gt; reads align" in text


def put_reads_with_variants(run: Run, contig: str, positions: list[int]) -> S3Uri:
    """Store a genome of one contig, and a BAM with a homozygous variant at each of the positions (from 0)."""
    reference = bases(400, seed=5)
    sample = list(reference)
    for position in positions:
        sample[position] = "A" if reference[position] == "C" else "C"
    genome = write_genome(run.folder / "genome.fa", {contig: reference})
    subprocess.run(["samtools", "faidx", genome], check=True)
    starts = [start for start in range(0, 301, 10) for _ in range(2)]
    reads = "".join(
        f"r{number}\t0\t{contig}\t{start + 1}\t60\t100M\t*\t0\t0"
        f"\t{''.join(sample[start : start + 100])}\t{'I' * 100}\tRG:Z:1\n"
        for number, start in enumerate(starts)
    )
    sam = f"@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:{contig}\tLN:400\n@RG\tID:1\tSM:NA12878\n{reads}"
    bam = run.folder / "aligned.bam"
    subprocess.run(["samtools", "view", "-b", "-o", bam, "-"], input=sam.encode(), check=True)
    subprocess.run(["samtools", "index", bam], check=True)
    run.put(genome, run.reference, ".fai")
    return run.put(bam, run.results / "NA12878.bam", ".bai")


@pytest.mark.parametrize(
    ("bed", "expected"),
    [("", [100, 200, 300]), ("{contig}\t150\t250\n{contig}\t299\t300\n{contig}\t300\t301\n", [200, 300])],
    ids=["the whole genome", "intervals"],
)
@pytest.mark.parametrize("contig", ["NC_045512.2", "HLA-A*01:01:01:01"])
@pytest.mark.parametrize("caller", [bcftools], ids=["bcftools"])
def test_a_caller_finds_variants_in_all_regions_or_in_the_intervals(
    run: Run, monkeypatch: pytest.MonkeyPatch, caller: Any, contig: str, bed: str, expected: list[int]
) -> None:
    """Some contigs of hg38 have colons in their names, which `contig:start-end` cannot express."""
    monkeypatch.setattr(calling, "MIN_REGION_SIZE", 100)
    bam = put_reads_with_variants(run, contig, [100, 200, 300])
    intervals: S3Uri | str = "all"
    if bed:
        intervals = run.reference.parent / "panel.bed"
        (run.folder / "panel.bed").write_text(bed.format(contig=contig))
        run.put(run.folder / "panel.bed", intervals)
    vcf = run.results / "NA12878.vcf.gz"
    caller.main(run.argv(sample="NA12878", intervals=intervals, bam=bam, vcf=vcf))
    s3.store().download(vcf, run.folder / "found.vcf.gz")
    query = ["bcftools", "query", "-f", "%CHROM %POS0\n", str(run.folder / "found.vcf.gz")]
    found = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    assert found == [f"{contig} {position}" for position in expected]
