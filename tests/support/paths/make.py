"""Write MockConfigFile.json: `make mocks`.

The answers of the two functions come from seqdrop.runs.diagnosis and seqdrop.runs.outcome.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import groupby
from pathlib import Path
from typing import Any

from seqdrop.plan import joint, layout, steps
from seqdrop.plan.choices import Choices
from seqdrop.runs import diagnosis, outcome
from seqdrop.storage.uri import S3Uri
from support.paths.cases import DONE, FUSED, JOINT, PIPELINE, PREPARATION, SCATTERED, Calls, Case, Fault

FILE = Path(__file__).parent / "MockConfigFile.json"
LAST_RESORT, WHOLE_INSTANCE = "last-resort", "32"  # queue, vCPUs: the settings of diagnose
PIPELINE_MACHINE, PREPARATION_MACHINE = "seqdrop-pipeline", "seqdrop-prepare-reference"
JOINT_MACHINE = "seqdrop-joint"
DIAGNOSE_STATES = {
    "align": "DiagnoseAlignment",
    "scatter": "DiagnoseVariants",
    "call": "DiagnoseVariants",
    "annotate": "DiagnoseVariants",
    "collect": "DiagnoseStats",
    "compose": "DiagnoseReport",
    "fused": "DiagnoseFused",
    "prepare": "DiagnosePreparation",
}


def size(vcpus: str, memory: str, tool: str) -> dict[str, str]:
    return {"job_queue": "default", "job_definition": tool, "vcpus": vcpus, "memory": memory}


JOBS = {
    "align": size("8", "16000", "bwa"),
    "call": size("8", "12000", "bcftools"),
    "scatter": size("2", "3000", "bcftools"),
    "annotate": size("2", "8000", "snpeff"),
    "collect": size("2", "4000", "samtools_stats"),
    "compose": size("1", "2000", "report"),
    "fused": size("4", "6000", "fused"),
}


def plan_of(form: str, parts: int = 1) -> dict[str, Any]:
    return layout.plan(
        "NA12878",
        "ade90e2c5ca56f3870e3",
        Choices(reference="hg38"),
        results_bucket="results",
        reference_bucket="references",
        genome="",
        form=form,
        parts=parts,
        jobs=JOBS,
    )


PLAN, FUSED_PLAN, SCATTERED_PLAN = plan_of("split"), plan_of("fused"), plan_of("scattered", 4)
PREPARATION_INPUT = layout.preparation(
    "5b0c2f7d9e1a", "hg38", S3Uri("references", "hg38.fa"), None, reference_bucket="references", aligner="bwa"
)
JOINT_PLAN = joint.plan(
    "FAMILY",
    "7f3a1c5d9b2e",
    [{"sample": sample, "run": f"run{sample}"} for sample in ("F", "M")],
    results_bucket="results",
    reference=S3Uri("references", "hg38/genome.fa"),
    genome="",
    caller="bcftools",
    intervals={},
    sources={},
    parts=2,
    jobs={
        "merge": size("2", "4000", "joint"),
        "join": size("2", "4000", "joint"),
        "annotate": size("2", "8000", "snpeff"),
    },
)
# The values that CloudFormation substitutes; prepare_reference puts the sizes into its input.
SUBSTITUTIONS = {
    "Partition": "aws",
    "JobQueue": "default",
    "PrepareVcpus": "8",
    "PrepareMemory": "24000",
    "DiagnoseFunction": "diagnose",
    "RecordRunFunction": "record_run",
    "PrepareJobDefinition": "reference",
}
PREPARATION_PLAN = {
    **PREPARATION_INPUT,
    "prepare": {"job_queue": "default", "vcpus": "8", "memory": "24000", "attempt": "1"},
}

Answers = dict[str, list[dict[str, Any]]]  # state -> the answers of its calls


class CaseError(Exception):
    """A case has more or fewer tries than diagnose allows."""


class Rehearsal:
    """Execute one case with the code of the functions, to collect their answers."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.answers: Answers = defaultdict(list)

    def fused(self) -> Answers:
        plan, _ = self.step(FUSED_PLAN, "fused")
        self.add_answers("RecordRun", self.case.record, record_answer(plan))
        return self.answers

    def pipeline(self, plan: dict[str, Any] = PLAN) -> Answers:
        plan, succeeded = self.step(plan, "align")
        if succeeded:
            variants, has_variants = plan, True
            for step in [step for step in plan["steps"] if step in {"scatter", "call", "annotate"}]:
                if has_variants:
                    variants, has_variants = self.step(variants, step)
            stats, _ = self.step(plan, "collect")
            analysis = {step: variants[step] for step in ("scatter", "call", "annotate")}
            analysis["collect"] = stats["collect"]
            plan, _ = self.step({**plan, "analysis": analysis}, "compose")
        self.add_answers("RecordRun", self.case.record, record_answer(plan))
        return self.answers

    def joint(self) -> Answers:
        plan, succeeded = JOINT_PLAN, True
        for step in plan["steps"]:
            if succeeded:
                plan, succeeded = self.step(plan, step, "DiagnoseJoint")
        self.add_answers("RecordRun", self.case.record, record_answer(plan))
        return self.answers

    def preparation(self) -> Answers:
        self.step(PREPARATION_PLAN, "prepare")
        return self.answers

    def step(self, plan: dict[str, Any], step: str, doctor: str = "") -> tuple[dict[str, Any], bool]:
        """Return the plan after all tries of a step, and whether the step succeeded.

        `doctor` is the state that diagnoses it; by default that of a run or of a preparation.
        """
        tries = self.case.jobs.get(step, [[DONE]])
        for number, calls in enumerate(tries, start=1):
            self.add_answers(steps.state(step), calls, {"JobId": step, "Status": "SUCCEEDED"})
            fault = calls[-1]
            if fault is not DONE:
                plan = self.diagnose(plan, step, fault, doctor or DIAGNOSE_STATES[step])
            has_next_try = fault is not DONE and plan["next"] == steps.state(step)
            if has_next_try != (number < len(tries)):
                raise CaseError(f"{step}: diagnose {'plans' if has_next_try else 'ends before'} another try")
        return plan, fault is DONE

    def diagnose(self, plan: dict[str, Any], step: str, fault: Fault, state: str) -> dict[str, Any]:
        plan = {**plan, step: {**plan[step], "error": {"Error": fault.error, "Cause": fault.cause}}}
        calls = self.case.doctor.get(step, [DONE])
        diagnosed = diagnosis.diagnose(plan, step, fault.verdict, LAST_RESORT, WHOLE_INSTANCE)
        self.add_answers(state, calls, lambda_response(diagnosed))
        if crash := calls[-1]:
            return {**plan, "undiagnosed": {"Error": crash.error, "Cause": crash.cause}, "next": ""}
        return diagnosed

    def add_answers(self, state: str, calls: Calls, answer: dict[str, Any]) -> None:
        for fault in calls:
            error = fault and {"Throw": {"Error": fault.error, "Cause": fault.cause}}
            self.answers[state].append(error or {"Return": answer})


