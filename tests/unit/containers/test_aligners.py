"""The wrappers of the three aligners: good reads become a BAM, bad reads are refused. Isaac is a fake program."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from seqdrop.storage import s3
from support.aligner_runs import GENOME, ONE, PAIRS, TWO, AlignerRun, alignments, run_isaac, trim
from support.function_aws import Deployed
from support.made_reads import Record, text, to_gzip, write_genome

from containers.bwa import run as bwa
from containers.bwa_mem3 import run as bwa_mem3
from containers.reference.bwa_mem3_index import build_index

ALIGNERS = {"bwa": bwa.main, "bwa_mem3": bwa_mem3.main, "isaac": run_isaac}


@pytest.mark.parametrize("main", ALIGNERS.values(), ids=ALIGNERS)
def test_all_reads_of_a_good_pair_are_in_the_bam(
    aws: Deployed, aligner_run: AlignerRun, tmp_path: Path, main: Callable[[Sequence[str]], None]
) -> None:
    aligner_run.put(aws, to_gzip(text(ONE)), to_gzip(text(TWO)))
    main(aligner_run.argv())
    assert len(alignments(tmp_path, aligner_run.results / "NA12878.bam")) >= 2 * PAIRS
    receipt = s3.store().read_json(aligner_run.results / "jobs/align.json")
    known = {"known_bases": 200 * PAIRS} if main is run_isaac else {}
    expected = {"reads": 2 * PAIRS, "primary_records": 2 * PAIRS, "bases": 200 * PAIRS, "primary_bases": 200 * PAIRS}
    assert receipt["counts"] == {**expected, **known}
    assert receipt["warnings"] == []
    statistics = s3.store().find(aligner_run.results / "NA12878.bam.DemultiplexingStats.xml")
    assert (statistics is not None) == (main is run_isaac)


@pytest.mark.parametrize("main", ALIGNERS.values(), ids=ALIGNERS)
def test_the_cram_of_every_aligner_has_the_records_of_its_bam(
    aws: Deployed,
    aligner_run: AlignerRun,
    aligner_genome: Path,
    tmp_path: Path,
    main: Callable[[Sequence[str]], None],
) -> None:
    aligner_run.put(aws, *(to_gzip(text(trim(reads, 100, 60))) for reads in (ONE, TWO)))
    (tmp_path / "genome.fa").write_bytes(aligner_genome.read_bytes())
    found, counts = {}, {}
    for suffix in ("bam", "cram"):
        main(aligner_run.argv(bam=aligner_run.results / f"NA12878.{suffix}", attempt=len(found) + 1))
        records = alignments(tmp_path, aligner_run.results / f"NA12878.{suffix}")
        found[suffix] = [(record[:11], sorted(record[11:])) for record in records]
        counts[suffix] = aligner_run.counts()
        s3.store().client.delete_object(
            Bucket=aligner_run.results.bucket, Key=f"{aligner_run.results.key}/jobs/align.json"
        )
    assert len(found["bam"]) >= 2 * PAIRS
    assert found["cram"] == found["bam"]
    assert counts["cram"] == counts["bam"]
    names = set(s3.store().list_names(aligner_run.results))
    assert {"NA12878.cram", "NA12878.cram.crai", "NA12878.cram.md5"} <= names
    assert ("NA12878.cram.BuildStats.xml" in names) == (main is run_isaac)


@pytest.mark.usefixtures("aligner_run")  # its environment
def test_a_large_job_sorts_by_region_and_its_bam_has_the_records_of_a_small_job(
    aws: Deployed, bucket: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The genome has four contigs. Some pairs are on two of them; each has a copy of less quality."""
    contigs = {f"chr{at // 5_000}": GENOME[at : at + 5_000] for at in range(0, len(GENOME), 5_000)}
    genome = write_genome(tmp_path_factory.mktemp("contigs") / "genome.fa", contigs)
    subprocess.run(["bwa", "fa2pac", "-f", genome], check=True, capture_output=True)
    subprocess.run(["samtools", "faidx", genome], check=True)
    build_index(genome)
    run = AlignerRun(bucket, genome)
    reference = [{"name": name, "length": len(contig), "md5": "x"} for name, contig in contigs.items()]
    s3.store().write_json(run.reference.parent / "reference.json", {"contigs": reference})
    copies = [[(f"copy_{name}", seq, "5" * len(seq)) for name, seq, _ in reads] for reads in (ONE, TWO)]
    run.put(aws, *(to_gzip(text([*reads, *others])) for reads, others in zip((ONE, TWO), copies, strict=True)))
    found, commands = {}, {}
    for vcpus in (2, 8):
        bwa_mem3.main(run.argv(vcpus=vcpus))
        receipt = run.results / "jobs/align.json"
        found[vcpus], commands[vcpus] = (
            (alignments(tmp_path, run.results / "NA12878.bam"), run.counts()),
            s3.store().read_json(receipt)["commands"],
        )
        s3.store().client.delete_object(Bucket=receipt.bucket, Key=receipt.key)
    assert found[8] == found[2]
    records, _ = found[2]
    assert {record[2] for record in records if int(record[1]) & 0x400} == set(contigs)
    assert {record[6] for record in records} >= {"=", *contigs}
    assert commands[2][0].startswith("samtools fixmate -u -m - - | samtools sort -@ 2 ")
    assert commands[8][0] == "samtools fixmate -u -m - -"
    assert commands[8][1].startswith("samtools sort -@ 2 -m 85M -T sort_region0 -u - | samtools markdup ")


