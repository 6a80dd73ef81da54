import json
import time

from seqdrop_cli import joblogs
from seqdrop_cli.follow import Submitted
from support import cli_aws

LINE = {"level": "INFO", "message": "uploaded", "timestamp": "2026-03-01 10:00:07,992+0000", "run": "r", "size": 7}


def test_a_json_line_is_read_to_a_person():
    assert joblogs.readable(json.dumps(LINE)) == "10:00:07 uploaded  size=7"
    assert joblogs.readable(json.dumps({**LINE, "tool": "bwa"})) == "10:00:07 bwa: uploaded  size=7"


def test_any_other_line_stays_as_it_is():
    assert [joblogs.readable(line) for line in ("[M::mem] 7", "7", "{}")] == ["[M::mem] 7", "7", "{}"]


def test_a_log_longer_than_a_page_is_read_to_its_end():
    with cli_aws.stack() as stack:
        stack.logs.create_log_group(logGroupName="/jobs")
        stack.logs.create_log_stream(logGroupName="/jobs", logStreamName="s")
        now = round(time.time() * 1000)
        for _ in range(2):
            events = [{"timestamp": now, "message": "line"} for _ in range(6_000)]
            stack.logs.put_log_events(logGroupName="/jobs", logStreamName="s", logEvents=events)
        assert list(joblogs._lines(stack, "s")) == ["line"] * 12_000


def test_a_stream_that_is_not_there_is_said():
    with cli_aws.stack() as stack:
        stack.logs.create_log_group(logGroupName="/jobs")
        assert list(joblogs._lines(stack, "s")) == ["(no log: the stream is not there, or not yet)"]


def test_jobs_are_found_by_their_receipts_when_the_execution_is_forgotten():
    with cli_aws.stack() as stack:
        key = f"S1/{cli_aws.RUN}/jobs/call.json"
        stack.s3.put_object(Bucket="results", Key=key, Body=json.dumps({"job_id": "j7"}))
        execution = f"{cli_aws.MACHINE.replace(':stateMachine:', ':execution:')}:{cli_aws.RUN}"
        row = {"run": cli_aws.RUN, "results": cli_aws.RESULTS, "execution": execution}
        assert joblogs.jobs_of(stack, row) == [Submitted("call", "j7", 1)]
