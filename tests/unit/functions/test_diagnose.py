"""functions/diagnose: read the verdict of the failed job, and return the plan with the next try."""

from __future__ import annotations

import json
from typing import Any

import pytest
from seqdrop.failure.verdict import Verdict
from seqdrop.plan import layout
from seqdrop.storage.uri import S3Uri
from support.function_aws import LAST_RESORT, REFERENCES, Deployed, allowed_actions, event, parameters

TRUNCATED = "lane1_R2.fastq.gz is truncated: its gzip data has no end"


@pytest.fixture
def diagnose(aws: Deployed) -> Any:
    return aws.load("diagnose")


def job_id(plan: dict[str, Any], step: str = "align") -> str:
    return str(json.loads(plan[step]["error"]["Cause"])["JobId"])


def write_verdict(aws: Deployed, plan: dict[str, Any], attempt: str, batch_attempt: str, job: str) -> None:
    verdict = Verdict("BAD_INPUT.TRUNCATED", TRUNCATED, exit_code=65, job_id=job)
    uri = layout.verdict_uri(S3Uri.parse(plan["results"]), "align", attempt, batch_attempt)
    aws.write(str(uri), verdict.to_json())


def test_the_verdict_of_the_failed_job_decides(aws: Deployed, diagnose: Any) -> None:
    plan = event("diagnose_bad_data")
    write_verdict(aws, plan, "1", "1", job_id(plan))
    assert diagnose.call(plan) == event("record_run_failed")["plan"]


@pytest.mark.parametrize(
    ("attempt", "batch_attempt", "job"),
    [("1", "1", "another job"), ("1", "2", ""), ("2", "1", ""), ("1", "1", None)],
    ids=["of another job", "of another attempt of Batch", "of another try", "of no job"],
)
def test_other_verdicts_are_ignored(
    aws: Deployed, diagnose: Any, attempt: str, batch_attempt: str, job: str | None
) -> None:
    plan = event("diagnose_bad_data")
    write_verdict(aws, plan, attempt, batch_attempt, "" if job is None else job or job_id(plan))
    answer = diagnose.call(plan)
    assert answer["next"] == "give_up"
    assert answer["align"]["gave_up"]["message"] == "The job refused its input and left no verdict."


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[1]", b'{"class": "TOOL_FAILED"}', b"null"])
def test_an_unreadable_verdict_is_ignored(aws: Deployed, diagnose: Any, body: bytes) -> None:
    plan = event("diagnose_bad_data")
    uri = layout.verdict_uri(S3Uri.parse(plan["results"]), "align", "1", "1")
    aws.s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=body)
    answer = diagnose.call(plan)
    assert (answer["next"], answer["align"]["gave_up"]["class"]) == ("give_up", "BAD_INPUT")


def test_the_log_has_the_failure_class_without_the_message(
    aws: Deployed, diagnose: Any, caplog: pytest.LogCaptureFixture
) -> None:
    plan = event("diagnose_bad_data")
    write_verdict(aws, plan, "1", "1", job_id(plan))
    diagnose.call(plan)
    log = str([vars(line) for line in caplog.records])
    assert "BAD_INPUT.TRUNCATED" in log
    assert "truncated" not in log
    assert "NA12878" not in log


def test_the_verdict_of_the_last_attempt_of_batch_decides(aws: Deployed, diagnose: Any) -> None:
    plan = event("diagnose_bad_data")
    cause = json.loads(plan["align"]["error"]["Cause"])
    cause["Attempts"] = [{"Container": {"ExitCode": 75}}, *cause["Attempts"]]
    plan["align"]["error"]["Cause"] = json.dumps(cause)
    write_verdict(aws, plan, "1", "2", job_id(plan))
    assert diagnose.call(plan)["align"]["gave_up"]["class"] == "BAD_INPUT.TRUNCATED"


def test_a_job_killed_for_its_memory_gets_twice_the_memory(diagnose: Any) -> None:
    plan, original = event("diagnose_out_of_memory"), event("execution_input")
    message = "The job used more memory than its limit and was killed."
    failure = {"class": "OUT_OF_MEMORY", "message": message, "job_id": job_id(plan), "attempts": 1}
    failures = [{**failure, "then": "memory doubled to 4096 MiB"}]
    align = {**original["align"], "memory": "4096", "attempt": "2", "failures": failures}
    assert diagnose.call(plan) == {**original, "align": align, "next": "AlignReads"}


def test_a_job_on_a_reclaimed_instance_is_retried_in_the_last_resort_queue(diagnose: Any) -> None:
    answer = diagnose.call(event("diagnose_spot_reclaimed"))
    assert (answer["align"]["job_queue"], answer["next"]) == (LAST_RESORT, "AlignReads")


def test_a_job_with_a_full_disk_gets_a_whole_instance(aws: Deployed, diagnose: Any) -> None:
    plan = event("diagnose_bad_data")
    verdict = Verdict("NO_SPACE", "The scratch disk is full.", exit_code=70, job_id=job_id(plan))
    aws.write(f"{plan['results']}/failures/align.1.1.json", verdict.to_json())
    answer = diagnose.call(plan)
    assert (answer["align"]["vcpus"], answer["next"]) == (parameters()["WholeInstanceVcpus"], "AlignReads")


