"""Queues as event sources of functions: delays, batches, partial failures, the dead letter queue."""

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError
from embedded_server import Server, eventually, packed_source

# Writes what it gets into its log, and fails for the messages that say so.
WORKER = """
import json, time

def handler(event, context):
    bodies = [record["body"] for record in event["Records"]]
    print("batch", json.dumps(bodies), round(time.time(), 3))
    if "raise" in bodies:
        raise ValueError("as ever")
    first = event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1"
    failed = [{"itemIdentifier": r["messageId"]} for r in event["Records"] if first and r["body"] == "once"]
    return ANSWER
"""
REPORT = '{"batchItemFailures": failed}'
VISIBILITY = 2  # seconds


@dataclass
class Worked:
    """A queue with a function as its consumer, and its dead letter queue."""

    aws: Server
    name: str
    url: str
    dead: str

    def send(self, body: str, **more: Any) -> None:
        self.aws.sqs.send_message(QueueUrl=self.url, MessageBody=body, **more)

    def batches(self) -> list[tuple[list[str], float]]:
        """Return the batches that the function has got, each with its time."""
        groups = self.aws.logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{self.name}")["logGroups"]
        if not groups:
            return []
        events = self.aws.logs.filter_log_events(logGroupName=groups[0]["logGroupName"])["events"]
        lines = [event["message"] for event in events if event["message"].startswith("batch ")]
        parts = [line.removeprefix("batch ").rpartition(" ") for line in lines]
        return sorted(((json.loads(bodies), float(when)) for bodies, _, when in parts), key=lambda batch: batch[1])

    def bodies(self) -> list[str]:
        return [body for batch, _ in self.batches() for body in batch]

    def left(self, url: str = "") -> int:
        """Count the messages of a queue, whether visible or not."""
        names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
        answer = self.aws.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)
        return sum(int(number) for number in answer["Attributes"].values())


def worked(
    aws: Server, *, batch: int = 1, partial: bool = True, attempts: int = 10, answer: str = REPORT, **more: Any
) -> Worked:
    name = f"work-{uuid.uuid4().hex[:8]}"
    dead = aws.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    redrive = {"deadLetterTargetArn": arn(f"{name}-dead"), "maxReceiveCount": attempts}
    attributes = {"VisibilityTimeout": str(VISIBILITY), "RedrivePolicy": json.dumps(redrive)}
    url = aws.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    source = WORKER.replace("ANSWER", answer)
    aws.create_function(name, source, Role=aws.output("MachineRole"), Timeout=VISIBILITY)
    kinds = ["ReportBatchItemFailures"] if partial else []
    aws.functions.create_event_source_mapping(
        EventSourceArn=arn(name), FunctionName=name, BatchSize=batch, FunctionResponseTypes=kinds, **more
    )
    return Worked(aws, name, url, dead)


def arn(name: str) -> str:
    return f"arn:aws:sqs:us-east-1:123456789012:{name}"


def test_a_message_is_processed_after_its_delay_and_deleted(aws: Server) -> None:
    queue = worked(aws)
    before = time.time()
    queue.send("later", DelaySeconds=1)
    queue.send("now")
    eventually(lambda: len(queue.bodies()) == 2, "both messages")
    assert queue.bodies() == ["now", "later"]
    assert queue.batches()[1][1] - before >= 1
    eventually(lambda: queue.left() == 0, "an empty queue")


def test_sending_does_not_wait_for_the_function(aws: Server) -> None:
    """moto runs the function inside SendMessage."""
    queue = worked(aws)
    aws.functions.update_function_code(FunctionName=queue.name, ZipFile=_slow())
    before = time.monotonic()
    queue.send("slow")
    assert time.monotonic() - before < 1


def _slow() -> bytes:
    return packed_source("import time\ndef handler(event, context):\n    time.sleep(1.5)\n")


