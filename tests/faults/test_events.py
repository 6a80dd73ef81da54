"""Uploads and events"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from functools import partial
from typing import Any

import pytest
from seqdrop.runs import notify
from seqdrop_cli.errors import CliError
from seqdrop_cli.redrive import redrive
from seqdrop_cli.stack import Stack
from support.catalogue import case, more
from support.function_aws import FASTQS, Deployed, fail_next_call, object_created, s3_put
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


@more
def test_one_message_is_sent_although_another_event_is_handled_meanwhile(
    functions: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = functions.put(R1, fastq(1)), functions.put(R2, fastq(2, lane=2))
    send = notify.send

    def handle_then_send(*args: Any) -> None:
        monkeypatch.setattr(notify, "send", send)
        assert outcomes(start_run, one, two) == ["refused", "refused"]
        send(*args)

    monkeypatch.setattr(notify, "send", handle_then_send)
    assert outcomes(start_run, two) == ["refused"]
    assert len(functions.messages()) == 1


@case(
    happens="An uploaded file has no reads (for example a checksum or a note), or it is in another bucket.",
    see="No run. The log of `start_run` has `FASTQ ignored` with the reason.",
    does="Ignores the file.",
)
def test_other_files_are_ignored(functions: Deployed, start_run: Any) -> None:
    elsewhere = functions.put(R1, fastq(1))
    elsewhere["detail"]["bucket"]["name"] = "another-bucket"
    others = [object_created(key, "v1") for key in ("a.txt", "A_R1.fastq.gz.md5", "A.vcf.gz", "/")]
    assert set(outcomes(start_run, elsewhere, *others)) == {"ignored"}
    assert (functions.rows(), functions.executions(), functions.results()) == ([], [], {})


@case(
    happens="The name of a file of reads is not that of R1 or R2 of a sample: an index read, `Undetermined`, a copy "
    "`(1)`, a FASTQ without a mate in its name and without a layout, an aligned BAM, a sample id over 64 letters.",
    see="No run. `seqdrop status` shows the file as `IGNORED`, `seqdrop why` says the reason.",
    does="Writes a row with the reason. It expires after 14 days.",
    do="Do what the reason says, for example rename both mates.",
)
@pytest.mark.parametrize(
    "names",
    [
        ["Undetermined_S0_L001_R1_001.fastq.gz", "Undetermined_S0_L001_R2_001.fastq.gz"],  # case 14-undetermined
        ["._A_R1.fastq.gz", "._A_R2.fastq.gz"],
        ["A_R1.fastq (1).gz", "A_R2 (1).fastq.gz", "A_R1.fastq.gz.2"],
        ["A_I1_001.fastq.gz", "A_R3.fastq.gz", "_R1.fastq.gz", "R2.fastq.gz"],
        ["A.fastq.gz", "A_R1R2.fq", "A_forward.fastq", "A_1U.fastq.gz"],
        ["A.bam", "A_R1.FASTQ.BZ2", "A_S1_L001_R1_001.fastq.ora", "A_R1.fq.zst"],
        [f"S27_{'x' * 76}_R{mate}.fastq.gz" for mate in (1, 2)],
        ["ä_R1.fastq.gz", "ä_R2.fastq.gz", "日本_R1.fastq.gz"],
    ],
    ids=lambda names: names[0][:20],
)
def test_a_file_of_reads_that_makes_no_run_has_a_row(functions: Deployed, start_run: Any, names: list[str]) -> None:
    events = [functions.put(name, fastq(1)) for name in names]
    assert set(outcomes(start_run, *events, *events)) == {"ignored"}
    rows = functions.rows()
    assert {row["status"] for row in rows} == {"IGNORED"}
    assert sorted(row["message"].partition(" is ignored: ")[0] for row in rows) == sorted(names)
    assert (len(rows), functions.executions(), functions.messages()) == (len(names), [], [])


@more
@pytest.mark.parametrize(
    ("one", "two", "sample"),
    [
        ("S06.1.fastq.gz", "S06.2.fastq.gz", "S06"),
        ("S09_r1.fastq.gz", "S09_r2.fastq.gz", "S09"),
        ("S10_R1.FASTQ.GZ", "S10_R2.FASTQ.GZ", "S10"),
        ("S13_R1_val_1.fq.gz", "S13_R2_val_2.fq.gz", "S13"),
        ("S15_R1_trimmed.fastq.gz", "S15_R2_trimmed.fastq.gz", "S15"),
        ("S17_R1.clean.fq.gz", "S17_R2.clean.fq.gz", "S17"),
        ("S18_1P.fq.gz", "S18_2P.fq.gz", "S18"),
        ("S21/R1.fastq.gz", "S21/R2.fastq.gz", "S21"),
        ("S29_R1.fastq.gz", "S29_R2.fq.gz", "S29"),
        ("S30_R1.FQ", "S30_R2.fastq.gz", "S30"),
        ("Patient_S2_R1.fastq.gz", "Patient_S2_R2.fastq.gz", "Patient_S2"),
    ],
)
@pytest.mark.parametrize("first", [1, 2])
def test_a_pair_with_any_usual_name_starts_one_run(
    functions: Deployed, start_run: Any, one: str, two: str, sample: str, first: int
) -> None:
    """Case 05-names-handed."""
    keys = {1: one, 2: two}
    results = [outcomes(start_run, functions.put(keys[mate], fastq(mate)))[0] for mate in (first, 3 - first)]
    assert results == ["waiting", "started"]
    [row] = functions.rows()
    assert (row["sample"], row["status"]) == (sample, "RUNNING")
    [lane] = json.loads(functions.results()[f"{sample}/{row['run']}/reads.json"])["lanes"]
    assert [lane[word]["uri"] for word in ("fastq_1", "fastq_2")] == [f"s3://{FASTQS}/{key}" for key in (one, two)]


def put_lane(functions: Deployed, lane: int) -> list[dict[str, Any]]:
    return [functions.put(f"NA1_S1_L00{lane}_R{mate}_001.fastq.gz", fastq(mate, lane=lane)) for mate in (1, 2)]


def deliver(functions: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deliver each message of the queue twice, after the quiet time."""
    later = time.time() + 60
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: later)
        for message in functions.sent():
            assert start_run.call(message) == start_run.call(message) == {"batchItemFailures": []}


