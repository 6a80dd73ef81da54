"""functions/start_run: lanes whose number nobody has said wait for others, and are one run."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from seqdrop.runs import submit, table
from seqdrop.storage import s3
from support.function_aws import FASTQS, REFERENCES, RESULTS, Deployed, allowed_actions, event, fail_next_call
from support.made_reads import fastq

QUIET = 10  # seconds, of samconfig.toml [local]
Upload = dict[str, Any]


@pytest.fixture
def start_run(aws: Deployed) -> Any:
    """Load the function, with the default reference prepared."""
    aws.prepare()
    return aws.load("start_run")


def lane_keys(lane: int, sample: str = "NA1_S1", folder: str = "") -> list[str]:
    return [f"{folder}{sample}_L00{lane}_R{mate}_001.fastq.gz" for mate in (1, 2)]


def put_lane(aws: Deployed, lane: int, sample: str = "NA1_S1", folder: str = "", **choices: str) -> list[Upload]:
    keys = lane_keys(lane, sample, folder)
    return [aws.put(key, fastq(mate, lane=lane), **choices) for mate, key in enumerate(keys, 1)]


def outcomes(start_run: Any, *events: Upload) -> list[str]:
    return [result["outcome"] for each in events for result in start_run.call(each)["outcomes"]]


def set_clock(monkeypatch: pytest.MonkeyPatch, now: float) -> None:
    monkeypatch.setattr(time, "time", lambda: now)


def deliver(aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> list[Upload]:
    """Deliver all messages after the quiet time, with those that they send, `times` times; return the last answers."""
    answers = []
    with monkeypatch.context() as patch:
        set_clock(patch, time.time() + 4 * QUIET)
        while messages := aws.sent():
            answers = [start_run.call(message) for message in messages for _ in range(times)]
    return answers


def lanes_of(aws: Deployed, run: str, sample: str = "NA1") -> list[str]:
    lanes = json.loads(aws.text(RESULTS, f"{sample}/{run}/reads.json"))["lanes"]
    return [lane["lane"] for lane in lanes]


@pytest.mark.parametrize("seed", range(2))
def test_lanes_in_any_order_with_repeated_events_and_messages_are_one_run(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311
    keys = [(mate, lane) for lane in (1, 2, 3) for mate in (1, 2)]
    rng.shuffle(keys)
    events: list[Upload] = []
    for mate, lane in keys:  # each event is handled some time after its file has arrived, and once more
        events += [aws.put(lane_keys(lane)[mate - 1], fastq(mate, lane=lane))] * 2
        rng.shuffle(events)
        while len(events) > 4:
            assert outcomes(start_run, events.pop()) == ["waiting"]
    assert set(outcomes(start_run, *events)) == {"waiting"}
    assert aws.executions() == []
    deliver(aws, start_run, monkeypatch, times=2)
    (run,) = aws.executions()
    assert lanes_of(aws, run) == ["L001", "L002", "L003"]
    assert [(row["run"], row["status"]) for row in aws.rows()] == [(run, "RUNNING")]
    assert set(outcomes(start_run, *events)) == {"duplicate"}
    assert (aws.sent(), [row["run"] for row in aws.rows()]) == ([], [run])


def test_the_row_of_waiting_lanes_says_until_when(aws: Deployed, start_run: Any) -> None:
    events = [*put_lane(aws, 1), *put_lane(aws, 2)]
    start_run.call(events[-1])
    (row,) = aws.rows()
    assert row.keys() == {
        "version",
        "run",
        "sample",
        "status",
        "message",
        "started",
        "expires",
        "upload",
        "ticket",
        "quiet_until",
    }
    assert QUIET - 5 <= -3600 * table.hours_since(row["quiet_until"]) <= QUIET + 1
    assert (row["sample"], row["status"]) == ("NA1", "WAITING")
    start, _, rest = row["message"].partition(" starts at ")
    assert start == "lanes L001, L002 arrived; the run"
    moment = time.strptime(rest.removesuffix(" UTC unless more files arrive"), "%Y-%m-%d %H:%M:%S")
    assert QUIET - 5 <= time.mktime(moment) - time.mktime(time.gmtime()) <= QUIET + 1
    (message,) = aws.sent()
    assert QUIET <= message["delay"] <= QUIET + 1


def test_each_new_file_restarts_the_wait(aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for upload in put_lane(aws, 1):
        start_run.call(upload)
    old = aws.sent()
    for upload in put_lane(aws, 2):
        start_run.call(upload)
    set_clock(monkeypatch, time.time() + 2 * QUIET)
    assert [start_run.call(message) for message in old] == [{"batchItemFailures": []}] * 2
    assert aws.executions() == []
    deliver(aws, start_run, monkeypatch)
    (run,) = aws.executions()
    assert lanes_of(aws, run) == ["L001", "L002"]


def test_a_wait_of_more_than_15_minutes_is_a_chain_of_messages(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANE_WAIT_MINUTES", "40")
    start_run.call(put_lane(aws, 1)[1])
    delays, begin = [], time.time()
    while messages := aws.sent():
        (message,) = messages
        delays.append(message["delay"])
        passed = sum(delays)
        set_clock(monkeypatch, begin + passed)
        start_run.call(message)
    assert delays[:2] == [900, 900]
    assert 600 <= delays[2] <= 602
    assert sum(delays) >= 2400
    assert len(aws.executions()) == 1


def test_a_lane_without_its_mate_keeps_the_others_waiting(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = put_lane(aws, 1), [aws.put(lane_keys(2)[0], fastq(1, lane=2))]
    assert set(outcomes(start_run, *one, *two)) == {"waiting"}
    deliver(aws, start_run, monkeypatch)
    (row,) = aws.rows()
    assert (aws.executions(), row["status"]) == ([], "WAITING")
    assert "quiet_until" not in row
    assert row["message"] == "lane L001 arrived; NA1_S1_L002_R2_001.fastq.gz is missing"
    start_run.call(aws.put(lane_keys(2)[1], fastq(2, lane=2)))
    deliver(aws, start_run, monkeypatch)
    (run,) = aws.executions()
    assert lanes_of(aws, run) == ["L001", "L002"]


@pytest.mark.parametrize("held", [False, True])
def test_the_other_lanes_start_if_the_newest_is_deleted_or_held(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch, *, held: bool
) -> None:
    for lane in (1, 2, 3):
        for upload in put_lane(aws, lane):
            start_run.call(upload)
    for key in lane_keys(3):
        aws.s3.delete_object(Bucket=FASTQS, Key=key)
    if held:
        put_lane(aws, 3, sheet="yes")
    deliver(aws, start_run, monkeypatch)
    (run,) = aws.executions()
    assert lanes_of(aws, run) == ["L001", "L002"]
    assert [row["run"] for row in aws.rows()] == [run]


def test_lanes_that_are_all_deleted_start_nothing(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for upload in put_lane(aws, 1):
        start_run.call(upload)
    for key in lane_keys(1):
        aws.s3.delete_object(Bucket=FASTQS, Key=key)
    deliver(aws, start_run, monkeypatch)
    assert (aws.executions(), aws.rows()) == ([], [])


def test_lanes_that_are_deleted_between_two_requests_wait(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = put_lane(aws, 1)
    list_keys = s3.Store.list_keys

    def delete_then_list(*args: Any) -> Any:
        for key in lane_keys(1):
            aws.s3.delete_object(Bucket=FASTQS, Key=key)
        return list_keys(*args)

    monkeypatch.setattr(s3.Store, "list_keys", delete_then_list)
    assert outcomes(start_run, one) == ["waiting"]
    assert aws.executions() == []


@pytest.mark.parametrize("mates", [(1,), (2,), (1, 2)])
def test_lanes_that_a_sheet_will_name_join_no_run_by_name(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch, mates: tuple[int, ...]
) -> None:
    held = [
        aws.put(key, fastq(mate, lane=2), **({"sheet": "yes"} if mate in mates else {}))
        for mate, key in enumerate(lane_keys(2), 1)
    ]
    assert set(outcomes(start_run, *held)) == {"ignored"}
    assert set(outcomes(start_run, *put_lane(aws, 1))) == {"waiting"}
    deliver(aws, start_run, monkeypatch)
    (run,) = aws.executions()
    assert lanes_of(aws, run) == ["L001"]


def test_a_late_lane_makes_a_run_that_names_the_one_it_supersedes(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for lane in (1, 2):
        for upload in put_lane(aws, lane):
            start_run.call(upload)
    deliver(aws, start_run, monkeypatch)
    (first,) = aws.executions()
    late = put_lane(aws, 3)
    assert set(outcomes(start_run, *late)) == {"waiting"}
    deliver(aws, start_run, monkeypatch)
    (second,) = set(aws.executions()) - {first}
    assert lanes_of(aws, second) == ["L001", "L002", "L003"]
    assert (aws.row(second) or {})["supersedes"] == first
    assert (aws.row(first) or {})["superseded_by"] == second
    assert json.loads(aws.input_of(second))["supersedes"] == first
    assert "supersedes" not in json.loads(aws.input_of(first))
    [warning] = json.loads(aws.text(RESULTS, f"NA1/{second}/reads.json"))["warnings"]
    assert warning == {
        "warning": "SUPERSEDES",
        "message": f"files came after run {first} had started: this run has lanes L001, L002, L003 and supersedes it",
    }
    assert set(outcomes(start_run, *late)) == {"duplicate"}


@pytest.mark.parametrize(
    ("choices", "supersedes"),
    [
        ({"reference": "other"}, False),
        ({"caller": "strelka"}, False),
        ({"alignment-format": "cram"}, False),
        ({"intervals": "exome.bed"}, False),
        ({"args": '{"call":["--ploidy","1"]}'}, False),
        ({"alignment-format": "bam", "priority": "high"}, True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_only_a_late_lane_with_equal_choices_supersedes_a_run(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch, choices: dict[str, str], *, supersedes: bool
) -> None:
    aws.prepare("other")
    aws.s3.put_object(Bucket=REFERENCES, Key="demo/exome.bed", Body=b"demo1\t100\t200\n")
    for upload in put_lane(aws, 1):
        start_run.call(upload)
    deliver(aws, start_run, monkeypatch)
    for upload in [*put_lane(aws, 1, **choices), *put_lane(aws, 2, **choices)]:
        start_run.call(upload)
    deliver(aws, start_run, monkeypatch)
    assert len(aws.executions()) == 2
    assert len([row for row in aws.rows() if "supersedes" in row]) == supersedes


@pytest.mark.parametrize(
    ("folder", "marker"),
    [
        ("run7/", "run7/_READY"),
        ("run7/project/", "run7/CopyComplete.txt"),
        ("run7/", "run7/Reports/Demultiplex_Stats.csv"),
        ("run7/", "run7/Stats/DemultiplexingStats.xml"),
        ("", "_READY"),
        ("", "Reports/Demultiplex_Stats.csv"),
    ],
)
def test_a_marker_ends_the_wait_at_once(aws: Deployed, start_run: Any, folder: str, marker: str) -> None:
    samples = [("NA1_S1", 1), ("NA1_S1", 2), ("NA2_S2", 1)]
    events = [upload for sample, lane in samples for upload in put_lane(aws, lane, sample, folder)]
    others = put_lane(aws, 1, "OTHER_S3", "run8/")
    for upload in [*events[:-1], *others]:  # the last event comes after the marker's
        start_run.call(upload)
    aws.sent()
    assert outcomes(start_run, aws.put(marker, b"")) == ["marker"]
    messages = aws.sent()
    assert [message["delay"] for message in messages] == [0, 0]
    for message in messages:
        assert start_run.call(message) == {"batchItemFailures": []}
    runs = {row["sample"]: row["run"] for row in aws.rows() if "execution" in row}
    assert {sample: len(lanes_of(aws, run, sample)) for sample, run in runs.items()} == {"NA1": 2, "NA2": 1}
    assert sorted((row["sample"], row["status"]) for row in aws.rows()) == [
        ("NA1", "RUNNING"),
        ("NA2", "RUNNING"),
        ("OTHER", "WAITING"),
    ]
    assert outcomes(start_run, events[-1]) == ["duplicate"]


def test_a_marker_before_the_last_mate_starts_no_part_of_a_sample(aws: Deployed, start_run: Any) -> None:
    [one, *_] = put_lane(aws, 1)
    aws.s3.delete_object(Bucket=FASTQS, Key=lane_keys(1)[1])
    start_run.call(one)
    start_run.call(aws.put("_READY", b""))
    for message in aws.sent():
        start_run.call(message)
    (row,) = aws.rows()
    assert (aws.executions(), row["status"]) == ([], "WAITING")
    assert row["message"].startswith("NA1_S1_L001_R2_001.fastq.gz is missing")


def test_a_marker_starts_nothing_twice(aws: Deployed, start_run: Any) -> None:
    for upload in put_lane(aws, 1):
        start_run.call(upload)
    for _ in range(2):
        start_run.call(aws.put("_READY", b""))
    for message in aws.sent() * 2:
        start_run.call(message)
    (run,) = aws.executions()
    assert [row["run"] for row in aws.rows()] == [run]


def test_a_number_of_lanes_ends_the_wait_when_it_is_reached(aws: Deployed, start_run: Any) -> None:
    events = [*put_lane(aws, 1, lanes="2"), *put_lane(aws, 2, lanes="2")]
    assert outcomes(start_run, *events)[-1] == "started"
    assert (len(aws.executions()), aws.sent()) == (1, [])


def test_files_without_a_lane_in_their_names_do_not_wait(aws: Deployed, start_run: Any) -> None:
    start_run.call(aws.put("NA1_S1_R1_001.fastq.gz", fastq(1)))
    assert outcomes(start_run, aws.put("NA1_S1_R2_001.fastq.gz", fastq(2))) == ["started"]


@pytest.mark.parametrize("operation", ["dynamodb.UpdateItem", "sqs.SendMessage"])
def test_an_event_whose_wait_could_not_be_written_is_tried_again(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    upload = put_lane(aws, 1)[1]
    with fail_next_call(operation, "?"), pytest.raises(start_run.NotHandledError):
        start_run.call(upload)
    start_run.call(upload)
    deliver(aws, start_run, monkeypatch)
    assert len(aws.executions()) == 1


def test_a_message_that_cannot_be_handled_is_delivered_again(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_run.call(put_lane(aws, 1)[1])
    (message,) = aws.sent()
    later = time.time() + 2 * QUIET
    set_clock(monkeypatch, later)
    with fail_next_call("sfn.StartExecution", "?"):
        answer = start_run.call(message)
    assert answer == {"batchItemFailures": [{"itemIdentifier": message["Records"][0]["messageId"]}]}
    assert start_run.call(message) == answer  # for a minute, the first call may still be at work
    set_clock(monkeypatch, later + 61)
    assert start_run.call(message) == {"batchItemFailures": []}
    assert len(aws.executions()) == 1


def test_two_deliveries_at_once_start_one_run_although_a_lane_arrives_meanwhile(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_run.call(put_lane(aws, 1)[1])
    (message,) = aws.sent()
    start, answers = submit.submit, []

    def deliver_again_then_start(*args: Any, **named: Any) -> Any:
        monkeypatch.setattr(submit, "submit", start)
        put_lane(aws, 2)
        answers.append(start_run.call(message))
        return start(*args, **named)

    monkeypatch.setattr(submit, "submit", deliver_again_then_start)
    set_clock(monkeypatch, time.time() + 2 * QUIET)
    assert start_run.call(message) == {"batchItemFailures": []}
    assert [len(answer["batchItemFailures"]) for answer in answers] == [1]
    (run,) = aws.executions()
    assert lanes_of(aws, run) == ["L001"]


def test_a_lane_that_arrives_while_the_run_starts_is_not_forgotten(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_run.call(put_lane(aws, 1)[1])
    delete_wait = table.delete_wait

    def upload_then_delete(*args: Any) -> None:
        start_run.call(put_lane(aws, 2)[1])
        delete_wait(*args)

    (message,) = aws.sent()
    later = time.time() + 2 * QUIET
    with monkeypatch.context() as patch:
        patch.setattr(table, "delete_wait", upload_then_delete)
        set_clock(patch, later)
        start_run.call(message)
    deliver(aws, start_run, monkeypatch, times=1)
    assert len(aws.executions()) == 2


def test_lanes_that_wait_are_one_run_although_the_parameter_becomes_0(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [*put_lane(aws, 1), *put_lane(aws, 2)]
    start_run.call(events[-1])
    monkeypatch.setenv("LANE_WAIT_MINUTES", "0")
    deliver(aws, start_run, monkeypatch)
    (run,) = aws.executions()
    assert lanes_of(aws, run) == ["L001", "L002"]


def test_a_dead_message_can_be_sent_again(aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`seqdrop redrive` sends the body alone."""
    start_run.call(put_lane(aws, 1)[1])
    [message] = aws.sent()
    set_clock(monkeypatch, time.time() + 2 * QUIET)
    assert outcomes(start_run, json.loads(message["Records"][0]["body"])) == ["started"]


