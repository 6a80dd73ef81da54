"""The wrappers of the three aligners: good reads become a BAM, bad reads are refused. Isaac is a fake program."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from seqdrop.fastq import reader
from seqdrop.jobs.bwa_mem3 import build_index
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from support.function_aws import FASTQS, Deployed
from support.job_runs import in_this_process
from support.made_reads import Record, bases, pairs_of, text, to_gzip, write_genome

from containers.bwa import run as bwa
from containers.bwa_mem3 import run as bwa_mem3
from containers.isaac import run as isaac

STAND_INS = Path(__file__).parents[2] / "support/stand_ins"
SMALL_TABLE = json.dumps(["--seed-length", "12"])  # the default needs 17 GB


def run_isaac(argv: Sequence[str]) -> None:
    """Run Isaac with a small table, unless the run has other options."""
    isaac.main([SMALL_TABLE if argument == "[]" else argument for argument in argv])


ALIGNERS = {"bwa": bwa.main, "bwa_mem3": bwa_mem3.main, "isaac": run_isaac}
CONTIG, GENOME = "chr1", bases(20_000, seed=11)
PAIRS = 400
ONE, TWO = pairs_of(GENOME, PAIRS, seed=12)


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a genome with the indexes of all aligners."""
    path = write_genome(tmp_path_factory.mktemp("aligners") / "genome.fa", {CONTIG: GENOME})
    subprocess.run(["bwa", "index", path], check=True, capture_output=True)
    subprocess.run(["samtools", "faidx", path], check=True)
    build_index(path)
    return path


class Run:
    """The folder of a run, its reference and its reads."""

    def __init__(self, bucket: str, genome: Path) -> None:
        self.results = S3Uri(bucket, "NA12878/r")
        self.reference = S3Uri(bucket, "demo/genome.fa")
        for path in genome.parent.iterdir():
            s3.store().upload(path, self.reference.parent / path.name)
        contigs = [{"name": CONTIG, "length": len(GENOME), "md5": "x"}]
        s3.store().write_json(self.reference.parent / "reference.json", {"contigs": contigs})

    def put(self, aws: Deployed, one: bytes, two: bytes, *more: tuple[bytes, bytes]) -> None:
        """Store pairs of FASTQ files as the lanes of the run."""
        lanes = []
        for number, pair in enumerate(((one, two), *more), start=1):
            lane: dict[str, object] = {"lane": f"L00{number}", "read_group": f"HXYZTDSXX.{number}"}
            for mate, data in enumerate(pair, start=1):
                key = f"NA12878_L00{number}_R{mate}.fastq.gz" if more else f"NA12878_R{mate}.fastq.gz"
                aws.put(key, data)
                lane[f"fastq_{mate}"] = s3.store().head(S3Uri(FASTQS, key)).pin()
            lanes.append(lane)
        s3.store().write_json(self.results / "reads.json", {"sample": "NA12878", "lanes": lanes})

    def argv(self, **more: object) -> list[str]:
        values = {"sample": "NA12878", "reference": self.reference, "reads": self.results / "reads.json"}
        values |= {"bam": self.results / "NA12878.bam", "results": self.results, "run": "r", "attempt": "1"}
        values |= {"vcpus": 2, "memory": 4096, "args": "[]", **more}
        return [arg for name, value in values.items() for arg in (f"--{name}", str(value))]

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = s3.store().read_json(self.results / "jobs/align.json")["counts"]
        return counts

    def failure(self) -> tuple[str, str]:
        verdict = s3.store().read_json(self.results / "failures/align.1.1.json")
        return verdict["class"], verdict["message"]


