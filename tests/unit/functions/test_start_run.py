"""functions/start_run: what arrives, and what is started by it."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from seqdrop.plan import layout, steps
from seqdrop.plan.choices import Choices
from seqdrop.plan.names import canonical
from seqdrop.runs import pairing, table
from seqdrop.storage import s3
from support.function_aws import (
    FASTQS,
    FINGERPRINT,
    HIGH_PRIORITY,
    NORMAL_PRIORITY,
    REFERENCES,
    RESULTS,
    Deployed,
    allowed,
    event,
    failing,
    logged,
    object_created,
    s3_put,
)
from support.made_reads import FLOWCELL, fastq

R1, R2 = "NA12878_R1.fastq.gz", "NA12878_R2.fastq.gz"
WAITING = {"outcome": "waiting", "reason": "the mate has not arrived"}


@pytest.fixture
def start_run(aws: Deployed) -> Any:
    """The function, with the reference that runs get by default."""
    aws.prepare()
    return aws.load("start_run")


def only(answer: dict[str, Any]) -> dict[str, str]:
    (outcome,) = answer["outcomes"]
    return outcome


def drop(aws: Deployed, folder: str = "", **choices: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both mates land before either event comes."""
    return aws.put(folder + R1, fastq(1), **choices), aws.put(folder + R2, fastq(2), **choices)


def refusal_of(run: str, failure_class: str, sentence: str, advice: str) -> tuple[str, str]:
    """The message to whoever dropped the files; its subject names no sample."""
    said = f"Sample NA12878 was not started: {sentence}.\nClass: {failure_class}\n{advice}\nMore: seqdrop why {run}"
    return f"seqdrop run {run}: not started", said


def closed(status: str) -> dict[str, Any]:
    """The words for `update_item` that end a run in its row."""
    return {
        "UpdateExpression": "SET #status = :done",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {":done": status},
    }


def plan_of(aws: Deployed, run: str) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(aws.input_of(run))
    return plan


def lanes_of(aws: Deployed, run: str) -> list[dict[str, Any]]:
    reads = json.loads(aws.text(RESULTS, f"NA12878/{run}/reads.json"))
    assert reads["sample"] == "NA12878"
    lanes: list[dict[str, Any]] = reads["lanes"]
    return lanes


def test_a_lone_mate_waits(aws: Deployed, start_run: Any) -> None:
    told = aws.put(R1, fastq(1))
    assert only(start_run.call(told)) == WAITING
    assert aws.executions() == []
    assert aws.messages() == []
    assert aws.results() == {}


def test_a_lone_mate_has_a_row_that_says_since_when_it_waits(aws: Deployed, start_run: Any) -> None:
    told = aws.put(R1, fastq(1))
    start_run.call(told)
    (row,) = aws.rows()
    assert row == {
        "version": 1,
        "run": row["run"],
        "expires": row["expires"],  # after 14 days it was most likely deleted
        "sample": "NA12878",
        "status": "WAITING",
        "message": f"waits until both are there: {R1} and {R2}",
        "started": row["started"],
    }
    start_run.call(told)
    assert aws.rows() == [row]


def test_a_mate_that_waits_no_longer_has_no_such_row(aws: Deployed, start_run: Any) -> None:
    start_run.call(aws.put(R1, fastq(1)))
    run = only(start_run.call(aws.put(R2, fastq(2))))["run"]
    assert [(row["run"], row["status"]) for row in aws.rows()] == [(run, "RUNNING")]


