"""One word per value in four places: plan, state, job definition, wrapper. Whichever was forgotten is named."""

from __future__ import annotations

from typing import Any

import pytest
from seqdrop.plan import layout, steps
from seqdrop.plan.choices import Choices
from seqdrop.runs import diagnosis
from seqdrop.storage.uri import S3Uri
from support.pipeline_parts import (
    batch_states,
    definitions_of,
    job_definitions,
    machine,
    references,
    template,
    wrapper_flags,
)

PARAMETERS = template()["Parameters"]


def disagreements(state: dict[str, Any], definition: dict[str, Any], flags: set[str]) -> list[str]:
    """Every word that one of the three has and another lacks."""
    given = {name.removesuffix(".$") for name in state["Parameters"]["Parameters"]}
    pairs = references(definition["ContainerProperties"]["Command"])
    wanted = {reference for _, reference in pairs}
    misnamed = [f"{flag} takes Ref::{reference}" for flag, reference in pairs if flag != f"--{reference}"]
    return [
        *(f"the state gives {word}, the job definition does not take it" for word in sorted(given - wanted)),
        *(f"the job definition takes Ref::{word}, the state does not give it" for word in sorted(wanted - given)),
        *misnamed,
        *(f"the wrapper asks for {flag}, the command lacks it" for flag in sorted(flags - {f for f, _ in pairs})),
        *(f"the command has {flag}, the wrapper does not know it" for flag in sorted({f for f, _ in pairs} - flags)),
    ]


EVERY = [(name, state, tool) for name, state in batch_states() for tool in definitions_of(state)]


@pytest.mark.parametrize(("name", "state", "tool"), EVERY, ids=[f"{name}-{tool}" for name, _, tool in EVERY])
def test_state_and_job_definition_and_wrapper_agree(name: str, state: dict[str, Any], tool: str) -> None:
    definition = job_definitions()[tool]
    assert disagreements(state, definition, wrapper_flags(definition["ContainerProperties"]["Command"][0])) == []


@pytest.mark.parametrize("place", ["state", "definition", "flag", "wrapper"])
def test_one_renamed_word_is_found_in_whichever_place(place: str) -> None:
    _, state, tool = EVERY[0]
    definition = job_definitions()[tool]
    command = list(definition["ContainerProperties"]["Command"])
    flags = wrapper_flags(command[0])
    parameters = dict(state["Parameters"]["Parameters"])
    if place == "state":
        parameters["bim.$"] = parameters.pop("bam.$")
    elif place == "definition":
        command[command.index("Ref::bam")] = "Ref::bim"
    elif place == "flag":
        command[command.index("--bam")] = "--bim"
    else:
        flags = flags - {"--bam"} | {"--bim"}
    changed = {"Parameters": {**state["Parameters"], "Parameters": parameters}}
    found = disagreements(changed, {"ContainerProperties": {"Command": command}}, flags)
    assert any("bim" in line for line in found)
    assert any("bam" in line for line in found)


def test_every_job_definition_is_run_by_a_state() -> None:
    assert {tool for _, _, tool in EVERY} == set(job_definitions())


def test_what_the_pipeline_reads_is_in_the_plan() -> None:
    jobs = {step: {"job_queue": "q", "vcpus": "1", "memory": "1"} for step in steps.names()}
    plan = layout.plan("S", "r", Choices("hg"), results_bucket="results", reference_bucket="refs", jobs=jobs)
    for name, state in batch_states():
        step = state["Parameters"]["Tags"]["step"]
        if step == "prepare":
            continue
        for word, path in state["Parameters"]["Parameters"].items():
            value: Any = plan
            for part in path.removeprefix("$.").split("."):
                assert part in value, f"{name} reads {path}, which no plan has"
                value = value[part]
            assert isinstance(value, str), f"{name}: {word} is no string"


def test_what_the_preparation_reads_is_in_its_input() -> None:
    given = layout.preparation("r", "hg", S3Uri("b", "k"), None, reference_bucket="refs")
    sized = machine("prepare_reference")["States"]["SizePreparation"]["Result"]
    state = machine("prepare_reference")["States"]["PrepareReference"]
    paths = [path for word, path in state["Parameters"]["Parameters"].items() if word.endswith(".$")]
    known = {f"$.{word}" for word in given} | {f"$.prepare.{word}" for word in sized}
    assert set(paths) <= known


def test_the_doctor_knows_the_state_of_every_step() -> None:
    assert {state["Parameters"]["Tags"]["step"]: name for name, state in batch_states()} == diagnosis.STATES


def test_aligners_share_one_interface_and_callers_one() -> None:
    commands = {name: item["ContainerProperties"]["Command"][1:] for name, item in job_definitions().items()}
    assert commands["IsaacJobDefinition"] == commands["BwaMem3JobDefinition"] == commands["BwaJobDefinition"]
    assert commands["StrelkaJobDefinition"] == commands["BcftoolsJobDefinition"]


def test_the_parameters_offer_every_tool_there_is() -> None:
    assert PARAMETERS["Aligner"]["AllowedValues"] == ["isaac", "bwa_mem3", "bwa"]
    assert PARAMETERS["Caller"]["AllowedValues"] == ["strelka", "bcftools"]
    assert (PARAMETERS["Aligner"]["Default"], PARAMETERS["Caller"]["Default"]) == ("isaac", "strelka")
