"""What others may read"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from seqdrop.plan import steps
from seqdrop_cli.stack import Stack
from support.catalogue import case
from support.pipeline_runs import Sample, drop, ended, eventually, jobs_of, listening, logged

WARD = "Kreuzberg Süd"
NAMES = ("Annabel", "Bertold")  # patients; no hash and no number looks like them
PRIVATE = (*NAMES, "Kreuzberg", "Süd", quote("Süd"), "S\\u00fcd")


@dataclass(frozen=True)
class Watched:
    """A good run and a failed one, and all that was said of them."""

    stack: Stack
    good: dict[str, Any]
    failed: dict[str, Any]
    subjects: list[str]

    @property
    def runs(self) -> tuple[str, str]:
        return self.good["run"], self.failed["run"]


@pytest.fixture(scope="module")
def watched(stack: Stack, sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    cut = tmp_path_factory.mktemp("cut") / "R1.fastq.gz"
    cut.write_bytes(sample.few[0].read_bytes()[:-1000])
    with listening(stack, "watched") as received:
        for name, files in zip(NAMES, (sample.few, (cut, sample.few[1])), strict=True):
            for mate, path in enumerate(files, 1):
                drop(stack, path, f"{WARD}/{name}_R{mate}.fastq.gz")
        good, failed = (ended(stack, name) for name in NAMES)
        subjects: list[str] = []
        eventually(
            lambda: subjects.extend(one["Subject"] for one in received()) or len(subjects) == len(NAMES), "two messages"
        )
        yield Watched(stack, good, failed, subjects)


def private(texts: list[str]) -> list[str]:
    return [text for text in texts if any(word.lower() in text.lower() for word in PRIVATE)]


@case(
    happens="Somebody who may read logs looks for patients.",
    see="Runs, steps, classes and figures; no sample, no file's name.",
    does="Logs sentences nowhere but in the job they are of, where `<sample>` and `lane1_R1.fastq.gz` stand for names.",
)
def test_no_log_of_a_run_names_a_sample_or_a_file(watched: Watched) -> None:
    said = said_by_functions(watched.stack)
    jobs = logged(watched.stack, watched.stack["JobLogGroup"])
    assert (watched.good["status"], watched.failed["class"]) == ("SUCCEEDED", "BAD_INPUT.TRUNCATED")
    assert NAMES[1] in watched.failed["message"]
    for run in watched.runs:
        assert any(run in line for line in jobs)
        assert all(run in "".join(lines) for name, lines in said.items() if "Diagnose" not in name)
    assert watched.failed["run"] in "".join(said["DiagnoseFunction"])
    spoken = [line for lines in said.values() for line in lines]
    assert private([*spoken, *jobs]) == []
    _, _, sentence = watched.failed["message"].partition(".fastq.gz ")
    assert sentence
    assert [line for line in spoken if sentence in line] == []
    assert [line for line in jobs if sentence in line]


def said_by_functions(stack: Stack) -> dict[str, list[str]]:
    """What stands in the log of each, by its logical name."""
    every = [found["FunctionName"] for found in stack.functions.list_functions()["Functions"]]
    assert len(every) == 3
    return {name.removeprefix(f"{stack.name}-"): logged(stack, f"/aws/lambda/{name}") for name in every}


@case(
    happens="Names of jobs and executions, or subjects of messages, are shown on screens and kept by mail systems.",
    see="`align-<run>`, `<run>`, `seqdrop run <run>: done`.",
    does="Makes them of the run's own name, which is a hash.",
)
def test_no_name_that_others_see_names_a_sample(watched: Watched) -> None:
    rows = watched.good, watched.failed
    jobs = [job for row in rows for step in steps.names() for job in jobs_of(watched.stack, row, step)]
    names = [job["jobName"] for job in jobs] + [str(job.get("tags", {})) for job in jobs]
    machine = watched.stack["PipelineStateMachine"]
    pages = watched.stack.stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=machine)
    executions = [found["name"] for page in pages for found in page["executions"]]
    assert {job["jobName"] for job in jobs} >= {f"align-{run}" for run in watched.runs}
    assert set(watched.runs) <= set(executions)
    assert sorted(watched.subjects) == sorted(
        f"seqdrop run {run}: {word}" for run, word in zip(watched.runs, ("done", "failed"), strict=True)
    )
    assert private([*names, *executions, *watched.subjects]) == []