def test_a_failed_message_is_visible_again_after_the_visibility_timeout(aws: Server) -> None:
    queue, before = worked(aws), time.time()
    queue.send("once")
    eventually(lambda: len(queue.bodies()) == 2, "two attempts")
    assert queue.batches()[1][1] - before >= VISIBILITY  # moto makes it visible at once
    eventually(lambda: queue.left() == 0, "an empty queue")


def test_only_the_reported_messages_of_a_batch_are_tried_again(aws: Server) -> None:
    queue = worked(aws, batch=10, Enabled=False)
    for body in ("good", "once", "fine"):
        queue.send(body)
    enable(queue)
    eventually(lambda: len(queue.batches()) == 2, "two batches")
    assert [batch for batch, _ in queue.batches()] == [["good", "once", "fine"], ["once"]]


def enable(queue: Worked) -> None:
    [mapping] = queue.aws.functions.list_event_source_mappings(EventSourceArn=arn(queue.name))["EventSourceMappings"]
    queue.aws.functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


@pytest.mark.parametrize(
    ("partial", "answer", "body"),
    [
        (False, "None", "raise"),
        (True, '{"batchItemFailures": [{"itemIdentifier": "another"}]}', "x"),
        (True, '{"batchItemFailures": [{}]}', "x"),
        (True, '{"batchItemFailures": "x"}', "x"),
        (True, "[1]", "x"),
    ],
    ids=["error", "unknown id", "no id", "no list", "no object"],
)
def test_an_error_or_an_invalid_report_fails_the_whole_batch_until_it_is_dead(
    aws: Server, partial: bool, answer: str, body: str
) -> None:
    queue = worked(aws, batch=10, partial=partial, answer=answer, attempts=2, Enabled=False)
    queue.send("good")
    queue.send(body)
    enable(queue)
    eventually(lambda: queue.left(queue.dead) == 2, "both messages in the dead letter queue")
    assert [batch for batch, _ in queue.batches()] == [["good", body]] * 2
    assert queue.left() == 0


@pytest.mark.parametrize("answer", ["{}", '{"batchItemFailures": []}', '{"batchItemFailures": None}', '"text"'])
def test_other_answers_are_a_success_unless_failures_are_to_be_reported(aws: Server, answer: str) -> None:
    queue = worked(aws, partial="text" not in answer, answer=answer)
    queue.send("good")
    eventually(lambda: queue.bodies() and queue.left() == 0, "an empty queue")
    assert (queue.bodies(), queue.left(queue.dead)) == (["good"], 0)


def test_without_reports_the_answer_of_the_function_does_not_count(aws: Server) -> None:
    queue = worked(aws, partial=False)
    queue.send("once")
    eventually(lambda: queue.bodies() and queue.left() == 0, "an empty queue")
    assert queue.bodies() == ["once"]


def test_many_messages_of_many_senders_are_each_processed_once(aws: Server) -> None:
    """moto loses messages that are sent while others are deleted."""
    queue = worked(aws, batch=3)
    for number in range(40):
        queue.send(str(number))
    eventually(lambda: queue.left() == 0, "an empty queue")
    assert sorted(queue.bodies(), key=int) == [str(number) for number in range(40)]


def test_a_function_may_not_run_longer_than_messages_are_invisible(aws: Server) -> None:
    message = "Queue visibility timeout: 2 seconds is less than Function timeout: 9 seconds"
    with pytest.raises(ClientError, match=message):
        mapping_of(aws, timeout=9, role="MachineRole")


def test_a_role_must_allow_to_receive_and_delete(aws: Server) -> None:
    with pytest.raises(ClientError, match="does not have permissions to call ReceiveMessage on SQS"):
        mapping_of(aws, timeout=1, role="ReaderRole")


def mapping_of(aws: Server, *, timeout: int, role: str) -> None:
    name = f"work-{uuid.uuid4().hex[:8]}"
    aws.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": str(VISIBILITY)})
    aws.create_function(name, WORKER, Role=aws.output(role), Timeout=timeout)
    aws.functions.create_event_source_mapping(EventSourceArn=arn(name), FunctionName=name)
