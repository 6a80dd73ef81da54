"""Files that arrive"""

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
from support.function_aws import Deployed, failing, object_created, s3_put
from support.made_reads import fastq
from support.pipeline_runs import Sample, drop, eventually, logged

R1, R2 = "NA12878_R1.fastq.gz", "NA12878_R2.fastq.gz"


@pytest.fixture
def start_run(functions: Deployed) -> Any:
    functions.prepare()
    return functions.load("start_run")


def outcomes(start_run: Any, *events: dict[str, Any]) -> list[str]:
    return [found["outcome"] for event in events for found in start_run.call(event)["outcomes"]]


@case(
    happens="Both mates arrive at once, in any order; their events come twice, late, or after the run.",
    see="One run.",
    does="Names an execution after the pinned inputs, so that there can be only one.",
)
@pytest.mark.parametrize("seed", range(5))
def test_events_in_any_order_and_any_number_give_one_run(functions: Deployed, start_run: Any, seed: int) -> None:
    events = [functions.put(R1, fastq(1)), functions.put(R2, fastq(2))] * 5
    random.Random(seed).shuffle(events)  # noqa: S311
    assert set(outcomes(start_run, *events)) == {"started"}
    (run,) = functions.executions()
    functions.end(run, "SUCCEEDED")
    assert set(outcomes(start_run, *events)) == {"duplicate"}
    assert functions.executions() == [run]
    assert [row["run"] for row in functions.rows()] == [run]


@case(
    happens="A FASTQ is replaced while its run goes on, and only later its mate.",
    see="The old run's end; `BAD_INPUT.MATE_NAMES` for the new R1 with the old R2; then the new pair's run.",
    does="Reads the versions a run was started with, never what lies there now.",
)
def test_a_replaced_fastq_never_meets_the_old_mate(functions: Deployed, start_run: Any) -> None:
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
    assert versions == [told["detail"]["object"]["version-id"] for told in old]


@case(
    happens="The message of a refusal or of an ending cannot be sent just then.",
    see="The message, later, once.",
    does="Notes in the run's row that nobody was told, and fails; whoever is told of the event again sends it.",
)
def test_a_message_that_cannot_be_sent_is_sent_later(functions: Deployed, start_run: Any) -> None:
    functions.put(R1, fastq(1))
    told = functions.put(R2, fastq(2, lane=2))
    with failing("sns.Publish", "no"), pytest.raises(start_run.NotHandledError):
        start_run.call(told)
    assert functions.messages() == []
    assert outcomes(start_run, told, told) == ["refused", "refused"]
    [(subject, _)] = functions.messages()
    assert subject.endswith("not started")


def lanes(reads: str) -> list[dict[str, Any]]:
    [lane] = json.loads(reads)["lanes"]
    return [lane["fastq_1"], lane["fastq_2"]]


@case(
    happens="The event of an older version comes when a newer one lies there.",
    see="The run of the newer pair, once.",
    does="Looks at what lies there, not at what the event tells of.",
)
def test_an_event_of_an_older_version_starts_the_run_of_the_newer(functions: Deployed, start_run: Any) -> None:
    stale = functions.put(R1, fastq(1, 5))
    fresh = functions.put(R1, fastq(1)), functions.put(R2, fastq(2))
    assert outcomes(start_run, stale, *fresh) == ["started"] * 3
    (run,) = functions.executions()
    versions = [mate["version_id"] for mate in lanes(functions.results()[f"NA12878/{run}/reads.json"])]
    assert versions == [told["detail"]["object"]["version-id"] for told in fresh]


@case(
    happens="A file that is no FASTQ of a pair, an index read, or one of another bucket.",
    see="Nothing; the log of start_run says `ignored`, and why.",
    does="Leaves it where it is.",
)
def test_what_is_no_fastq_of_ours_is_ignored(functions: Deployed, start_run: Any) -> None:
    elsewhere = functions.put(R1, fastq(1))
    elsewhere["detail"]["bucket"]["name"] = "somebody-elses"
    junk = [object_created(key, "v1") for key in ("a.txt", "A_I1_001.fastq.gz", "A_R3.fastq.gz", "/", "_R1.fastq.gz")]
    assert set(outcomes(start_run, elsewhere, *junk)) == {"ignored"}
    assert (functions.rows(), functions.executions(), functions.results()) == ([], [], {})


@case(
    happens="AWS fails while an event is handled, even between the start of a run and its row.",
    see="The run, a minute later.",
    does="Handles the event again: every write may come twice.",
)
@pytest.mark.parametrize(
    "operation", ["s3.HeadObject", "s3.GetObject", "s3.PutObject", "sfn.StartExecution", "dynamodb.PutItem"]
)
def test_a_failure_anywhere_is_mended_by_the_next_try(functions: Deployed, start_run: Any, operation: str) -> None:
    functions.put(R1, fastq(1))
    told = functions.put(R2, fastq(2))
    with failing(operation, "?"), pytest.raises(start_run.NotHandledError):
        start_run.call(told)
    assert outcomes(start_run, told) == ["started"]
    (run,) = functions.executions()
    assert [(row["run"], row["status"]) for row in functions.rows()] == [(run, "RUNNING")]


