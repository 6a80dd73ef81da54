"""seqdrop.jobs.step: a step in a process of its own, as Batch runs it, with an S3 server."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from moto.s3.models import s3_backends
from seqdrop import __version__
from seqdrop.failure import advice
from support.function_aws import ACCOUNT, RESULTS
from support.job_runs import FOLDER, JOB_ID, PATIENCE, PUBLISH, Batch


def test_a_step_writes_its_outputs_and_then_its_receipt(batch: Batch) -> None:
    code, log = batch.run(PUBLISH)
    assert code == 0, log
    assert batch.written() == ["NA12878.bam.bai", "NA12878.bam", "jobs/align.json"]
    receipt = batch.read("jobs/align.json")
    versions = {output["name"]: output.pop("version_id") for output in receipt["outputs"]}
    assert all(versions.values())
    assert receipt == {
        "version": 1,
        "run": "r",
        "step": "align",
        "attempt": "1",
        "job_id": JOB_ID,
        "seqdrop": __version__,
        "image": "",  # a process
        "image_digest": "",
        "tools": {"bwa": "0.7.17"},
        "commands": [],
        "started": receipt["started"],
        "seconds": receipt["seconds"],
        "vcpus": 2,
        "memory": 400,
        "peak_memory": receipt["peak_memory"],
        "usage": receipt["usage"],
        "bytes_in": 0,
        "bytes_cached": 0,
        "bytes_out": 8,
        "counts": {"reads": 2},
        "warnings": [],
        "sources": {},
        "outputs": [
            {
                "name": "bam.bai",
                "uri": f"s3://{RESULTS}/{FOLDER}/NA12878.bam.bai",
                "etag": "6a992d5529f459a44fee58c733255e86",
                "size": 5,
                "crc64nvme": receipt["outputs"][0]["crc64nvme"],
            },
            {
                "name": "bam",
                "uri": f"s3://{RESULTS}/{FOLDER}/NA12878.bam",
                "etag": "e5bea9a864d5b94d76ebdaaf43d66f4d",
                "size": 3,
                "crc64nvme": receipt["outputs"][1]["crc64nvme"],
            },
        ],
    }
    assert all(len(output["crc64nvme"]) == 12 for output in receipt["outputs"])
    assert list(batch.scratch.iterdir()) == []


def test_a_step_with_a_receipt_ends_at_once(batch: Batch) -> None:
    batch.run(PUBLISH)
    before = batch.written(), batch.read("jobs/align.json")
    code, log = batch.run("raise RuntimeError('the step ran again')")
    assert (code, "already done" in log) == (0, True)
    assert (batch.written(), batch.read("jobs/align.json")) == before


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_a_receipt_is_ignored_after_its_output_changed(batch: Batch, change: str) -> None:
    batch.run(PUBLISH)
    key = f"{FOLDER}/NA12878.bam"
    if change == "deleted":
        batch.s3.delete_object(Bucket=RESULTS, Key=key)
    else:
        batch.s3.put_object(Bucket=RESULTS, Key=key, Body=b"BAM")
    assert batch.run(PUBLISH)[0] == 0
    assert batch.s3.get_object(Bucket=RESULTS, Key=key)["Body"].read() == b"bam"


def test_without_a_receipt_outputs_are_written_again(batch: Batch) -> None:
    batch.s3.put_object(Bucket=RESULTS, Key=f"{FOLDER}/NA12878.bam", Body=b"from a lost attempt")
    assert batch.run(PUBLISH)[0] == 0
    assert batch.s3.get_object(Bucket=RESULTS, Key=f"{FOLDER}/NA12878.bam")["Body"].read() == b"bam"


def test_a_missing_output_is_an_error(batch: Batch) -> None:
    code, _ = batch.run("work.publish(work / 'aligned.bam', 'bam')")
    assert (code, batch.verdict()["message"]) == (70, "bam was not written")
    assert batch.written() == ["failures/align.1.2.json"]


FAILURES = {
    "usage": (
        "arguments.parse_options(args.args, 'strelka')",
        64,
        "BAD_INPUT.ARGS",
        "strelka has no option --rm; it allows --exome",
    ),
    "bad data": ("raise failure.BadInputError('SWAPPED', 'they are swapped')", 65, "BAD_INPUT.SWAPPED", None),
    "a tool": ("work.run('sh', '-c', 'echo boom >&2; exit 3')", 70, "TOOL_FAILED", "sh ended with exit code 3: boom"),
    "a bug": ("work.counts['reads']", 70, "INTERNAL", "KeyError: 'reads'"),
    "memory": ("raise MemoryError", 70, "OUT_OF_MEMORY", "The job ran out of memory."),
    "disk": ("raise OSError(28, 'No space left on device')", 70, "NO_SPACE", "The scratch disk is full."),
    "no right": (
        "from botocore.exceptions import ClientError\n"
        "answer = {'Error': {'Code': 'AccessDenied'}, 'ResponseMetadata': {'HTTPStatusCode': 403}}\n"
        "raise ClientError(answer, 'GetObject')",
        70,
        "DENIED",
        "S3 refused GetObject to this job: AccessDenied.",
    ),
    "a replaced result": (
        "from seqdrop.storage import s3\nraise s3.ReplacedError('S.bam was replaced after it was pinned')",
        65,
        "RESULTS_CHANGED",
        "S.bam was replaced after it was pinned: a result of this run was replaced before the run ended.",
    ),
    "no such tool": ("work.run('isaac-align')", 70, "INTERNAL", "isaac-align is not installed"),
}


@pytest.mark.parametrize(("body", "exit_code", "failure_class", "message"), FAILURES.values(), ids=FAILURES)
def test_every_failure_has_its_exit_code_and_verdict(
    batch: Batch, body: str, exit_code: int, failure_class: str, message: str | None
) -> None:
    code, _ = batch.run(body, args='["--rm"]')
    verdict = batch.verdict()
    assert (code, verdict["exit_code"], verdict["class"]) == (exit_code, exit_code, failure_class)
    assert message in (None, verdict["message"])
    assert list(batch.scratch.iterdir()) == []


def test_an_input_that_was_archived_since_is_named_with_what_to_do(batch: Batch) -> None:
    batch.s3.put_object(Bucket=RESULTS, Key="old.bam", Body=b"x", StorageClass="DEEP_ARCHIVE")
    code, _ = batch.run(f"work.fetch(S3Uri('{RESULTS}', 'old.bam'))")
    verdict = batch.verdict()
    assert (code, verdict["class"]) == (65, "BAD_INPUT.ARCHIVED")
    assert "old.bam is archived: restore it (`aws s3api restore-object`)" in verdict["message"]


def test_a_verdict_is_complete(batch: Batch) -> None:
    batch.run("work.run('sh', '-c', 'echo reading NA12878.bam >&2; echo boom >&2; exit 3')", attempt="3")
    assert batch.written() == ["failures/align.3.2.json"]
    verdict = batch.read("failures/align.3.2.json")
    assert 0 < verdict.pop("seconds") < 60
    assert (verdict["usage"]["bytes_in"], verdict["usage"]["bytes_cached"]) == (0, 0)
    assert verdict == {
        "vcpus": 2,
        "memory": 400,
        "version": 1,
        "class": "TOOL_FAILED",
        "message": "sh ended with exit code 3: boom",
        "tool": "sh",
        "exit_code": 70,
        "stderr_tail": ["reading <sample>.bam", "boom"],
        "peak_memory": verdict["peak_memory"],
        "usage": verdict["usage"],
        "job_id": JOB_ID,
        "advice": advice.get("TOOL_FAILED"),
    }


def test_an_input_damaged_in_transfer_is_retried(batch: Batch) -> None:
    batch.s3.put_object(Bucket=RESULTS, Key="in.bam", Body=b"sound", ChecksumAlgorithm="CRC64NVME")
    s3_backends[ACCOUNT]["aws"].buckets[RESULTS].keys["in.bam"].value = b"SOUND"
    code, _ = batch.run(f"work.fetch(S3Uri({RESULTS!r}, 'in.bam'))")
    assert (code, batch.read("failures/align.1.2.json")["class"]) == (75, "THROTTLED")


def test_a_reference_without_the_index_of_a_tool_is_reported(batch: Batch) -> None:
    batch.s3.put_object(Bucket=RESULTS, Key="demo/genome.fa", Body=b">c\nA\n")
    body = f"args.reference = S3Uri({RESULTS!r}, 'demo/genome.fa')\nwork.fetch_reference('.fai')"
    code, _ = batch.run(body)
    verdict = batch.read("failures/align.1.2.json")
    assert (code, verdict["class"]) == (65, "REFERENCE")
    message = f"s3://{RESULTS}/demo/genome.fa.fai does not exist: the reference is not prepared for this tool"
    assert verdict["message"] == message


def stop(batch: Batch, body: str, number: int) -> tuple[int, int]:
    """Stop a step while its tool runs; return its exit code and the id of a process that the tool started."""
    pid_file = batch.scratch.parent / f"{batch.scratch.name}.pid"
    process = batch.start(body.format(pid_file=pid_file))
    deadline = time.monotonic() + PATIENCE
    while not (pid_file.exists() and pid_file.read_text().endswith("\n")):
        assert time.monotonic() < deadline, process.communicate(timeout=1)[0]
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    return process.returncode, int(pid_file.read_text())


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "body",
    [
        "work.run('sh', '-c', 'sleep 600 & echo $! > {pid_file}; wait')",
        "work.processes.pipe(None, ['sh', '-c', 'sleep 600 & echo $! > {pid_file}; wait'], ['cat'], ['cat'])",
    ],
    ids=["run", "pipe"],
)
def test_a_stopped_step_leaves_no_directory_and_no_process(batch: Batch, body: str, number: int) -> None:
    code, pid = stop(batch, body, number)
    assert code == 143
    assert has_ended(pid)
    assert list(batch.scratch.iterdir()) == []
    verdict = batch.verdict()
    assert (verdict["class"], verdict["message"], verdict["exit_code"]) == ("STOPPED", "The job was stopped.", 143)


@pytest.mark.parametrize("root", [None, "/no/such/disk"])
def test_a_step_without_a_scratch_disk_fails_and_uses_no_other(batch: Batch, root: str | None) -> None:
    batch.env.pop("SEQDROP_SCRATCH")
    if root:
        batch.env["SEQDROP_SCRATCH"] = root
    code, _ = batch.run(PUBLISH)
    assert (code, batch.verdict()["class"]) == (70, "INTERNAL")
    assert batch.written() == ["failures/align.1.2.json"]


def test_temporary_files_of_tools_are_in_the_directory_of_the_job(batch: Batch) -> None:
    assert batch.run("assert os.environ['TMPDIR'] == str(work.directory)\n" + PUBLISH)[0] == 0


@pytest.mark.parametrize(
    "body",
    [
        PUBLISH,
        "work.run('sh', '-c', 'echo NA12878 >&2', 'NA12878')\n" + PUBLISH,
        "work.run('sh', '-c', 'echo NA12878.bam >&2; exit 1', 'NA12878')",
        "work.fetch(args.bam)",
    ],
    ids=["success", "stderr of a tool", "error of a tool", "an address"],
)
def test_no_log_line_has_the_sample_id(batch: Batch, body: str) -> None:
    _, log = batch.run(body)
    lines = [json.loads(line) for line in log.splitlines()]
    assert lines
    assert {(line["run"], line["step"], line["job"], line["service"]) for line in lines} == {
        ("r", "align", JOB_ID, "bwa")
    }
    assert [line for line in log.splitlines() if "NA12878" in line] == []


def test_a_missing_argument_ends_the_job_before_it_starts(batch: Batch) -> None:
    del batch.arguments["bam"]
    code, log = batch.run(PUBLISH)
    assert (code, batch.written()) == (2, [])  # of argparse: the job definition is wrong, not the plan
    assert "the following arguments are required: --bam" in log


def test_a_warning_is_in_the_receipt_and_only_its_code_in_the_log(batch: Batch) -> None:
    batch.s3.put_object(Bucket=RESULTS, Key="in/Ann_R1.fastq.gz", Body=b"x")
    fetch = f"work.fetch(S3Uri({RESULTS!r}, 'in/Ann_R1.fastq.gz'), name='lane1_R1.fastq.gz')\n"
    code, log = batch.run(fetch + "work.warn('DUPLICATE_NAMES', 'lane1_R1.fastq.gz has duplicate names')\n" + PUBLISH)
    assert code == 0, log
    warning = {"warning": "DUPLICATE_NAMES", "message": "Ann_R1.fastq.gz has duplicate names"}
    assert batch.read("jobs/align.json")["warnings"] == [warning]
    assert "DUPLICATE_NAMES" in log
    assert "Ann" not in log