@pytest.mark.parametrize("main", ALIGNERS.values(), ids=ALIGNERS)
def test_reads_of_all_lengths_keep_all_their_bases(
    aws: Deployed, aligner_run: AlignerRun, main: Callable[[Sequence[str]], None]
) -> None:
    aligner_run.put(aws, to_gzip(text(trim(ONE, 100, 60, 35))), to_gzip(text(trim(TWO, 90, 70))))
    main(aligner_run.argv())
    counts = s3.store().read_json(aligner_run.results / "jobs/align.json")["counts"]
    total = sum(len(seq) for _, seq, _ in (*trim(ONE, 100, 60, 35), *trim(TWO, 90, 70)))
    known = total - 2 * 2 * PAIRS
    assert counts["bases"] == total
    assert counts["primary_bases"] == (known if main is run_isaac else total)


def test_bwa_aligns_a_stream_as_it_aligns_files(
    aws: Deployed, aligner_run: AlignerRun, aligner_genome: Path, tmp_path: Path
) -> None:
    aligner_run.put(aws, to_gzip(text(ONE)), to_gzip(text(TWO)))
    bwa.main(aligner_run.argv())
    for mate, reads in ((1, ONE), (2, TWO)):
        (tmp_path / f"R{mate}.fastq").write_bytes(text(reads))
    command: list[str | Path] = [
        "bwa",
        "mem",
        "-K",
        "100000000",
        "-Y",
        aligner_genome,
        tmp_path / "R1.fastq",
        tmp_path / "R2.fastq",
    ]
    expected = subprocess.run(command, capture_output=True, check=True).stdout.decode().splitlines()
    found = alignments(tmp_path, aligner_run.results / "NA12878.bam")
    assert sorted(without_duplicate_flag(record) for record in found) == sorted(
        without_duplicate_flag(line.split("\t")) for line in expected if not line.startswith("@")
    )


def without_duplicate_flag(record: list[str]) -> list[str]:
    return [record[0], str(int(record[1]) & ~0x400), *record[2:9]]


def rename(reads: list[Record], position: int) -> list[Record]:
    return [*reads[:position], ("another", *reads[position][1:]), *reads[position + 1 :]]


COMPLETE = to_gzip(text(TWO))
BAD = {
    "one read fewer": (
        to_gzip(text(TWO[:-1])),
        "MATE_COUNT",
        "NA12878_R1.fastq.gz and NA12878_R2.fastq.gz contain different numbers",
    ),
    "another name": (to_gzip(text(rename(TWO, 390))), "MATE_NAMES", "read 391 has different names in NA12878_R1"),
    "truncated": (COMPLETE[:-2_000], "TRUNCATED", "NA12878_R2.fastq.gz is truncated"),
    "extra bytes": (COMPLETE + b"junk", "CORRUPT_GZIP", "NA12878_R2.fastq.gz has 4 extra bytes after the end"),
}


@pytest.mark.parametrize("main", ALIGNERS.values(), ids=ALIGNERS)
@pytest.mark.parametrize(("two", "kind", "text_of_message"), BAD.values(), ids=BAD)
def test_an_error_in_the_last_reads_is_reported_and_nothing_is_published(
    aws: Deployed,
    aligner_run: AlignerRun,
    main: Callable[[Sequence[str]], None],
    two: bytes,
    kind: str,
    text_of_message: str,
) -> None:
    aligner_run.put(aws, to_gzip(text(ONE)), two)
    with pytest.raises(SystemExit) as exited:
        main(aligner_run.argv())
    assert exited.value.code == 65
    failure_class, message = aligner_run.failure()
    assert failure_class == f"BAD_INPUT.{kind}"
    assert text_of_message in message.replace("<sample>", "NA12878")
    assert s3.store().list_names(aligner_run.results) == ["failures/align.1.1.json", "reads.json"]
