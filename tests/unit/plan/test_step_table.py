"""seqdrop.plan.steps, and the plans and addresses that follow from its table."""

from __future__ import annotations

import json
from typing import Any

import pytest
from seqdrop.plan import layout, steps
from seqdrop.plan.choices import Choices
from seqdrop.plan.steps import STEPS, Step, Tool
from seqdrop.storage.uri import S3Uri

FOLDER = "s3://results/S/r"
SIZES = {step: {"vcpus": "2", "memory": "2048"} for step in steps.names()}
DEPTH_SIZE = {"vcpus": "4", "memory": "512"}
TOOLS = {"aligner": "bwa_mem3", "caller": "bcftools"}
DEFINITIONS = {step: f"arn:{step}:1" for step in (*steps.names(), "depth")}


def depth(writes: dict[str, str] | None = None, *, essential: bool = True, optional: bool = False) -> Step:
    """Return a row that the table does not have."""
    writes = writes or {"depths": "{sample}.depths.txt"}
    return Step("depth", "MeasureDepth", (Tool("mosdepth"),), ("bam",), writes, essential=essential, optional=optional)


def add(monkeypatch: pytest.MonkeyPatch, *rows: Step) -> None:
    monkeypatch.setattr(steps, "STEPS", (*STEPS, *rows))


def plan(lanes: int = 1, args: dict[str, list[str]] | None = None, **sizes: dict[str, str]) -> dict[str, Any]:
    jobs = {
        step: {"job_queue": "queue", "job_definition": DEFINITIONS[step], **size}
        for step, size in {**SIZES, **sizes}.items()
    }
    choices = Choices("demo", args=args or {}, lanes=lanes)
    buckets = {"results_bucket": "results", "reference_bucket": "refs"}
    return layout.plan("S", "r", choices, **buckets, **TOOLS, genome="", jobs=jobs)


def resumed(old: dict[str, Any], sizes: dict[str, dict[str, str]]) -> dict[str, Any]:
    return layout.resumed_plan(old, sizes, TOOLS, DEFINITIONS)


def test_a_step_has_the_state_and_the_tools_of_its_row() -> None:
    assert steps.names() == ("align", "call", "annotate", "collect", "compose")
    assert [steps.state(name) for name in (*steps.names(), "prepare")] == [
        "AlignReads",
        "CallVariants",
        "AnnotateVariants",
        "CollectStats",
        "BuildReport",
        "PrepareReference",
    ]
    with pytest.raises(KeyError):
        steps.state("depth")


def test_statistics_and_report_are_not_essential() -> None:
    assert [name for name in steps.names() if not steps.is_essential(name)] == ["collect", "compose"]
    assert steps.is_essential("a step that was removed")


def test_a_run_has_the_tools_that_were_chosen() -> None:
    tools = {step: tool.name for step, tool in steps.tools_of_run(TOOLS).items()}
    others = {"annotate": "snpeff", "collect": "samtools_stats", "compose": "report"}
    assert tools == {"align": "bwa_mem3", "call": "bcftools", **others}
    original = steps.tools_of_run({"aligner": "isaac", "caller": "strelka"})
    assert {step: tool.name for step, tool in original.items()} == {"align": "isaac", "call": "strelka", **others}
    with pytest.raises(KeyError):
        steps.tools_of_run({**TOOLS, "caller": "gatk"})


def test_the_programs_are_those_of_the_chosen_tools_and_of_the_preparation() -> None:
    assert "isaac-align" not in steps.programs(TOOLS)
    programs = steps.programs({**TOOLS, "aligner": "isaac"})
    assert {"isaac-align", "bcftools", "mosdepth", "bwa"} <= set(programs)
    assert len(programs) == len(set(programs))


def test_every_word_of_a_plan_has_one_meaning() -> None:
    """Steps, outputs and the other values of a plan share one JSON object."""
    others = {"version", "sample", "run", "lanes", "steps", "reference", "results", "reads", "manifest"}
    others |= {"fingerprint", "sources", "aligner", "caller", "alignment_format", "form"}
    others |= {"intervals", "intervals_name", "intervals_sha256"}
    added_by_the_state_machine = {"analysis", "next", "record", "undiagnosed"}
    words = [
        *others,
        *added_by_the_state_machine,
        *steps.names(),
        "scatter",
        *(word for step in STEPS for word in step.writes),
    ]
    assert len(words) == len(set(words))
    assert plan().keys() == set(words) - added_by_the_state_machine
    files = [file for step in STEPS for file in step.writes.values()]
    assert len(files) == len(set(files))