def test_waiting_lanes_cannot_be_resumed(aws: Deployed, start_run: Any) -> None:
    start_run.call(put_lane(aws, 1)[1])
    (row,) = aws.rows()
    assert outcomes(start_run, {"resume": row["run"]}) == ["refused"]


def test_the_event_file_of_the_queue_is_handled(aws: Deployed, start_run: Any) -> None:
    assert start_run.call(event("sqs_end_wait")) == {"batchItemFailures": []}


def test_the_role_of_start_run_allows_the_calls_of_a_wait(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = [*put_lane(aws, 1), aws.put("_READY", b"")]
    aws.calls.clear()
    for upload in uploads:
        start_run.call(upload)
    assert aws.calls - allowed_actions("start_run") == set()


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (
            [f"CPCT1{kind}_AHHKYHDSXX_S1{n}_L00{lane}" for kind, n in (("R", 3), ("T", 2)) for lane in (1, 2)]
            + ["CPCT1R_HJJLGCCXX_S1_L001", "CPCT1T_HJJLGCCXX_S1_L001"],
            {
                "CPCT1R_AHHKYHDSXX": 2,
                "CPCT1T_AHHKYHDSXX": 2,
                "CPCT1R_HJJLGCCXX": 1,
                "CPCT1T_HJJLGCCXX": 1,
            },
        ),
        (
            [f"tiny_{kind}_L00{lane}" for kind, lanes in (("n", "14"), ("t", "127")) for lane in lanes],
            {"tiny_n": 2, "tiny_t": 3},
        ),
    ],
    ids=["hartwig_panel", "sarek_tiny"],
)
def test_names_in_the_wild_are_grouped_by_sample(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch, names: list[str], groups: dict[str, int]
) -> None:
    ending = "xxx" if "tiny" in names[0] else "001"
    for number, name in enumerate(names):
        for mate in (1, 2):
            start_run.call(aws.put(f"{name}_R{mate}_{ending}.fastq.gz", fastq(mate, lane=number + 1)))
    deliver(aws, start_run, monkeypatch)
    rows = {row["sample"]: row["run"] for row in aws.rows()}
    assert {sample: len(lanes_of(aws, run, sample)) for sample, run in rows.items()} == groups
    assert len(aws.executions()) == len(groups)