def test_the_second_mate_starts_one_run_of_the_versions_that_lie_there(aws: Deployed, start_run: Any) -> None:
    one = aws.put(R1, fastq(1))
    start_run.call(one)
    two = aws.put(R2, fastq(2))
    outcome = only(start_run.call(two))
    run = outcome["run"]
    assert outcome == {"outcome": "started", "run": run}
    pair = {
        "lane": "",
        **{
            word: {
                "uri": f"s3://{FASTQS}/{key}",
                "version_id": told["detail"]["object"]["version-id"],
                "etag": aws.s3.head_object(Bucket=FASTQS, Key=key)["ETag"].strip('"'),
                "size": len(fastq(mate)),
            }
            for word, key, told, mate in (("fastq_1", R1, one, 1), ("fastq_2", R2, two, 2))
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
        "status": "RUNNING",
        "started": row["started"],
    }


def test_the_input_of_the_execution_is_the_plan_of_the_event_file(aws: Deployed, start_run: Any) -> None:
    drop(aws)
    run = only(start_run.call(event("eventbridge_object_created")))["run"]
    shown = event("execution_input")
    assert aws.input_of(run) == canonical(shown).replace(shown["run"], run)


@pytest.mark.parametrize("first", [0, 1])
def test_the_plan_is_the_same_bytes_whichever_mate_came_first(aws: Deployed, start_run: Any, first: int) -> None:
    """Versions are named by S3, so the same two objects are told of in either order."""
    events = drop(aws)
    run = only(start_run.call(events[first]))["run"]
    bytes_of_first = aws.input_of(run), aws.text(RESULTS, f"NA12878/{run}/reads.json")
    aws.forget_executions()
    aws.table.delete_item(Key={"run": run})
    assert only(start_run.call(events[1 - first])) == {"outcome": "started", "run": run}
    assert (aws.input_of(run), aws.text(RESULTS, f"NA12878/{run}/reads.json")) == bytes_of_first


def test_the_same_event_twenty_times_gives_one_execution(aws: Deployed, start_run: Any) -> None:
    one, _ = drop(aws)
    runs = {only(start_run.call(one))["run"] for _ in range(20)}
    assert aws.executions() == list(runs)
    assert len(aws.rows()) == 1


def test_an_event_that_comes_again_after_the_run_is_a_duplicate(aws: Deployed, start_run: Any) -> None:
    one, two = drop(aws)
    run = only(start_run.call(one))["run"]
    aws.end(run, "SUCCEEDED")
    assert only(start_run.call(two)) == {"outcome": "duplicate", "run": run}
    assert aws.executions() == [run]


def test_a_finished_row_is_a_duplicate_even_when_the_execution_is_forgotten(aws: Deployed, start_run: Any) -> None:
    one, two = drop(aws)
    run = only(start_run.call(one))["run"]
    aws.table.update_item(Key={"run": run}, **closed("SUCCEEDED"))
    aws.forget_executions()
    assert only(start_run.call(two)) == {"outcome": "duplicate", "run": run}
    assert aws.executions() == []


KEYS = ["March run", "Müller, Köln", "50%", "a+b", "100%2Bmore"]


@pytest.mark.parametrize("folder", KEYS)
def test_eventbridge_tells_keys_as_they_are(aws: Deployed, start_run: Any, folder: str) -> None:
    one, _ = drop(aws, f"{folder}/")
    assert only(start_run.call(one))["outcome"] == "started"
    (run,) = aws.executions()
    assert lanes_of(aws, run)[0]["fastq_1"]["uri"] == f"s3://{FASTQS}/{folder}/{R1}"


@pytest.mark.parametrize("folder", KEYS)
def test_s3_itself_tells_keys_url_encoded(aws: Deployed, start_run: Any, folder: str) -> None:
    one, _ = drop(aws, f"{folder}/")
    direct = s3_put(f"{folder}/{R1}", one["detail"]["object"]["version-id"])
    assert only(start_run.call(direct))["outcome"] == "started"
    (run,) = aws.executions()
    assert lanes_of(aws, run)[0]["fastq_1"]["uri"] == f"s3://{FASTQS}/{folder}/{R1}"


def test_the_direct_event_of_the_event_file_starts_a_run(aws: Deployed, start_run: Any) -> None:
    drop(aws, "March run + repeats/")
    assert only(start_run.call(event("s3_put")))["outcome"] == "started"


def test_one_direct_event_may_tell_of_several_objects(aws: Deployed, start_run: Any) -> None:
    told = s3_put(R1, aws.put(R1, fastq(1))["detail"]["object"]["version-id"])
    told["Records"].append(s3_put("notes.txt", "v1")["Records"][0])
    assert [outcome["outcome"] for outcome in start_run.call(told)["outcomes"]] == ["waiting", "ignored"]


def test_an_object_without_a_version_is_refused_with_a_sentence(aws: Deployed, start_run: Any) -> None:
    drop(aws)
    assert only(start_run.call(object_created(R1, ""))) == {
        "outcome": "refused",
        "reason": "the bucket keeps no versions: enable versioning, so that a run can pin its reads",
    }
    assert aws.executions() == []
    assert aws.rows() == []


@pytest.mark.parametrize("key", ["README.txt", "NA12878_I1.fastq.gz", "NA12878_R1.fastq.gz.md5", "NA12878.bam", "R1/"])
def test_what_is_no_fastq_of_a_pair_is_ignored(aws: Deployed, start_run: Any, key: str) -> None:
    told = aws.put(key, b"x")
    reason = "not R1 or R2 of a pair: names end in _R1 or _R2 and .fastq.gz"
    assert only(start_run.call(told)) == {"outcome": "ignored", "reason": reason}
    assert aws.executions() == []


def test_junk_between_the_mates_changes_nothing(aws: Deployed, start_run: Any) -> None:
    one = aws.put(R1, fastq(1))
    outcomes = [only(start_run.call(one)), only(start_run.call(aws.put("NA12878_checksums.txt", b"junk")))]
    two = aws.put(R2, fastq(2))
    outcomes += [only(start_run.call(two)), only(start_run.call(one))]
    assert [outcome["outcome"] for outcome in outcomes] == ["waiting", "ignored", "started", "started"]
    assert len(aws.executions()) == 1


def test_the_choices_of_a_run_reach_its_plan(aws: Deployed, start_run: Any) -> None:
    aws.prepare("viral", fingerprint="0a0a0a0a0a0a0a0a0a0a")
    aws.s3.put_object(Bucket=REFERENCES, Key="viral/amplicons.bed", Body=b"")
    args = {"align": ["--no-mark-duplicates"], "call": ["--ploidy", "1"]}
    one, _ = drop(aws, reference="viral", intervals="amplicons.bed", args=json.dumps(args))
    plan = plan_of(aws, only(start_run.call(one))["run"])
    assert plan["reference"] == f"s3://{REFERENCES}/viral/genome.fa"
    assert plan["intervals"] == f"s3://{REFERENCES}/viral/amplicons.bed"
    assert {step: plan[step]["args"] for step in steps.names()} == {
        "align": '["--no-mark-duplicates"]',
        "call": '["--ploidy","1"]',
        "annotate": "[]",
        "collect": "[]",
        "compose": "[]",
    }


@pytest.mark.parametrize(("priority", "queue"), [("normal", NORMAL_PRIORITY), ("high", HIGH_PRIORITY)])
def test_a_run_that_is_wanted_soon_goes_to_the_queue_for_it(
    aws: Deployed, start_run: Any, priority: str, queue: str
) -> None:
    one, _ = drop(aws, priority=priority)
    plan = plan_of(aws, only(start_run.call(one))["run"])
    assert {plan[step]["job_queue"] for step in steps.names()} == {queue}


def test_a_stack_without_images_says_how_to_get_them(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_no_image_of(monkeypatch, "bwa_mem3", "multiqc")
    one, _ = drop(aws)
    outcome = only(start_run.call(one))
    sentence = "the stack has no image of bwa_mem3, multiqc yet: run `make push STACK=seqdrop` and `sam deploy`"
    refusal = {"outcome": "refused", "run": outcome["run"], "failure_class": "NOT_READY", "reason": sentence}
    assert outcome == refusal
    row = aws.row(outcome["run"])
    assert row
    assert (row["status"], row["class"], row["message"]) == ("FAILED", "NOT_READY", sentence)
    assert aws.executions() == []


def push_no_image_of(monkeypatch: pytest.MonkeyPatch, *tools: str) -> None:
    tags = json.loads(os.environ["IMAGE_TAGS"])
    pushed = {step: {name: "none" if name in tools else tag for name, tag in of.items()} for step, of in tags.items()}
    monkeypatch.setenv("IMAGE_TAGS", json.dumps(pushed))


def test_images_of_tools_that_the_stack_does_not_use_may_be_missing(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_no_image_of(monkeypatch, "isaac", "bwa", "strelka")
    one, _ = drop(aws)
    assert only(start_run.call(one))["outcome"] == "started"


def test_choosing_what_is_the_default_is_no_other_run(aws: Deployed, start_run: Any) -> None:
    one, _ = drop(aws)
    run = only(start_run.call(one))["run"]
    pairs = lanes_of(aws, run)
    tools = {"genome": FINGERPRINT, "aligner": "bwa_mem3", "caller": "bcftools"}
    chosen = Choices.from_metadata({"seqdrop-reference": "demo", "seqdrop-args": '{"call": []}'})
    assert layout.run_id("NA12878", pairs, chosen, **tools) == run


REFUSALS = [
    ({}, {"reference": "viral"}, "the mates carry different choices (x-amz-meta-seqdrop-*): upload both with the same"),
    (
        {"flavour": "mild"},
        {"flavour": "mild"},
        "unknown choice seqdrop-flavour; known: reference, intervals, args, lanes, priority",
    ),
    ({"args": "-k 19"}, {"args": "-k 19"}, "seqdrop-args is not valid JSON"),
    (
        {"reference": "../secrets"},
        {"reference": "../secrets"},
        "seqdrop-reference must be a name of letters, digits, '.', '_' and '-'",
    ),
]


@pytest.mark.parametrize(("of_one", "of_two", "sentence"), REFUSALS)
def test_choices_that_cannot_be_are_refused_in_the_row_and_by_a_message(
    aws: Deployed, start_run: Any, of_one: dict[str, str], of_two: dict[str, str], sentence: str
) -> None:
    one, two = aws.put(R1, fastq(1), **of_one), aws.put(R2, fastq(2), **of_two)
    outcomes = [only(start_run.call(told)) for told in (one, two)]
    run = outcomes[0]["run"]
    refusal = {"outcome": "refused", "run": run, "failure_class": "BAD_INPUT.CHOICES", "reason": sentence}
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
        "message": sentence,
        "advice": "Correct the x-amz-meta-seqdrop-* metadata of the FASTQs, then upload them again.",
        "started": row["started"],
        "finished": row["started"],
    }
    assert aws.messages() == [refusal_of(run, "BAD_INPUT.CHOICES", sentence, row["advice"])]


@pytest.mark.parametrize("lanes", ["four", "0", "04"])
def test_a_number_of_lanes_that_is_none_is_refused(aws: Deployed, start_run: Any, lanes: str) -> None:
    one, _ = drop(aws, lanes=lanes)
    outcome = only(start_run.call(one))
    assert (outcome["outcome"], outcome["reason"]) == ("refused", "seqdrop-lanes must be a number from 1 to 99")


def test_a_reference_that_is_not_prepared_is_said_and_starts_the_run_once_it_is(aws: Deployed) -> None:
    start_run = aws.load("start_run")
    one, two = drop(aws)
    refused = only(start_run.call(one))
    assert refused["reason"] == "reference demo is not prepared; none is prepared yet"
    assert only(start_run.call(two)) == refused
    assert aws.executions() == []
    row = aws.row(refused["run"])
    assert row
    assert [row[name] for name in ("status", "class", "message", "advice")] == [
        "FAILED",
        "REFERENCE",
        "reference demo is not prepared; none is prepared yet",
        "Prepare it with `seqdrop reference`, or choose a prepared one (x-amz-meta-seqdrop-reference).",
    ]
    assert aws.messages() == [refusal_of(refused["run"], "REFERENCE", refused["reason"], row["advice"])]
    aws.prepare()
    started = only(start_run.call(one))
    assert started["outcome"] == "started"
    assert aws.executions() == [started["run"]]


def test_a_reference_without_the_index_of_the_aligner_is_said(aws: Deployed) -> None:
    aws.prepare("demo", "bwa", "snpeff")
    start_run = aws.load("start_run")
    one, _ = drop(aws)
    sentence = "reference demo has no index for bwa_mem3 (it has: bwa, snpeff); prepare it again"
    outcome = only(start_run.call(one))
    assert (outcome["outcome"], outcome["reason"]) == ("refused", sentence)
    row = aws.row(outcome["run"])
    assert row
    assert (row["class"], row["message"]) == ("REFERENCE", sentence)


def test_a_misspelt_reference_is_told_what_there_is(aws: Deployed, start_run: Any) -> None:
    aws.prepare("hg38")
    one, _ = drop(aws, reference="hg83")
    assert only(start_run.call(one))["reason"] == "reference hg83 is not prepared; prepared are: demo, hg38"


def test_intervals_that_are_not_there_are_refused(aws: Deployed, start_run: Any) -> None:
    one, _ = drop(aws, intervals="exome.bed")
    assert only(start_run.call(one))["reason"] == (
        f"exome.bed is not beside reference demo: upload it to s3://{REFERENCES}/demo/exome.bed"
    )


def test_choices_nested_without_end_are_refused(aws: Deployed, start_run: Any) -> None:
    one, _ = drop(aws, args="[" * 1900)
    assert only(start_run.call(one))["reason"] == "seqdrop-args is not valid JSON"


def test_a_genome_prepared_anew_under_its_name_is_another_run(aws: Deployed, start_run: Any) -> None:
    one, _ = drop(aws)
    first = only(start_run.call(one))["run"]
    aws.prepare(fingerprint="ffffffffffffffffffff")
    second = only(start_run.call(one))
    assert second["outcome"] == "started"
    assert second["run"] != first


def test_a_replaced_fastq_is_another_run(aws: Deployed, start_run: Any) -> None:
    one, _ = drop(aws)
    first = only(start_run.call(one))["run"]
    again = only(start_run.call(aws.put(R1, fastq(1, 5))))
    assert again["outcome"] == "started"
    assert again["run"] != first
    assert len(aws.executions()) == 2
    late = only(start_run.call(one))  # tells of the version that was replaced
    assert late["run"] == again["run"]


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
    ids=["gzip", "plain", "archive", "a flowcell that would forge a header"],
)
def test_the_read_group_is_what_the_reads_say_or_the_lane(
    aws: Deployed, start_run: Any, one: bytes, two: bytes, read_group: str
) -> None:
    aws.put(R1, one)
    run = only(start_run.call(aws.put(R2, two)))["run"]
    assert [lane["read_group"] for lane in lanes_of(aws, run)] == [read_group]


def test_what_the_first_look_refuses_starts_nothing_and_says_why(aws: Deployed, start_run: Any) -> None:
    """The classes are in test_first_look.py."""
    one, two = aws.put("a b/" + R1, fastq(1)), aws.put("a b/" + R2, fastq(1))
    outcomes = [only(start_run.call(told)) for told in (one, two)]
    run, sentence = outcomes[0]["run"], f"{R1} and {R2} contain the same reads"
    assert outcomes[1] == outcomes[0]
    assert aws.executions() == []
    assert aws.results() == {}
    (row,) = aws.rows()
    assert (row["status"], row["class"], row["message"]) == ("FAILED", "BAD_INPUT.SAME_FILE", sentence)
    assert aws.messages() == [refusal_of(run, "BAD_INPUT.SAME_FILE", sentence, row["advice"])]


def lane_keys(lane: int, folder: str = "") -> tuple[str, str]:
    return tuple(f"{folder}NA12878_S1_L00{lane}_R{mate}_001.fastq.gz" for mate in (1, 2))  # type: ignore[return-value]


def test_four_lanes_make_one_run_only_when_all_eight_files_are_there(aws: Deployed, start_run: Any) -> None:
    outcomes = []
    for lane in (3, 1, 4, 2):
        for mate, key in enumerate(lane_keys(lane), start=1):
            told = aws.put(key, fastq(mate, lane=lane), lanes="4")
            outcomes.append(only(start_run.call(told)))
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


def test_a_lane_that_waits_for_the_others_has_a_row_until_they_come(aws: Deployed, start_run: Any) -> None:
    (one, other), (lone, last) = lane_keys(1), lane_keys(2)
    first = [aws.put(key, fastq(mate, lane=1), lanes="2") for mate, key in ((1, one), (2, other))]
    aws.put(lone, fastq(1, lane=2), lanes="2")
    assert only(start_run.call(first[0])) == {"outcome": "waiting", "reason": "other lanes have not arrived"}
    (row,) = aws.rows()
    begins = one.partition("_L001")[0]
    assert (row["status"], row["message"]) == (
        "WAITING",
        f"waits until all lanes that seqdrop-lanes promises are there: {begins}",
    )
    start_run.call(first[1])
    assert aws.rows() == [row]
    start_run.call(aws.put(last, fastq(2, lane=2), lanes="2"))
    assert [each["status"] for each in aws.rows()] == ["RUNNING"]


def test_more_lanes_than_were_said_are_refused(aws: Deployed, start_run: Any) -> None:
    for lane in (1, 2, 3):
        for mate, key in enumerate(lane_keys(lane), 1):
            told = aws.put(key, fastq(mate, lane=lane), lanes="2")
    outcome = only(start_run.call(told))
    assert (outcome["outcome"], outcome["failure_class"]) == ("refused", "BAD_INPUT.CHOICES")
    assert outcome["reason"] == "this sample has 3 lanes, but seqdrop-lanes is 2"


def test_lanes_that_do_not_say_they_belong_together_are_runs_of_their_own(aws: Deployed, start_run: Any) -> None:
    for lane in (1, 2):
        for mate, key in enumerate(lane_keys(lane), start=1):
            start_run.call(aws.put(key, fastq(mate, lane=lane)))
    assert len(aws.executions()) == 2


def test_two_lanes_of_reads_that_name_none_have_read_groups_of_their_own(aws: Deployed, start_run: Any) -> None:
    for lane in (1, 2):
        for mate, key in enumerate(lane_keys(lane)):
            answer = only(start_run.call(aws.put(key, plain("r1", ("ACGT", "TTTT")[mate]), lanes="2")))
    groups = [lane["read_group"] for lane in lanes_of(aws, answer["run"])]
    assert groups == ["NA12878.L001", "NA12878.L002"]


def test_two_lanes_of_one_read_group_are_told_apart(aws: Deployed, start_run: Any) -> None:
    for lane in (1, 2):
        for mate, key in enumerate(lane_keys(lane), start=1):
            answer = only(start_run.call(aws.put(key, fastq(mate, lane=1), lanes="2")))
    groups = [lane["read_group"] for lane in lanes_of(aws, answer["run"])]
    assert groups == ["HXYZTDSXX.1", "HXYZTDSXX.1.2"]


def test_lanes_in_another_folder_belong_to_another_run(aws: Deployed, start_run: Any) -> None:
    for folder in ("NA12878_old/", ""):
        for lane in (1, 2):
            for mate, key in enumerate(lane_keys(lane, folder), start=1):
                answer = only(start_run.call(aws.put(key.replace("_S1", ""), fastq(mate, lane=lane), lanes="2")))
    assert [lane["fastq_1"]["uri"] for lane in lanes_of(aws, answer["run"])] == [
        f"s3://{FASTQS}/NA12878_L00{lane}_R1_001.fastq.gz" for lane in (1, 2)
    ]


def test_a_checksum_of_the_whole_object_is_pinned_too(aws: Deployed, start_run: Any, checked_s3: None) -> None:
    one, _ = drop(aws)
    aws.s3.put_object(Bucket=FASTQS, Key=R1, Body=fastq(1), ChecksumAlgorithm="CRC64NVME")
    (lane,) = lanes_of(aws, only(start_run.call(one))["run"])
    held = aws.s3.head_object(Bucket=FASTQS, Key=R1, ChecksumMode="ENABLED")
    assert lane["fastq_1"]["crc64nvme"] == held["ChecksumCRC64NVME"]


def test_an_object_of_another_bucket_is_ignored(aws: Deployed, start_run: Any) -> None:
    one, _ = drop(aws)
    one["detail"]["bucket"]["name"] = RESULTS
    reason = "the object is not in the bucket for FASTQs"
    assert only(start_run.call(one)) == {"outcome": "ignored", "reason": reason}
    assert aws.rows() == []


def test_a_bad_record_does_not_stop_those_behind_it(aws: Deployed, start_run: Any) -> None:
    one, _ = drop(aws)
    told = s3_put(R1, one["detail"]["object"]["version-id"])
    told["Records"].insert(0, {"s3": {"object": {"key": "secret_R1.fastq.gz"}}})
    with pytest.raises(start_run.NotHandledError) as raised:
        start_run.call(told)
    assert str(raised.value) == "1 of 2 events failed; the log has the errors"
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)
    assert len(aws.executions()) == 1


