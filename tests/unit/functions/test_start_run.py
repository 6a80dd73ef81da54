"""functions/start_run: uploaded FASTQs and the runs that they start."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from seqdrop.plan import bed, fastq_names, layout, steps
from seqdrop.plan.choices import Choices
from seqdrop.plan.names import canonical
from seqdrop.runs import commands, executions, pairing, reference, submit, table
from seqdrop.runs.pairing import Pair
from seqdrop.runs.reference import PinnedReference
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from support import function_aws
from support.function_aws import (
    FASTQS,
    FINGERPRINT,
    HIGH_PRIORITY,
    NORMAL_PRIORITY,
    REFERENCES,
    RESULTS,
    SOURCES,
    Deployed,
    allowed_actions,
    collect_logs,
    environment,
    event,
    fail_next_call,
    object_created,
    s3_put,
)
from support.made_reads import FLOWCELL, fastq

R1, R2 = "NA12878_R1.fastq.gz", "NA12878_R2.fastq.gz"
BED = b"demo1\t100\t200\n"
WAITING = {"outcome": "waiting", "reason": "the mate has not arrived"}


@pytest.fixture
def start_run(aws: Deployed) -> Any:
    """Load the function, with the default reference prepared."""
    aws.prepare()
    return aws.load("start_run")


@pytest.fixture
def no_wait(start_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each lane be a run of its own at once, as the stack parameter LaneWaitMinutes=0 does."""
    monkeypatch.setenv("LANE_WAIT_MINUTES", "0")


def outcome_of(answer: dict[str, Any]) -> dict[str, str]:
    (outcome,) = answer["outcomes"]
    return outcome