@pytest.fixture
def run(bucket: str, genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    in_this_process(monkeypatch, tmp_path)
    monkeypatch.setenv("PATH", f"{STAND_INS}:{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.setattr(reader, "BATCH_SIZE", 50)  # so that the aligner runs while the last batches are verified
    return Run(bucket, genome)


def alignments(folder: Path, uri: S3Uri) -> list[list[str]]:
    path = folder / "found.bam"
    s3.store().download(uri, path)
    sam = subprocess.run(["samtools", "view", path], capture_output=True, check=True).stdout.decode()
    return [line.split("\t") for line in sam.splitlines()]


@pytest.mark.parametrize("main", ALIGNERS.values(), ids=ALIGNERS)
def test_all_reads_of_a_good_pair_are_in_the_bam(
    aws: Deployed, run: Run, tmp_path: Path, main: Callable[[Sequence[str]], None]
) -> None:
    run.put(aws, to_gzip(text(ONE)), to_gzip(text(TWO)))
    main(run.argv())
    assert len(alignments(tmp_path, run.results / "NA12878.bam")) >= 2 * PAIRS
    receipt = s3.store().read_json(run.results / "jobs/align.json")
    known = {"known_bases": 200 * PAIRS} if main is run_isaac else {}
    expected = {"reads": 2 * PAIRS, "primary_records": 2 * PAIRS, "bases": 200 * PAIRS, "primary_bases": 200 * PAIRS}
    assert receipt["counts"] == {**expected, **known}
    assert receipt["warnings"] == []
    statistics = s3.store().find(run.results / "NA12878.bam.DemultiplexingStats.xml")
    assert (statistics is not None) == (main is run_isaac)


def trim(reads: list[Record], *lengths: int) -> list[Record]:
    """Cut the reads to the lengths in turn, and give each an N and a base of quality 0."""
    cut = [(name, seq[: lengths[n % len(lengths)]], qual) for n, (name, seq, qual) in enumerate(reads)]
    return [(name, f"N{seq[1:]}", f"#!{qual[2 : len(seq)]}") for name, seq, qual in cut]


@pytest.mark.parametrize("main", ALIGNERS.values(), ids=ALIGNERS)
def test_reads_of_all_lengths_keep_all_their_bases(
    aws: Deployed, run: Run, main: Callable[[Sequence[str]], None]
) -> None:
    run.put(aws, to_gzip(text(trim(ONE, 100, 60, 35))), to_gzip(text(trim(TWO, 90, 70))))
    main(run.argv())
    counts = s3.store().read_json(run.results / "jobs/align.json")["counts"]
    total = sum(len(seq) for _, seq, _ in (*trim(ONE, 100, 60, 35), *trim(TWO, 90, 70)))
    known = total - 2 * 2 * PAIRS
    assert counts["bases"] == total
    assert counts["primary_bases"] == (known if main is run_isaac else total)


def test_bwa_aligns_a_stream_as_it_aligns_files(aws: Deployed, run: Run, genome: Path, tmp_path: Path) -> None:
    run.put(aws, to_gzip(text(ONE)), to_gzip(text(TWO)))
    bwa.main(run.argv())
    for mate, reads in ((1, ONE), (2, TWO)):
        (tmp_path / f"R{mate}.fastq").write_bytes(text(reads))
    command: list[str | Path] = [
        "bwa",
        "mem",
        "-K",
        "100000000",
        "-Y",
        genome,
        tmp_path / "R1.fastq",
        tmp_path / "R2.fastq",
    ]
    expected = subprocess.run(command, capture_output=True, check=True).stdout.decode().splitlines()
    found = alignments(tmp_path, run.results / "NA12878.bam")
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
    aws: Deployed, run: Run, main: Callable[[Sequence[str]], None], two: bytes, kind: str, text_of_message: str
) -> None:
    run.put(aws, to_gzip(text(ONE)), two)
    with pytest.raises(SystemExit) as exited:
        main(run.argv())
    assert exited.value.code == 65
    failure_class, message = run.failure()
    assert failure_class == f"BAD_INPUT.{kind}"
    assert text_of_message in message.replace("<sample>", "NA12878")
    assert s3.store().list_names(run.results) == ["failures/align.1.1.json", "reads.json"]
