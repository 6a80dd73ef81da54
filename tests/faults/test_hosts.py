"""Hosts and queues"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli.stack import Stack
from support.catalogue import case
from support.pipeline_runs import (
    Sample,
    bodies,
    deployed,
    drop_pair,
    ended,
    execution,
    fetch_json,
    jobs_of,
    keys,
    planted,
    prepare,
    run_pair,
)

TRIES_OF_BATCH = 3  # RetryStrategy of every job definition


@dataclass(frozen=True)
class Struck:
    """A run, and the faults that struck it."""

    stack: Stack
    row: dict[str, Any]
    hits: list[dict[str, Any]]

    def times(self, fault: str, step: str) -> int:
        return sum(hit["fault"] == fault and hit.get("job", "").startswith(f"{step}-") for hit in self.hits)

    def jobs(self, step: str) -> list[Any]:
        return jobs_of(self.stack, self.row, step)


def queue(job: Any) -> str:
    return str(job["jobQueue"].rsplit("-", 1)[-1])


def memory(job: Any) -> int:
    return int(job["container"]["memory"])


def struck(stack: Stack, sample: Sample, name: str, *faults: dict[str, Any], **metadata: str) -> Struck:
    with planted(stack, *faults) as hits:
        row = run_pair(stack, sample.few, name, **metadata)
        return Struck(stack, row, hits())


def s3_delay(operation: str, key: str, seconds: float, times: int = 1) -> dict[str, Any]:
    call = {"service": "s3", "operation": operation, "key": key}
    return {**call, "fault": "delay", "seconds": seconds, "times": times}


def slow_upload(name: str, seconds: float, times: int = 1) -> dict[str, Any]:
    """So that a small job is still at work when something is to strike it."""
    return s3_delay("PutObject", f"*/{name}", seconds, times)


@pytest.fixture(scope="module")
def survivor(stack: Stack, sample: Sample) -> Struck:
    """One run that meets a mishap in every step."""
    return struck(
        stack,
        sample,
        "SURVIVOR",
        slow_upload("SURVIVOR.bam", 2, TRIES_OF_BATCH),
        {"job": "align-*", "fault": "host_lost", "after": 1, "times": TRIES_OF_BATCH},
        slow_upload("SURVIVOR.vcf.gz", 2),
        {"job": "call-*", "fault": "host_drained", "after": 1},
        {"job": "annotate-*", "fault": "out_of_memory", "after": 0.2},
        {"job": "collect-*", "fault": "image_pull", "times": TRIES_OF_BATCH + 1},
        {"job": "compose-*", "fault": "not_placed"},
        {"service": "batch", "operation": "SubmitJob", "fault": "throttled", "times": 3},
        {"service": "batch", "operation": "SubmitJob", "fault": "500", "times": 2},
    )


@case(
    happens="Every step of one run meets a mishap: its host is lost or drained, its memory too small, its image late.",
    see="`SUCCEEDED`, a little later; the same reads and variants as ever, byte for byte.",
    does="Mends each where it happens; no step is done twice once it is done.",
)
def test_a_run_that_meets_a_mishap_in_every_step_is_done_and_whole(
    survivor: Struck, undisturbed: tuple[str, str], tmp_path: Path
) -> None:
    assert bodies(survivor.stack, survivor.row, tmp_path) == undisturbed
    assert sum(hit["fault"] != "delay" for hit in survivor.hits) == 3 + 1 + 1 + 4 + 1 + 3 + 2
    manifest = fetch_json(survivor.stack, survivor.row, "manifest.json")
    assert (manifest["complete"], manifest["missing"]) == (True, [])
    assert len(manifest["jobs"]) == len({job["step"] for job in manifest["jobs"]}) == 5


@case(
    happens="The host of a job is taken away (Spot), three times.",
    see="`SUCCEEDED`, a little later.",
    does="Starts the job again on another host; after the third time on hosts that nobody takes away.",
)
def test_a_job_whose_host_is_lost_three_times_goes_to_the_queue_of_last_resort(survivor: Struck) -> None:
    assert survivor.times("host_lost", "align") == TRIES_OF_BATCH
    first, second = survivor.jobs("align")
    assert [attempt["statusReason"].split(" (")[0] for attempt in first["attempts"]] == ["Host EC2"] * TRIES_OF_BATCH
    assert (queue(first), queue(second)) == ("DefaultJobQueue", "LastResortJobQueue")
    assert (second["status"], len(second["attempts"])) == ("SUCCEEDED", 1)


@case(
    happens="The host of a job is drained: the job is told to stop.",
    see="`SUCCEEDED`, a little later.",
    does="Ends the tools, clears the scratch disk, and starts the job again on another host.",
)
def test_a_job_whose_host_is_drained_is_started_again(survivor: Struck) -> None:
    assert survivor.times("host_drained", "call") == 1
    [job] = survivor.jobs("call")
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [143, 0]


@case(
    happens="A job is killed because it needs more memory than it was given.",
    see="`SUCCEEDED`; the receipt says the memory of the second try.",
    does="Gives it twice the memory, once.",
    do="Raise the step's memory parameter if it happens often.",
)
def test_a_job_killed_for_memory_gets_twice_as_much(survivor: Struck) -> None:
    assert survivor.times("out_of_memory", "annotate") == 1
    first, second = survivor.jobs("annotate")
    assert memory(second) == 2 * memory(first)
    assert len(first["attempts"]) == len(second["attempts"]) == 1
    assert fetch_json(survivor.stack, survivor.row, "jobs/annotate.json")["memory"] == memory(second)


@case(
    happens="An image cannot be pulled for a while.",
    see="`SUCCEEDED`, a little later.",
    does="Tries three times, then once more as a new job.",
)
def test_an_image_that_comes_late_is_waited_for(survivor: Struck) -> None:
    first, second = survivor.jobs("collect")
    assert survivor.times("image_pull", "collect") == TRIES_OF_BATCH + 1
    assert (len(first["attempts"]), len(second["attempts"])) == (TRIES_OF_BATCH, 2)


@case(
    happens="No instance can be had for a job in the queue it waits in.",
    see="`SUCCEEDED`, later.",
    does="Sends it to the queue of last resort, once.",
)
def test_a_job_that_was_never_placed_goes_to_the_queue_of_last_resort(survivor: Struck) -> None:
    first, second = survivor.jobs("compose")
    assert (first["attempts"], first["isCancelled"]) == ([], True)
    assert (queue(second), second["status"]) == ("LastResortJobQueue", "SUCCEEDED")


@case(
    happens="Batch takes no jobs for a while: too many requests, or an error of its own.",
    see="`SUCCEEDED`, a little later.",
    does="Submits again, with longer and longer pauses.",
)
def test_a_job_that_batch_would_not_take_is_submitted_again_and_runs_once(survivor: Struck) -> None:
    refused = [hit["fault"] for hit in survivor.hits if hit.get("operation") == "SubmitJob"]
    assert refused == ["throttled"] * 3 + ["500"] * 2
    assert len(survivor.jobs("align")) == 2  # the second is the doctor's


@case(
    happens="A job is killed for memory even with twice as much.",
    see="`FAILED`, `OUT_OF_MEMORY`, and both tries: what failed, and that memory was doubled.",
    does="Gives up after the second try, never makes a third; what was done before stays.",
    do="Raise the step's memory parameter, deploy, `seqdrop resume RUN`: it takes the sizes of then.",
)
def test_twice_the_memory_is_tried_once_only(stack: Stack, sample: Sample) -> None:
    run = struck(stack, sample, "HUNGRY", {"job": "align-*", "fault": "out_of_memory", "after": 0.2, "times": 9})
    assert run.times("out_of_memory", "align") == 2
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
    happens="An image is not there, and does not come.",
    see="`FAILED`, `IMAGE_PULL`, and which image.",
    does="Gives up after two jobs of three attempts each.",
    do="Push the images (`make push`), then resume the run.",
)
def test_an_image_that_never_comes_ends_the_run(stack: Stack, sample: Sample) -> None:
    run = struck(stack, sample, "NOIMAGE", {"job": "align-*", "fault": "image_pull", "times": 99})
    assert [len(job["attempts"]) for job in run.jobs("align")] == [TRIES_OF_BATCH] * 2
    assert (run.row["status"], run.row["class"]) == ("FAILED", "IMAGE_PULL")
    assert "seqdrop/" in run.row["message"]


@case(
    happens="No instance can be had for a job, in no queue.",
    see="`FAILED`, `NOT_PLACED`, and the reason that Batch gives.",
    does="Gives up after the queue of last resort.",
    do="Look at the step's size, `MaxVcpus` and the account's vCPU quota, then resume the run.",
)
def test_a_job_that_no_queue_places_ends_the_run(stack: Stack, sample: Sample) -> None:
    run = struck(stack, sample, "HOMELESS", {"job": "align-*", "fault": "not_placed", "times": 99})
    assert [queue(job) for job in run.jobs("align")] == ["DefaultJobQueue", "LastResortJobQueue"]
    assert (run.row["status"], run.row["class"]) == ("FAILED", "NOT_PLACED")
    assert "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY" in run.row["message"]


@case(
    happens="A job is too large for every instance that the stack may use.",
    see="`FAILED`, `NOT_PLACED`, and which parameters to change.",
    does="Gives up at once: it would only wait again.",
    do="Lower the step's size, or allow larger instances, then resume the run.",
)
def test_a_job_that_fits_nowhere_is_not_tried_again(stack: Stack, sample: Sample) -> None:
    reason = "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
    run = struck(stack, sample, "GIANT", {"job": "align-*", "fault": "not_placed", "times": 99, "reason": reason})
    assert len(run.jobs("align")) == 1
    assert (run.row["status"], run.row["class"]) == ("FAILED", "NOT_PLACED")
    assert "raise MaxVcpus or InstanceTypes" in run.row["message"]


@case(
    happens="A tool hangs.",
    see="`FAILED`, `TIMEOUT`.",
    does="Ends it when the job's time limit is over. It would hang again, so there is no second try.",
    do="Look at its log; resume the run, or raise the limit if it was at work.",
)
def test_a_tool_that_hangs_is_ended_and_not_tried_again(stack: Stack, sample: Sample) -> None:
    hang = {"job": "align-*", "fault": "hang", "after": 1, "limit": 2, "times": 99}
    run = struck(stack, sample, "HANGS", slow_upload("HANGS.bam", 9), hang)
    [job] = run.jobs("align")
    assert len(job["attempts"]) == run.times("hang", "align") == 1
    assert (run.row["status"], run.row["class"], run.row["step"]) == ("FAILED", "TIMEOUT", "align")
    assert run.row["message"] == "The job ran longer than its time limit and was terminated."


@case(
    happens="The reads are bad, and the host is lost while they are read.",
    see="`FAILED`, `BAD_INPUT` and what is wrong with which file.",
    does="Reads them once more for the host, and never again for the reads.",
    do="Send the files again as they left the sequencer.",
)
def test_bad_reads_are_read_to_their_end_once(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    cut = tmp_path / "R1.fastq.gz"
    cut.write_bytes(sample.few[0].read_bytes()[:-1000])
    # start_run looks at the file too, at each mate's event
    slow = s3_delay("GetObject", "CUTSHORT_R1*", 12, 4)
    with planted(stack, slow, {"job": "align-*", "fault": "host_lost", "after": 8}) as hits:
        drop_pair(stack, (cut, sample.few[1]), "CUTSHORT")
        row = ended(stack, "CUTSHORT")
        [job] = jobs_of(stack, row, "align")
        assert is_read_when_lost(job, hits(), slow["seconds"])
    assert [attempt["container"].get("exitCode") for attempt in job["attempts"]] == [None, 65]
    assert (row["status"], row["class"]) == ("FAILED", "BAD_INPUT.TRUNCATED")
    assert execution(stack, row)["error"] == row["class"]


def is_read_when_lost(job: Any, hits: list[dict[str, Any]], seconds: float) -> bool:
    """Whether a delayed answer with the reads was still to come when the host of the first attempt was lost."""
    [lost] = [moment(hit) for hit in hits if hit["fault"] == "host_lost"]
    asked = [moment(hit) for hit in hits if hit["fault"] == "delay"]
    begun = job["attempts"][0]["startedAt"] / 1000
    return any(begun < at < lost < at + seconds for at in asked)


def moment(hit: dict[str, Any]) -> float:
    return datetime.fromisoformat(hit["at"]).timestamp()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give jobs a scratch disk of its own size")
@case(
    happens="The scratch disk of a host is full.",
    see="`FAILED`, `NO_SPACE`.",
    does="Tries once more with a whole instance, whose disk it need not share; then gives up.",
    do="Raise `ScratchSize` of the stack, then resume the run.",
)
def test_a_full_scratch_disk_is_tried_once_more_with_a_whole_instance(
    tmp_path_factory: pytest.TempPathFactory, sample: Sample
) -> None:
    folder = tmp_path_factory.mktemp("aws")
    with deployed(folder, "WholeInstanceVcpus=3", scratch_mib=256) as stack:
        prepare(stack, sample)
        fill(folder / "volumes")
        row = run_pair(stack, sample.few, "CRAMPED")
        sizes = [job["container"]["vcpus"] for job in jobs_of(stack, row, "align")]
    assert sizes == [2, 3]
    assert (row["status"], row["class"], row["step"]) == ("FAILED", "NO_SPACE", "align")
    assert "scratch disk" in row["message"] or "No space left" in row["message"]


def fill(disk: Path) -> None:
    """What another job of the host leaves: no room."""
    room = os.statvfs(disk)
    with (disk / "another-job").open("wb") as file:
        file.truncate()
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - (64 << 10))