def upload_pair(aws: Deployed, folder: str = "", **choices: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Upload both mates; return their events."""
    return aws.put(folder + R1, fastq(1), **choices), aws.put(folder + R2, fastq(2), **choices)


def refusal_message(run: str, failure_class: str, reason: str, advice: str) -> tuple[str, str]:
    """Return the message to the owner of the files; its subject names no sample."""
    text = f"Sample NA12878 was not started: {reason}.\nClass: {failure_class}\n{advice}\n"
    text += f"More: `seqdrop why {run} --stack seqdrop`"
    return f"seqdrop run {run}: not started", text


def modified(aws: Deployed, key: str) -> str:
    return str(aws.s3.head_object(Bucket=FASTQS, Key=key)["LastModified"].strftime("%Y-%m-%d %H:%M UTC"))


def set_status(aws: Deployed, run: str, status: str) -> None:
    aws.table.update_item(
        Key={"run": run},
        UpdateExpression="SET #status = :status",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":status": status},
    )


def plan_of(aws: Deployed, run: str) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(aws.input_of(run))
    return plan


def reads_of(aws: Deployed, run: str) -> dict[str, Any]:
    reads: dict[str, Any] = json.loads(aws.text(RESULTS, f"NA12878/{run}/reads.json"))
    assert reads["sample"] == "NA12878"
    return reads


def lanes_of(aws: Deployed, run: str) -> list[dict[str, Any]]:
    lanes: list[dict[str, Any]] = reads_of(aws, run)["lanes"]
    return lanes


def test_a_lone_mate_waits(aws: Deployed, start_run: Any) -> None:
    upload = aws.put(R1, fastq(1))
    assert outcome_of(start_run.call(upload)) == WAITING
    assert aws.executions() == []
    assert aws.messages() == []
    assert aws.results() == {}


def test_the_row_of_a_lone_mate_has_the_time_since_when_it_waits(aws: Deployed, start_run: Any) -> None:
    upload = aws.put(R1, fastq(1))
    start_run.call(upload)
    (row,) = aws.rows()
    assert row == {
        "version": 1,
        "run": row["run"],
        "expires": row["expires"],  # after 14 days it was most likely deleted
        "sample": "NA12878",
        "status": "WAITING",
        "message": f"{R2} is missing; R1 came {modified(aws, R1)}",
        "started": row["started"],
    }
    start_run.call(upload)
    assert aws.rows() == [row]


def test_the_row_of_a_lone_mate_is_deleted_when_its_run_starts(aws: Deployed, start_run: Any) -> None:
    start_run.call(aws.put(R1, fastq(1)))
    run = outcome_of(start_run.call(aws.put(R2, fastq(2))))["run"]
    assert [(row["run"], row["status"]) for row in aws.rows()] == [(run, "RUNNING")]


def test_the_second_mate_starts_one_run_with_the_current_versions(aws: Deployed, start_run: Any) -> None:
    one = aws.put(R1, fastq(1))
    start_run.call(one)
    two = aws.put(R2, fastq(2))
    outcome = outcome_of(start_run.call(two))
    run = outcome["run"]
    assert outcome == {"outcome": "started", "run": run}
    pair = {
        "lane": "",
        **{
            word: {
                "uri": f"s3://{FASTQS}/{key}",
                "version_id": upload["detail"]["object"]["version-id"],
                "etag": aws.s3.head_object(Bucket=FASTQS, Key=key)["ETag"].strip('"'),
                "size": len(fastq(mate)),
            }
            for word, key, upload, mate in (("fastq_1", R1, one, 1), ("fastq_2", R2, two, 2))
        },
    }
    assert run == layout.run_id(
        "NA12878", [pair], Choices("demo"), genome=FINGERPRINT, aligner="bwa_mem3", caller="bcftools"
    )
    assert lanes_of(aws, run) == [{**pair, "read_group": "HXYZTDSXX.1"}]
    assert aws.executions() == [run]
    row = aws.row(run)
    assert row
    assert row == {
        "version": 1,
        "run": run,
        "sample": "NA12878",
        "reference": "demo",
        "aligner": "bwa_mem3",
        "caller": "bcftools",
        "execution": f"arn:aws:states:us-east-1:123456789012:execution:seqdrop-pipeline:{run}",
        "results": f"s3://{RESULTS}/NA12878/{run}",
        "content": row["content"],  # with `place`, tells a copy of these bytes under other keys
        "place": row["place"],
        "lanes": 1,
        "status": "RUNNING",
        "started": row["started"],
        "fastq_bytes": row["fastq_bytes"],
        "estimated_usd": row["estimated_usd"],
        "estimated_hours": "0.1317",  # four starts, the index, the genes
        "estimated_from": "docs/sizing.md",
        "form": "split",
        "alignment_format": "bam",
    }


def test_the_input_of_the_execution_is_the_plan_of_the_event_file(aws: Deployed, start_run: Any) -> None:
    upload_pair(aws)
    run = outcome_of(start_run.call(event("eventbridge_object_created")))["run"]
    shown = event("execution_input")
    assert aws.input_of(run) == canonical(shown).replace(shown["run"], run)


@pytest.mark.parametrize("first", [0, 1])
def test_both_orders_of_the_mates_give_the_same_plan(aws: Deployed, start_run: Any, first: int) -> None:
    """S3 names the versions, so the events of the same two objects are sent in both orders."""
    events = upload_pair(aws)
    run = outcome_of(start_run.call(events[first]))["run"]
    bytes_of_first = aws.input_of(run), aws.text(RESULTS, f"NA12878/{run}/reads.json")
    aws.forget_executions()
    aws.table.delete_item(Key={"run": run})
    assert outcome_of(start_run.call(events[1 - first])) == {"outcome": "started", "run": run}
    assert (aws.input_of(run), aws.text(RESULTS, f"NA12878/{run}/reads.json")) == bytes_of_first


def test_twenty_equal_events_start_one_execution(aws: Deployed, start_run: Any) -> None:
    one, _ = upload_pair(aws)
    runs = {outcome_of(start_run.call(one))["run"] for _ in range(20)}
    assert aws.executions() == list(runs)
    assert len(aws.rows()) == 1


def test_an_event_after_the_end_of_the_run_is_a_duplicate(aws: Deployed, start_run: Any) -> None:
    one, two = upload_pair(aws)
    run = outcome_of(start_run.call(one))["run"]
    aws.end(run, "SUCCEEDED")
    assert outcome_of(start_run.call(two)) == {"outcome": "duplicate", "run": run}
    assert aws.executions() == [run]


def test_an_event_of_an_ended_row_is_a_duplicate_even_if_its_execution_was_deleted(
    aws: Deployed, start_run: Any
) -> None:
    one, two = upload_pair(aws)
    run = outcome_of(start_run.call(one))["run"]
    set_status(aws, run, "SUCCEEDED")
    aws.forget_executions()
    assert outcome_of(start_run.call(two)) == {"outcome": "duplicate", "run": run}
    assert aws.executions() == []


KEYS = ["March run", "Müller, Köln", "50%", "a+b", "100%2Bmore"]


@pytest.mark.parametrize("folder", KEYS)
def test_keys_of_eventbridge_are_not_decoded(aws: Deployed, start_run: Any, folder: str) -> None:
    one, _ = upload_pair(aws, f"{folder}/")
    assert outcome_of(start_run.call(one))["outcome"] == "started"
    (run,) = aws.executions()
    assert lanes_of(aws, run)[0]["fastq_1"]["uri"] == f"s3://{FASTQS}/{folder}/{R1}"


@pytest.mark.parametrize("folder", KEYS)
def test_keys_of_s3_events_are_url_decoded(aws: Deployed, start_run: Any, folder: str) -> None:
    one, _ = upload_pair(aws, f"{folder}/")
    direct = s3_put(f"{folder}/{R1}", one["detail"]["object"]["version-id"])
    assert outcome_of(start_run.call(direct))["outcome"] == "started"
    (run,) = aws.executions()
    assert lanes_of(aws, run)[0]["fastq_1"]["uri"] == f"s3://{FASTQS}/{folder}/{R1}"


def test_the_s3_event_file_starts_a_run(aws: Deployed, start_run: Any) -> None:
    upload_pair(aws, "March run + repeats/")
    assert outcome_of(start_run.call(event("s3_put")))["outcome"] == "started"


def test_an_s3_event_may_have_several_records(aws: Deployed, start_run: Any) -> None:
    upload = s3_put(R1, aws.put(R1, fastq(1))["detail"]["object"]["version-id"])
    upload["Records"].append(s3_put("notes.txt", "v1")["Records"][0])
    assert [outcome["outcome"] for outcome in start_run.call(upload)["outcomes"]] == ["waiting", "ignored"]


def test_an_object_without_a_version_is_refused(aws: Deployed, start_run: Any) -> None:
    upload_pair(aws)
    assert outcome_of(start_run.call(object_created(R1, ""))) == {
        "outcome": "refused",
        "reason": "the bucket keeps no versions: enable versioning, so that a run can pin its reads",
    }
    assert aws.executions() == []
    assert aws.rows() == []


@pytest.mark.parametrize("key", ["README.txt", "NA12878_R1.fastq.gz.md5", "NA12878.vcf.gz", "R1/"])
def test_objects_without_reads_are_ignored_without_a_row(aws: Deployed, start_run: Any, key: str) -> None:
    upload = aws.put(key, b"x")
    assert outcome_of(start_run.call(upload)) == {"outcome": "ignored", "reason": "no file of reads"}
    assert (aws.executions(), aws.rows()) == ([], [])


@pytest.mark.parametrize("key", ["run/NA12878_I1.fastq.gz", "run/NA12878.fastq.gz", "run/NA12878_R1.fastq (1).gz"])
def test_a_file_of_reads_that_makes_no_run_has_a_row_with_the_reason(aws: Deployed, start_run: Any, key: str) -> None:
    upload = aws.put(key, b"x")
    for _ in range(2):
        reason = "not R1 or R2 of a pair; its row in the run table says why"
        assert outcome_of(start_run.call(upload)) == {"outcome": "ignored", "reason": reason}
    (row,) = aws.rows()
    assert row == {
        "version": 1,
        "run": row["run"],
        "sample": fastq_names.harmless(key.removeprefix("run/")),
        "status": "IGNORED",
        "message": f"{key} is ignored: {fastq_names.ignored_because(key)}",
        "started": row["started"],
        "expires": row["expires"],
    }
    assert row["run"].startswith("ignored-")
    assert (aws.executions(), aws.messages()) == ([], [])


def test_another_object_between_the_mates_changes_nothing(aws: Deployed, start_run: Any) -> None:
    one = aws.put(R1, fastq(1))
    outcomes = [outcome_of(start_run.call(one)), outcome_of(start_run.call(aws.put("NA12878_checksums.txt", b"note")))]
    two = aws.put(R2, fastq(2))
    outcomes += [outcome_of(start_run.call(two)), outcome_of(start_run.call(one))]
    assert [outcome["outcome"] for outcome in outcomes] == ["waiting", "ignored", "started", "started"]
    assert len(aws.executions()) == 1


def test_the_plan_of_a_run_has_its_choices(aws: Deployed, start_run: Any) -> None:
    aws.prepare("viral", fingerprint="0a0a0a0a0a0a0a0a0a0a")
    aws.s3.put_object(Bucket=REFERENCES, Key="viral/amplicons.bed", Body=BED)
    args = {"align": ["--no-mark-duplicates"], "call": ["--ploidy", "1"]}
    one, _ = upload_pair(aws, reference="viral", intervals="amplicons.bed", args=json.dumps(args))
    plan = plan_of(aws, outcome_of(start_run.call(one))["run"])
    assert plan["reference"] == f"s3://{REFERENCES}/viral/genome.fa"
    assert plan["intervals"] == f"{plan['results']}/intervals.bed"
    assert (plan["intervals_name"], plan["intervals_sha256"]) == ("amplicons.bed", bed.checksum(BED))
    assert {step: plan[step]["args"] for step in steps.names()} == {
        "align": '["--no-mark-duplicates"]',
        "call": '["--ploidy","1"]',
        "annotate": "[]",
        "collect": "[]",
        "compose": "[]",
    }


@pytest.mark.parametrize(("priority", "queue"), [("normal", NORMAL_PRIORITY), ("high", HIGH_PRIORITY)])
def test_the_priority_of_a_run_selects_its_queue(aws: Deployed, start_run: Any, priority: str, queue: str) -> None:
    one, _ = upload_pair(aws, priority=priority)
    plan = plan_of(aws, outcome_of(start_run.call(one))["run"])
    assert {plan[step]["job_queue"] for step in steps.names()} == {queue}


def definition_of(tool: str) -> str:
    """Return the ARN of the job definition of a tool."""
    variables = environment("start_run")
    name = json.loads(variables["JOB_DEFINITIONS"])[tool]
    assert re.fullmatch(r"[\w-]+:\d+", name), "a revision is pinned"
    return f"{variables['JOB_DEFINITION_PREFIX']}{name}"


def form_of(aws: Deployed, start_run: Any, **choices: str) -> str:
    """Start a run with these choices; return its form, which its job object confirms."""
    one, _ = upload_pair(aws, **choices)
    plan = plan_of(aws, outcome_of(start_run.call(one))["run"])
    fused = definition_of("fused")
    assert ("fused" in plan) is (plan["form"] == "fused")
    assert plan.get("fused", {"job_definition": fused})["job_definition"] == fused
    return str(plan["form"])


@pytest.mark.parametrize(("limit", "form"), [("0", "split"), ("1", "fused")])
def test_the_size_of_the_files_selects_the_form(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch, limit: str, form: str
) -> None:
    monkeypatch.setenv("FUSED_LIMIT_MIB", limit)
    assert form_of(aws, start_run) == form


@pytest.mark.parametrize(("word", "form"), [("fastq_1", "fused"), ("bam", "split"), ("cram", "split")])
def test_small_files_in_other_formats_may_have_the_reads_of_a_genome(
    start_run: Any, monkeypatch: pytest.MonkeyPatch, word: str, form: str
) -> None:
    monkeypatch.setenv("FUSED_LIMIT_MIB", "1")
    reads = {"lanes": [{"lane": "", word: {"size": 1000}}]}
    assert submit.form_of(reads, Choices("demo"), PinnedReference()) == (form, 1)
    assert submit.form_of(reads, Choices("demo", form="fused"), PinnedReference()) == ("fused", 1)


@pytest.mark.parametrize("word", ["fastq_1", "bam"])
def test_large_files_select_calling_in_parts_by_their_size_and_the_bases_to_call(
    start_run: Any, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    genome = PinnedReference({"contigs": [{"name": "chr1", "length": 3_000_000_000}]})
    reads = {"lanes": [{"lane": "", word: {"size": 40 << 30}}]}
    assert submit.form_of(reads, Choices("demo"), genome) == ("scattered", 9)
    assert submit.form_of(reads, Choices("demo", form="split"), genome) == ("split", 1)
    assert submit.form_of(reads, Choices("demo", caller="strelka"), genome) == ("split", 1)
    targets = PinnedReference(genome.summary, b"chr1\t100\t100100\nchr1\t500000\t560000\n")
    assert submit.form_of(reads, Choices("demo"), targets) == ("scattered", 2)
    monkeypatch.setenv("SCATTER_FROM_MIB", "0")
    assert submit.form_of(reads, Choices("demo"), genome) == ("split", 1)


def test_a_run_that_chooses_calling_in_parts_has_the_jobs_for_it(aws: Deployed, start_run: Any) -> None:
    one, _ = upload_pair(aws, form="scattered")
    run = outcome_of(start_run.call(one))["run"]
    plan = plan_of(aws, run)
    assert (plan["form"], plan["parts"]) == ("scattered", 2)
    assert plan["steps"] == ["align", "scatter", "call", "annotate", "collect", "compose"]
    sizes = json.loads(environment("start_run")["SIZES"])["scatter"]
    definition = definition_of("bcftools")
    for step in ("scatter", "call"):
        job = plan[step]
        assert [job["vcpus"], job["memory"], job["job_definition"], job["parts"]] == [*sizes, definition, "2"]
    row = aws.table.get_item(Key={"run": run})["Item"]
    assert (row["form"], row["parts"]) == ("scattered", 2)


def test_a_run_in_one_job_has_one_part(aws: Deployed, start_run: Any) -> None:
    one, _ = upload_pair(aws)
    run = outcome_of(start_run.call(one))["run"]
    plan = plan_of(aws, run)
    assert (plan["call"]["parts"], "parts" in plan, "scatter" in plan["steps"]) == ("1", False, False)
    assert plan["call"]["vcpus"] == json.loads(environment("start_run")["SIZES"])["call"][0]
    row = aws.table.get_item(Key={"run": run})["Item"]
    assert (row["form"], "parts" in row) == ("split", False)


def test_the_choice_of_a_run_is_before_the_default_of_the_stack(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORM", "fused")
    assert form_of(aws, start_run, form="split") == "split"


def test_a_stack_whose_runs_have_one_job_needs_its_image_alone(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_images(monkeypatch, *(tool for tool in json.loads(os.environ["IMAGE_TAGS"]) if tool != "fused"))
    monkeypatch.setenv("FORM", "fused")
    assert form_of(aws, start_run) == "fused"
    one, _ = upload_pair(aws, form="split")
    assert outcome_of(start_run.call(one))["failure_class"] == "NOT_READY"


def test_a_stack_without_the_image_of_the_fused_job_takes_a_job_for_each_step(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_images(monkeypatch, "fused")
    monkeypatch.setenv("FORM", "fused")
    assert form_of(aws, start_run) == "split"
    one, _ = upload_pair(aws, form="fused")
    outcome = outcome_of(start_run.call(one))
    assert (outcome["failure_class"], outcome["reason"].split(":")[0]) == (
        "NOT_READY",
        "the stack has no image of fused yet",
    )


def test_a_run_is_refused_while_the_stack_has_no_images(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_images(monkeypatch, "bwa_mem3", "report")
    one, _ = upload_pair(aws)
    outcome = outcome_of(start_run.call(one))
    commands = "`make push STACK=seqdrop TOOLS='bwa_mem3 report'` and `sam deploy --config-file stacks/seqdrop.toml`"
    reason = f"the stack has no image of bwa_mem3, report yet: run {commands}"
    refusal = {"outcome": "refused", "run": outcome["run"], "failure_class": "NOT_READY", "reason": reason}
    assert outcome == refusal
    row = aws.row(outcome["run"])
    assert row
    assert (row["status"], row["class"], row["message"]) == ("FAILED", "NOT_READY", reason)
    assert aws.executions() == []


def test_a_stack_without_images_and_references_lacks_its_images_first(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without images it can prepare no reference."""
    remove_images(monkeypatch, "bwa_mem3")
    one, _ = upload_pair(aws, reference="hg99")
    assert outcome_of(start_run.call(one))["failure_class"] == "NOT_READY"


@pytest.mark.parametrize(
    ("default", "chosen", "suffix"), [("bam", "cram", ".cram"), ("cram", "", ".cram"), ("cram", "bam", ".bam")]
)
def test_the_format_of_the_aligned_reads_is_that_of_the_deployment_or_of_the_run(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch, default: str, chosen: str, suffix: str
) -> None:
    monkeypatch.setenv("ALIGNMENT_FORMAT", default)
    one, two = upload_pair(aws, **({"alignment-format": chosen} if chosen else {}))
    outcome_of(start_run.call(one))
    started = outcome_of(start_run.call(two))
    assert aws.executions() == [started["run"]]
    plan = json.loads(aws.input_of(started["run"]))
    assert plan["bam"] == f"{plan['results']}/NA12878{suffix}"


def test_a_run_keeps_its_budget_and_the_estimate_from_earlier_runs(aws: Deployed, start_run: Any) -> None:
    past = {"run": "past", "sample": "S", "status": "SUCCEEDED", "reference": "demo", "aligner": "bwa_mem3"}
    past |= {"caller": "bcftools", "cost": "0.5", "fastq_bytes": 1000, "form": "split", "alignment_format": "bam"}
    aws.table.put_item(Item={**past, "started": "2026-03-01T10:00:00Z", "finished": "2026-03-01T12:00:00Z"})
    one, _ = upload_pair(aws, **{"max-cost": "7.5"})
    row = aws.row(outcome_of(start_run.call(one))["run"])
    assert row
    size = int(row["fastq_bytes"])
    assert (row["max_cost"], row["estimated_from"]) == ("7.5", "1 earlier run")
    assert float(row["estimated_usd"]) == pytest.approx(0.5 * size / 1000, abs=1e-6)
    assert float(row["estimated_hours"]) == pytest.approx(2 * size / 1000, abs=1e-4)
    assert aws.calls <= allowed_actions("start_run")


def test_an_uploader_cannot_raise_the_limit_of_the_stack(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_RUN_COST", "5")
    one, _ = upload_pair(aws, **{"max-cost": "7.5"})
    refused = outcome_of(start_run.call(one))
    limit = "a budget of $7.50 is above the limit of this stack, $5.00: choose at most $5.00, or ask the owner of the "
    reason = f"{limit}stack to raise MaxRunCost"
    assert (refused["failure_class"], refused["reason"]) == ("BAD_INPUT.CHOICES", reason)
    assert aws.executions() == []


def remove_images(monkeypatch: pytest.MonkeyPatch, *tools: str) -> None:
    tags = json.loads(os.environ["IMAGE_TAGS"])
    remaining = {name: "none" if name in tools else tag for name, tag in tags.items()}
    monkeypatch.setenv("IMAGE_TAGS", json.dumps(remaining))


def test_images_of_unused_tools_may_be_missing(aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    remove_images(monkeypatch, "isaac", "bwa", "strelka")
    one, _ = upload_pair(aws)
    assert outcome_of(start_run.call(one))["outcome"] == "started"


def test_choosing_a_default_value_gives_the_same_run(aws: Deployed, start_run: Any) -> None:
    one, _ = upload_pair(aws)
    run = outcome_of(start_run.call(one))["run"]
    pairs = lanes_of(aws, run)
    tools = {"genome": FINGERPRINT, "aligner": "bwa_mem3", "caller": "bcftools"}
    choices = Choices.from_metadata({"seqdrop-reference": "demo", "seqdrop-args": '{"call": []}'})
    assert layout.run_id("NA12878", pairs, choices, **tools) == run


REFUSALS = [
    ({}, {"reference": "viral"}, "the mates carry different choices (x-amz-meta-seqdrop-*): upload both with the same"),
    (
        {"flavour": "mild"},
        {"flavour": "mild"},
        "unknown choice seqdrop-flavour; known: reference, intervals, aligner, caller, "
        "alignment-format, args, lanes, priority, layout, panel, max-cost, form",
    ),
    ({"caller": "gatk"}, {"caller": "gatk"}, "seqdrop-caller must be one of bcftools, strelka"),
    ({"args": "-k 19"}, {"args": "-k 19"}, "seqdrop-args is not valid JSON"),
    (
        {"reference": "../secrets"},
        {"reference": "../secrets"},
        "seqdrop-reference must be a name of letters, digits, '.', '_' and '-'",
    ),
]


@pytest.mark.parametrize(("choices_1", "choices_2", "reason"), REFUSALS)
def test_invalid_choices_are_refused_in_the_row_and_by_a_message(
    aws: Deployed, start_run: Any, choices_1: dict[str, str], choices_2: dict[str, str], reason: str
) -> None:
    one, two = aws.put(R1, fastq(1), **choices_1), aws.put(R2, fastq(2), **choices_2)
    outcomes = [outcome_of(start_run.call(upload)) for upload in (one, two)]
    run = outcomes[0]["run"]
    refusal = {"outcome": "refused", "run": run, "failure_class": "BAD_INPUT.CHOICES", "reason": reason}
    assert outcomes == [refusal] * 2
    assert aws.executions() == []
    (row,) = aws.rows()
    assert row == {
        "version": 1,
        "run": run,
        "sample": "NA12878",
        "reference": "",
        "aligner": "bwa_mem3",
        "caller": "bcftools",
        "status": "FAILED",
        "class": "BAD_INPUT.CHOICES",
        "message": reason,
        "advice": "Correct the x-amz-meta-seqdrop-* metadata of the FASTQs, then upload them again.",
        "started": row["started"],
        "finished": row["started"],
        "upload": f"s3://{FASTQS}/{R1}",
    }
    assert aws.messages() == [refusal_message(run, "BAD_INPUT.CHOICES", reason, row["advice"])]


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (
            '{"call":["--output","/etc/passwd"]}',
            "options of call: bcftools has no option --output; it allows --ploidy N (1 to 2), --min-mq N (0 to 254), "
            "--min-bq N (0 to 93), --min-quality N (0 to 10000), --min-share N (0 to 1), --min-depth N (0 to 1)",
        ),
        ('{"call":["--exome"]}', None),  # an option of the other caller
        (
            '{"call":["--ploidy","9"]}',
            "options of call: argument --ploidy: must be a whole number from 1 to 2, not '9'",
        ),
        ('{"call":["--ploidy"]}', "options of call: argument --ploidy: expected one argument"),
        ('{"collect":["--no-such-option"]}', None),
    ],
)
def test_options_that_a_tool_does_not_allow_are_refused_before_any_job(
    aws: Deployed, start_run: Any, args: str, reason: str | None
) -> None:
    one, two = upload_pair(aws, args=args)
    outcome = outcome_of(start_run.call(one))
    assert outcome_of(start_run.call(two)) == outcome
    assert (outcome["outcome"], outcome["failure_class"]) == ("refused", "BAD_INPUT.CHOICES")
    assert reason in (None, outcome["reason"])
    assert (aws.executions(), aws.results(), len(aws.messages())) == ([], {}, 1)
    pins = [Pair("", *(s3.store().head(S3Uri(FASTQS, key)) for key in (R1, R2))).entry()]
    choices = Choices("demo", args=json.loads(args))  # the command line waits for this id
    tools = {"aligner": "bwa_mem3", "caller": "bcftools"}
    assert outcome["run"] == layout.run_id("NA12878", pins, choices, genome=FINGERPRINT, **tools)


@pytest.mark.parametrize("lanes", ["four", "0", "04"])
def test_an_invalid_number_of_lanes_is_refused(aws: Deployed, start_run: Any, lanes: str) -> None:
    one, _ = upload_pair(aws, lanes=lanes)
    outcome = outcome_of(start_run.call(one))
    assert (outcome["outcome"], outcome["reason"]) == ("refused", "seqdrop-lanes must be a number from 1 to 99")


def test_a_run_is_refused_until_its_reference_is_prepared(aws: Deployed) -> None:
    start_run = aws.load("start_run")
    one, two = upload_pair(aws)
    refused = outcome_of(start_run.call(one))
    assert refused["reason"] == "reference demo is not prepared; none is prepared yet"
    assert outcome_of(start_run.call(two)) == refused
    assert aws.executions() == []
    row = aws.row(refused["run"])
    assert row
    assert [row[name] for name in ("status", "class", "message", "advice")] == [
        "FAILED",
        "REFERENCE",
        "reference demo is not prepared; none is prepared yet",
        f"Prepare it with `seqdrop reference --stack seqdrop`, then run `seqdrop resume {refused['run']} --stack "
        "seqdrop`; or upload the reads with the name of a prepared one (x-amz-meta-seqdrop-reference).",
    ]
    assert aws.messages() == [refusal_message(refused["run"], "REFERENCE", refused["reason"], row["advice"])]
    aws.prepare()
    started = outcome_of(start_run.call(one))
    assert started["outcome"] == "started"
    assert aws.executions() == [started["run"]]


def refuse_for_its_bed(aws: Deployed, start_run: Any) -> str:
    """Upload a pair whose BED is missing; return the id of the refused run."""
    one, _ = upload_pair(aws, intervals="exome.bed")
    outcome = outcome_of(start_run.call(one))
    assert (outcome["outcome"], aws.executions()) == ("refused", [])
    aws.messages()
    return outcome["run"]


def test_a_refused_run_starts_when_it_is_resumed_after_its_cause_is_corrected(aws: Deployed, start_run: Any) -> None:
    refused = refuse_for_its_bed(aws, start_run)
    row = aws.row(refused) or {}
    assert f"then run `seqdrop resume {refused} --stack seqdrop`" in row["advice"]
    aws.s3.put_object(Bucket=REFERENCES, Key="demo/exome.bed", Body=BED)
    outcome = outcome_of(start_run.call({"resume": refused}))
    run = outcome["run"]
    assert outcome == {"outcome": "resumed", "run": run, "execution": executions.arn(run)}
    assert aws.executions() == [run]
    assert run != refused  # the regions are a part of the id
    assert (aws.row(run) or {})["status"] == "RUNNING"
    assert (aws.row(refused) or {})["restarted"] == run
    assert outcome_of(start_run.call({"resume": refused})) == {
        "outcome": "refused",
        "run": refused,
        "reason": f"it was started as run {run}",
    }


def test_a_refused_run_whose_upload_is_no_file_of_reads_is_not_started(aws: Deployed, start_run: Any) -> None:
    refused = refuse_for_its_bed(aws, start_run)
    aws.table.put_item(Item={**(aws.row(refused) or {}), "upload": f"s3://{FASTQS}/notes.txt"})
    outcome = outcome_of(start_run.call({"resume": refused}))
    assert outcome == {"outcome": "refused", "run": refused, "reason": "no file of reads"}
    assert aws.executions() == []


def test_a_refused_run_that_is_resumed_has_the_budget_of_the_request(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_RUN_COST", "5")
    refused = refuse_for_its_bed(aws, start_run)
    aws.s3.put_object(Bucket=REFERENCES, Key="demo/exome.bed", Body=BED)
    for budget, reason in (("7.5", "above the limit of this stack"), ("much", "must be an amount in USD")):
        outcome = outcome_of(start_run.call({"resume": refused, "max_cost": budget}))
        assert (outcome["outcome"], outcome["run"], aws.executions()) == ("refused", refused, [])
        assert reason in outcome["reason"]
    outcome = outcome_of(start_run.call({"resume": refused, "max_cost": "2.5"}))
    assert outcome["outcome"] == "resumed"
    assert (aws.row(outcome["run"]) or {})["max_cost"] == "2.5"


@pytest.mark.parametrize("budget", ["7.5", "5USD"])
def test_a_run_that_was_refused_for_its_budget_starts_with_that_of_the_request(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch, budget: str
) -> None:
    monkeypatch.setenv("MAX_RUN_COST", "5")
    one, _ = upload_pair(aws, **{"max-cost": budget})
    refused = outcome_of(start_run.call(one))["run"]
    outcome = outcome_of(start_run.call({"resume": refused, "max_cost": "5"}))
    assert (outcome["outcome"], aws.executions()) == ("resumed", [outcome["run"]])
    assert (aws.row(outcome["run"]) or {})["max_cost"] == "5"


def test_a_run_without_images_starts_under_its_id_when_it_is_resumed(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = os.environ["IMAGE_TAGS"]
    remove_images(monkeypatch, "report")
    one, _ = upload_pair(aws)
    run = outcome_of(start_run.call(one))["run"]
    monkeypatch.setenv("IMAGE_TAGS", tags)
    assert outcome_of(start_run.call({"resume": run}))["run"] == run
    row = aws.row(run) or {}
    assert (aws.executions(), row["status"]) == ([run], "RUNNING")
    assert not row.keys() & {"class", "message", "upload"}


def test_a_run_that_is_still_refused_has_the_present_reason_and_no_second_message(
    aws: Deployed, start_run: Any
) -> None:
    refused = refuse_for_its_bed(aws, start_run)
    aws.s3.put_object(Bucket=REFERENCES, Key="demo/exome.bed", Body=b"chr9\t0\t9\n")
    outcome = outcome_of(start_run.call({"resume": refused}))
    assert (outcome["outcome"], outcome["run"]) == ("refused", refused)
    assert "the reference has no contig chr9" in outcome["reason"]
    assert (aws.row(refused) or {})["message"] == outcome["reason"]
    assert aws.messages() == []


def test_a_refused_run_whose_files_are_gone_says_what_is_missing(aws: Deployed, start_run: Any) -> None:
    refused = refuse_for_its_bed(aws, start_run)
    aws.s3.delete_object(Bucket=FASTQS, Key=R2)
    outcome = outcome_of(start_run.call({"resume": refused}))
    assert outcome == {"outcome": "refused", "run": refused, "reason": "the mate has not arrived"}


def test_the_commands_in_messages_of_the_embedded_aws_need_no_option(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commands.complete("`seqdrop why RUN`", "r1") == "`seqdrop why r1 --stack seqdrop`"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert commands.complete("`seqdrop why RUN`", "r1") == "`seqdrop why r1`"


def test_a_reference_without_an_index_for_the_aligner_is_refused(aws: Deployed) -> None:
    aws.prepare("demo", "bwa", "snpeff")
    start_run = aws.load("start_run")
    one, _ = upload_pair(aws)
    reason = "reference demo has no index for bwa_mem3 (it has: bwa, snpeff)"
    outcome = outcome_of(start_run.call(one))
    assert (outcome["outcome"], outcome["reason"]) == ("refused", reason)
    row = aws.row(outcome["run"])
    assert row
    assert (row["class"], row["message"]) == ("REFERENCE", reason)
    command = "`seqdrop reference GENOME.fa --genes GENES --name demo --aligner bwa_mem3 --stack seqdrop`"
    assert row["advice"] == (
        f"Run {command} with the files that the reference was prepared from, then run "
        f"`seqdrop resume {outcome['run']} --stack seqdrop`."
    )


def test_a_run_has_the_tools_that_it_chooses(aws: Deployed, start_run: Any) -> None:
    aws.prepare("demo", "bwa", "bwa_mem3", "snpeff")
    args = {"call": ["--exome"]}
    one, _ = upload_pair(aws, aligner="bwa", caller="strelka", args=json.dumps(args))
    outcome = outcome_of(start_run.call(one))
    plan, row = plan_of(aws, outcome["run"]), aws.row(outcome["run"]) or {}
    assert [(given["aligner"], given["caller"]) for given in (plan, row)] == [("bwa", "strelka")] * 2
    prefix = "arn:aws:batch:us-east-1:123456789012:job-definition/seqdrop"
    assert {step: plan[step]["job_definition"] for step in steps.names()} == {
        "align": f"{prefix}-Bwa:1",
        "call": f"{prefix}-Strelka:1",
        "annotate": f"{prefix}-Snpeff:1",
        "collect": f"{prefix}-SamtoolsStats:1",
        "compose": f"{prefix}-Report:1",
    }


def test_a_chosen_tool_needs_its_image_and_its_index(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = upload_pair(aws, aligner="bwa")
    outcome = outcome_of(start_run.call(one))
    assert (outcome["failure_class"], outcome["reason"]) == (
        "REFERENCE",
        "reference demo has no index for bwa (it has: bwa_mem3, snpeff)",
    )
    aws.prepare("demo", "bwa", "bwa_mem3", "snpeff")
    remove_images(monkeypatch, "bwa")
    outcome = outcome_of(start_run.call(one))
    assert outcome["failure_class"] == "NOT_READY"
    assert outcome["reason"].startswith("the stack has no image of bwa yet: run `make push STACK=seqdrop TOOLS='bwa'`")
    assert aws.executions() == []


def test_the_refusal_of_an_unknown_reference_names_the_prepared_ones(aws: Deployed, start_run: Any) -> None:
    aws.prepare("hg38")
    one, _ = upload_pair(aws, reference="hg83")
    assert outcome_of(start_run.call(one))["reason"] == "reference hg83 is not prepared; prepared are: demo, hg38"


def test_missing_intervals_are_refused(aws: Deployed, start_run: Any) -> None:
    one, _ = upload_pair(aws, intervals="exome.bed")
    assert outcome_of(start_run.call(one))["reason"] == (
        f"exome.bed is not beside reference demo: upload it to s3://{REFERENCES}/demo/exome.bed"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"chr9\t0\t9\n", "line 1 of exome.bed: the reference has no contig chr9; it has demo1"),
        (b"demo1\t9\t9\n", "line 1 of exome.bed: the region of demo1 from 9 to 9 has no bases"),
    ],
)
def test_intervals_that_do_not_fit_the_reference_are_refused(
    aws: Deployed, start_run: Any, text: bytes, reason: str
) -> None:
    aws.s3.put_object(Bucket=REFERENCES, Key="demo/exome.bed", Body=text)
    one, _ = upload_pair(aws, intervals="exome.bed")
    outcome = outcome_of(start_run.call(one))
    assert (outcome["failure_class"], aws.executions()) == ("BAD_INPUT.INTERVALS", [])
    assert outcome["reason"] == f"{reason}. Correct s3://{REFERENCES}/demo/exome.bed"


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("assay: genome\npublish: hold\n", True),
        ('{"assay": "genome", "publish": "hold"}', True),
        ("assay: genome\npublish: always\n", False),
        ("# publish: hold\nassay: genome\n", False),
        ("", False),
    ],
)
def test_a_policy_that_holds_is_recognised_without_a_parser(aws: Deployed, text: str, held: bool) -> None:
    aws.s3.put_object(Bucket=REFERENCES, Key="demo/qc.yaml", Body=text.encode())
    assert reference.holds(s3.store(), S3Uri(REFERENCES, "demo/genome.fa")) is held


def test_the_plan_and_the_folder_of_a_run_have_the_pins_of_its_reference(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("genome.fa", "genome.fa.fai"):
        aws.s3.put_object(Bucket=REFERENCES, Key=f"demo/{name}", Body=name.encode())
    files = {name: s3.store().head(S3Uri(REFERENCES, f"demo/{name}")).pin() for name in ("genome.fa", "genome.fa.fai")}
    aws.s3.put_object(Bucket=REFERENCES, Key="demo/qc.yaml", Body=b"publish: 'hold'  # all\nchecks: {}\n")
    monkeypatch.setenv("QC_POLICY", "exome")
    one, two = upload_pair(aws)
    run = outcome_of(start_run.call(one))["run"]
    plan, pins = plan_of(aws, run), json.loads(aws.text(RESULTS, f"NA12878/{run}/reference.json"))
    assert (plan["sources"], plan["fingerprint"]) == (SOURCES, FINGERPRINT)
    assert (plan["aligner"], plan["caller"]) == ("bwa_mem3", "bcftools")
    qc = {"qc_policy": "exome", "qc_hold": True}
    summary = json.loads(aws.text(REFERENCES, "demo/reference.json"))
    assert pins == {**summary, "files": files, "intervals_sha256": "", **qc}
    aws.s3.put_object(Bucket=REFERENCES, Key="demo/genome.fa", Body=b"replaced during the run")
    assert outcome_of(start_run.call(two))["run"] == run
    assert json.loads(aws.text(RESULTS, f"NA12878/{run}/reference.json")) == pins


def test_the_regions_are_hashed_once_for_each_event(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed, checksum = [], bed.checksum
    monkeypatch.setattr(bed, "checksum", lambda regions: hashed.append(regions) or checksum(regions))
    aws.s3.put_object(Bucket=REFERENCES, Key="demo/exome.bed", Body=BED)
    one, _ = upload_pair(aws, intervals="exome.bed")
    assert outcome_of(start_run.call(one))["outcome"] == "started"
    assert hashed == [BED]


def test_intervals_replaced_under_their_name_give_another_run(aws: Deployed, start_run: Any) -> None:
    one, _ = upload_pair(aws, intervals="exome.bed")
    runs = []
    for text in (BED, b"demo1\t5\t9\n", b"#again\n" + BED):
        aws.s3.put_object(Bucket=REFERENCES, Key="demo/exome.bed", Body=text)
        outcome = outcome_of(start_run.call(one))
        runs.append(outcome["run"])
        plan = plan_of(aws, outcome["run"])
        key = plan["intervals"].removeprefix(f"s3://{RESULTS}/")
        assert aws.text(RESULTS, key).encode() == text.removeprefix(b"#again\n")
    assert (runs[0] != runs[1], runs[0] == runs[2]) == (True, True)


PANEL = {"padding": 50, "targets": 1, "bases": 9, "sha256": bed.checksum(BED)}


def put_panel(aws: Deployed, **panel: Any) -> None:
    """Prepare the reference with the panel exome."""
    aws.prepare(panels={"exome": {**PANEL, **panel}})
    aws.s3.put_object(Bucket=REFERENCES, Key="demo/genome.fa.panel.exome.bed", Body=BED)


def test_a_run_has_the_targets_of_its_panel_and_the_padding_for_its_calls(aws: Deployed, start_run: Any) -> None:
    put_panel(aws)
    one, two = upload_pair(aws, panel="exome")
    run = outcome_of(start_run.call(one))["run"]
    plan, folder = plan_of(aws, run), f"NA12878/{run}"
    assert (plan["panel"], plan["padding"], plan["intervals_name"]) == ("exome", 50, "exome")
    assert (plan["intervals"], plan["intervals_sha256"]) == (f"s3://{RESULTS}/{folder}/intervals.bed", PANEL["sha256"])
    assert aws.text(RESULTS, f"{folder}/intervals.bed").encode() == BED
    assert json.loads(aws.text(RESULTS, f"{folder}/reference.json"))["padding"] == 50
    put_panel(aws, padding=51)
    assert outcome_of(start_run.call(two))["run"] != run


def test_the_default_panel_of_the_stack_is_that_of_its_default_reference(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_panel(aws)
    monkeypatch.setenv("DEFAULT_PANEL", "exome")
    for choices, panel in (({}, "exome"), ({"panel": "none"}, None)):
        one, _ = upload_pair(aws, **choices)
        plan = plan_of(aws, outcome_of(start_run.call(one))["run"])
        assert (plan.get("panel"), plan["intervals"] == "all") == (panel, panel is None)


def test_a_panel_that_the_reference_does_not_have_is_refused(aws: Deployed, start_run: Any) -> None:
    put_panel(aws)
    one, _ = upload_pair(aws, panel="heart")
    assert outcome_of(start_run.call(one))["reason"] == "reference demo has no panel heart (it has: exome)"
    [row] = aws.rows()
    assert (row["class"], "seqdrop reference --name demo --panel heart=FILE.bed" in row["advice"]) == (
        "REFERENCE",
        True,
    )
    aws.s3.put_object(Bucket=REFERENCES, Key="demo/genome.fa.panel.exome.bed", Body=b"demo1\t1\t2\n")
    one, _ = upload_pair(aws, panel="exome")
    outcome = outcome_of(start_run.call(one))
    assert (outcome["failure_class"], aws.executions()) == ("BAD_INPUT.INTERVALS", [])
    assert outcome["reason"].endswith("panel.exome.bed is not the file of panel exome: prepare the panel again")


def test_other_known_variants_give_another_run(aws: Deployed, start_run: Any) -> None:
    one, _ = upload_pair(aws)
    runs = []
    for fingerprint in ("", "a", "b", ""):
        known = {"dbsnp": {"fingerprint": fingerprint, "fields": ["ID"]}}
        aws.prepare(**({"known": known} if fingerprint else {}))
        runs.append(outcome_of(start_run.call(one))["run"])
        assert plan_of(aws, runs[-1]).get("known", {}) == (known if fingerprint else {})
    assert (len(set(runs)), runs[0]) == (3, runs[3])


def test_known_variants_that_are_being_replaced_are_refused_until_reference_json_lists_them(
    aws: Deployed, start_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    function_aws.keep_checksums(monkeypatch)

    def put(name: str, content: bytes) -> str:
        (tmp_path / "file").write_bytes(content)
        uri = S3Uri(REFERENCES, f"demo/genome.fa.known.dbsnp.vcf.gz{name}")
        return s3.store().upload(tmp_path / "file", uri).crc64nvme

    files = {name: put(name, b"old") for name in ("", ".tbi")}
    aws.prepare(known={"dbsnp": {"fingerprint": "a", "fields": ["ID"], "files": files}})
    put(".tbi", b"new")  # the VCF and reference.json are still the old ones
    one, _ = upload_pair(aws)
    refused = outcome_of(start_run.call(one))
    assert (refused["failure_class"], aws.executions()) == ("REFERENCE", [])
    assert aws.s3.list_objects_v2(Bucket=RESULTS)["KeyCount"] == 0
    assert refused["reason"] == (
        "known variants dbsnp of reference demo are being replaced: genome.fa.known.dbsnp.vcf.gz.tbi is not the file "
        "that reference.json lists"
    )
    new = {name: put(name, b"new") for name in files}
    aws.prepare(known={"dbsnp": {"fingerprint": "b", "fields": ["ID"], "files": new}})
    (resumed,) = start_run.call({"resume": refused["run"]})["outcomes"]
    pins = json.loads(aws.text(RESULTS, f"NA12878/{resumed['run']}/reference.json"))["files"]
    assert {pin["version_id"] for pin in pins.values()} == {
        s3.store().head(S3Uri(REFERENCES, f"demo/{name}")).version_id for name in pins
    }
    assert aws.calls <= allowed_actions("start_run")


def test_a_genome_prepared_again_under_its_name_gives_another_run(aws: Deployed, start_run: Any) -> None:
    one, _ = upload_pair(aws)
    first = outcome_of(start_run.call(one))["run"]
    aws.prepare(fingerprint="ffffffffffffffffffff")
    second = outcome_of(start_run.call(one))
    assert second["outcome"] == "started"
    assert second["run"] != first


def test_a_replaced_fastq_gives_another_run(aws: Deployed, start_run: Any) -> None:
    one, _ = upload_pair(aws)
    first = outcome_of(start_run.call(one))["run"]
    second = outcome_of(start_run.call(aws.put(R1, fastq(1, 5))))
    assert second["outcome"] == "started"
    assert second["run"] != first
    assert len(aws.executions()) == 2
    late = outcome_of(start_run.call(one))  # the event of the version that was replaced
    assert late["run"] == second["run"]


ILLUMINA = FLOWCELL + ":2:1101:1:1"


def plain(name: str, sequence: str) -> bytes:
    return f"@{name}\n{sequence}\n+\n{'F' * len(sequence)}\n".encode()


@pytest.mark.parametrize(
    ("one", "two", "read_group"),
    [
        (fastq(1, lane=3), fastq(2, lane=3), "HXYZTDSXX.3"),
        (plain(ILLUMINA, "ACGT"), plain(ILLUMINA, "TTTT"), "HXYZTDSXX.2"),
        (plain("SRR001666.1", "ACGT"), plain("SRR001666.1", "TTTT"), "NA12878.1"),
        (plain("M1:1:FC\\tSM,x:1:1:1:1", "ACGT"), plain("M1:1:FC\\tSM,x:1:1:1:1", "TTTT"), "NA12878.1"),
    ],
    ids=["gzip", "plain", "archive", "a flowcell with a tab for a header line"],
)
def test_the_read_group_is_in_the_names_of_the_reads_or_is_the_lane(
    aws: Deployed, start_run: Any, one: bytes, two: bytes, read_group: str
) -> None:
    aws.put(R1, one)
    run = outcome_of(start_run.call(aws.put(R2, two)))["run"]
    assert [lane["read_group"] for lane in lanes_of(aws, run)] == [read_group]


def test_a_pair_that_the_precheck_refuses_starts_no_run(aws: Deployed, start_run: Any) -> None:
    """The failure classes are in test_precheck.py."""
    one, two = aws.put("a b/" + R1, fastq(1)), aws.put("a b/" + R2, fastq(1))
    outcomes = [outcome_of(start_run.call(upload)) for upload in (one, two)]
    run, reason = outcomes[0]["run"], f"{R1} and {R2} contain the same reads"
    assert outcomes[1] == outcomes[0]
    assert aws.executions() == []
    assert aws.results() == {}
    (row,) = aws.rows()
    assert (row["status"], row["class"], row["message"]) == ("FAILED", "BAD_INPUT.SAME_FILE", reason)
    assert aws.messages() == [refusal_message(run, "BAD_INPUT.SAME_FILE", reason, row["advice"])]


def lane_keys(lane: int, folder: str = "") -> tuple[str, str]:
    return tuple(f"{folder}NA12878_S1_L00{lane}_R{mate}_001.fastq.gz" for mate in (1, 2))  # type: ignore[return-value]


def test_four_lanes_start_one_run_when_all_eight_files_have_arrived(aws: Deployed, start_run: Any) -> None:
    outcomes = []
    for lane in (3, 1, 4, 2):
        for mate, key in enumerate(lane_keys(lane), start=1):
            upload = aws.put(key, fastq(mate, lane=lane), lanes="4")
            outcomes.append(outcome_of(start_run.call(upload)))
    assert [outcome["outcome"] for outcome in outcomes[:7]] == ["waiting"] * 7
    assert outcomes[7]["outcome"] == "started"
    (run,) = aws.executions()
    lanes = lanes_of(aws, run)
    assert [(lane["lane"], lane["read_group"]) for lane in lanes] == [
        ("L001", "HXYZTDSXX.1"),
        ("L002", "HXYZTDSXX.2"),
        ("L003", "HXYZTDSXX.3"),
        ("L004", "HXYZTDSXX.4"),
    ]
    assert [lane["fastq_2"]["uri"] for lane in lanes] == [f"s3://{FASTQS}/{lane_keys(n)[1]}" for n in (1, 2, 3, 4)]


def test_a_lane_that_waits_for_others_has_a_row_until_they_arrive(aws: Deployed, start_run: Any) -> None:
    (key_1, key_2), (lone, last) = lane_keys(1), lane_keys(2)
    first = [aws.put(key, fastq(mate, lane=1), lanes="2") for mate, key in ((1, key_1), (2, key_2))]
    aws.put(lone, fastq(1, lane=2), lanes="2")
    assert outcome_of(start_run.call(first[0])) == {"outcome": "waiting", "reason": "other lanes have not arrived"}
    (row,) = aws.rows()
    assert (row["status"], row["message"]) == ("WAITING", f"1 of 2 lanes: L001; {last} is missing")
    start_run.call(first[1])
    assert aws.rows() == [row]
    start_run.call(aws.put(last, fastq(2, lane=2), lanes="2"))
    assert [each["status"] for each in aws.rows()] == ["RUNNING"]


def test_more_lanes_than_the_choice_are_refused(aws: Deployed, start_run: Any) -> None:
    for lane in (1, 2, 3):
        for mate, key in enumerate(lane_keys(lane), 1):
            upload = aws.put(key, fastq(mate, lane=lane), lanes="2")
    outcome = outcome_of(start_run.call(upload))
    assert (outcome["outcome"], outcome["failure_class"]) == ("refused", "BAD_INPUT.CHOICES")
    assert outcome["reason"] == "this sample has 3 lanes, but seqdrop-lanes is 2"


def test_the_row_of_waiting_lanes_names_those_that_have_arrived(aws: Deployed, start_run: Any) -> None:
    messages = []
    for lane in (3, 1):
        for mate, key in enumerate(lane_keys(lane), start=1):
            start_run.call(aws.put(key, fastq(mate, lane=lane), lanes="4"))
        (row,) = aws.rows()
        messages.append(row["message"])
    assert messages == ["1 of 4 lanes: L003", "2 of 4 lanes: L001, L003"]


CHUNKS = [f"PATF_L001_R{mate}_{chunk}.fastq.gz" for chunk in ("001", "002") for mate in (1, 2)]


@pytest.mark.parametrize("order", [(2, 0, 1, 3), (0, 2, 1, 3), (3, 2, 1, 0)])
def test_a_lane_in_chunks_is_refused_once_and_starts_no_run(
    aws: Deployed, start_run: Any, order: tuple[int, ...]
) -> None:
    """Case 06-chunk-002."""
    outcomes = [outcome_of(start_run.call(aws.put(CHUNKS[n], fastq(1 + n % 2)))) for n in order]
    assert outcomes[-1]["failure_class"] == "BAD_INPUT.CHUNKS"
    (row,) = aws.rows()
    assert (row["status"], row["class"], row["sample"]) == ("FAILED", "BAD_INPUT.CHUNKS", "PATF")
    assert "concatenate" in row["message"]
    assert aws.executions() == []
    assert len(aws.messages()) == 1


def execution_status(aws: Deployed, run: str) -> str:
    arn = f"arn:aws:states:us-east-1:123456789012:execution:seqdrop-pipeline:{run}"
    return str(aws.states.describe_execution(executionArn=arn)["status"])


@pytest.mark.usefixtures("no_wait")
def test_the_run_of_the_first_chunk_is_stopped_when_the_next_one_arrives(aws: Deployed, start_run: Any) -> None:
    for n in (0, 1):
        answer = outcome_of(start_run.call(aws.put(CHUNKS[n], fastq(1 + n % 2))))
    run = answer["run"]
    assert execution_status(aws, run) == "RUNNING"
    outcome = outcome_of(start_run.call(aws.put(CHUNKS[2], fastq(1, 3))))
    assert outcome["outcome"] == "refused"
    assert execution_status(aws, run) == "ABORTED"
    assert f"run {run} read one chunk alone: do not use its results" in (aws.row(outcome["run"]) or {})["message"]


@pytest.mark.usefixtures("no_wait")
def test_the_run_of_the_first_chunk_is_stopped_if_the_next_one_arrived_while_it_started(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = submit.start

    def upload_then_start(*args: Any) -> Any:
        aws.put(CHUNKS[2], fastq(1, 3))
        return start(*args)

    monkeypatch.setattr(submit, "start", upload_then_start)
    aws.put(CHUNKS[0], fastq(1))
    assert outcome_of(start_run.call(aws.put(CHUNKS[1], fastq(2))))["outcome"] == "refused"
    (run,) = aws.executions()
    assert execution_status(aws, run) == "ABORTED"


def test_chunks_with_their_number_of_pairs_start_one_run(aws: Deployed, start_run: Any) -> None:
    for n, key in enumerate(CHUNKS):
        answer = outcome_of(start_run.call(aws.put(key, fastq(1 + n % 2), lanes="2")))
    (run,) = aws.executions()
    assert answer == {"outcome": "started", "run": run}
    lanes = json.loads(aws.text(RESULTS, f"PATF/{run}/reads.json"))["lanes"]
    assert [(lane["lane"], lane["read_group"]) for lane in lanes] == [
        ("L001", "HXYZTDSXX.1"),
        ("L001_002", "HXYZTDSXX.1.2"),
    ]


def test_archived_mates_are_refused_once(aws: Deployed, start_run: Any) -> None:
    """Case 15-archived-class."""
    for mate, key in enumerate((R1, R2), start=1):
        stored = aws.s3.put_object(Bucket=FASTQS, Key=key, Body=fastq(mate), StorageClass="GLACIER")
        outcome = outcome_of(start_run.call(object_created(key, stored["VersionId"])))
    assert outcome["failure_class"] == "BAD_INPUT.ARCHIVED"
    (row,) = aws.rows()
    assert row["message"] == f"archived FASTQs cannot be read: restore {R1} (GLACIER) and {R2} (GLACIER) first"
    assert "restore-object" in row["advice"]
    assert len(aws.messages()) == 1


def copy(aws: Deployed, source: str, destination: str) -> dict[str, Any]:
    stored = aws.s3.copy_object(Bucket=FASTQS, Key=destination, CopySource={"Bucket": FASTQS, "Key": source})
    return object_created(destination, stored["VersionId"])


def test_a_copy_of_a_pair_that_has_run_starts_no_second_run(aws: Deployed, start_run: Any) -> None:
    """Case 16-moved-in-bucket."""
    one, _ = upload_pair(aws)
    run = outcome_of(start_run.call(one))["run"]
    set_status(aws, run, "SUCCEEDED")
    copies = [copy(aws, key, f"archive/{key}") for key in (R1, R2)]
    for key in (R1, R2):
        aws.s3.delete_object(Bucket=FASTQS, Key=key)
    outcomes = [outcome_of(start_run.call(upload)) for upload in (*copies, *copies)]
    reason = f"a copy of the FASTQs of run {run}"
    assert outcomes == [{"outcome": "ignored", "run": outcomes[0]["run"], "reason": reason}] * 4
    assert aws.executions() == [run]
    row = aws.row(outcomes[0]["run"]) or {}
    same = f"have the same bytes and choices as the FASTQs of run {run}"
    assert (row["status"], row["message"]) == ("IGNORED", f"archive/{R1} and archive/{R2} {same}")


@pytest.mark.parametrize("status", ["FAILED", "ABORTED"])
def test_a_copy_of_a_pair_whose_run_failed_starts_a_run(aws: Deployed, start_run: Any, status: str) -> None:
    one, _ = upload_pair(aws)
    set_status(aws, outcome_of(start_run.call(one))["run"], status)
    copies = [copy(aws, key, f"again/{key}") for key in (R1, R2)]
    assert outcome_of(start_run.call(copies[0]))["outcome"] == "started"


def test_other_choices_another_sample_and_another_upload_start_runs_of_the_same_bytes(
    aws: Deployed, start_run: Any
) -> None:
    started = [upload_pair(aws), upload_pair(aws), upload_pair(aws, "haploid/", args='{"call": ["--ploidy", "1"]}')]
    started.append((aws.put("x/NA12879_R1.fastq.gz", fastq(1)), aws.put("x/NA12879_R2.fastq.gz", fastq(2))))
    aws.forget_executions()
    outcomes = [outcome_of(start_run.call(one))["outcome"] for one, _ in started[1:]]
    assert outcomes == ["started"] * 3
    upload_pair(aws)  # the same keys again: the sender wants another run
    assert outcome_of(start_run.call(started[0][0]))["outcome"] == "started"
    assert len(aws.executions()) == 4


@pytest.mark.usefixtures("no_wait")
def test_each_lane_is_a_run_if_lanes_do_not_wait(aws: Deployed, start_run: Any) -> None:
    for lane in (1, 2):
        for mate, key in enumerate(lane_keys(lane), start=1):
            start_run.call(aws.put(key, fastq(mate, lane=lane)))
    assert len(aws.executions()) == 2


@pytest.mark.parametrize(
    ("lanes", "choices", "warned"),
    [([1], {}, True), ([1], {"lanes": "1"}, False), ([1, 2], {"lanes": "2"}, False), ([], {}, False)],
    ids=["one lane", "the only lane", "two lanes", "no lane"],
)
@pytest.mark.usefixtures("no_wait")
def test_a_lane_without_a_number_of_lanes_is_a_warning(
    aws: Deployed, start_run: Any, lanes: list[int], choices: dict[str, str], warned: bool
) -> None:
    for number, pair in enumerate([lane_keys(lane) for lane in lanes] or [(R1, R2)], start=1):
        for mate, key in enumerate(pair, start=1):
            answer = outcome_of(start_run.call(aws.put(key, fastq(mate, lane=number), **choices)))
    message = (
        "the file names have lane L001 and the choice seqdrop-lanes is missing: other lanes of this sample are runs of "
        "their own. Upload all lanes with their number as seqdrop-lanes, or this lane with 1 if there is no other"
    )
    warnings = [{"warning": "ONE_LANE", "message": message}] if warned else None
    assert reads_of(aws, answer["run"]).get("warnings") == warnings


@pytest.mark.parametrize(
    ("stem", "sample", "warned"),
    [
        ("Müller 7", "M_ller_7", True),
        ("Müller 7/", "M_ller_7", True),
        ("-NA1", "NA1", True),
        ("NA-1.x", "NA-1.x", False),
        ("Köln/NA1_S1_L001", "NA1_S1", False),
    ],
)
def test_a_sample_id_that_other_names_give_too_is_a_warning(
    aws: Deployed, start_run: Any, stem: str, sample: str, warned: bool
) -> None:
    for mate in (1, 2):
        key = f"{stem}{'' if stem.endswith('/') else '_'}R{mate}.fastq.gz"
        answer = outcome_of(start_run.call(aws.put(key, fastq(mate), lanes="1")))
    reads = json.loads(aws.text(RESULTS, f"{sample}/{answer['run']}/reads.json"))
    message = (
        f"the sample id {sample} was made from a file name with other characters, and other names give the same id: "
        "compare the file names in reads.json"
    )
    assert reads.get("warnings") == ([{"warning": "SAMPLE_ID", "message": message}] if warned else None)


def test_lanes_without_read_groups_in_their_reads_get_different_ones(aws: Deployed, start_run: Any) -> None:
    for lane in (1, 2):
        for mate, key in enumerate(lane_keys(lane)):
            answer = outcome_of(start_run.call(aws.put(key, plain("r1", ("ACGT", "TTTT")[mate]), lanes="2")))
    groups = [lane["read_group"] for lane in lanes_of(aws, answer["run"])]
    assert groups == ["NA12878.L001", "NA12878.L002"]


def test_lanes_with_the_same_read_group_get_different_ones(aws: Deployed, start_run: Any) -> None:
    for lane in (1, 2):
        for mate, key in enumerate(lane_keys(lane), start=1):
            answer = outcome_of(start_run.call(aws.put(key, fastq(mate, lane=1), lanes="2")))
    groups = [lane["read_group"] for lane in lanes_of(aws, answer["run"])]
    assert groups == ["HXYZTDSXX.1", "HXYZTDSXX.1.2"]


def test_lanes_in_different_folders_belong_to_different_runs(aws: Deployed, start_run: Any) -> None:
    for folder in ("NA12878_old/", ""):
        for lane in (1, 2):
            for mate, key in enumerate(lane_keys(lane, folder), start=1):
                reads = fastq(mate, 4 + len(folder), lane=lane)
                answer = outcome_of(start_run.call(aws.put(key.replace("_S1", ""), reads, lanes="2")))
    assert [lane["fastq_1"]["uri"] for lane in lanes_of(aws, answer["run"])] == [
        f"s3://{FASTQS}/NA12878_L00{lane}_R1_001.fastq.gz" for lane in (1, 2)
    ]


def test_the_checksum_of_the_whole_object_is_pinned(aws: Deployed, start_run: Any, checked_s3: None) -> None:
    one, _ = upload_pair(aws)
    aws.s3.put_object(Bucket=FASTQS, Key=R1, Body=fastq(1), ChecksumAlgorithm="CRC64NVME")
    (lane,) = lanes_of(aws, outcome_of(start_run.call(one))["run"])
    stored = aws.s3.head_object(Bucket=FASTQS, Key=R1, ChecksumMode="ENABLED")
    assert lane["fastq_1"]["crc64nvme"] == stored["ChecksumCRC64NVME"]


def test_an_object_in_another_bucket_is_ignored(aws: Deployed, start_run: Any) -> None:
    one, _ = upload_pair(aws)
    one["detail"]["bucket"]["name"] = RESULTS
    reason = "the object is not in the bucket for FASTQs"
    assert outcome_of(start_run.call(one)) == {"outcome": "ignored", "reason": reason}
    assert aws.rows() == []


def test_a_bad_record_does_not_stop_the_next_ones(aws: Deployed, start_run: Any) -> None:
    one, _ = upload_pair(aws)
    upload = s3_put(R1, one["detail"]["object"]["version-id"])
    upload["Records"].insert(0, {"s3": {"object": {"key": "secret_R1.fastq.gz"}}})
    with pytest.raises(start_run.NotHandledError) as raised:
        start_run.call(upload)
    assert str(raised.value) == "1 of 2 events failed; the log has the errors"
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)
    assert len(aws.executions()) == 1


def test_the_next_event_repairs_a_crash_before_the_row_is_written(aws: Deployed, start_run: Any) -> None:
    one, _ = upload_pair(aws)
    with fail_next_call("dynamodb.PutItem", "?"), collect_logs() as log, pytest.raises(start_run.NotHandledError):
        start_run.call(one)
    (run,) = aws.executions()
    assert aws.row(run) is None
    line = json.loads(log.getvalue())
    assert (line["error"], line["code"], line["frames"][-1].split()[-1]) == ("ClientError", "InternalError", "refuse")
    start_run.call(one)
    assert aws.executions() == [run]
    row = aws.row(run)
    assert row
    assert (row["status"], row["execution"].endswith(run)) == ("RUNNING", True)


def test_no_log_line_names_a_sample_a_key_or_a_choice(
    aws: Deployed, start_run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = "PATIENT7"
    alone = aws.put(f"{marker}/{marker}_R2.fastq.gz", fastq(2), reference=marker)
    uploads = [alone, aws.put(f"{marker}/{marker}_R1.fastq.gz", fastq(1), reference=marker)]
    uploads += [aws.put(f"{marker}.txt", b"note"), aws.put(f"{marker}A_R1.fastq.gz", fastq(1), **{marker: marker})]
    uploads += [aws.put(f"{marker}A_R2.fastq.gz", fastq(1)), aws.put(f"{marker}B_R1.fastq.gz", fastq(1))]
    uploads += [aws.put(f"{marker}B_R2.fastq.gz", fastq(1)), object_created(f"{marker}_R1.fastq.gz", "")]
    with collect_logs() as log:
        outcomes = [outcome_of(start_run.call(upload))["outcome"] for upload in uploads]
        with (
            fail_next_call("s3.HeadObject", f"{marker}_R2.fastq.gz"),
            pytest.raises(start_run.NotHandledError) as raised,
        ):
            start_run.call(alone)
        row = {"sample": marker, "fastq_1": f"{marker}A_R1.fastq.gz", "fastq_2": f"{marker}A_R2.fastq.gz"}
        with (
            fail_next_call("s3.HeadObject", f"{marker}_R2.fastq.gz"),
            pytest.raises(start_run.NotHandledError) as of_rows,
        ):
            start_run.call({"start": [row]})
    assert set(outcomes) == {"ignored", "refused"}
    printed = log.getvalue() + capsys.readouterr().out + f"{raised.value} {of_rows.value}"
    assert printed.count("FASTQ refused") >= 4
    assert marker not in printed


def test_the_role_of_start_run_allows_all_its_calls(aws: Deployed, start_run: Any) -> None:
    aws.s3.put_object(Bucket=REFERENCES, Key="demo/exome.bed", Body=BED)
    one, _ = upload_pair(aws, intervals="exome.bed")
    refused = aws.put("B_R1.fastq.gz", fastq(1), reference="x"), aws.put("B_R2.fastq.gz", fastq(2))
    for key in lane_keys(1):
        four = aws.put(key, fastq(1), lanes="4")
    chunks = [aws.put(key, fastq(1 + n % 2)) for n, key in enumerate(CHUNKS[:2])]
    aws.calls.clear()
    for upload in (one, refused[0], four, object_created("S.bam", "v1"), *chunks, aws.put(CHUNKS[2], fastq(1))):
        start_run.call(upload)
    aws.monkeypatch.setenv("LANE_WAIT_MINUTES", "0")
    for upload in [aws.put(f"D_{key}", fastq(1 + n % 2)) for n, key in enumerate(CHUNKS[:3])]:
        start_run.call(upload)  # the run of the first chunk is stopped
    (run,) = {str(row["run"]) for row in aws.rows() if row["sample"] == "NA12878" and "execution" in row}
    aws.end(run, "FAILED")
    set_status(aws, run, "FAILED")
    assert outcome_of(start_run.call({"resume": run}))["outcome"] == "resumed"
    assert aws.calls
    assert aws.calls - allowed_actions("start_run") == set()


def test_a_mate_that_arrives_while_the_waiting_row_is_written_starts_the_run(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event of the mate may be handled before the row exists, or may be lost."""
    create_waiting = table.create_waiting

    def create_then_upload(*args: Any) -> None:
        create_waiting(*args)
        aws.put(R2, fastq(2))

    monkeypatch.setattr(table, "create_waiting", create_then_upload)
    assert outcome_of(start_run.call(aws.put(R1, fastq(1))))["outcome"] == "started"
    assert [row["status"] for row in aws.rows()] == ["RUNNING"]


def test_the_precheck_reads_the_pinned_versions(aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event of a file that is replaced between pin and precheck starts another run."""
    one, _ = upload_pair(aws)
    common_choices = pairing.common_choices

    def replace_then_read(*args: Any) -> Any:
        aws.put(R1, b"PK\3\4" + bytes(99))
        return common_choices(*args)

    monkeypatch.setattr(pairing, "common_choices", replace_then_read)
    assert outcome_of(start_run.call(one))["outcome"] == "started"


def test_damaged_bytes_are_read_again_before_reads_are_refused(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = upload_pair(aws)
    answers, read = [b"\x1f\x8bnot gzip"] * (s3.ATTEMPTS - 1), s3.Store.read_start
    monkeypatch.setattr(s3.Store, "read_start", lambda *args: answers.pop() if answers else read(*args))
    assert outcome_of(start_run.call(one))["outcome"] == "started"
    assert answers == []


def test_a_run_that_ended_before_its_row_was_written_gets_its_row(aws: Deployed, start_run: Any) -> None:
    one, _ = upload_pair(aws)
    with fail_next_call("dynamodb.PutItem", "?"), pytest.raises(start_run.NotHandledError):
        start_run.call(one)
    (run,) = aws.executions()
    aws.end(run, "FAILED")
    assert outcome_of(start_run.call(one)) == {"outcome": "duplicate", "run": run}
    row = aws.row(run)
    assert row
    assert (row["execution"].endswith(run), row["reference"]) == (True, "demo")


def test_a_run_that_is_recorded_before_its_row_is_written_has_a_whole_row(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = executions.start

    def start_and_record(execution: str, plan: Mapping[str, Any]) -> bool:
        begin(execution, plan)
        row = {"run": plan["run"], "sample": plan["sample"], "execution": execution}
        assert table.create(row)
        return table.close(plan["run"], execution, {"status": "SUCCEEDED", "finished": table.now()})

    one, two = upload_pair(aws)
    with monkeypatch.context() as fast:
        fast.setattr(executions, "start", start_and_record)
        run = outcome_of(start_run.call(one))["run"]
    row = aws.row(run) or {}
    assert row["status"] == "SUCCEEDED"
    assert {"reference": "demo", "form": "split", "lanes": 1}.items() <= row.items()
    assert {"content", "place", "aligner", "caller", "results"} <= row.keys()
    assert outcome_of(start_run.call(two)) == {"outcome": "duplicate", "run": run}
    assert aws.row(run) == row


def test_the_row_of_a_refused_run_is_replaced_when_the_run_starts(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = upload_pair(aws)
    with monkeypatch.context() as damaged:
        damaged.setattr(s3.Store, "read_start", lambda *_: b"\x1f\x8bnot gzip")
        run = outcome_of(start_run.call(one))["run"]
    assert (aws.row(run) or {})["status"] == "FAILED"
    assert outcome_of(start_run.call(one)) == {"outcome": "started", "run": run}
    row = aws.row(run) or {}
    assert (row["status"], row["execution"].endswith(run), "class" in row) == ("RUNNING", True, False)
