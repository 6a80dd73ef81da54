"""Array jobs of the embedded AWS: children, the status of their parent, retries, cancellation, state machines."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from embedded_server import Server, eventually

SIZE_2 = {"arrayProperties": {"size": 2}}


def children(aws: Server, parent: str, status: str) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = aws.batch.list_jobs(arrayJobId=parent, jobStatus=status)["jobSummaryList"]
    return jobs


def test_every_child_has_its_id_index_and_size_in_the_environment(aws: Server) -> None:
    script = "echo $AWS_BATCH_JOB_ID $AWS_BATCH_JOB_ARRAY_INDEX $AWS_BATCH_JOB_ARRAY_SIZE"
    parent = aws.run(script, arrayProperties={"size": 3}, tags={"run": "r1"})
    assert (parent["status"], parent["arrayProperties"]["size"]) == ("SUCCEEDED", 3)
    assert {state: count for state, count in parent["arrayProperties"]["statusSummary"].items() if count} == {
        "SUCCEEDED": 3
    }
    names = [f"{parent['jobId']}:{index}" for index in range(3)]
    described = [aws.job(name) for name in names]
    assert [aws.lines(job) for job in described] == [[f"{name} {index} 3"] for index, name in enumerate(names)]
    assert [job["arrayProperties"] for job in described] == [{"index": index} for index in range(3)]
    assert [job["tags"] for job in described] == [{"run": "r1"}] * 3


def test_a_parent_has_neither_attempts_nor_an_exit_code(aws: Server) -> None:
    parent = aws.run("true", **SIZE_2)
    assert (parent["attempts"], parent.get("statusReason")) == ([], None)
    assert not {"exitCode", "logStreamName"} & set(parent["container"])


def test_a_child_that_fails_fails_the_parent_after_all_children_have_ended(aws: Server, tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = f"test $AWS_BATCH_JOB_ARRAY_INDEX = 1 && exit 65; until test -e {go}; do sleep 0.05; done"
    job_id = aws.submit(script, **SIZE_2)
    eventually(lambda: children(aws, job_id, "FAILED"), "the failed child")
    assert aws.job(job_id)["status"] == "PENDING"
    go.touch()
    parent = aws.finished(job_id)
    assert (parent["status"], parent["statusReason"]) == ("FAILED", "Array Child Job failed")
    summary = parent["arrayProperties"]["statusSummary"]
    assert (summary["SUCCEEDED"], summary["FAILED"]) == (1, 1)
    (failed,) = children(aws, job_id, "FAILED")
    assert (failed["jobId"], failed["arrayProperties"]) == (f"{job_id}:1", {"index": 1})
    assert aws.job(failed["jobId"])["container"]["exitCode"] == 65


def test_each_child_is_retried_by_itself(aws: Server) -> None:
    script = "test $AWS_BATCH_JOB_ARRAY_INDEX = 0 || test $AWS_BATCH_JOB_ATTEMPT = 3 || exit 75"
    parent = aws.run(script, **SIZE_2)
    assert parent["status"] == "SUCCEEDED"
    assert [len(aws.job(f"{parent['jobId']}:{index}")["attempts"]) for index in (0, 1)] == [1, 3]


def test_the_time_limit_is_that_of_each_child(aws: Server) -> None:
    script = "test $AWS_BATCH_JOB_ARRAY_INDEX = 0 || sleep 60"
    parent = aws.run(script, **SIZE_2, timeout={"attemptDurationSeconds": 1})
    reasons = [aws.job(f"{parent['jobId']}:{index}")["statusReason"] for index in (0, 1)]
    assert parent["status"] == "FAILED"
    assert reasons == ["Essential container in task exited", "Job attempt duration exceeded timeout"]


@pytest.mark.parametrize("size", [1, 10_001])
def test_an_array_has_from_2_to_10000_children(aws: Server, size: int) -> None:
    with pytest.raises(ClientError, match="between 2 and 10,000"):
        aws.submit("true", arrayProperties={"size": size})


def test_only_the_parent_is_listed_with_the_jobs_of_its_queue(aws: Server) -> None:
    job_id = aws.run("exit 65", **SIZE_2)["jobId"]
    jobs = aws.batch.list_jobs(jobQueue=aws.output("Queue"), jobStatus="FAILED")["jobSummaryList"]
    (listed,) = (job for job in jobs if job["jobId"].startswith(job_id))
    assert (listed["jobId"], listed["arrayProperties"]) == (job_id, {"size": 2})


def test_jobs_are_listed_while_they_run_unless_a_status_is_named(aws: Server) -> None:
    job_id = aws.submit("sleep 60", **SIZE_2)
    eventually(lambda: len(children(aws, job_id, "RUNNING")) == 2, "both children")
    assert len(aws.batch.list_jobs(arrayJobId=job_id)["jobSummaryList"]) == 2
    aws.batch.terminate_job(jobId=job_id, reason="done")
    aws.finished(job_id)
    assert aws.batch.list_jobs(arrayJobId=job_id)["jobSummaryList"] == []


def test_a_terminated_parent_ends_all_its_children(aws: Server) -> None:
    job_id = aws.submit("sleep 60", **SIZE_2, retryStrategy={"attempts": 3})
    eventually(lambda: len(children(aws, job_id, "RUNNING")) == 2, "both children")
    aws.batch.terminate_job(jobId=job_id, reason="terminated by the test")
    parent = aws.finished(job_id)
    assert (parent["status"], parent["statusReason"]) == ("FAILED", "terminated by the test")
    described = [aws.job(f"{job_id}:{index}") for index in (0, 1)]
    assert [(job["statusReason"], len(job["attempts"])) for job in described] == [("terminated by the test", 1)] * 2


def test_a_cancelled_parent_lets_running_children_end(aws: Server, tmp_path: Path) -> None:
    go = tmp_path / "go"
    wide = {"resourceRequirements": [{"type": "VCPU", "value": "4"}]}  # all of the server: one child at a time
    job_id = aws.submit(f"until test -e {go}; do sleep 0.05; done", **SIZE_2, containerOverrides=wide)
    (running,) = eventually(lambda: children(aws, job_id, "RUNNING"), "the first child")
    aws.batch.cancel_job(jobId=job_id, reason="cancelled by the test")
    (cancelled,) = eventually(lambda: children(aws, job_id, "FAILED"), "the cancelled child")
    assert cancelled["statusReason"] == "cancelled by the test"
    go.touch()
    assert aws.finished(job_id)["status"] == "FAILED"
    assert aws.job(running["jobId"])["status"] == "SUCCEEDED"


def test_a_job_that_depends_on_an_array_starts_after_all_its_children(aws: Server, tmp_path: Path) -> None:
    script = f"test $AWS_BATCH_JOB_ARRAY_INDEX = 0 && sleep 0.2; touch {tmp_path}/$AWS_BATCH_JOB_ARRAY_INDEX"
    first = aws.submit(script, **SIZE_2)
    gather = aws.run(f"ls {tmp_path}", dependsOn=[{"jobId": first}])
    assert aws.lines(gather) == ["0", "1"]


def test_a_state_waits_for_all_children_and_its_cause_describes_the_parent(aws: Server) -> None:
    array = {"Parameters": {"ArrayProperties": {"Size": 2}}}
    assert aws.execute({"Run": aws.job_task("true", **array)})["status"] == "SUCCEEDED"
    task = aws.job_task("exit $((AWS_BATCH_JOB_ARRAY_INDEX * 65))", Parameters={"ArrayProperties": {"Size": 2}})
    cause = json.loads(aws.execute({"Run": task})["cause"])
    assert (cause["Status"], cause["StatusReason"]) == ("FAILED", "Array Child Job failed")
    assert (cause["ArrayProperties"]["Size"], cause["ArrayProperties"]["StatusSummary"]["FAILED"]) == (2, 1)


def test_the_end_of_an_execution_terminates_all_children(aws: Server) -> None:
    task = aws.job_task("sleep 60", Parameters={"ArrayProperties": {"Size": 2}})
    execution = aws.start(aws.machine({"Run": task}))
    job_id = aws.job_of(execution)
    eventually(lambda: len(children(aws, job_id, "RUNNING")) == 2, "both children")
    aws.states.stop_execution(executionArn=execution)
    assert aws.finished(job_id)["statusReason"] == "Terminated by AWS Step Functions"
    assert len(children(aws, job_id, "FAILED")) == 2


def test_the_end_of_the_parent_is_an_event(aws: Server) -> None:
    job_id = aws.run("true", **SIZE_2)["jobId"]

    def is_end(body: dict[str, Any]) -> bool:
        return bool(body["detail"].get("jobId") == job_id and body["detail"]["status"] == "SUCCEEDED")

    (event,) = aws.messages("Statuses", is_end)
    assert event["detail"]["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 2
