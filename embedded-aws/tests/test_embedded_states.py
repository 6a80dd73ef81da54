"""Step Functions of the embedded AWS: jobs as tasks, errors by name, stops and timeouts."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from embedded_server import Server, Start, eventually, wait_for_end

PASS = {"Type": "Pass", "End": True}
WAITING = 20  # executions; the server has fewer threads that do other things
STARTED = 6  # seconds after which a job has started, on a slow machine too


def outcome(execution: dict[str, Any]) -> Any:
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    return json.loads(execution["output"])


def sleeper(aws: Server, pid: Path, **more: Any) -> dict[str, Any]:
    return aws.job_task(f"echo $$ > {pid}; sleep 60", **more)


def until_there(path: Path) -> str:
    return f"while ! [ -s {path} ]; do sleep 0.1; done"


def read_pid(pid: Path) -> int:
    return int(eventually(lambda: pid.exists() and pid.read_text().strip(), "the job's start"))


def test_a_machine_waits_for_its_job(aws: Server) -> None:
    execution = aws.ended(aws.start(aws.output("Machine"), {"script": "true"}))
    run = outcome(execution)["run"]
    assert (run["status"], run["exit"]) == ("SUCCEEDED", 0)


def test_an_alias_can_be_started(aws: Server) -> None:
    assert outcome(aws.ended(aws.start(aws.output("MachineAlias"), {"script": "true"})))


def test_a_failed_job_is_states_task_failed_with_the_job_as_cause(aws: Server) -> None:
    execution = aws.ended(aws.start(aws.output("Machine"), {"script": "exit 65"}))
    assert (execution["status"], execution["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(execution["cause"])
    assert cause["Container"]["ExitCode"] == 65
    assert cause["Attempts"][0]["StatusReason"] == "Essential container in task exited"


def test_a_task_overrides_resources_environment_and_retries(aws: Server) -> None:
    overrides = {
        "ResourceRequirements": [{"Type": "MEMORY", "Value.$": "$.memory"}],
        "Environment": [{"Name": "GREETING", "Value": "from the task"}],
    }
    more = {
        "ContainerOverrides": overrides,
        "RetryStrategy": {"Attempts": 1},
        "Timeout": {"AttemptDurationSeconds": 61},
    }
    task = aws.job_task("echo $GREETING $MANAGED_BY_AWS; exit 75", Parameters=more)
    execution = aws.execute({"Run": task}, {"memory": "384"})
    job = aws.job(json.loads(execution["cause"])["JobId"])
    assert (job["container"]["memory"], len(job["attempts"])) == (384, 1)
    assert job["timeout"] == {"attemptDurationSeconds": 61}
    assert aws.lines(job) == ["from the task STARTED_BY_STEP_FUNCTIONS"]


def test_a_retried_job_may_run_longer_than_the_first_poll(aws: Server, tmp_path: Path) -> None:
    once = tmp_path / "once"
    script = f"test -e {once} && sleep 1 && exit 0; touch {once}; exit 1"
    retry = [{"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    assert outcome(aws.execute({"Run": aws.job_task(script, Retry=retry)}))["Status"] == "SUCCEEDED"


def test_stopping_an_execution_kills_its_job(aws: Server, tmp_path: Path) -> None:
    execution = aws.start(aws.machine({"Run": sleeper(aws, tmp_path / "pid")}))
    pid = read_pid(tmp_path / "pid")
    aws.states.stop_execution(executionArn=execution, error="Mine", cause="enough")
    stopped = aws.ended(execution)
    assert (stopped["status"], stopped["error"], stopped["cause"]) == ("ABORTED", "Mine", "enough")
    assert wait_for_end(pid)
    job = aws.finished(aws.job_of(execution))
    assert (job["isTerminated"], job["status"]) == (True, "FAILED")


def test_the_timeout_of_a_state_kills_its_job(aws: Server, tmp_path: Path) -> None:
    catch = [{"ErrorEquals": ["States.Timeout"], "Next": "Late"}]
    states = {"Run": sleeper(aws, tmp_path / "pid", TimeoutSeconds=STARTED, Catch=catch), "Late": PASS}
    assert outcome(aws.execute(states))["Error"] == "States.Timeout"
    assert wait_for_end(read_pid(tmp_path / "pid"))


def test_the_timeout_of_a_machine_kills_its_job(aws: Server, tmp_path: Path) -> None:
    machine = aws.machine({"Run": sleeper(aws, tmp_path / "pid")}, TimeoutSeconds=STARTED)
    execution = aws.ended(aws.start(machine))
    assert (execution["status"], "stopDate" in execution) == ("TIMED_OUT", True)
    assert wait_for_end(read_pid(tmp_path / "pid"))


def test_a_failed_branch_kills_the_job_of_another_branch(aws: Server, tmp_path: Path) -> None:
    failing = {"StartAt": "Fail", "States": {"Fail": aws.job_task(f"{until_there(tmp_path / 'pid')}; exit 1")}}
    sleeping = {"StartAt": "Sleep", "States": {"Sleep": sleeper(aws, tmp_path / "pid")}}
    catch = [{"ErrorEquals": ["States.TaskFailed"], "Next": "Caught"}]
    both = {"Type": "Parallel", "Branches": [failing, sleeping], "Catch": catch, "End": True}
    assert outcome(aws.execute({"Both": both, "Caught": PASS}))["Error"] == "States.TaskFailed"
    assert wait_for_end(read_pid(tmp_path / "pid"))


def test_an_error_is_caught_outside_a_map(aws: Server) -> None:
    processor = {"StartAt": "Fail", "States": {"Fail": aws.job_task("exit 1")}}
    catch = [{"ErrorEquals": ["States.TaskFailed"], "Next": "Caught"}]
    each = {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": processor, "Catch": catch, "End": True}
    assert outcome(aws.execute({"Each": each, "Caught": PASS}, {"items": [1]}))["Error"] == "States.TaskFailed"


def test_a_runtime_error_is_not_caught_by_a_wildcard(aws: Server) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    task = aws.job_task("true", Parameters={"JobName.$": "$.nothing"}, Catch=catch)
    task["Parameters"].pop("JobName")
    execution = aws.execute({"Run": task, "Caught": PASS})
    assert (execution["status"], execution["error"]) == ("FAILED", "States.Runtime")


@pytest.mark.parametrize(("rule", "ending"), [
    ({"StringEquals": "fused"}, ("FAILED", "States.Runtime")),
    ({"IsString": False}, ("FAILED", "States.Runtime")),
    ({"IsPresent": False}, ("SUCCEEDED", None)),
])  # fmt: skip
def test_a_choice_may_ask_only_whether_a_missing_value_is_present(
    aws: Server, rule: dict[str, Any], ending: tuple[str, str | None]
) -> None:
    choose = {"Type": "Choice", "Choices": [{"Variable": "$.form", **rule, "Next": "Done"}], "Default": "Done"}
    execution = aws.execute({"Choose": choose, "Done": PASS})
    assert (execution["status"], execution.get("error")) == ending


def test_an_error_of_a_service_is_caught_by_its_name(aws: Server) -> None:
    catch = [{"ErrorEquals": ["Batch.ClientException"], "Next": "Caught"}]
    task = aws.job_task("true", Parameters={"JobQueue": "no-such-queue"}, Catch=catch)
    assert outcome(aws.execute({"Run": task, "Caught": PASS}))["Error"] == "Batch.ClientException"


def test_an_input_that_is_too_long_is_refused(aws: Server) -> None:
    with pytest.raises(ClientError, match="InvalidExecutionInput"):
        aws.start(aws.output("Machine"), {"script": "x" * 262_144})


def test_stopping_an_execution_ends_its_pause_before_a_retry(aws: Server) -> None:
    retry = [{"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 600, "MaxAttempts": 2}]
    execution = aws.start(aws.machine({"Run": aws.job_task("exit 1", Retry=retry)}))
    eventually(lambda: "TaskFailed" in [event["type"] for event in aws.history(execution)], "the first failure")
    aws.states.stop_execution(executionArn=execution)
    assert aws.ended(execution)["status"] == "ABORTED"


def test_a_path_with_an_index_gives_the_value(aws: Server) -> None:
    """Not a list with the value: states after a Parallel read its output like this."""
    pick = {"Type": "Pass", "Parameters": {"call.$": "$.branches[1].call"}, "End": True}
    assert outcome(aws.execute({"Pick": pick}, {"branches": [{}, {"call": {"a": 1}}]})) == {"call": {"a": 1}}


def test_the_name_of_an_execution_is_used_once(aws: Server) -> None:
    request = {"stateMachineArn": aws.output("MachineAlias"), "name": f"once-{uuid.uuid4().hex}"}
    same = json.dumps({"script": "sleep 60"})
    first = aws.states.start_execution(**request, input=same)
    assert aws.states.start_execution(**request, input=same)["executionArn"] == first["executionArn"]
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        aws.states.start_execution(**request, input="{}")
    aws.states.stop_execution(executionArn=first["executionArn"])
    aws.ended(first["executionArn"])
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        aws.states.start_execution(**request, input=same)


def test_a_test_case_of_the_mock_config_replaces_the_job(aws: Server) -> None:
    retry = [{"ErrorEquals": ["Batch.ServerException"], "IntervalSeconds": 1, "MaxAttempts": 3}]
    machine = aws.machine({"Run": aws.job_task("exit 1", Retry=retry)}, name="mocked")
    assert outcome(aws.ended(aws.start(f"{machine}#FlakyThenFine")))["JobId"] == "mocked"
    assert aws.ended(aws.start(f"{machine}#GivesUp"))["error"] == "States.TaskFailed"


def test_an_execution_sends_an_event_for_each_status(aws: Server) -> None:
    machine = aws.machine({"Start": {"Type": "Pass", "Result": {"a": 1}, "End": True}})
    execution = aws.ended(aws.start(machine, {"b": 2}))
    arn = execution["executionArn"]
    events = aws.messages("Statuses", lambda body: body["detail"].get("executionArn") == arn, count=2)
    details = {event["detail"]["status"]: event["detail"] for event in events}
    assert set(details) == {"RUNNING", "SUCCEEDED"}
    assert details["RUNNING"]["stopDate"] is None
    ended = details["SUCCEEDED"]
    assert (json.loads(ended["input"]), json.loads(ended["output"])) == ({"b": 2}, {"a": 1})
    assert ended["startDate"] <= ended["stopDate"]
    assert ended["stateMachineArn"] == machine


def test_a_failure_is_an_event_with_error_and_cause(aws: Server) -> None:
    execution = aws.execute({"Stop": {"Type": "Fail", "Error": "MyError", "Cause": "because"}})
    arn = execution["executionArn"]
    (event,) = aws.messages(
        "Statuses", lambda body: body["detail"].get("executionArn") == arn and body["detail"]["status"] == "FAILED"
    )
    assert (event["detail"]["error"], event["detail"]["cause"]) == ("MyError", "because")


def test_states_that_wait_for_jobs_do_not_wake_up(start_server: Start, tmp_path: Path) -> None:
    aws = start_server(tmp_path, "--executor", "process", "--vcpus", "1")
    aws.submit(f"echo $$ > {tmp_path / 'pid'}; sleep 600")  # it holds the only vCPU
    read_pid(tmp_path / "pid")
    machine = aws.machine({"Run": aws.job_task("true")})
    for execution in [aws.start(machine) for _ in range(WAITING)]:
        aws.job_in(aws.job_of(execution), "RUNNABLE")
    before = wake_ups(aws.process.pid)
    assert outcome(aws.execute({"Pause": {"Type": "Wait", "Seconds": 2, "End": True}})) == {}
    after = wake_ups(aws.process.pid)
    awake = [thread for thread in before if after.get(thread, 0) > before[thread]]
    assert len(awake) < WAITING


def wake_ups(pid: int) -> dict[str, int]:
    """Return how often each thread of a process has waited for something and gone on."""
    return {path.parent.name: waits(path) for path in Path(f"/proc/{pid}/task").glob("*/status")}


def waits(status: Path) -> int:
    try:
        fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
    except (FileNotFoundError, ProcessLookupError):  # the thread has ended
        return 0
    return int(fields["voluntary_ctxt_switches"])


def test_executions_share_no_result_of_a_pass_state(aws: Server) -> None:
    states = {
        "Make": {"Type": "Pass", "Result": {"list": {"kept": True}}, "Next": "Change"},
        "Change": {
            "Type": "Pass",
            "ResultPath": "$.list.seen",
            "Parameters": {"by.$": "$$.Execution.Name"},
            "Next": "End",
        },
        "End": PASS,
    }
    machine = aws.machine(states)
    for execution in [aws.start(machine) for _ in range(3)]:
        name = execution.rpartition(":")[2]
        assert outcome(aws.ended(execution)) == {"list": {"kept": True, "seen": {"by": name}}}


def test_executions_at_the_same_time_count_their_own_retries(aws: Server) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    machine = aws.machine({"Run": aws.job_task("exit 1", Retry=retry)})
    for execution in [aws.start(machine) for _ in range(3)]:
        assert aws.ended(execution)["status"] == "FAILED"
        assert [event["type"] for event in aws.history(execution)].count("TaskFailed") == 2