def test_the_failed_step_is_the_one_with_an_error(diagnose: Any) -> None:
    plan = event("diagnose_spot_reclaimed")
    plan["collect"]["error"] = plan["align"].pop("error")
    answer = diagnose.call(plan)
    assert (answer["next"], answer["collect"]["attempt"], answer["align"]["attempt"]) == ("CollectStats", "2", "1")


def test_known_variants_named_error_are_no_failed_step(diagnose: Any) -> None:
    plan = event("diagnose_spot_reclaimed")
    answer = diagnose.call({"known": {"error": {"fingerprint": "k", "fields": ["ID"]}}, **plan})
    assert (answer["next"], answer["known"]["error"]["fields"]) == ("AlignReads", ["ID"])


def test_a_preparation_is_diagnosed(aws: Deployed, diagnose: Any) -> None:
    fasta = S3Uri(REFERENCES, "in/demo.fa")
    preparation = layout.preparation("r", "demo", fasta, None, reference_bucket=REFERENCES, aligner="bwa")
    error = {"Error": "Batch.TooManyRequestsException", "Cause": "Rate exceeded"}
    sizes = {"job_queue": "q", "vcpus": "2", "memory": "2048", "attempt": "1", "args": "[]"}
    answer = diagnose.call({**preparation, "prepare": {**sizes, "error": error}})
    assert (answer["next"], answer["prepare"]["attempt"]) == ("PrepareReference", "2")


def test_the_commands_in_the_cause_of_a_step_that_gave_up_can_be_copied(aws: Deployed, diagnose: Any) -> None:
    plan = event("diagnose_bad_data")
    error = {"Error": "Batch.ClientException", "Cause": "not authorized to perform: batch:SubmitJob (Status Code: 403)"}
    plan["align"]["error"] = error
    gave_up = diagnose.call(plan)["align"]["gave_up"]
    command = f"`seqdrop resume {plan['run']} --stack seqdrop`"
    assert all(command in gave_up[word] for word in ("advice", "cause"))


def test_a_plan_without_an_error_cannot_be_diagnosed(diagnose: Any) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011  the state machine catches any error
        diagnose.call(event("execution_input"))


def test_the_role_of_diagnose_allows_all_its_calls(aws: Deployed, diagnose: Any) -> None:
    plan = event("diagnose_bad_data")
    diagnose.call(plan)
    assert aws.calls
    assert aws.calls - allowed_actions("diagnose") == set()


def fused_plan(exit_code: int) -> dict[str, Any]:
    """The plan of a fused run whose job ended with an exit code."""
    plan = event("diagnose_bad_data")
    error = plan["align"].pop("error")
    cause = json.loads(error["Cause"])
    for container in (cause["Container"], cause["Attempts"][-1]["Container"]):
        container["ExitCode"] = exit_code
    job = {**plan["align"], "args": "{}", "error": {**error, "Cause": json.dumps(cause)}}
    return {**plan, "form": "fused", "fused": job}


def write_step_verdict(aws: Deployed, plan: dict[str, Any], step: str, failure_class: str, code: int) -> None:
    uri = layout.verdict_uri(S3Uri.parse(plan["results"]), step, "1", "1")
    verdict = Verdict(failure_class, "no", exit_code=code, job_id=job_id(plan, "fused"))
    aws.write(str(uri), verdict.to_json())


def test_the_failure_of_a_fused_job_is_that_of_the_step_with_the_verdict(aws: Deployed, diagnose: Any) -> None:
    plan = fused_plan(70)
    write_step_verdict(aws, plan, "call", "TOOL_FAILED", 70)
    answer = diagnose.call(plan)
    assert (answer["next"], answer["call"]["gave_up"]["class"]) == ("give_up", "TOOL_FAILED")
    assert "Class: TOOL_FAILED in call" in answer["call"]["gave_up"]["cause"]
    assert not any("gave_up" in answer[job] for job in ("fused", "align", "annotate", "collect", "compose"))
    assert [failure["step"] for failure in answer["fused"]["failures"]] == ["call"]


def test_a_fused_job_that_was_killed_failed_in_the_first_step_without_a_receipt(aws: Deployed, diagnose: Any) -> None:
    plan = fused_plan(137)
    for step in ("align", "call"):
        aws.write(str(layout.receipt_uri(S3Uri.parse(plan["results"]), step)), {})
    answer = diagnose.call(plan)
    assert (answer["next"], int(answer["fused"]["memory"])) == ("RunFused", 2 * int(plan["fused"]["memory"]))
    (failure,) = answer["fused"]["failures"]
    assert (failure["step"], failure["class"]) == ("annotate", "OUT_OF_MEMORY")


def test_the_same_failure_of_another_step_of_a_fused_job_is_retried_too(aws: Deployed, diagnose: Any) -> None:
    plan = fused_plan(137)
    earlier = {"class": "OUT_OF_MEMORY", "message": "no", "step": "align", "job_id": "", "attempts": 1}
    plan["fused"] |= {"failures": [earlier], "attempt": "2"}
    aws.write(str(layout.receipt_uri(S3Uri.parse(plan["results"]), "align")), {})
    answer = diagnose.call(plan)
    assert (answer["next"], answer["fused"]["attempt"]) == ("RunFused", "3")
    plan["fused"]["failures"][0]["step"] = "call"
    answer = diagnose.call(plan)
    assert answer["call"]["gave_up"]["advice"].startswith("Give this step more memory: raise FusedMemory")
