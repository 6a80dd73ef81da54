"""seqdrop.jobs.step: a step as Batch runs it, a program of its own against an S3 server."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from moto.s3.models import s3_backends
from seqdrop.failure import advice
from support.function_aws import ACCOUNT, RESULTS
from support.job_runs import FOLDER, JOB_ID, PATIENCE, PUBLISH, Batch


def test_a_step_ends_with_its_outputs_and_last_of_all_its_receipt(batch: Batch) -> None:
    code, log = batch.run(PUBLISH)
    assert code == 0, log
    assert batch.written() == ["NA12878.bam.bai", "NA12878.bam", "jobs/align.json"]
    receipt = batch.read("jobs/align.json")
    versions = {output["name"]: output.pop("version_id") for output in receipt["outputs"]}
    assert all(versions.values())
    assert receipt == {
        "run": "r",
        "step": "align",
        "attempt": "1",
        "job_id": JOB_ID,
        "image": "bwa:0.1.0",
        "image_digest": "",
        "tools": {"bwa": "0.7.17"},
        "started": receipt["started"],
        "seconds": receipt["seconds"],
        "vcpus": 2,
        "memory": 400,
        "peak_memory": receipt["peak_memory"],
        "bytes_in": 0,
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


def test_a_step_that_is_done_ends_at_once_without_work(batch: Batch) -> None:
    batch.run(PUBLISH)
    before = batch.written(), batch.read("jobs/align.json")
    code, log = batch.run("raise RuntimeError('it worked again')")
    assert (code, "done before" in log) == (0, True)
    assert (batch.written(), batch.read("jobs/align.json")) == before


@pytest.mark.parametrize("loss", ["replaced", "gone"])
def test_a_receipt_whose_output_is_no_longer_there_is_worth_nothing(batch: Batch, loss: str) -> None:
    batch.run(PUBLISH)
    key = f"{FOLDER}/NA12878.bam"
    if loss == "gone":
        batch.s3.delete_object(Bucket=RESULTS, Key=key)
    else:
        batch.s3.put_object(Bucket=RESULTS, Key=key, Body=b"BAM")
    assert batch.run(PUBLISH)[0] == 0
    assert batch.s3.get_object(Bucket=RESULTS, Key=key)["Body"].read() == b"bam"


def test_without_a_receipt_what_lies_there_is_written_anew(batch: Batch) -> None:
    batch.s3.put_object(Bucket=RESULTS, Key=f"{FOLDER}/NA12878.bam", Body=b"of an attempt that was lost")
    assert batch.run(PUBLISH)[0] == 0
    assert batch.s3.get_object(Bucket=RESULTS, Key=f"{FOLDER}/NA12878.bam")["Body"].read() == b"bam"


def test_an_output_that_was_not_written_leaves_no_receipt(batch: Batch) -> None:
    code, _ = batch.run("work.publish(work / 'aligned.bam', 'bam')")
    assert (code, batch.verdict()["message"]) == (70, "bam was not written")
    assert batch.written() == ["failures/align.1.2.json"]


ENDINGS = {
    "usage": ("arguments.parse_options(args.args, '--exome')", 64, "BAD_INPUT.ARGS", "unrecognized arguments: --rm"),
    "bad data": ("raise failure.BadInputError('SWAPPED', 'they are swapped')", 65, "BAD_INPUT.SWAPPED", None),
    "a tool": ("work.run('sh', '-c', 'echo boom >&2; exit 3')", 70, "TOOL_FAILED", "sh ended with exit code 3: boom"),
    "a bug": ("work.counts['reads']", 70, "INTERNAL", "KeyError: 'reads'"),
    "memory": ("raise MemoryError", 70, "OUT_OF_MEMORY", "The job ran out of memory."),
    "disk": ("raise OSError(28, 'No space left on device')", 70, "NO_SPACE", "The scratch disk is full."),
    "no such tool": ("work.run('isaac-align')", 70, "INTERNAL", "isaac-align is not installed here"),
}


@pytest.mark.parametrize(("body", "exit_code", "failure_class", "message"), ENDINGS.values(), ids=ENDINGS)
def test_every_failure_has_its_exit_code_and_its_verdict(
    batch: Batch, body: str, exit_code: int, failure_class: str, message: str | None
) -> None:
    code, _ = batch.run(body, args='["--rm"]')
    verdict = batch.verdict()
    assert (code, verdict["exit_code"], verdict["class"]) == (exit_code, exit_code, failure_class)
    assert message in (None, verdict["message"])
    assert list(batch.scratch.iterdir()) == []


def test_a_verdict_whole(batch: Batch) -> None:
    batch.run("work.run('sh', '-c', 'echo reading NA12878.bam >&2; echo boom >&2; exit 3')", attempt="3")
    assert batch.written() == ["failures/align.3.2.json"]
    verdict = batch.read("failures/align.3.2.json")
    assert verdict == {
        "class": "TOOL_FAILED",
        "message": "sh ended with exit code 3: boom",
        "tool": "sh",
        "exit_code": 70,
        "stderr_tail": ["reading <sample>.bam", "boom"],
        "peak_memory": verdict["peak_memory"],
        "job_id": JOB_ID,
        "advice": advice.get("TOOL_FAILED"),
    }


def test_an_input_that_changed_on_its_way_is_worth_another_try(batch: Batch) -> None:
    batch.s3.put_object(Bucket=RESULTS, Key="in.bam", Body=b"sound", ChecksumAlgorithm="CRC64NVME")
    s3_backends[ACCOUNT]["aws"].buckets[RESULTS].keys["in.bam"].value = b"SOUND"
    code, _ = batch.run(f"work.fetch(S3Uri({RESULTS!r}, 'in.bam'))")
    assert (code, batch.read("failures/align.1.2.json")["class"]) == (75, "THROTTLED")


def test_a_reference_without_the_index_of_a_tool_is_named(batch: Batch) -> None:
    batch.s3.put_object(Bucket=RESULTS, Key="demo/genome.fa", Body=b">c\nA\n")
    body = f"args.reference = S3Uri({RESULTS!r}, 'demo/genome.fa')\nwork.fetch_reference('.fai')"
    code, _ = batch.run(body)
    verdict = batch.read("failures/align.1.2.json")
    assert (code, verdict["class"]) == (65, "REFERENCE")
    sentence = f"s3://{RESULTS}/demo/genome.fa.fai does not exist: the reference is not prepared for this tool"
    assert verdict["message"] == sentence


def stopped(batch: Batch, body: str, how: int) -> tuple[int, int]:
    """The exit code of a step that is stopped while its tool runs, and the id of what the tool had started."""
    mark = batch.scratch.parent / f"{batch.scratch.name}.pid"
    process = batch.start(body.format(mark=mark))
    deadline = time.monotonic() + PATIENCE
    while not (mark.exists() and mark.read_text().endswith("\n")):
        assert time.monotonic() < deadline, process.communicate(timeout=1)[0]
        time.sleep(0.02)
    process.send_signal(how)
    process.communicate(timeout=PATIENCE)
    return process.returncode, int(mark.read_text())


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "body",
    [
        "work.run('sh', '-c', 'sleep 600 & echo $! > {mark}; wait')",
        "work.processes.pipe(None, ['sh', '-c', 'sleep 600 & echo $! > {mark}; wait'], ['cat'], ['cat'])",
    ],
    ids=["run", "pipe"],
)
def test_a_step_that_is_stopped_leaves_no_directory_and_no_child(batch: Batch, body: str, how: int) -> None:
    code, pid = stopped(batch, body, how)
    assert code == 143
    assert ended(pid)
    assert list(batch.scratch.iterdir()) == []
    verdict = batch.verdict()
    assert (verdict["class"], verdict["message"], verdict["exit_code"]) == ("STOPPED", "The job was told to stop.", 143)


@pytest.mark.parametrize("root", [None, "/no/such/disk"])
def test_without_its_scratch_root_a_step_fails_and_takes_no_other(batch: Batch, root: str | None) -> None:
    batch.env.pop("SEQDROP_SCRATCH")
    if root:
        batch.env["SEQDROP_SCRATCH"] = root
    code, _ = batch.run(PUBLISH)
    assert (code, batch.verdict()["class"]) == (70, "INTERNAL")
    assert batch.written() == ["failures/align.1.2.json"]


def test_tools_put_their_temporary_files_into_the_jobs_directory(batch: Batch) -> None:
    assert batch.run("assert os.environ['TMPDIR'] == str(work.directory)\n" + PUBLISH)[0] == 0


@pytest.mark.parametrize(
    "body",
    [
        PUBLISH,
        "work.run('sh', '-c', 'echo NA12878 >&2', 'NA12878')\n" + PUBLISH,
        "work.run('sh', '-c', 'echo NA12878.bam >&2; exit 1', 'NA12878')",
        "work.fetch(args.bam)",
    ],
    ids=["good", "words of a tool", "last words of a tool", "an address"],
)
def test_no_log_line_names_the_sample(batch: Batch, body: str) -> None:
    _, log = batch.run(body)
    lines = [json.loads(line) for line in log.splitlines()]
    assert lines
    assert {(line["run"], line["step"], line["job"], line["service"]) for line in lines} == {
        ("r", "align", JOB_ID, "bwa")
    }
    assert [line for line in log.splitlines() if "NA12878" in line] == []


def test_a_command_line_with_a_word_missing_starts_nothing(batch: Batch) -> None:
    del batch.words["bam"]
    code, log = batch.run(PUBLISH)
    assert (code, batch.written()) == (2, [])  # argparse's own code: the job definition is wrong, not the plan
    assert "the following arguments are required: --bam" in log


def test_a_warning_stands_in_the_receipt_and_its_word_alone_in_the_log(batch: Batch) -> None:
    batch.s3.put_object(Bucket=RESULTS, Key="in/Ann_R1.fastq.gz", Body=b"x")
    fetch = f"work.fetch(S3Uri({RESULTS!r}, 'in/Ann_R1.fastq.gz'), name='lane1_R1.fastq.gz')\n"
    code, log = batch.run(fetch + "work.warn('DUPLICATE_NAMES', 'lane1_R1.fastq.gz has a name twice')\n" + PUBLISH)
    assert code == 0, log
    warning = {"warning": "DUPLICATE_NAMES", "message": "Ann_R1.fastq.gz has a name twice"}
    assert batch.read("jobs/align.json")["warnings"] == [warning]
    assert "DUPLICATE_NAMES" in log
    assert "Ann" not in log