def test_every_input_of_a_step_is_in_the_plan_or_written_by_an_earlier_step() -> None:
    written = {"sample", "reference", "reads", "intervals", "parts"}  # parts: in the job objects
    for step in STEPS:
        assert set(step.reads) <= written
        written |= set(step.writes)


def test_a_step_may_write_several_files() -> None:
    rows = [depth({"depths": "{sample}.depths.txt", "summary": "{sample}.summary.txt"})]
    assert layout.outputs(S3Uri.parse(FOLDER), "S", 2, rows) == {
        "depths": f"{FOLDER}/S.depths.txt",
        "summary": f"{FOLDER}/S.summary.txt",
    }


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_step_may_write_one_file_for_each_lane(lanes: int) -> None:
    outputs = layout.outputs(S3Uri.parse(FOLDER), "S", lanes, [depth({"lane_bams": "{sample}.{lane}.bam"})])
    assert outputs.keys() == {"lane_bams"}
    assert json.loads(outputs["lane_bams"]) == [f"{FOLDER}/S.{lane}.bam" for lane in range(1, lanes + 1)]


def test_a_plan_leaves_out_an_optional_step_without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    today = plan()
    add(monkeypatch, depth(optional=True))
    assert plan() == today


def test_a_plan_has_an_optional_step_with_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, depth(optional=True))
    with_depth = plan(depth=DEPTH_SIZE)
    assert with_depth["steps"] == [*(step.name for step in STEPS), "depth"]
    assert with_depth["depths"] == f"{FOLDER}/S.depths.txt"
    assert with_depth["depth"] == {
        "job_queue": "queue",
        "job_definition": "arn:depth:1",
        **DEPTH_SIZE,
        "attempt": "1",
        "args": "[]",
    }
    assert steps.of_plan(with_depth) == (*(step.name for step in STEPS), "depth")


def test_a_plan_without_the_settings_of_another_step_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, depth())
    with pytest.raises(KeyError):
        plan()


def test_resuming_a_plan_of_today_changes_its_sizes_only() -> None:
    old = plan(2, {"call": ["--ploidy", "1"]})
    sizes = {step: {"vcpus": "9", "memory": "99999"} for step in (*steps.names(), "scatter")}
    again = resumed(old, sizes)
    assert again == {**old, **{step: {**old[step], **sizes[step]} for step in sizes}}
    assert resumed(again, sizes) == again


def test_resuming_a_plan_without_job_definitions_adds_those_of_its_tools() -> None:
    today = plan()
    old = {word: value for word, value in today.items() if word not in {"aligner", "caller"}}
    for step in steps.names():
        old[step] = {word: value for word, value in old[step].items() if word != "job_definition"}
    assert resumed(old, SIZES) == today


@pytest.mark.parametrize("essential", [True, False])
def test_a_resumed_plan_has_the_steps_that_were_added_since(monkeypatch: pytest.MonkeyPatch, essential: bool) -> None:
    old = plan(2)
    add(
        monkeypatch, depth({"depths": "{sample}.depths.txt", "lane_depths": "{sample}.{lane}.txt"}, essential=essential)
    )
    assert resumed(old, {**SIZES, "depth": DEPTH_SIZE}) == {
        **old,
        "steps": [*old["steps"], "depth"],
        "depths": f"{FOLDER}/S.depths.txt",
        "lane_depths": f'["{FOLDER}/S.1.txt","{FOLDER}/S.2.txt"]',
        "depth": {"job_queue": "queue", "job_definition": "arn:depth:1", **DEPTH_SIZE, "attempt": "1", "args": "[]"},
    }


def test_a_resumed_plan_keeps_its_optional_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    without = plan()
    add(monkeypatch, depth(optional=True))
    with_depth, sizes = plan(depth=DEPTH_SIZE), {**SIZES, "depth": DEPTH_SIZE}
    assert resumed(without, sizes) == without
    assert resumed(with_depth, sizes) == with_depth
    assert resumed(with_depth, SIZES) == with_depth  # this deployment starts no new run with it


def test_a_resumed_plan_does_not_run_steps_that_were_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    old = plan()
    monkeypatch.setattr(steps, "STEPS", STEPS[:-1])
    assert resumed(old, SIZES) == {**old, "steps": old["steps"][:-1]}
