"""Isaac and Strelka, the tools of the original pipeline"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.aligner_runs import SMALL_TABLE, STAND_INS
from support.catalogue import case, more
from support.function_aws import FASTQS, RESULTS
from support.job_runs import FOLDER, Batch, finish
from support.made_reads import Record, bases, pairs_of, text, to_gzip, write_genome
from support.waiting import eventually

GENOME = bases(5_000, seed=21)
ONE, TWO = pairs_of(GENOME, 60, seed=22)
STOP_TIMEOUT = 30.0  # seconds between SIGTERM and SIGKILL of a container


@pytest.fixture
def original(batch: Batch, tmp_path: Path) -> Batch:
    """Store a genome, and put the fake programs on PATH."""
    batch.env["PATH"] = f"{STAND_INS}:{Path(sys.executable).parent}:/usr/bin:/bin"
    genome = write_genome(tmp_path / "genome.fa", {"chr1": GENOME})
    subprocess.run(["samtools", "faidx", genome], check=True)
    for path in (genome, genome.with_suffix(".fa.fai")):
        batch.s3.upload_file(str(path), RESULTS, f"demo/{path.name}")
    batch.s3.put_object(Bucket=RESULTS, Key="demo/reference.json", Body=b'{"contigs": []}')
    return batch


def arguments(**more: Any) -> dict[str, str]:
    folder = f"s3://{RESULTS}/{FOLDER}"
    values = {"sample": "NA12878", "reference": f"s3://{RESULTS}/demo/genome.fa", "bam": f"{folder}/NA12878.bam"}
    return {**values, "results": folder, "run": "r", "attempt": "1", "vcpus": "2", "memory": "4096", **more}


def align(batch: Batch, one: list[Record], two: list[Record], fault: str = "") -> tuple[int, str]:
    """Align a pair of FASTQ files with Isaac."""
    lane: dict[str, Any] = {"lane": "L001", "read_group": "HXYZTDSXX.1"}
    batch.s3.create_bucket(Bucket=FASTQS)
    for mate, reads in (("1", one), ("2", two)):
        key = f"NA12878_R{mate}.fastq.gz"
        etag = batch.s3.put_object(Bucket=FASTQS, Key=key, Body=to_gzip(text(reads)))["ETag"]
        lane[f"fastq_{mate}"] = {"uri": f"s3://{FASTQS}/{key}", "etag": etag.strip('"')}
    body = json.dumps({"sample": "NA12878", "lanes": [lane]}).encode()
    batch.s3.put_object(Bucket=RESULTS, Key=f"{FOLDER}/reads.json", Body=body)
    batch.env["STAND_IN_FAULT"] = fault
    return batch.wrapper("isaac", arguments(reads=f"s3://{RESULTS}/{FOLDER}/reads.json", args=SMALL_TABLE))


def put_bam(batch: Batch, folder: Path, contig: str = "chr1", end: int = 1 << 30) -> None:
    """Store the first `end` bytes of a BAM, and its index."""
    record = f"r\t0\t{contig}\t1\t60\t100M\t*\t0\t0\t{GENOME[:100]}\t{'I' * 100}\n"
    sam = f"@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:{contig}\tLN:{len(GENOME)}\n@RG\tID:1\tSM:NA12878\n{record}"
    bam = folder / "NA12878.bam"
    subprocess.run(["samtools", "view", "-b", "-o", bam, "-"], input=sam.encode(), check=True)
    subprocess.run(["samtools", "index", bam], check=True)
    bam.write_bytes(bam.read_bytes()[:end])
    for path in (bam, bam.with_suffix(".bam.bai")):
        batch.s3.upload_file(str(path), RESULTS, f"{FOLDER}/{path.name}")


def call_arguments() -> dict[str, str]:
    outputs = {kind: f"s3://{RESULTS}/{FOLDER}/NA12878.{kind}.gz" for kind in ("vcf", "gvcf")}
    return arguments(intervals="all", parts="1", args="[]", **outputs)


def check(batch: Batch, found: tuple[int, str], expected: tuple[int, str, str]) -> dict[str, Any]:
    """Check exit code, class and message of a job that failed, and that it published nothing; return its verdict."""
    code, log = found
    verdict = batch.verdict()
    assert (code, verdict["class"], verdict["message"]) == expected, log
    assert not [key for key in batch.written() if key.startswith(("jobs/", "NA12878.v", "NA12878.g"))]
    assert list(batch.scratch.iterdir()) == []
    return verdict


REFUSED = {
    "an IUPAC base": (
        ("R" + TWO[2][1][1:], TWO[2][2]),
        "a base other than A, C, G, T and N, which Isaac does not read",
    ),
    "a quality above 63": ((TWO[2][1], "~" * 100), "a quality above 63, which Isaac does not read"),
}


@case(
    happens="The reads are valid FASTQ, but Isaac fails on them, or changes them without a message: IUPAC bases, "
    "qualities above 63, a name more than 10 letters longer than the first one.",
    see="`BAD_INPUT.ALIGNER`, the file, the number and the name of the read.",
    does="Refuses the reads before Isaac starts.",
    do="Use `bwa_mem3` or `bwa` for these reads.",
)
@pytest.mark.parametrize(("read", "reason"), REFUSED.values(), ids=REFUSED)
def test_reads_that_isaac_does_not_read_are_refused(original: Batch, read: tuple[str, str], reason: str) -> None:
    two = [*TWO[:2], (TWO[2][0], *read), *TWO[3:]]
    message = f"NA12878_R2.fastq.gz: read 3 ({TWO[2][0]}) has {reason}: use bwa_mem3 or bwa"
    check(original, align(original, ONE, two), (65, "BAD_INPUT.ALIGNER", message))


@case(
    happens="Isaac gives all reads of a file the length of the first one, and exits with 0: a short first read would "
    "cut all others.",
    see="`SUCCEEDED`. All bases are in the BAM; short reads have N of quality 0 at their end.",
    does="Reads all lanes first, and gives Isaac the length of the longest read of each. Counts the bases of the BAM.",
)
def test_isaac_keeps_all_bases_of_reads_that_are_longer_than_the_first_one(original: Batch) -> None:
    first = (ONE[0][0], ONE[0][1][:35], ONE[0][2][:35])
    code, log = align(original, [first, *ONE[1:]], TWO)
    assert code == 0, log
    assert original.read("jobs/align.json")["counts"]["primary_bases"] == 200 * 60 - 65


ISAAC_FAULTS = {
    "memory": (3, "OUT_OF_MEMORY", "std::bad_alloc"),
    "thread": (2, "OUT_OF_MEMORY", "boost::thread_resource_error: Resource temporarily unavailable"),
    "memory of a thread": (-6, "OUT_OF_MEMORY", "what():  std::bad_alloc"),
    "disk full": (1, "NO_SPACE", "Failed to write into temp/bin-0001-0001.dat: iostream error"),
    "damage": (1, "TOOL_FAILED", "incorrect data check"),
    "exception": (
        -6,
        "TOOL_FAILED",
        "what():  Fastq file end while reading the sequence line: lane1_read1.fastq.gz, offset 7",
    ),
    "assertion": (-11, "TOOL_FAILED", "Assertion failed: BGZF block expected"),
}


@case(
    happens="Isaac runs out of memory or disk, or ends on an error of its own.",
    see="`OUT_OF_MEMORY`, `NO_SPACE` or `TOOL_FAILED`, the exit code and the sentence of Isaac.",
    does="Runs again once with twice the memory, or on a whole instance. Does not repeat other errors.",
    do="Memory: raise `AlignMemory`, or use `--args 'align=--seed-length 12'`. Else read the log of the step.",
)
@pytest.mark.parametrize("fault", ISAAC_FAULTS)
def test_an_error_of_isaac_has_its_class_and_its_sentence(original: Batch, fault: str) -> None:
    status, failure_class, sentence = ISAAC_FAULTS[fault]
    message = f"isaac-align ended with exit code {status}: {sentence}"
    verdict = check(original, align(original, ONE, TWO, fault), (70, failure_class, message))
    assert verdict["tool"] == "isaac-align"


def call(batch: Batch, fault: str = "") -> tuple[int, str]:
    batch.env["STAND_IN_FAULT"] = fault
    return batch.wrapper("strelka", call_arguments())


STRELKA_FAULTS = {
    "killed": "[wrapperSignal] taskExitCode -9",
    "bad_alloc": "FATAL_ERROR: std::bad_alloc",
}


@case(
    happens="A worker of Strelka is killed because the memory is full. Strelka prints nothing and exits with 1.",
    see="`OUT_OF_MEMORY`, and the line of Strelka's error log. The log of the job has the whole error log.",
    does="Reads the error log of the workflow, and runs again once with twice the memory.",
    do="Raise `CallMemory`, then `seqdrop resume RUN`.",
)
@pytest.mark.parametrize("fault", STRELKA_FAULTS)
def test_a_worker_of_strelka_without_memory_is_out_of_memory(original: Batch, tmp_path: Path, fault: str) -> None:
    put_bam(original, tmp_path)
    message = f"runWorkflow.py ended with exit code 1: {STRELKA_FAULTS[fault]}"
    code, log = call(original, fault)
    verdict = check(original, (code, log), (70, "OUT_OF_MEMORY", message))
    assert verdict["tool"] == "runWorkflow.py"
    assert verdict["stderr_tail"][0] == (
        "Failed to complete command task: 'CallGenome+callGenomeSegment' launched from master workflow, error code: 1"
    )
    assert set(verdict["stderr_tail"]) <= {json.loads(line)["message"] for line in log.splitlines()}


@case(
    happens="Strelka cannot read its input, or its image has no Python 2.",
    see="`TOOL_FAILED`, `REFERENCE` if the BAM is of another genome, `INTERNAL` for the image; Strelka's own sentence.",
    does="Publishes nothing and does not repeat it.",
    do="`REFERENCE`: run the reads with one reference. Else report the failure with the log of the step.",
)
def test_a_truncated_bam_has_the_sentence_of_strelka(original: Batch, tmp_path: Path) -> None:
    put_bam(original, tmp_path, end=-28)
    sentence = "FATAL_ERROR: Unexpected truncation of alignment file"
    expected = (70, "TOOL_FAILED", f"runWorkflow.py ended with exit code 1: {sentence}")
    check(original, call(original), expected)


@more
def test_a_bam_of_another_genome_is_a_wrong_reference(original: Batch, tmp_path: Path) -> None:
    put_bam(original, tmp_path, "20")
    found = "Reference fasta file is missing a chromosome found in the Input BAM/CRAM file: '20'"
    message = f"configureStrelkaGermlineWorkflow.py ended with exit code 1: Reference genome mismatch: {found}"
    check(original, call(original), (65, "REFERENCE", message))


@more
def test_an_image_without_python_2_is_an_internal_error(original: Batch, tmp_path: Path) -> None:
    put_bam(original, tmp_path)
    message = "configureStrelkaGermlineWorkflow.py ended with exit code 127: /usr/bin/env: 'python2': "
    check(original, call(original, "no python2"), (70, "INTERNAL", f"{message}No such file or directory"))


def is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@case(
    happens="A job is stopped while Strelka runs, which lives for 5 seconds after SIGTERM.",
    see="`STOPPED`.",
    does="Kills Strelka and its workers after 5 seconds, and clears the scratch disk.",
)
def test_no_worker_of_strelka_outlives_a_stopped_job(original: Batch, tmp_path: Path) -> None:
    put_bam(original, tmp_path)
    mark = tmp_path / "pids"
    original.env |= {"STAND_IN_FAULT": "hangs", "STAND_IN_MARK": str(mark)}
    process = original.start_wrapper("strelka", call_arguments())
    pids = eventually(lambda: mark.exists() and mark.read_text().split(), "the workers of Strelka")
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, log = finish(process)
    assert code == 143, log
    assert time.monotonic() - start < STOP_TIMEOUT
    assert [pid for pid in pids if is_alive(pid)] == []
    assert original.verdict()["class"] == "STOPPED"
    assert list(original.scratch.iterdir()) == []
