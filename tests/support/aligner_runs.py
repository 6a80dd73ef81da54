"""Run the aligners in this process on a pair of made reads and a small genome. Isaac is a fake program."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from seqdrop.fastq import reader
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from containers.isaac import run as isaac
from containers.reference.bwa_mem3_index import build_index
from support.function_aws import FASTQS, Deployed
from support.job_runs import in_this_process
from support.made_reads import Record, bases, pairs_of, write_genome

STAND_INS = Path(__file__).parent / "stand_ins"
SMALL_TABLE = json.dumps(["--seed-length", "12"])  # the default needs 17 GB


def run_isaac(argv: Sequence[str]) -> None:
    """Run Isaac with a small table, unless the run has other options."""
    isaac.main([SMALL_TABLE if argument == "[]" else argument for argument in argv])


CONTIG, GENOME = "chr1", bases(20_000, seed=11)
PAIRS = 400
ONE, TWO = pairs_of(GENOME, PAIRS, seed=12)


@pytest.fixture(scope="session")
def aligner_genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a genome with the indexes of all aligners."""
    path = write_genome(tmp_path_factory.mktemp("aligners") / "genome.fa", {CONTIG: GENOME})
    subprocess.run(["bwa", "index", path], check=True, capture_output=True)
    subprocess.run(["samtools", "faidx", path], check=True)
    build_index(path)
    return path


class AlignerRun:
    """The folder of a run, its reference and its reads."""

    def __init__(self, bucket: str, genome: Path) -> None:
        self.results = S3Uri(bucket, "NA12878/r")
        self.reference = S3Uri(bucket, "demo/genome.fa")
        for path in genome.parent.iterdir():
            s3.store().upload(path, self.reference.parent / path.name)
        contigs = [
            {
                "name": CONTIG,
                "length": len(GENOME),
                "md5": hashlib.md5(GENOME.encode(), usedforsecurity=False).hexdigest(),
            }
        ]
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

    def put_files(self, aws: Deployed, layout: str, word: str, *files: tuple[str, bytes]) -> None:
        """Store one file for each lane of the run: a FASTQ (`fastq_1`) or a BAM (`unaligned`)."""
        lanes = []
        for number, (key, data) in enumerate(files, start=1):
            aws.put(key, data)
            pin = s3.store().head(S3Uri(FASTQS, key)).pin()
            lanes.append({"lane": f"L00{number}", "read_group": f"HXYZTDSXX.{number}", word: pin})
        s3.store().write_json(self.results / "reads.json", {"sample": "NA12878", "layout": layout, "lanes": lanes})

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
def aligner_run(bucket: str, aligner_genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AlignerRun:
    in_this_process(monkeypatch, tmp_path)
    monkeypatch.setenv("PATH", f"{STAND_INS}:{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.setattr(reader, "BATCH_SIZE", 50)  # so that the aligner runs while the last batches are verified
    return AlignerRun(bucket, aligner_genome)


def trim(reads: list[Record], *lengths: int) -> list[Record]:
    """Cut the reads to the lengths in turn, and give each an N and a base of quality 0."""
    cut = [(name, seq[: lengths[n % len(lengths)]], qual) for n, (name, seq, qual) in enumerate(reads)]
    return [(name, f"N{seq[1:]}", f"#!{qual[2 : len(seq)]}") for name, seq, qual in cut]


def alignments(folder: Path, uri: S3Uri) -> list[list[str]]:
    """Return the columns of the records of a BAM, or of a CRAM whose genome is in the folder."""
    path = folder / "found.bam"
    s3.store().download(uri, path)
    sam = subprocess.run(["samtools", "view", path], capture_output=True, check=True, cwd=folder).stdout.decode()
    return [line.split("\t") for line in sam.splitlines()]
