"""functions/start_run: joint runs that `seqdrop joint` asks for, and their resumption."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from seqdrop.plan import extras, joint, steps
from seqdrop.runs import executions
from seqdrop.storage import s3
from support import joint_members
from support.function_aws import (
    FINGERPRINT,
    JOINT_MACHINE,
    NORMAL_PRIORITY,
    REFERENCES,
    RESULTS,
    SOURCES,
    Deployed,
    allowed_actions,
)
from support.joint_members import NAMES, ask, joined


@pytest.fixture
def start_run(aws: Deployed) -> Any:
    """Load the function, with the runs of three samples in the table."""
    return joint_members.load(aws)


def test_a_joint_run_has_a_plan_pinned_inputs_and_a_row_and_starts_once(aws: Deployed, start_run: Any) -> None:
    answer = ask(start_run, "runC01", "runF01", "runM01", reference="demo")
    run = answer["run"]
    execution = f"{JOINT_MACHINE.replace(':stateMachine:', ':execution:')}:{run}"
    assert answer == {"outcome": "started", "run": run, "execution": execution}
    assert aws.calls <= allowed_actions("start_run")
    plan = json.loads(aws.states.describe_execution(executionArn=execution)["input"])
    folder = f"s3://{RESULTS}/FAMILY/{run}"
    job = {"job_queue": NORMAL_PRIORITY, "attempt": "1", "args": "[]"}
    settings = {step.name: plan.pop(step.name) for step in steps.JOINT}
    assert plan == {
        "version": 1,
        "kind": "joint",
        "sample": "FAMILY",
        "samples": [{"sample": name, "run": f"run{name}"} for name in NAMES],
        "run": run,
        "lanes": 1,
        "parts": 2,
        "steps": ["merge", "join", "annotate"],
        "reference": f"s3://{REFERENCES}/demo/genome.fa",
        "fingerprint": FINGERPRINT,
        "sources": SOURCES,
        "caller": "bcftools",
        "intervals": "all",
        "intervals_name": "",
        "intervals_sha256": "",
        "results": folder,
        "reads": f"{folder}/reads.json",
        "vcf": f"{folder}/FAMILY.vcf.gz",
        "annotated_vcf": f"{folder}/FAMILY.annotated.vcf.gz",
        "manifest": f"{folder}/manifest.json",
    }
    assert all(job.items() <= setting.items() for setting in settings.values())
    assert settings["merge"]["job_definition"] == settings["join"]["job_definition"]
    reads = json.loads(aws.results()[f"FAMILY/{run}/reads.json"])
    assert (reads["sample"], reads["parts"], reads["warnings"]) == ("FAMILY", 2, [])
    assert [(one["sample"], one["least_depth"]) for one in reads["samples"]] == [(name, 7.0) for name in NAMES]
    assert reads["samples"][0]["gvcf.tbi"] == {
        "name": "gvcf.tbi",
        "uri": f"s3://{RESULTS}/C01/runC01/C01.g.vcf.gz.tbi",
        "version_id": "v-gvcf.tbi",
        "etag": "e",
        "size": 9,
        "crc64nvme": "c",
    }
    assert json.loads(aws.results()[f"FAMILY/{run}/reference.json"])["fingerprint"] == FINGERPRINT
    row = aws.row(run) or {}
    assert {name: row[name] for name in ("sample", "kind", "status", "reference", "samples")} == {
        "sample": "FAMILY", "kind": "joint", "status": "RUNNING", "reference": "demo", "samples": list(NAMES)
    }  # fmt: skip

    # again: the same execution; other samples, another order or another name are other runs
    assert ask(start_run, "runC01", "runF01", "runM01")["run"] == run
    assert joined(aws) == [run]
    others = [ask(start_run, "runF01", "runC01", "runM01"), ask(start_run, "runC01", "runF01"),
              ask(start_run, "runC01", "runF01", "runM01", name="OTHER")]  # fmt: skip
    assert len({run, *(other["run"] for other in others)}) == 4

    # an ended one is a duplicate, and can be resumed with the sizes of today
    aws.end(run, "FAILED")
    aws.table.update_item(Key={"run": run}, UpdateExpression="SET #s = :s", ExpressionAttributeNames={"#s": "status"},
                          ExpressionAttributeValues={":s": "FAILED"})  # fmt: skip
    assert ask(start_run, "runC01", "runF01", "runM01") == {"outcome": "duplicate", "run": run}
    (resumed,) = start_run.call({"resume": run})["outcomes"]
    assert resumed == {"outcome": "resumed", "run": run, "execution": f"{execution}-2"}
    again = json.loads(aws.states.describe_execution(executionArn=f"{execution}-2")["input"])
    assert again == {**plan, **settings}


def test_a_joint_run_has_a_priority_and_a_budget_within_the_limit_of_the_stack(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_RUN_COST", "5")
    (refused,) = start_run.call({"joint": {"name": "FAMILY", "runs": ["runC01", "runF01"], "max_cost": "7"}})[
        "outcomes"
    ]
    assert refused["reason"].startswith("a budget of $7.00 is above the limit of this stack, $5.00")
    request = {"name": "FAMILY", "runs": ["runC01", "runF01"], "max_cost": "4", "priority": "high"}
    (started,) = start_run.call({"joint": request})["outcomes"]
    plan = json.loads(aws.states.describe_execution(executionArn=started["execution"])["input"])
    assert {plan[step]["job_queue"] for step in plan["steps"]} == {os.environ["HIGH_QUEUE"]}
    assert (aws.row(started["run"]) or {})["max_cost"] == "4"


def test_runs_with_known_variants_and_a_panel_are_joined_with_both(aws: Deployed, start_run: Any) -> None:
    known = {"dbsnp": {"fingerprint": "k1", "fields": ["ID"]}}
    aws.prepare(known=known)
    s3.store.cache_clear()
    of_reference = extras.fingerprint({"fingerprint": FINGERPRINT, "known": known})
    panel = {"intervals_name": "exome", "intervals_sha256": "9a1b", "padding": 100}
    for name in NAMES[:2]:
        joint_members.put_run(aws, name, fingerprint=of_reference, known=known, **panel)
    run = ask(start_run, "runC01", "runF01")["run"]
    plan = json.loads(aws.states.describe_execution(executionArn=executions.arn(run, JOINT_MACHINE))["input"])
    assert {"fingerprint": of_reference, "known": known, **panel}.items() <= plan.items()


def test_a_stack_without_the_image_says_how_to_push_it(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = {"joint": "none", "snpeff": "1"}
    monkeypatch.setenv("IMAGE_TAGS", json.dumps(tags))
    reason = ask(start_run, "runC01", "runF01")["reason"]
    assert reason.startswith("the stack has no image of joint yet: run `make push STACK=seqdrop TOOLS='joint'`")


@pytest.mark.parametrize(("bases", "parts"), [(1, 2), (3_100_000_000, 31), (20_000_000_000, 100)])
def test_the_number_of_parts_follows_the_size_of_the_genome(bases: int, parts: int) -> None:
    assert joint.number_of_parts(bases) == parts
