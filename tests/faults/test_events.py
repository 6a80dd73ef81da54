"""Uploads and events"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from typing import Any

import pytest
from seqdrop_cli.errors import CliError
from seqdrop_cli.redrive import redrive
from seqdrop_cli.stack import Stack
from support.catalogue import case, more
from support.function_aws import Deployed, fail_next_call, object_created, s3_put
from support.made_reads import fastq
from support.pipeline_runs import Sample, eventually, invoke_start_run, log_lines, upload

R1, R2 = "NA12878_R1.fastq.gz", "NA12878_R2.fastq.gz"


@pytest.fixture
def start_run(functions: Deployed) -> Any:
    functions.prepare()
    return functions.load("start_run")


def outcomes(start_run: Any, *events: dict[str, Any]) -> list[str]:
    return [result["outcome"] for event in events for result in start_run.call(event)["outcomes"]]


@case(
    happens="Both mates arrive at the same time, in any order. Their events are delivered twice, late, or after the "
    "run.",
    see="One run.",
    does="Names the execution after a hash of the inputs, so that the same inputs start one run only.",
)
@pytest.mark.parametrize("seed", range(5))
def test_repeated_events_in_any_order_start_one_run(functions: Deployed, start_run: Any, seed: int) -> None:
    events = [functions.put(R1, fastq(1)), functions.put(R2, fastq(2))] * 5
    random.Random(seed).shuffle(events)  # noqa: S311
    assert set(outcomes(start_run, *events)) == {"started"}
    (run,) = functions.executions()
    functions.end(run, "SUCCEEDED")
    assert set(outcomes(start_run, *events)) == {"duplicate"}
    assert functions.executions() == [run]
    assert [row["run"] for row in functions.rows()] == [run]


@case(
    happens="R1 is replaced while its run is active, and R2 is replaced later.",
    see="The first run ends as usual. The new R1 with the old R2 is refused with `BAD_INPUT.MATE_NAMES`. The new pair "
    "gets a run of its own.",
    does="A run reads the object versions that it was started with, never newer ones.",
)
def test_a_replaced_fastq_is_never_aligned_with_the_old_mate(functions: Deployed, start_run: Any) -> None:
    old = functions.put(R1, fastq(1)), functions.put(R2, fastq(2))
    start_run.call(old[1])
    (first,) = functions.executions()
    pinned = functions.results()[f"NA12878/{first}/reads.json"]
    assert outcomes(start_run, functions.put(R1, fastq(1, lane=2)), old[0]) == ["refused", "refused"]
    assert functions.executions() == [first]
    refused = [row for row in functions.rows() if row["status"] == "FAILED"]
    assert [row["class"] for row in refused] == ["BAD_INPUT.MATE_NAMES"]
    assert outcomes(start_run, functions.put(R2, fastq(2, lane=2))) == ["started"]
    assert len(functions.executions()) == 2
    assert functions.results()[f"NA12878/{first}/reads.json"] == pinned
    versions = [mate["version_id"] for mate in lanes(pinned)]
    assert versions == [event["detail"]["object"]["version-id"] for event in old]


@case(
    happens="The message about a refused or ended run cannot be sent.",
    see="The message arrives later, once.",
    does="Marks the row as `notify_pending` and fails, so that Lambda retries the event; the retry sends the message.",
)
def test_a_message_that_cannot_be_sent_is_sent_later(functions: Deployed, start_run: Any) -> None:
    functions.put(R1, fastq(1))
    event = functions.put(R2, fastq(2, lane=2))
    with fail_next_call("sns.Publish", "no"), pytest.raises(start_run.NotHandledError):
        start_run.call(event)
    assert functions.messages() == []
    assert outcomes(start_run, event, event) == ["refused", "refused"]
    [(subject, _)] = functions.messages()
    assert subject.endswith("not started")


def lanes(reads: str) -> list[dict[str, Any]]:
    [lane] = json.loads(reads)["lanes"]
    return [lane["fastq_1"], lane["fastq_2"]]


@case(
    happens="The event of an older version of a FASTQ is delivered after the FASTQ was replaced.",
    see="One run, of the newer pair.",
    does="Lists the newest versions in the bucket. It does not use the version in the event.",
)
def test_an_event_of_an_older_version_starts_the_run_of_the_newest(functions: Deployed, start_run: Any) -> None:
    stale = functions.put(R1, fastq(1, 5))
    fresh = functions.put(R1, fastq(1)), functions.put(R2, fastq(2))
    assert outcomes(start_run, stale, *fresh) == ["started"] * 3
    (run,) = functions.executions()
    versions = [mate["version_id"] for mate in lanes(functions.results()[f"NA12878/{run}/reads.json"])]
    assert versions == [event["detail"]["object"]["version-id"] for event in fresh]


@case(
    happens="An uploaded file is not R1 or R2 of a pair (for example an index read), or it is in another bucket.",
    see="No run. The log of `start_run` has `FASTQ ignored` with the reason.",
    does="Ignores the file.",
)
def test_other_files_are_ignored(functions: Deployed, start_run: Any) -> None:
    elsewhere = functions.put(R1, fastq(1))
    elsewhere["detail"]["bucket"]["name"] = "another-bucket"
    others = [object_created(key, "v1") for key in ("a.txt", "A_I1_001.fastq.gz", "A_R3.fastq.gz", "/", "_R1.fastq.gz")]
    assert set(outcomes(start_run, elsewhere, *others)) == {"ignored"}
    assert (functions.rows(), functions.executions(), functions.results()) == ([], [], {})


@case(
    happens="An AWS call fails while an event is handled, even between the start of a run and the write of its row.",
    see="The run starts a minute later.",
    does="Lambda retries the event. Handling is idempotent: every write can be repeated.",
)
@pytest.mark.parametrize(
    "operation", ["s3.HeadObject", "s3.GetObject", "s3.PutObject", "sfn.StartExecution", "dynamodb.PutItem"]
)
def test_a_retry_repairs_a_failed_call(functions: Deployed, start_run: Any, operation: str) -> None:
    functions.put(R1, fastq(1))
    event = functions.put(R2, fastq(2))
    with fail_next_call(operation, "?"), pytest.raises(start_run.NotHandledError):
        start_run.call(event)
    assert outcomes(start_run, event) == ["started"]
    (run,) = functions.executions()
    assert [(row["run"], row["status"]) for row in functions.rows()] == [(run, "RUNNING")]


@case(
    happens="One record of an event cannot be parsed.",
    see="The alarm `EventsLost`. The runs of all other records and events start.",
    does="Handles the other records. After three attempts the event is in the dead letter queue, once.",
    do="Correct the cause, then `seqdrop redrive`.",
)
def test_an_event_with_an_invalid_record_is_in_the_dead_letter_queue_once(stack: Stack, sample: Sample) -> None:
    before = count_waiting(stack)
    upload(stack, sample.small_pair[0], "POISONED_R1.fastq.gz")
    eventually(lambda: count_waiting(stack) == before + 1, "its own event to be handled")
    event = s3_put("POISONED_R1.fastq.gz", "v1")
    event["Records"][0]["s3"]["bucket"]["name"] = stack["FastqBucket"]
    event["Records"].insert(0, {"s3": {}})
    invoke_start_run(stack, event)
    for times in (1, 2):
        assert queue_stays_at(stack, 1)
        expected = before + 1 + times * ATTEMPTS  # the valid record after the invalid one, in each attempt
        eventually(lambda n=expected: count_waiting(stack) == n, f"{expected} lines on waiting FASTQs")
        redrive(stack)  # the event fails again and returns to the queue
    assert queue_stays_at(stack, 1)
    drain(stack)


@more
def test_every_event_is_handled_or_once_in_the_dead_letter_queue(stack: Stack, sample: Sample) -> None:
    """Single mates are handled without a run; invalid events fail."""
    before, invalid = count_waiting(stack), [{"invalid": number} for number in range(3)]
    for number in range(6):
        upload(stack, sample.small_pair[0], f"MIXED{number}_R1.fastq.gz")
        for event in invalid[number : number + 1]:
            invoke_start_run(stack, event)
    assert queue_stays_at(stack, len(invalid))
    eventually(lambda: count_waiting(stack) - before >= 6, "six waiting mates")  # the queue counts invalid events only
    assert count_waiting(stack) - before == 6
    items = stack.table.scan(ConsistentRead=True)["Items"]
    assert sorted(row["sample"] for row in items if row["sample"].startswith("MIXED")) == [
        f"MIXED{n}" for n in range(6)
    ]
    lost = Counter(json.dumps(json.loads(body)["requestPayload"]) for body in drain(stack))
    assert lost == Counter(map(json.dumps, invalid))


def count_waiting(stack: Stack) -> int:
    """Count the log lines of start_run on a FASTQ that waits for its mate."""
    return sum('"FASTQ waiting"' in line for line in log_lines(stack, f"/aws/lambda/{stack['StartRunFunction']}"))


ATTEMPTS = 3  # of Lambda, for an event that fails
PAUSE = 2.0  # seconds in which a second copy would arrive: all attempts of an event take one


def queue_stays_at(stack: Stack, number: int) -> bool:
    """Wait for this number of messages in the dead letter queue; return False if there are more after a pause."""
    eventually(lambda: queue_length(stack) >= number, f"{number} events in the dead letter queue")
    time.sleep(PAUSE)
    return queue_length(stack) == number


def drain(stack: Stack) -> list[str]:
    """Empty the queue, which other tests use too, and return its messages. PurgeQueue works once a minute only."""
    queue, bodies = stack["DeadLetterQueue"], []
    while messages := stack.queues.receive_message(QueueUrl=queue).get("Messages"):
        stack.queues.delete_message(QueueUrl=queue, ReceiptHandle=messages[0]["ReceiptHandle"])
        bodies.append(messages[0]["Body"])
    return bodies


def queue_length(stack: Stack) -> int:
    """Count the messages of the dead letter queue, including those that are received and not deleted."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    request: Any = {"QueueUrl": stack["DeadLetterQueue"], "AttributeNames": names}
    attributes: Any = stack.queues.get_queue_attributes(**request)["Attributes"]
    return sum(int(attributes[name]) for name in names)


@case(
    happens="A message in the dead letter queue is not an event of a function.",
    see="`seqdrop redrive` lists the message.",
    does="Sends the other events again and keeps this message in the queue.",
    do="Read the message in the SQS console, then delete it there.",
)
def test_a_message_that_is_not_an_event_stays_in_the_dead_letter_queue(stack: Stack) -> None:
    stack.queues.send_message(QueueUrl=stack["DeadLetterQueue"], MessageBody="no event")
    ignored = {"requestPayload": object_created("a.txt", "v1"), "requestContext": {"functionArn": arn(stack)}}
    stack.queues.send_message(QueueUrl=stack["DeadLetterQueue"], MessageBody=json.dumps(ignored))
    eventually(lambda: queue_length(stack) == 2, "both messages")
    with pytest.raises(CliError, match="1 message in the dead letter queue cannot be sent again"):
        redrive(stack)
    assert queue_length(stack) == 1
    drain(stack)


def arn(stack: Stack) -> str:
    answer = stack.functions.get_function(FunctionName=stack["StartRunFunction"])
    return str(answer["Configuration"]["FunctionArn"])
