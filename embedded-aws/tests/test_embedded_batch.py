"""Batch of the embedded AWS: attempts, environment, timeouts, termination, logs."""

from pathlib import Path

from embedded_server import Server, eventually, wait_for_end


def marker(tmp_path: Path) -> Path:
    return tmp_path / "pid"


def test_a_job_that_ends_with_0_succeeds(aws: Server) -> None:
    job = aws.run("echo done")
    assert (job["status"], job["statusReason"]) == ("SUCCEEDED", "Essential container in task exited")
    assert job["container"]["exitCode"] == 0
    assert len(job["attempts"]) == 1


def test_a_job_that_fails_is_not_retried_if_a_rule_says_exit(aws: Server) -> None:
    job = aws.run("exit 65")
    assert (job["status"], job["container"]["exitCode"], len(job["attempts"])) == ("FAILED", 65, 1)


def test_a_job_is_retried_up_to_its_attempts_if_the_first_matching_rule_says_retry(aws: Server) -> None:
    job = aws.run("exit 75")
    assert job["status"] == "FAILED"
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [75, 75, 75]


def test_an_attempt_has_its_number_in_the_environment(aws: Server) -> None:
    job = aws.run("test $AWS_BATCH_JOB_ATTEMPT = 2 || exit 75")
    assert (job["status"], len(job["attempts"])) == ("SUCCEEDED", 2)


def test_a_job_is_retried_if_no_rule_matches(aws: Server) -> None:
    strategy = {"attempts": 2, "evaluateOnExit": [{"action": "EXIT", "onExitCode": "1*"}]}
    assert len(aws.run("exit 3", retryStrategy=strategy)["attempts"]) == 2
    assert len(aws.run("exit 13", retryStrategy=strategy)["attempts"]) == 1


def test_a_submission_overrides_environment_and_resources(aws: Server) -> None:
    overrides = {
        "environment": [{"name": "GREETING", "value": "overridden"}],
        "resourceRequirements": [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "512"}],
    }
    job = aws.run("echo $GREETING $AWS_BATCH_JQ_NAME", containerOverrides=overrides)
    assert aws.lines(job) == ["overridden t-JobQueue"]
    assert (job["container"]["vcpus"], job["container"]["memory"]) == (2, 512)
    assert {"type": "MEMORY", "value": "512"} in job["container"]["resourceRequirements"]


def test_describing_a_job_does_not_change_it(aws: Server) -> None:
    job_id = aws.submit("true")
    first, second = aws.finished(job_id), aws.finished(job_id)
    assert first["container"]["environment"] == second["container"]["environment"]


def test_a_parameter_replaces_only_a_complete_argument(aws: Server) -> None:
    overrides = {"command": ["echo", "Ref::script", "Ref::scripture", "xRef::script"]}
    job = aws.run("psalm", containerOverrides=overrides)
    assert aws.lines(job) == ["psalm Ref::scripture xRef::script"]


def test_a_mount_point_is_a_fresh_folder_of_this_machine(aws: Server) -> None:
    job = aws.run("mkdir -p $SCRATCH && echo $SCRATCH")
    (folder,) = aws.lines(job)
    assert folder.endswith("/volumes/mnt/scratch/jobs")
    assert Path(folder).is_dir()


def test_output_is_in_the_log_while_the_job_runs(aws: Server) -> None:
    job_id = aws.submit("echo first; sleep 60")
    job = aws.job_in(job_id, "RUNNING")
    assert eventually(lambda: aws.lines(job), "a line of a running job") == ["first"]
    assert job["container"]["logStreamName"].startswith("shell/default/")
    aws.batch.terminate_job(jobId=job_id, reason="test done")


def test_a_terminated_job_ends_and_reports_the_reason(aws: Server, tmp_path: Path) -> None:
    job_id = aws.submit(f"echo $$ > {marker(tmp_path)}; sleep 60", retryStrategy={"attempts": 3})
    eventually(lambda: marker(tmp_path).exists() and marker(tmp_path).read_text(), "the job's start")
    aws.batch.terminate_job(jobId=job_id, reason="cancelled by the test")
    job = aws.finished(job_id)
    assert (job["status"], job["statusReason"], job["isTerminated"]) == ("FAILED", "cancelled by the test", True)
    assert len(job["attempts"]) == 1
    assert wait_for_end(int(marker(tmp_path).read_text()))


def test_a_job_that_exceeds_its_timeout_is_killed_and_not_retried(aws: Server) -> None:
    job = aws.run("sleep 60", timeout={"attemptDurationSeconds": 1}, retryStrategy={"attempts": 3})
    assert (job["status"], job["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")
    assert (len(job["attempts"]), job["container"]["exitCode"]) == (1, 143)


def test_a_signal_is_reported_as_exit_code_128_plus_its_number(aws: Server) -> None:
    assert aws.run("kill -9 $$")["container"]["exitCode"] == 137


def test_a_missing_command_does_not_start(aws: Server) -> None:
    job = aws.run("", containerOverrides={"command": ["no-such-tool"]}, retryStrategy={"attempts": 1})
    assert job["statusReason"] == "Task failed to start"
    assert job["container"]["reason"].startswith("CannotStartContainerError: ")


def test_jobs_wait_for_vcpus(aws: Server) -> None:
    wide = {"resourceRequirements": [{"type": "VCPU", "value": "4"}]}
    first = aws.submit("sleep 60", containerOverrides=wide)
    aws.job_in(first, "RUNNING")
    second = aws.submit("true")
    aws.job_in(second, "RUNNABLE")
    aws.batch.cancel_job(jobId=second, reason="cancelled by the test")
    cancelled = aws.finished(second)
    assert (cancelled["statusReason"], cancelled["isCancelled"]) == ("cancelled by the test", True)
    aws.batch.terminate_job(jobId=first, reason="done")
    aws.finished(first)


def test_a_job_waits_for_the_job_it_depends_on(aws: Server) -> None:
    failed = aws.submit("exit 1")
    job = aws.run("true", dependsOn=[{"jobId": failed}])
    assert (job["status"], job["statusReason"]) == ("FAILED", "Dependent Job failed")


def test_a_state_change_is_an_event_with_the_job_as_detail(aws: Server) -> None:
    job_id = aws.submit("exit 9")
    aws.finished(job_id)
    (event,) = aws.messages(
        "Statuses", lambda body: body["detail"].get("jobId") == job_id and body["detail"]["status"] == "FAILED"
    )
    assert (event["source"], event["detail-type"]) == ("aws.batch", "Batch Job State Change")
    assert event["detail"]["container"]["exitCode"] == 9
