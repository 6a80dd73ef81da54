"""functions/diagnose: the doctor finds the step and its verdict, and answers with the plan."""

from __future__ import annotations

import json
from typing import Any

import pytest
from seqdrop.failure.verdict import Verdict
from seqdrop.plan import layout
from seqdrop.storage.uri import S3Uri
from support.function_aws import LAST_RESORT, REFERENCES, Deployed, allowed, event, parameters

TRUNCATED = "lane1_R2.fastq.gz is truncated: its gzip data has no end"


@pytest.fixture
def diagnose(aws: Deployed) -> Any:
    return aws.load("diagnose")


def job_id(plan: dict[str, Any], step: str = "align") -> str:
    return str(json.loads(plan[step]["error"]["Cause"])["JobId"])


def leave_verdict(aws: Deployed, plan: dict[str, Any], attempt: str, batch_attempt: str, job: str) -> None:
    verdict = Verdict("BAD_INPUT.TRUNCATED", TRUNCATED, exit_code=65, job_id=job)
    uri = layout.verdict_uri(S3Uri.parse(plan["results"]), "align", attempt, batch_attempt)
    aws.write(str(uri), verdict.to_json())


def test_the_verdict_of_the_job_that_failed_is_believed(aws: Deployed, diagnose: Any) -> None:
    plan = event("diagnose_bad_data")
    leave_verdict(aws, plan, "1", "1", job_id(plan))
    assert diagnose.call(plan) == event("record_run_failed")["plan"]


@pytest.mark.parametrize(
    ("attempt", "batch_attempt", "job"),
    [("1", "1", "another job"), ("1", "2", ""), ("2", "1", ""), ("1", "1", None)],
    ids=["of another job", "of another attempt of Batch", "of another try", "of no job"],
)
def test_any_other_verdict_is_no_evidence(
    aws: Deployed, diagnose: Any, attempt: str, batch_attempt: str, job: str | None
) -> None:
    plan = event("diagnose_bad_data")
    leave_verdict(aws, plan, attempt, batch_attempt, "" if job is None else job or job_id(plan))
    answer = diagnose.call(plan)
    assert answer["next"] == "give_up"
    assert answer["align"]["gave_up"]["message"] == "The job refused its input and left no verdict."


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[1]", b'{"class": "TOOL_FAILED"}', b"null"])
def test_a_verdict_that_cannot_be_read_does_not_stop_the_doctor(aws: Deployed, diagnose: Any, body: bytes) -> None:
    plan = event("diagnose_bad_data")
    uri = layout.verdict_uri(S3Uri.parse(plan["results"]), "align", "1", "1")
    aws.s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=body)
    answer = diagnose.call(plan)
    assert (answer["next"], answer["align"]["gave_up"]["class"]) == ("give_up", "BAD_INPUT")


def test_the_log_of_the_doctor_names_the_class_and_no_sentence(
    aws: Deployed, diagnose: Any, caplog: pytest.LogCaptureFixture
) -> None:
    plan = event("diagnose_bad_data")
    leave_verdict(aws, plan, "1", "1", job_id(plan))
    diagnose.call(plan)
    printed = str([vars(line) for line in caplog.records])
    assert "BAD_INPUT.TRUNCATED" in printed
    assert "truncated" not in printed
    assert "NA12878" not in printed


def test_the_verdict_of_the_last_attempt_is_the_one_that_counts(aws: Deployed, diagnose: Any) -> None:
    plan = event("diagnose_bad_data")
    cause = json.loads(plan["align"]["error"]["Cause"])
    cause["Attempts"] = [{"Container": {"ExitCode": 75}}, *cause["Attempts"]]
    plan["align"]["error"]["Cause"] = json.dumps(cause)
    leave_verdict(aws, plan, "1", "2", job_id(plan))
    assert diagnose.call(plan)["align"]["gave_up"]["class"] == "BAD_INPUT.TRUNCATED"


def test_a_job_killed_for_memory_gets_twice_of_it(diagnose: Any) -> None:
    plan, before = event("diagnose_out_of_memory"), event("execution_input")
    message = "The job used more memory than its limit and was killed."
    failed = {"class": "OUT_OF_MEMORY", "message": message, "job_id": job_id(plan), "attempts": 1}
    failures = [{**failed, "then": "memory doubled to 4096 MiB"}]
    align = {**before["align"], "memory": "4096", "attempt": "2", "failures": failures}
    assert diagnose.call(plan) == {**before, "align": align, "next": "AlignReads"}


def test_a_job_that_spot_ended_goes_to_the_queue_of_the_last_resort(diagnose: Any) -> None:
    answer = diagnose.call(event("diagnose_spot_reclaimed"))
    assert (answer["align"]["job_queue"], answer["next"]) == (LAST_RESORT, "AlignReads")


def test_a_job_whose_disk_was_full_gets_nearly_a_whole_instance(aws: Deployed, diagnose: Any) -> None:
    plan = event("diagnose_bad_data")
    verdict = Verdict("NO_SPACE", "The scratch disk is full.", exit_code=70, job_id=job_id(plan))
    aws.write(f"{plan['results']}/failures/align.1.1.json", verdict.to_json())
    answer = diagnose.call(plan)
    assert (answer["align"]["vcpus"], answer["next"]) == (parameters()["WholeInstanceVcpus"], "AlignReads")


def test_the_step_that_failed_is_the_one_with_the_error(diagnose: Any) -> None:
    plan = event("diagnose_spot_reclaimed")
    plan["collect"]["error"] = plan["align"].pop("error")
    answer = diagnose.call(plan)
    assert (answer["next"], answer["collect"]["attempt"], answer["align"]["attempt"]) == ("CollectStats", "2", "1")


def test_a_preparation_is_diagnosed_too(aws: Deployed, diagnose: Any) -> None:
    fasta = S3Uri(REFERENCES, "in/demo.fa")
    given = layout.preparation("r", "demo", fasta, None, reference_bucket=REFERENCES)
    error = {"Error": "Batch.TooManyRequestsException", "Cause": "Rate exceeded"}
    sizes = {"job_queue": "q", "vcpus": "2", "memory": "2048", "attempt": "1", "args": "[]"}
    answer = diagnose.call({**given, "prepare": {**sizes, "error": error}})
    assert (answer["next"], answer["prepare"]["attempt"]) == ("PrepareReference", "2")


def test_a_plan_without_an_error_is_no_case_for_the_doctor(diagnose: Any) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011  the machine's Catch takes any
        diagnose.call(event("execution_input"))


def test_its_role_allows_every_call_it_makes(aws: Deployed, diagnose: Any) -> None:
    plan = event("diagnose_bad_data")
    diagnose.call(plan)
    assert aws.calls
    assert aws.calls - allowed("diagnose") == set()