@case(
    happens="One record of an event cannot be read.",
    see="The alarm `EventsLost`; the runs of the other records and events.",
    does="Handles the others; after three tries the event waits in the dead letter queue, once.",
    do="`seqdrop redrive`, when what was wrong is mended.",
)
def test_a_poison_record_among_good_ones_ends_in_the_dead_letter_queue_once(stack: Stack, sample: Sample) -> None:
    before = said_waiting(stack)
    drop(stack, sample.few[0], "POISONED_R1.fastq.gz")
    eventually(lambda: said_waiting(stack) == before + 1, "its own event to be handled")
    told = s3_put("POISONED_R1.fastq.gz", "v1")
    told["Records"][0]["s3"]["bucket"]["name"] = stack["FastqBucket"]
    told["Records"].insert(0, {"s3": {}})
    invoke(stack, told)
    for times in (1, 2):
        assert settled(stack, 1)
        expected = before + 1 + times * TRIES  # the record behind the poison, each time
        eventually(lambda n=expected: said_waiting(stack) == n, f"{expected} lines that say so")
        redrive(stack)  # it fails again, and comes back
    assert settled(stack, 1)
    drain(stack)


@more
def test_every_event_is_handled_or_in_the_dead_letter_queue_and_that_once(stack: Stack, sample: Sample) -> None:
    """Lone mates are handled without a run; what is no event at all is none's."""
    before, poison = said_waiting(stack), [{"poison": number} for number in range(3)]
    for number in range(6):
        drop(stack, sample.few[0], f"MIXED{number}_R1.fastq.gz")
        for event in poison[number : number + 1]:
            invoke(stack, event)
    assert settled(stack, len(poison))
    eventually(lambda: said_waiting(stack) - before >= 6, "six mates that wait")  # not only the poison
    assert said_waiting(stack) - before == 6
    table = stack.table.scan(ConsistentRead=True)["Items"]
    assert sorted(row["sample"] for row in table if row["sample"].startswith("MIXED")) == [
        f"MIXED{n}" for n in range(6)
    ]
    lost = Counter(json.dumps(json.loads(body)["requestPayload"]) for body in drain(stack))
    assert lost == Counter(map(json.dumps, poison))


def invoke(stack: Stack, event: dict[str, Any]) -> None:
    payload = json.dumps(event)
    stack.functions.invoke(FunctionName=stack["StartRunFunction"], InvocationType="Event", Payload=payload)


def said_waiting(stack: Stack) -> int:
    """How often start_run has said that a mate waits."""
    return sum('"FASTQ waiting"' in line for line in logged(stack, f"/aws/lambda/{stack['StartRunFunction']}"))


TRIES = 3  # of Lambda, for an event that fails
MOMENT = 2.0  # seconds in which a second copy would come: the tries of an event are over in one


def settled(stack: Stack, number: int) -> bool:
    """Whether so many messages come to the dead letter queue, and no more."""
    eventually(lambda: waiting(stack) >= number, f"{number} events in the dead letter queue")
    time.sleep(MOMENT)
    return waiting(stack) == number


def drain(stack: Stack) -> list[str]:
    """As it was before: other tests look into this queue too. (PurgeQueue works once a minute.)"""
    queue, bodies = stack["DeadLetterQueue"], []
    while messages := stack.queues.receive_message(QueueUrl=queue).get("Messages"):
        stack.queues.delete_message(QueueUrl=queue, ReceiptHandle=messages[0]["ReceiptHandle"])
        bodies.append(messages[0]["Body"])
    return bodies


def waiting(stack: Stack) -> int:
    """How many are in the dead letter queue; those out of sight too, which come back."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    asked: Any = {"QueueUrl": stack["DeadLetterQueue"], "AttributeNames": names}
    found: Any = stack.queues.get_queue_attributes(**asked)["Attributes"]
    return sum(int(found[name]) for name in names)


@case(
    happens="Something in the dead letter queue is no event of a function.",
    see="`seqdrop redrive` names it.",
    does="Sends the others again and leaves it there.",
    do="Look at it in the console of SQS, and delete it there.",
)
def test_what_is_no_event_stays_in_the_dead_letter_queue(stack: Stack) -> None:
    stack.queues.send_message(QueueUrl=stack["DeadLetterQueue"], MessageBody="no event")
    ignored = {"requestPayload": object_created("a.txt", "v1"), "requestContext": {"functionArn": arn(stack)}}
    stack.queues.send_message(QueueUrl=stack["DeadLetterQueue"], MessageBody=json.dumps(ignored))
    eventually(lambda: waiting(stack) == 2, "both messages")
    with pytest.raises(CliError, match="1 message in the dead letter queue cannot be sent again"):
        redrive(stack)
    assert waiting(stack) == 1
    drain(stack)


def arn(stack: Stack) -> str:
    found = stack.functions.get_function(FunctionName=stack["StartRunFunction"])
    return str(found["Configuration"]["FunctionArn"])
