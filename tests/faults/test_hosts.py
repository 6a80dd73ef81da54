"""Hosts and queues"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli.stack import Stack
from support.batch_causes import FOLDER, load_cause
from support.catalogue import case
from support.function_aws import LAST_RESORT, Deployed, event
from support.pipeline_runs import (
    Sample,
    deploy,
    execution,
    fetch_json,
    fetch_records,
    inject,
    jobs_of,
    keys,
    prepare,
    run_pair,
    upload_pair,
    wait_for_end,
)

BATCH_ATTEMPTS = 3  # RetryStrategy of every job definition


@dataclass(frozen=True)
class FaultyRun:
    """A run, and the faults that occurred in it."""

    stack: Stack
    row: dict[str, Any]
    hits: list[dict[str, Any]]

    def count(self, fault: str, step: str) -> int:
        return sum(hit["fault"] == fault and hit.get("job", "").startswith(f"{step}-") for hit in self.hits)

    def jobs(self, step: str) -> list[Any]:
        return jobs_of(self.stack, self.row, step)


def queue(job: Any) -> str:
    return str(job["jobQueue"].rsplit("-", 1)[-1])


def memory(job: Any) -> int:
    return int(job["container"]["memory"])


def run_with_faults(stack: Stack, sample: Sample, name: str, *faults: dict[str, Any]) -> FaultyRun:
    with inject(stack, *faults) as hits:
        row = run_pair(stack, sample.small_pair, name)
        return FaultyRun(stack, row, hits())


def s3_delay(operation: str, key: str, seconds: float, times: int = 1) -> dict[str, Any]:
    call = {"service": "s3", "operation": operation, "key": key}
    return {**call, "fault": "delay", "seconds": seconds, "times": times}


def slow_upload(name: str, seconds: float, times: int = 1) -> dict[str, Any]:
    """Keep a small job running until its fault occurs."""
    return s3_delay("PutObject", f"*/{name}", seconds, times)


@pytest.fixture(scope="module")
def survivor(stack: Stack, sample: Sample) -> FaultyRun:
    """Run a pair with a fault in every step."""
    return run_with_faults(
        stack,
        sample,
        "SURVIVOR",
        slow_upload("SURVIVOR.bam", 2, BATCH_ATTEMPTS),
        {"job": "align-*", "fault": "host_lost", "after": 1, "times": BATCH_ATTEMPTS},
        slow_upload("SURVIVOR.vcf.gz", 2),
        {"job": "call-*", "fault": "host_drained", "after": 1},
        {"job": "annotate-*", "fault": "out_of_memory", "after": 0.2},
        {"job": "collect-*", "fault": "image_pull", "times": BATCH_ATTEMPTS + 1},
        {"job": "compose-*", "fault": "not_placed"},
        {"service": "batch", "operation": "SubmitJob", "fault": "throttled", "times": 3},
        {"service": "batch", "operation": "SubmitJob", "fault": "500", "times": 2},
    )


@case(
    happens="Every step of one run has a fault: a lost or drained host, too little memory, a failed image pull.",
    see="`SUCCEEDED`, later than usual. Reads and variants are identical to those of a run without faults.",
    does="Retries the step with the fault. A step that is done is not repeated.",
)
def test_a_run_with_a_fault_in_every_step_succeeds_with_identical_results(
    survivor: FaultyRun, expected_records: tuple[str, str], tmp_path: Path
) -> None:
    assert fetch_records(survivor.stack, survivor.row, tmp_path) == expected_records
    assert sum(hit["fault"] != "delay" for hit in survivor.hits) == 3 + 1 + 1 + 4 + 1 + 3 + 2
    manifest = fetch_json(survivor.stack, survivor.row, "manifest.json")
    assert (manifest["complete"], manifest["missing"]) == (True, [])
    assert len(manifest["jobs"]) == len({job["step"] for job in manifest["jobs"]}) == 5


@case(
    happens="AWS reclaims the Spot instance of a job three times.",
    see="`SUCCEEDED`, later than usual.",
    does="Starts the job on another instance; after the third loss in the last-resort queue, with on-demand instances.",
)
def test_a_job_that_lost_three_hosts_is_submitted_to_the_last_resort_queue(survivor: FaultyRun) -> None:
    assert survivor.count("host_lost", "align") == BATCH_ATTEMPTS
    first, second = survivor.jobs("align")
    assert [attempt["statusReason"].split(" (")[0] for attempt in first["attempts"]] == ["Host EC2"] * BATCH_ATTEMPTS
    assert (queue(first), queue(second)) == ("DefaultJobQueue", "LastResortJobQueue")
    assert (second["status"], len(second["attempts"])) == ("SUCCEEDED", 1)


@case(
    happens="The host of a job is drained: the job receives SIGTERM.",
    see="`SUCCEEDED`, later than usual.",
    does="Stops the tools, clears the scratch disk, and starts the job on another host.",
)
def test_a_job_on_a_drained_host_is_started_on_another_one(survivor: FaultyRun) -> None:
    assert survivor.count("host_drained", "call") == 1
    [job] = survivor.jobs("call")
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [143, 0]


@case(
    happens="A job is killed because it used more memory than its limit.",
    see="`SUCCEEDED`; the receipt has the memory of the second try.",
    does="Doubles the memory of the job, once.",
    do="If this happens often, raise the memory parameter of the step.",
)
def test_a_job_killed_for_memory_is_retried_with_twice_the_memory(survivor: FaultyRun) -> None:
    assert survivor.count("out_of_memory", "annotate") == 1
    first, second = survivor.jobs("annotate")
    assert memory(second) == 2 * memory(first)
    assert len(first["attempts"]) == len(second["attempts"]) == 1
    assert fetch_json(survivor.stack, survivor.row, "jobs/annotate.json")["memory"] == memory(second)


@case(
    happens="An image cannot be pulled for some minutes.",
    see="`SUCCEEDED`, later than usual.",
    does="Batch tries three times; then the step is submitted again, once.",
)
def test_a_temporary_failure_to_pull_an_image_is_retried(survivor: FaultyRun) -> None:
    first, second = survivor.jobs("collect")
    assert survivor.count("image_pull", "collect") == BATCH_ATTEMPTS + 1
    assert (len(first["attempts"]), len(second["attempts"])) == (BATCH_ATTEMPTS, 2)


@case(
    happens="AWS has no instance for a job in its queue.",
    see="`SUCCEEDED`, later than usual.",
    does="Submits the job to the last-resort queue, once.",
)
def test_a_job_that_was_never_placed_is_submitted_to_the_last_resort_queue(survivor: FaultyRun) -> None:
    first, second = survivor.jobs("compose")
    assert (first["attempts"], first["isCancelled"]) == ([], True)
    assert (queue(second), second["status"]) == ("LastResortJobQueue", "SUCCEEDED")


@case(
    happens="Batch refuses to take jobs for some minutes: too many requests, or an internal error.",
    see="`SUCCEEDED`, later than usual.",
    does="Submits the job again, after pauses of increasing length.",
)
def test_a_job_that_batch_refused_is_submitted_again_and_runs_once(survivor: FaultyRun) -> None:
    faults = [hit["fault"] for hit in survivor.hits if hit.get("operation") == "SubmitJob"]
    assert faults == ["throttled"] * 3 + ["500"] * 2
    assert len(survivor.jobs("align")) == 2  # the doctor planned the second one


@case(
    happens="A job is killed for memory again, with twice the memory.",
    see="`FAILED`, `OUT_OF_MEMORY`, and both tries with their memory.",
    does="Ends the step after the second try. The results of the earlier steps are kept.",
    do="Raise the memory parameter of the step, deploy, then `seqdrop resume RUN`: it uses the new size.",
)
def test_the_memory_is_doubled_once_only(stack: Stack, sample: Sample) -> None:
    run = run_with_faults(
        stack, sample, "HUNGRY", {"job": "align-*", "fault": "out_of_memory", "after": 0.2, "times": 9}
    )
    assert run.count("out_of_memory", "align") == 2
    first, second = run.jobs("align")
    assert memory(second) == 2 * memory(first)
    assert (run.row["status"], run.row["class"], run.row["step"]) == ("FAILED", "OUT_OF_MEMORY", "align")
    killed = "The job used more memory than its limit and was killed."
    assert run.row["message"] == killed
    assert run.row["tried"] == [
        f"align, try 1: OUT_OF_MEMORY: {killed}; then: memory doubled to {memory(second)} MiB",
        f"align, try 2: OUT_OF_MEMORY: {killed}",
    ]
    assert "AlignMemory" in run.row["advice"]
    assert "manifest.json" not in keys(stack, run.row)


@case(
    happens="An image is missing in its repository.",
    see="`FAILED`, `IMAGE_PULL`, and the name of the image.",
    does="Ends the step after two jobs of three attempts each.",
    do="Push the images (`make push`), then `seqdrop resume RUN`.",
)
def test_a_missing_image_ends_the_run(stack: Stack, sample: Sample) -> None:
    run = run_with_faults(stack, sample, "NOIMAGE", {"job": "align-*", "fault": "image_pull", "times": 99})
    assert [len(job["attempts"]) for job in run.jobs("align")] == [BATCH_ATTEMPTS] * 2
    assert (run.row["status"], run.row["class"]) == ("FAILED", "IMAGE_PULL")
    assert "seqdrop/" in run.row["message"]


@case(
    happens="AWS has no instance for a job in any queue.",
    see="`FAILED`, `NOT_PLACED`, and the reason from Batch.",
    does="Ends the step after the last-resort queue.",
    do="Check the size of the step, `MaxVcpus` and the vCPU quota of the account, then `seqdrop resume RUN`.",
)
def test_a_job_that_no_queue_places_ends_the_run(stack: Stack, sample: Sample) -> None:
    run = run_with_faults(stack, sample, "HOMELESS", {"job": "align-*", "fault": "not_placed", "times": 99})
    assert [queue(job) for job in run.jobs("align")] == ["DefaultJobQueue", "LastResortJobQueue"]
    assert (run.row["status"], run.row["class"]) == ("FAILED", "NOT_PLACED")
    assert "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY" in run.row["message"]


@case(
    happens="A job is larger than every instance type of the stack.",
    see="`FAILED`, `NOT_PLACED`, and the parameters to change.",
    does="Ends the step at once: no queue can place this job.",
    do="Lower the size of the step, or allow larger instance types, then `seqdrop resume RUN`.",
)
def test_a_job_that_is_larger_than_every_instance_is_not_retried(stack: Stack, sample: Sample) -> None:
    reason = "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
    run = run_with_faults(
        stack, sample, "GIANT", {"job": "align-*", "fault": "not_placed", "times": 99, "reason": reason}
    )
    assert len(run.jobs("align")) == 1
    assert (run.row["status"], run.row["class"]) == ("FAILED", "NOT_PLACED")
    assert "raise MaxVcpus, or add larger InstanceTypes" in run.row["message"]


def give_up(functions: Deployed, cause: str) -> dict[str, Any]:
    """Let a job end with one cause, and its second try too; return the end of its step."""
    diagnose, (error, _, _) = functions.load("diagnose"), load_cause(FOLDER / f"{cause}.json")
    plan = event("execution_input")
    for following in ("AlignReads", "give_up"):
        plan["align"]["error"] = error
        plan = diagnose.call(plan)
        assert plan["next"] == following
    align: dict[str, Any] = plan["align"]
    return align


@case(
    happens="AWS reclaims the Spot instances of a job, and its hosts in the last-resort queue are lost or drained too.",
    see="`FAILED`, `SPOT_RECLAIMED`, and both tries.",
    does="Ends the step after the last-resort queue.",
    do="`seqdrop resume RUN`. If this happens often, set `SpotShare=never` and deploy.",
)
def test_a_job_that_lost_its_hosts_in_every_queue_ends_the_run(functions: Deployed) -> None:
    align = give_up(functions, "spot_three_times")
    assert (align["gave_up"]["class"], align["job_queue"]) == ("SPOT_RECLAIMED", LAST_RESORT)
    assert "SpotShare=never" in align["gave_up"]["advice"]


@case(
    happens="Instances cannot start a job: their Docker or their agent of ECS is broken.",
    see="`FAILED`, `HOST_FAILED`, and the reason from Batch.",
    does="Submits the job once more, then ends the step.",
    do="`seqdrop resume RUN`. If it fails again, check the instances: disk, AMI, start script.",
)
@pytest.mark.parametrize("cause", ["start_cannot_create", "agent_lost"])
def test_a_job_that_no_host_can_start_ends_the_run(functions: Deployed, cause: str) -> None:
    align = give_up(functions, cause)
    assert align["gave_up"]["class"] == "HOST_FAILED"
    assert align["gave_up"]["message"].startswith("The instance could not start or run the job: ")
    assert len(align["failures"]) == 2


@case(
    happens="A tool hangs.",
    see="`FAILED`, `TIMEOUT`.",
    does="Terminates the job at its time limit. There is no second try, because the tool would hang again.",
    do="Read the log of the step. If the tool was still working, raise the time limit; then `seqdrop resume RUN`.",
)
def test_a_tool_that_hangs_is_terminated_and_not_retried(stack: Stack, sample: Sample) -> None:
    hang = {"job": "align-*", "fault": "hang", "after": 1, "limit": 2, "times": 99}
    run = run_with_faults(stack, sample, "HANGS", slow_upload("HANGS.bam", 9), hang)
    [job] = run.jobs("align")
    assert len(job["attempts"]) == run.count("hang", "align") == 1
    assert (run.row["status"], run.row["class"], run.row["step"]) == ("FAILED", "TIMEOUT", "align")
    assert run.row["message"] == "The job ran longer than its time limit and was terminated."


@case(
    happens="The reads are invalid, and the host is lost while they are verified.",
    see="`FAILED`, `BAD_INPUT.…`, the file and its error.",
    does="Starts the job again because the host was lost. Invalid reads are no reason for another attempt.",
    do="Upload the original files from the sequencer.",
)
def test_invalid_reads_are_not_retried_after_a_lost_host(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    cut = tmp_path / "R1.fastq.gz"
    cut.write_bytes(sample.small_pair[0].read_bytes()[:-1000])
    # start_run reads the file too, at the event of each mate
    slow = s3_delay("GetObject", "CUTSHORT_R1*", 5, 4)
    lost = {"job": "align-*", "fault": "host_lost", "after_call": "*CUTSHORT_R1*"}
    with inject(stack, slow, lost) as hits:
        upload_pair(stack, (cut, sample.small_pair[1]), "CUTSHORT")
        row = wait_for_end(stack, "CUTSHORT")
        [job] = jobs_of(stack, row, "align")
        assert was_reading_when_lost(job, hits(), slow["seconds"])
    assert [attempt["container"].get("exitCode") for attempt in job["attempts"]] == [None, 65]
    assert (row["status"], row["class"]) == ("FAILED", "BAD_INPUT.TRUNCATED")
    assert execution(stack, row)["error"] == row["class"]


def was_reading_when_lost(job: Any, hits: list[dict[str, Any]], seconds: float) -> bool:
    """Return True if the first attempt was waiting for a delayed answer with the reads when its host was lost."""
    [loss] = [timestamp(hit) for hit in hits if hit["fault"] == "host_lost"]
    requests = [timestamp(hit) for hit in hits if hit["fault"] == "delay"]
    start = job["attempts"][0]["startedAt"] / 1000
    return any(start < request <= loss < request + seconds for request in requests)


def timestamp(hit: dict[str, Any]) -> float:
    return datetime.fromisoformat(hit["at"]).timestamp()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can set the size of the scratch disk")
@case(
    happens="The scratch disk of a host is full.",
    see="`FAILED`, `NO_SPACE`.",
    does="Retries the job once on an instance of its own, so that it shares the disk with no other job. The jobs that"
    " call or merge parts of the genome get twice their vCPUs and memory instead, so that half as many share the disk.",
    do="Set `InstanceTypes` with larger local disks, or a larger `ScratchSize`, then `seqdrop resume RUN`.",
)
def test_a_job_on_a_full_scratch_disk_is_retried_once_on_an_instance_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, sample: Sample
) -> None:
    folder = tmp_path_factory.mktemp("aws")
    with deploy(folder, "WholeInstanceVcpus=3", scratch_mib=256) as stack:
        prepare(stack, sample)
        fill(folder / "volumes")
        row = run_pair(stack, sample.small_pair, "CRAMPED")
        sizes = [job["container"]["vcpus"] for job in jobs_of(stack, row, "align")]
    assert sizes == [2, 3]
    assert (row["status"], row["class"], row["step"]) == ("FAILED", "NO_SPACE", "align")
    assert "scratch disk" in row["message"] or "No space left" in row["message"]


def fill(disk: Path) -> None:
    """Fill the disk, as another job of the host could."""
    space = os.statvfs(disk)
    with (disk / "another-job").open("wb") as file:
        file.truncate()
        os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - (64 << 10))
