"""The wrappers of snpEff and samtools stats: what they make of what their tools leave."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from support.job_runs import in_this_process
from support.made_reads import bases, write_genome

from containers.samtools_stats import run as samtools_stats
from containers.snpeff import run as snpeff

HEADER = "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=2000>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
CALLS = 3
# Passes the VCF on, but for its last lines; keeps its figures where it is told to.
JAVA = """#!/bin/sh
case "$*" in *-version) echo SnpEff 5.1d; exit;; esac
while [ $# -gt 1 ]; do [ "$1" = -csvStats ] && echo figures > "$2"; shift; done
zcat "$1" | head -n -{lost}
"""


class Place:
    """The folder of a run, and the words of a job in it."""

    def __init__(self, bucket: str, folder: Path) -> None:
        self.results, self.folder = S3Uri(bucket, "NA12878/r"), folder
        self.reference = S3Uri(bucket, "demo/genome.fa")

    def words(self, **more: Any) -> list[str]:
        values = {"reference": self.reference, **more, "results": self.results, "run": "r", "attempt": "1"}
        values |= {"vcpus": 1, "memory": 1000, "args": "[]"}
        return [word for name, value in values.items() for word in (f"--{name}", str(value))]

    def put(self, path: Path, uri: S3Uri, *companions: str) -> S3Uri:
        for companion in ("", *companions):
            s3.store().upload(Path(f"{path}{companion}"), uri.companion(companion))
        return uri


@pytest.fixture
def place(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    in_this_process(monkeypatch, tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin")
    return Place(bucket, tmp_path)


def annotated(place: Place, lost: int) -> None:
    """Annotate three calls with a tool that loses some."""
    java = place.folder / "bin/java"
    java.parent.mkdir()
    java.write_text(JAVA.replace("{lost}", str(lost)))
    java.chmod(0o755)
    calls = place.folder / "calls.vcf"
    calls.write_text(HEADER + "".join(f"chr1\t{at}\t.\tA\tC\t50\tPASS\t.\n" for at in range(1, CALLS + 1)))
    subprocess.run(["bgzip", calls], check=True)
    subprocess.run(["tabix", f"{calls}.gz"], check=True)
    database = place.folder / "database.tar"
    tarfile.open(database, "w").close()
    place.put(database, place.reference.companion(".snpeff.tar"))
    vcf = place.put(Path(f"{calls}.gz"), place.results / "NA12878.vcf.gz", ".tbi")
    snpeff.main(place.words(vcf=vcf, annotated_vcf=place.results / "NA12878.annotated.vcf.gz"))


def test_as_many_calls_come_out_of_snpeff_as_went_in(place: Place) -> None:
    annotated(place, lost=0)
    receipt = s3.store().read_json(place.results / "jobs/annotate.json")
    assert (receipt["counts"], receipt["tools"]["snpEff"]) == ({"variants": CALLS}, "5.1d")


def test_a_call_that_snpeff_loses_is_missed(place: Place) -> None:
    with pytest.raises(SystemExit) as ended:
        annotated(place, lost=1)
    assert ended.value.code == 70
    verdict = s3.store().read_json(place.results / "failures/annotate.1.1.json")
    assert (verdict["class"], verdict["message"]) == ("TOOL_FAILED", "3 calls went in but 2 came out")
    assert s3.store().find(place.results / "NA12878.annotated.vcf.gz") is None


@pytest.mark.parametrize(
    ("mapped", "warned"),
    [
        (1, ["only 1 of 20 reads match this reference: is it the right one, and are these reads of DNA?"]),
        (2, []),
    ],
)
def test_reads_that_hardly_match_the_reference_are_warned_of(place: Place, mapped: int, warned: list[str]) -> None:
    genome = write_genome(place.folder / "genome.fa", {"chr1": bases(2_000, seed=3)})
    subprocess.run(["samtools", "faidx", genome], check=True)
    reads = "".join(
        f"r{number}\t0\tchr1\t{number + 1}\t60\t4M\t*\t0\t0\tACGT\tIIII\n"
        if number < mapped
        else f"r{number}\t4\t*\t0\t0\t*\t*\t0\t0\tACGT\tIIII\n"
        for number in range(20)
    )
    bam = place.folder / "aligned.bam"
    sam = f"@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:chr1\tLN:2000\n{reads}"
    subprocess.run(["samtools", "view", "-b", "-o", bam, "-"], input=sam.encode(), check=True)
    subprocess.run(["samtools", "index", bam], check=True)
    place.put(genome, place.reference, ".fai")
    uri = place.put(bam, place.results / "NA12878.bam", ".bai")
    samtools_stats.main(place.words(bam=uri, stats=place.results / "NA12878.stats.txt"))
    receipt = s3.store().read_json(place.results / "jobs/collect.json")
    assert [warning["message"] for warning in receipt["warnings"]] == warned