def test_a_crash_before_the_row_is_written_is_repaired_by_the_next_try(aws: Deployed, start_run: Any) -> None:
    one, _ = drop(aws)
    with failing("dynamodb.PutItem", "?"), logged() as log, pytest.raises(start_run.NotHandledError):
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
    tellings = [alone, aws.put(f"{marker}/{marker}_R1.fastq.gz", fastq(1), reference=marker)]
    tellings += [aws.put(f"{marker}.txt", b"junk"), aws.put(f"{marker}A_R1.fastq.gz", fastq(1), **{marker: marker})]
    tellings += [aws.put(f"{marker}A_R2.fastq.gz", fastq(1)), aws.put(f"{marker}B_R1.fastq.gz", fastq(1))]
    tellings += [aws.put(f"{marker}B_R2.fastq.gz", fastq(1)), object_created(f"{marker}_R1.fastq.gz", "")]
    with logged() as log:
        outcomes = [only(start_run.call(told))["outcome"] for told in tellings]
        with failing("s3.HeadObject", f"{marker}_R2.fastq.gz"), pytest.raises(start_run.NotHandledError) as raised:
            start_run.call(alone)
    assert set(outcomes) == {"ignored", "refused"}
    printed = log.getvalue() + capsys.readouterr().out + str(raised.value)
    assert printed.count("FASTQ refused") >= 4
    assert marker not in printed


