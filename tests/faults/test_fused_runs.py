"""Runs with all steps in one job"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from seqdrop.failure.verdict import Verdict
from seqdrop_cli import stop
from seqdrop_cli.follow import step_states
from seqdrop_cli.resume import resume
from seqdrop_cli.stack import Stack
from support.catalogue import case
from support.pipeline_runs import (
    Sample,
    eventually,
    fetch_json,
    fetch_records,
    inject,
    jobs_of,
    keys,
    run_pair,
    upload_pair,
    wait_for_end,
    wait_for_row,
)

STEPS = ("align", "call", "annotate", "collect", "compose")


def receipts(stack: Stack, row: dict[str, Any]) -> set[str]:
    return {key.removeprefix("jobs/").removesuffix(".json") for key in keys(stack, row) if key.startswith("jobs/")}


def states(stack: Stack, row: dict[str, Any]) -> dict[str, str]:
    return {state.step: state.state for state in step_states(stack, row["execution"], row["run"], STEPS)}


@case(
    happens="The one job of a fused run loses its host three times, is killed for its memory, and fails in one step.",
    see="The failure of this step: `DENIED in annotate`. After `seqdrop resume RUN` the results are identical to those "
    "of a run with a job for each step.",
    does="Repeats the job as the job of a step. It skips the steps that are done, and runs those that do not need the "
    "failed one.",
    do="As the message says for the step, then `seqdrop resume RUN`.",
)
def test_a_fused_job_is_repeated_and_continues_where_it_was(
    stack: Stack, sample: Sample, expected_records: tuple[str, str], tmp_path: Path
) -> None:
    late = {"service": "s3", "operation": "PutObject", "key": "*/FUSED.vcf.gz", "fault": "delay", "seconds": 60}
    faults: list[dict[str, Any]] = [  # each attempt that ends early does so in call
        {**late, "times": 4},
        {"job": "fused-*", "fault": "host_lost", "after_call": "*/FUSED.vcf.gz", "times": 3},
        {"job": "fused-*", "fault": "out_of_memory", "after_call": "*/FUSED.vcf.gz"},
        {"service": "s3", "operation": "PutObject", "key": "*/FUSED.annotated.vcf.gz", "fault": "403"},
    ]
    with inject(stack, *faults) as hits:
        row = run_pair(stack, sample.small_pair, "FUSED", form="fused")
        assert sorted(hit["fault"] for hit in hits()) == ["403", *["delay"] * 4, *["host_lost"] * 3, "out_of_memory"]
    assert (row["status"], row["class"], row["step"]) == ("FAILED", "DENIED", "annotate")
    assert [line.split(": ")[1] for line in row["tried"]] == ["SPOT_RECLAIMED", "OUT_OF_MEMORY", "DENIED"]
    first, second, third = jobs_of(stack, row, "fused")
    assert [len(job["attempts"]) for job in (first, second, third)] == [3, 1, 1]
    assert third["container"]["memory"] == 2 * first["container"]["memory"]
    assert third["jobQueue"].endswith("LastResortJobQueue")
    assert not any(jobs_of(stack, row, step) for step in STEPS)
    assert receipts(stack, row) == {"align", "call", "collect", "compose"}
    assert states(stack, row) == {**dict.fromkeys(STEPS, "done"), "annotate": "failed"}
    verdict = Verdict.from_json(fetch_json(stack, row, "failures/annotate.3.1.json"))
    assert (verdict.failure_class, verdict.exit_code) == ("DENIED", 70)
    before = fetch_json(stack, row, "jobs/call.json")

    row = resume(stack, row, results=tmp_path / "results")
    assert fetch_records(stack, row, tmp_path) == expected_records
    assert fetch_json(stack, row, "jobs/call.json") == before
    [job] = jobs_of(stack, row, "fused")
    manifest = fetch_json(stack, row, "manifest.json")
    assert (manifest["complete"], {entry["step"] for entry in manifest["jobs"]}) == (True, set(STEPS))
    assert fetch_json(stack, row, "jobs/annotate.json")["job_id"] == job["jobId"]
    assert {"annotated.vcf.gz", "report.html"} <= {key.partition(".")[2] for key in keys(stack, row)}


@case(
    happens="A user stops a fused run.",
    see="`ABORTED`, with the message `The run was stopped`.",
    does="Stops the step that runs, and starts no other one. The scratch disk is empty.",
    do="`seqdrop resume RUN` continues with this step.",
)
def test_a_stopped_fused_job_ends_its_step_and_can_be_resumed(
    stack: Stack, sample: Sample, expected_records: tuple[str, str], tmp_path: Path
) -> None:
    late = {"service": "s3", "operation": "PutObject", "key": "*/FUSEDSTOP.vcf.gz", "fault": "delay", "seconds": 60}
    with inject(stack, late) as hits:  # the run must not end before it is stopped
        upload_pair(stack, sample.small_pair, "FUSEDSTOP", form="fused")
        row = wait_for_row(stack, "FUSEDSTOP")
        eventually(hits, "the upload of the calls")
        assert states(stack, row)["call"] == "running"
        stop.stop(stack, row)
        row = wait_for_end(stack, "FUSEDSTOP")
    assert (row["status"], row["class"]) == ("ABORTED", "STOPPED")
    [job] = jobs_of(stack, row, "fused")
    eventually(lambda: jobs_of(stack, row, "fused")[0]["status"] == "FAILED", "the end of the job")
    verdict = Verdict.from_json(fetch_json(stack, row, "failures/call.1.1.json"))
    assert (verdict.failure_class, verdict.job_id) == ("STOPPED", job["jobId"])
    assert receipts(stack, row) == {"align"}
    row = resume(stack, row, results=tmp_path / "results")
    assert fetch_records(stack, row, tmp_path) == expected_records


@case(
    happens="A run chooses a form that is not possible with its tools: Isaac and Strelka have no fused job, and "
    "Strelka calls a genome in one job only.",
    see="`BAD_INPUT.CHOICES`, with the tool and the form that is possible.",
    does="Refuses the pair before any job.",
    do="Choose `split`, or another tool.",
)
@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("fused", "strelka cannot be in one job with other steps; choose form=split"),
        ("scattered", "strelka calls a genome in one job only; choose form=split"),
    ],
)
def test_a_form_that_is_not_possible_is_refused_before_any_job(
    stack: Stack, sample: Sample, form: str, message: str
) -> None:
    row = run_pair(stack, sample.small_pair, f"NO{form.upper()}", form=form, caller="strelka")
    assert (row["status"], row["class"]) == ("FAILED", "BAD_INPUT.CHOICES")
    assert message in row["message"]
    assert "execution" not in row
