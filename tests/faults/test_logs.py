"""Private data in logs and names"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from seqdrop.plan import steps
from seqdrop_cli.stack import Stack
from support.catalogue import case
from support.pipeline_runs import Sample, eventually, jobs_of, log_lines, subscribe, upload, wait_for_end

WARD = "Kreuzberg Süd"
NAMES = ("Annabel", "Bertold")  # patients; no hash and no number contains these letters
PRIVATE = (*NAMES, "Kreuzberg", "Süd", quote("Süd"), "S\\u00fcd")


@dataclass(frozen=True)
class TwoRuns:
    """A successful run and a failed one, and the subjects of their messages."""

    stack: Stack
    good: dict[str, Any]
    failed: dict[str, Any]
    subjects: list[str]

    @property
    def runs(self) -> tuple[str, str]:
        return self.good["run"], self.failed["run"]


@pytest.fixture(scope="module")
def two_runs(stack: Stack, sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoRuns]:
    cut = tmp_path_factory.mktemp("cut") / "R1.fastq.gz"
    cut.write_bytes(sample.small_pair[0].read_bytes()[:-1000])
    with subscribe(stack, "two_runs") as receive:
        for name, files in zip(NAMES, (sample.small_pair, (cut, sample.small_pair[1])), strict=True):
            for mate, path in enumerate(files, 1):
                upload(stack, path, f"{WARD}/{name}_R{mate}.fastq.gz")
        good, failed = (wait_for_end(stack, name) for name in NAMES)
        subjects: list[str] = []
        eventually(
            lambda: subjects.extend(message["Subject"] for message in receive()) or len(subjects) == len(NAMES),
            "two messages",
        )
        yield TwoRuns(stack, good, failed, subjects)


def private(texts: list[str]) -> list[str]:
    return [text for text in texts if any(word.lower() in text.lower() for word in PRIVATE)]


@case(
    happens="A person with access to the logs searches them for patients.",
    see="Run ids, steps, failure classes and figures. No sample and no file name.",
    does="Functions log no failure messages. Jobs log `<sample>` for a sample and `lane1_R1.fastq.gz` for its file.",
)
def test_no_log_contains_a_sample_or_a_file_name(two_runs: TwoRuns) -> None:
    functions = function_logs(two_runs.stack)
    jobs = log_lines(two_runs.stack, two_runs.stack["JobLogGroup"])
    assert (two_runs.good["status"], two_runs.failed["class"]) == ("SUCCEEDED", "BAD_INPUT.TRUNCATED")
    assert NAMES[1] in two_runs.failed["message"]
    for run in two_runs.runs:
        assert any(run in line for line in jobs)
        assert all(run in "".join(lines) for name, lines in functions.items() if "Diagnose" not in name)
    assert two_runs.failed["run"] in "".join(functions["DiagnoseFunction"])
    function_lines = [line for lines in functions.values() for line in lines]
    assert private([*function_lines, *jobs]) == []
    _, _, sentence = two_runs.failed["message"].partition(".fastq.gz ")
    assert sentence
    assert [line for line in function_lines if sentence in line] == []
    assert [line for line in jobs if sentence in line]


def function_logs(stack: Stack) -> dict[str, list[str]]:
    """Return the log lines of each function, by its logical name."""
    names = [function["FunctionName"] for function in stack.functions.list_functions()["Functions"]]
    assert len(names) == 3
    return {name.removeprefix(f"{stack.name}-"): log_lines(stack, f"/aws/lambda/{name}") for name in names}


@case(
    happens="Names of jobs and executions are shown in consoles, and subjects of messages are stored by mail systems.",
    see="`align-<run>`, `<run>`, `seqdrop run <run>: done`.",
    does="Builds these names from the run id, which is a hash.",
)
def test_no_name_of_a_job_execution_or_message_contains_a_sample(two_runs: TwoRuns) -> None:
    rows = two_runs.good, two_runs.failed
    jobs = [job for row in rows for step in steps.names() for job in jobs_of(two_runs.stack, row, step)]
    names = [job["jobName"] for job in jobs] + [str(job.get("tags", {})) for job in jobs]
    machine = two_runs.stack["PipelineStateMachine"]
    pages = two_runs.stack.stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=machine)
    executions = [execution["name"] for page in pages for execution in page["executions"]]
    assert {job["jobName"] for job in jobs} >= {f"align-{run}" for run in two_runs.runs}
    assert set(two_runs.runs) <= set(executions)
    ends = ("done, 1 warning", "failed")  # the sample has few reads
    assert sorted(two_runs.subjects) == sorted(
        f"seqdrop run {run}: {end}" for run, end in zip(two_runs.runs, ends, strict=True)
    )
    assert private([*names, *executions, *two_runs.subjects]) == []