def test_its_role_allows_every_call_it_makes(aws: Deployed, start_run: Any) -> None:
    aws.s3.put_object(Bucket=REFERENCES, Key="demo/exome.bed", Body=b"")
    one, _ = drop(aws, intervals="exome.bed")
    refused = aws.put("B_R1.fastq.gz", fastq(1), reference="x"), aws.put("B_R2.fastq.gz", fastq(2))
    for key in lane_keys(1):
        four = aws.put(key, fastq(1), lanes="4")
    aws.calls.clear()
    for told in (one, refused[0], four):
        start_run.call(told)
    (run,) = aws.executions()
    aws.end(run, "FAILED")
    aws.table.update_item(Key={"run": run}, **closed("FAILED"))
    assert only(start_run.call({"resume": run}))["outcome"] == "resumed"
    assert aws.calls
    assert aws.calls - allowed("start_run") == set()


def test_a_mate_that_comes_while_the_other_is_noted_as_waiting_starts_the_run(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own event may be over before the row is there, or be the one that is lost."""
    noted = table.create_waiting

    def note_late(*args: Any) -> None:
        noted(*args)
        aws.put(R2, fastq(2))

    monkeypatch.setattr(table, "create_waiting", note_late)
    assert only(start_run.call(aws.put(R1, fastq(1))))["outcome"] == "started"
    assert [row["status"] for row in aws.rows()] == ["RUNNING"]


def test_the_first_look_is_at_the_versions_that_are_pinned(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is replaced between the pin and the look is another event's."""
    one, _ = drop(aws)
    agreed = pairing.common_choices

    def replace_meanwhile(found: Any) -> Any:
        aws.put(R1, b"PK\3\4" + bytes(99))
        return agreed(found)

    monkeypatch.setattr(pairing, "common_choices", replace_meanwhile)
    assert only(start_run.call(one))["outcome"] == "started"


def test_what_comes_damaged_from_s3_is_asked_for_once_more_before_reads_are_refused(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = drop(aws)
    answers, read = [b"\x1f\x8bnot gzip"], s3.Store.read_start
    monkeypatch.setattr(s3.Store, "read_start", lambda *asked: answers.pop() if answers else read(*asked))
    assert only(start_run.call(one))["outcome"] == "started"
    assert answers == []


def test_a_run_that_was_over_before_its_row_was_written_gets_its_row(aws: Deployed, start_run: Any) -> None:
    one, _ = drop(aws)
    with failing("dynamodb.PutItem", "?"), pytest.raises(start_run.NotHandledError):
        start_run.call(one)
    (run,) = aws.executions()
    aws.end(run, "FAILED")
    assert only(start_run.call(one)) == {"outcome": "duplicate", "run": run}
    row = aws.row(run)
    assert row
    assert (row["execution"].endswith(run), row["reference"]) == (True, "demo")


def test_a_run_that_was_refused_and_starts_after_all_has_a_row_that_runs(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = drop(aws)
    with monkeypatch.context() as damaged:
        damaged.setattr(s3.Store, "read_start", lambda *_: b"\x1f\x8bnot gzip")
        run = only(start_run.call(one))["run"]
    assert (aws.row(run) or {})["status"] == "FAILED"
    assert only(start_run.call(one)) == {"outcome": "started", "run": run}
    row = aws.row(run) or {}
    assert (row["status"], row["execution"].endswith(run), "class" in row) == ("RUNNING", True, False)