def record_answer(plan: dict[str, Any]) -> dict[str, Any]:
    return lambda_response(outcome.from_plan(plan).answer())


def lambda_response(payload: dict[str, Any]) -> dict[str, Any]:
    return {"StatusCode": 200, "Payload": payload}


def config() -> dict[str, Any]:
    """Return the content of the file; equal answers of two states or cases are written once."""
    names: dict[str, str] = {}  # answers -> their name
    machines = {
        PIPELINE_MACHINE: {
            **{case: Rehearsal(PIPELINE[case]).pipeline() for case in PIPELINE},
            **{case: Rehearsal(FUSED[case]).fused() for case in FUSED},
            **{case: Rehearsal(SCATTERED[case]).pipeline(SCATTERED_PLAN) for case in SCATTERED},
        },
        JOINT_MACHINE: {case: Rehearsal(JOINT[case]).joint() for case in JOINT},
        PREPARATION_MACHINE: {case: Rehearsal(PREPARATION[case]).preparation() for case in PREPARATION},
    }
    cases = {
        machine: {
            case: {state: names.setdefault(numbered(calls), f"{case}.{state}") for state, calls in answers.items()}
            for case, answers in by_case.items()
        }
        for machine, by_case in machines.items()
    }
    return {
        "StateMachines": {machine: {"TestCases": by_case} for machine, by_case in cases.items()},
        "MockedResponses": {name: json.loads(answers) for answers, name in names.items()},
    }


def numbered(answers: list[dict[str, Any]]) -> str:
    """Return {"0-1": {"Throw": ..}, "2": {"Return": ..}}: answers by number of the call, equal neighbours as one."""
    ranges, first = {}, 0
    for answer, same in groupby(answers):
        last = first + len(list(same)) - 1
        ranges[str(first) if first == last else f"{first}-{last}"] = answer
        first = last + 1
    return json.dumps(ranges)


def text() -> str:
    """Return the text of the file: one line for each case and each response, so that diffs are short."""
    content = config()
    machines = {name: machine["TestCases"] for name, machine in content["StateMachines"].items()}
    machines = {name: block({"TestCases": block(compact(cases), 3)}, 2) for name, cases in machines.items()}
    responses = block(compact(content["MockedResponses"]), 1)
    return block({"StateMachines": block(machines, 1), "MockedResponses": responses}, 0) + "\n"


def compact(items: dict[str, Any]) -> dict[str, str]:
    return {name: json.dumps(value) for name, value in items.items()}


def block(items: dict[str, str], depth: int) -> str:
    """Return a JSON object of values that are JSON texts, one on each line."""
    inside = ",\n".join(f"{'  ' * (depth + 1)}{json.dumps(name)}: {value}" for name, value in items.items())
    return f"{{\n{inside}\n{'  ' * depth}}}"


if __name__ == "__main__":
    FILE.write_text(text())