@case(
    happens="The lanes of a sample arrive in any order, and nobody says how many there are. Events and messages are "
    "delivered twice.",
    see="One run of all lanes. Until it starts, `seqdrop status` shows the sample as `WAITING`, with the lanes that "
    "have arrived and the time of the start.",
    does="Starts the run when no file has arrived for `LaneWaitMinutes`, or when a marker (`_READY`, "
    "`CopyComplete.txt`) arrives. Each new file writes a new ticket into the row; only the message with this ticket "
    "starts the run.",
)
def test_lanes_without_a_number_are_one_run(
    functions: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [event for lane in (2, 3, 1) for event in put_lane(functions, lane)]
    random.Random(3).shuffle(events)  # noqa: S311
    assert set(outcomes(start_run, *events, *events)) == {"waiting"}
    deliver(functions, start_run, monkeypatch)
    [row] = functions.rows()
    assert (row["status"], row["lane_names"]) == ("RUNNING", ["L001", "L002", "L003"])
    assert set(outcomes(start_run, *events)) == {"duplicate"}


@case(
    happens="A lane arrives after the run of the other lanes has started.",
    see="A second run, of all lanes, with the warning `SUPERSEDES` and the id of the first one. The row of the first "
    "one has `superseded_by`.",
    does="Starts another run after the quiet time. The first one continues.",
    do="Use the results of the second run. Raise `LaneWaitMinutes`, or upload a marker last.",
)
def test_a_late_lane_makes_a_run_that_supersedes_the_first(
    functions: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        outcomes(start_run, *put_lane(functions, number))
        deliver(functions, start_run, monkeypatch)
    rows = {tuple(row["lane_names"]): row for row in functions.rows()}
    first, second = rows["L001",], rows["L001", "L002"]
    assert (second["supersedes"], first["superseded_by"]) == (first["run"], second["run"])
    [warning] = json.loads(functions.results()[f"NA1/{second['run']}/reads.json"])["warnings"]
    assert warning["warning"] == "SUPERSEDES"


@case(
    happens="The file names of a pair have a lane, its metadata do not say how many lanes the sample has, and lanes do "
    "not wait (`LaneWaitMinutes=0`).",
    see="A run of this lane, and the warning `ONE_LANE`.",
    does="Starts a run of each lane. Row, message, report and manifest have the warning.",
    do="Set `LaneWaitMinutes`, upload all lanes with their number as `seqdrop-lanes`, or give them all to `seqdrop "
    "run`. For a sample of one lane, choose 1.",
)
def test_a_lane_that_does_not_wait_has_a_warning(
    functions: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANE_WAIT_MINUTES", "0")
    assert outcomes(start_run, *put_lane(functions, 1)) == ["started", "started"]
    [row] = functions.rows()
    [warning] = json.loads(functions.results()[f"NA1/{row['run']}/reads.json"])["warnings"]
    assert warning["message"].startswith("the file names have lane L001")


@case(
    happens="A samplesheet has an invalid line, names a file that does not exist, or a reference that is not prepared.",
    see="`BAD_INPUT.SHEET`, with the line and the column of every problem, in a row with the name of the sheet.",
    does="Checks the whole sheet before anything starts. No sample of it is started.",
    do="Correct the lines, then upload the sheet again. `seqdrop submit` checks a sheet before it uploads anything.",
)
def test_one_invalid_line_stops_a_whole_sheet(functions: Deployed, start_run: Any) -> None:
    for mate in (1, 2):
        functions.put(f"in/a_{mate}.fq.gz", fastq(mate), sheet="yes")
    lines = ["sample,sex,fastq_1,fastq_2", "A,XX,a_1.fq.gz,a_2.fq.gz", "B,XZ,b_1.fq.gz,b_2.fq.gz"]
    event = functions.put("in/samplesheet.csv", "\n".join(lines).encode())
    assert outcomes(start_run, event, event) == ["refused", "refused"]
    [row] = functions.rows()
    assert (row["class"], row["sample"]) == ("BAD_INPUT.SHEET", "samplesheet.csv")
    assert row["message"] == "samplesheet.csv: line 3, column sex: 'XZ' is not one of XX, XY, NA"
    assert (functions.sent(), functions.executions(), len(functions.messages())) == ([], [], 1)


@case(
    happens="`seqdrop submit`, or an upload of FASTQs with the metadata `seqdrop-sheet`, was interrupted before its "
    "sheet was there.",
    see="`WAITING`, and that the files wait for the samplesheet that names them.",
    does="Writes a row, which the sheet deletes. It expires after 14 days.",
    do="Upload the sheet, or repeat `seqdrop submit`: files that are there are not uploaded again.",
)
def test_files_whose_sheet_is_missing_are_shown(functions: Deployed, start_run: Any) -> None:
    held = [functions.put(f"in/a_{mate}.fq.gz", fastq(mate), sheet="yes") for mate in (1, 2)]
    assert outcomes(start_run, *held) == ["ignored", "ignored"]
    [row] = functions.rows()
    assert (row["status"], row["sample"]) == ("WAITING", "a")
    assert row["message"].startswith("in/a_")
    start_run.call(functions.put("in/samplesheet.csv", b"sample,fastq_1,fastq_2\nA,a_1.fq.gz,a_2.fq.gz\n"))
    for message in functions.sent():
        start_run.call(message)
    assert outcomes(start_run, *held) == ["ignored", "ignored"]  # events that come late
    assert [(row["sample"], row["status"]) for row in functions.rows()] == [("A", "RUNNING")]


@more
def test_late_events_of_files_in_several_folders_write_no_row(functions: Deployed, start_run: Any) -> None:
    """`seqdrop submit` uploads each file to a folder of its own."""
    keys = [f"x{number}/a_L00{1 + number // 2}_R{1 + number % 2}.fq.gz" for number in range(4)]
    held = [functions.put(key, fastq(1 + n % 2, lane=1 + n // 2), sheet="yes") for n, key in enumerate(keys)]
    rows = [f"A,{1 + n},{keys[2 * n]},{keys[2 * n + 1]}" for n in range(2)]
    start_run.call(functions.put("samplesheet.csv", "\n".join(["sample,lane,fastq_1,fastq_2", *rows]).encode()))
    for message in functions.sent():
        start_run.call(message)
    assert set(outcomes(start_run, *held)) == {"ignored"}
    assert [(row["sample"], row["status"]) for row in functions.rows()] == [("A", "RUNNING")]


@case(
    happens="A samplesheet calls a sample a tumour (`status` 1).",
    see="`SUCCEEDED`, and the warning `TUMOR`.",
    does="Starts the run: the callers find germline variants.",
    do="A variant that only a part of the cells has may be missing. Use another pipeline for somatic variants.",
)
def test_a_tumour_in_a_sheet_causes_a_warning(functions: Deployed, start_run: Any) -> None:
    for mate in (1, 2):
        functions.put(f"in/a_{mate}.fq.gz", fastq(mate), sheet="yes")
    sheet = functions.put("in/samplesheet.csv", b"sample,status,fastq_1,fastq_2\nA,1,a_1.fq.gz,a_2.fq.gz\n")
    assert outcomes(start_run, sheet) == ["sheet"]
    [message] = functions.sent()
    start_run.call(message)
    [row] = functions.rows()
    [warning] = json.loads(functions.results()[f"A/{row['run']}/reads.json"])["warnings"]
    assert warning["warning"] == "TUMOR"


@case(
    happens="A lane is in chunks (`_001`, `_002`: bcl2fastq before 2.0), in any order, also after the run of the first "
    "chunk has started.",
    see="`BAD_INPUT.CHUNKS`. A run of the first chunk alone ends as `ABORTED`.",
    does="Starts no run of a chunk, and stops one that has started. With the number of pairs as `seqdrop-lanes`, all "
    "chunks are one run.",
    do="Concatenate the chunks of R1 and those of R2 with `cat`, or upload them with `seqdrop run`.",
)
@pytest.mark.parametrize("seed", range(4))
def test_a_chunk_of_a_lane_is_never_a_run_of_its_own(functions: Deployed, start_run: Any, seed: int) -> None:
    """Case 06-chunk-002."""
    keys = [(mate, f"PATF_GAAACC_L001_R{mate}_{chunk}.fastq.gz") for chunk in ("001", "002") for mate in (1, 2)]
    random.Random(seed).shuffle(keys)  # noqa: S311
    results = [outcomes(start_run, functions.put(key, fastq(mate)))[0] for mate, key in keys]
    assert results[-1] == "refused"
    arn = "arn:aws:states:us-east-1:123456789012:execution:seqdrop-pipeline:"
    runs = [functions.states.describe_execution(executionArn=arn + run) for run in functions.executions()]
    assert [run["status"] for run in runs if run["status"] != "ABORTED"] == []
    [refused] = [row for row in functions.rows() if row["status"] == "FAILED"]
    assert refused["class"] == "BAD_INPUT.CHUNKS"
    assert "WAITING" not in {row["status"] for row in functions.rows()}
    assert len(functions.messages()) == 1


@case(
    happens="A FASTQ is archived (storage class `GLACIER` or `DEEP_ARCHIVE`).",
    see="`BAD_INPUT.ARCHIVED`, the files and their storage class.",
    does="Refuses the pair before an instance starts.",
    do="Restore both files, then copy each over itself as `STANDARD`.",
)
@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_archived_fastqs_are_refused(functions: Deployed, start_run: Any, storage_class: str) -> None:
    """Case 15-archived-class."""
    for mate, key in ((1, R1), (2, R2)):
        functions.s3.put_object(Bucket=FASTQS, Key=key, Body=fastq(mate), StorageClass=storage_class)
    assert outcomes(start_run, object_created(R1, "v1"), object_created(R2, "v1")) == ["refused", "refused"]
    [row] = functions.rows()
    assert (row["class"], functions.executions()) == ("BAD_INPUT.ARCHIVED", [])
    assert f"restore {R1} ({storage_class})" in row["message"]


@case(
    happens="A pair that has run is copied or moved to another folder of the bucket.",
    see="No second run. The copy is shown as `IGNORED`, with the id of the run.",
    does="Compares sample, choices, sizes and checksums (CRC64NVME, else ETag) with those of earlier runs. A copy "
    "that S3 cannot compare, or of a run that failed, starts a run.",
)
def test_a_moved_pair_starts_no_second_run(functions: Deployed, start_run: Any) -> None:
    """Case 16-moved-in-bucket."""
    started = [functions.put(R1, fastq(1)), functions.put(R2, fastq(2))]
    assert outcomes(start_run, *started) == ["started", "started"]
    (run,) = functions.executions()
    for key in (R1, R2):
        functions.s3.copy_object(Bucket=FASTQS, Key=f"archive/{key}", CopySource={"Bucket": FASTQS, "Key": key})
        functions.s3.delete_object(Bucket=FASTQS, Key=key)
    moved = [object_created(f"archive/{key}", "v1") for key in (R1, R2)]
    assert outcomes(start_run, *moved) == ["ignored", "ignored"]
    assert functions.executions() == [run]
    [row] = [row for row in functions.rows() if row["status"] == "IGNORED"]
    assert row["message"].endswith(f"have the same bytes and choices as the FASTQs of run {run}")


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


@more
def test_the_rule_takes_files_of_every_ending(stack: Stack, sample: Sample) -> None:
    names = ["RULE_R1.FASTQ.GZ", "RULE.bam", "RULE_R1.Fq.Bz2", "RULE_R2.fastq.ora", "RULE_R2.fastq.gz.1", "RULE.CRAM"]
    for name in names:
        upload(stack, sample.small_pair[0], name)
    rule_rows = partial(rows_of, stack, "RULE")
    eventually(lambda: len(rule_rows()) == len(names), "a row for each file")
    assert sorted(row["status"] for row in rule_rows()) == ["IGNORED"] * 5 + ["WAITING"]


@more
def test_the_jobs_of_the_first_chunk_are_stopped(stack: Stack, sample: Sample) -> None:
    for mate, path in enumerate(sample.small_pair, 1):
        upload(stack, path, f"CHUNKED_R{mate}_001.fastq.gz")
    statuses = lambda: [row["status"] for row in rows_of(stack, "CHUNKED")]  # noqa: E731
    eventually(lambda: statuses() == ["RUNNING"], lambda: f"the run of the first chunk; rows: {statuses()}")
    upload(stack, sample.small_pair[0], "CHUNKED_R1_002.fastq.gz")
    eventually(lambda: len(rows_of(stack, "CHUNKED")) == 2, "the refusal")
    eventually(lambda: "RUNNING" not in statuses(), "the end of the run")
    rows = {row["status"]: row for row in rows_of(stack, "CHUNKED")}
    assert rows.keys() == {"ABORTED", "FAILED"}
    assert rows["ABORTED"]["message"] == "The run was stopped: it read one chunk of a lane alone."
    assert rows["FAILED"]["class"] == "BAD_INPUT.CHUNKS"


def rows_of(stack: Stack, start: str) -> list[dict[str, Any]]:
    """Return the rows whose sample begins so."""
    items: list[dict[str, Any]] = stack.table.scan(ConsistentRead=True)["Items"]
    return [row for row in items if row.get("sample", "").startswith(start)]


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
    assert sorted(row["sample"] for row in items if row.get("sample", "").startswith("MIXED")) == [
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
