"""functions/start_run: samplesheets in the bucket."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError
from seqdrop.storage import s3
from support.function_aws import FASTQS, REFERENCES, RESULTS, Deployed, allowed_actions
from support.made_reads import fastq

Upload = dict[str, Any]


@pytest.fixture
def start_run(aws: Deployed) -> Any:
    """Load the function, with the default reference prepared."""
    aws.prepare()
    return aws.load("start_run")


def outcomes(start_run: Any, *events: Upload) -> list[str]:
    return [result["outcome"] for each in events for result in start_run.call(each)["outcomes"]]


def put_pairs(aws: Deployed, *names: str, folder: str = "in/", **choices: str) -> list[Upload]:
    """Upload both mates of each lane; return their events."""
    places = [(number, name, mate) for number, name in enumerate(names, 1) for mate in (1, 2)]
    return [aws.put(f"{folder}{name}_{mate}.fq.gz", fastq(mate, lane=n), **choices) for n, name, mate in places]


def put_sheet(aws: Deployed, *lines: str, key: str = "in/samplesheet.csv") -> Upload:
    return aws.put(key, "\n".join(lines).encode())


def deliver(aws: Deployed, start_run: Any) -> None:
    """Deliver all messages, each twice."""
    while messages := aws.sent():
        for message in messages:
            assert start_run.call(message) == start_run.call(message) == {"batchItemFailures": []}


def reads_of(aws: Deployed, row: dict[str, Any]) -> dict[str, Any]:
    reads: dict[str, Any] = json.loads(aws.text(RESULTS, f"{row['sample']}/{row['run']}/reads.json"))
    return reads


def refusal(aws: Deployed, start_run: Any, sheet: Upload) -> str:
    """Return the message of the row of a sheet that starts nothing."""
    assert outcomes(start_run, sheet) == ["refused"]
    assert (aws.sent(), aws.executions()) == ([], [])
    [row] = [row for row in aws.rows() if row["status"] == "FAILED"]
    assert row["class"] == "BAD_INPUT.SHEET"
    assert len(aws.messages()) == 1
    return str(row["message"])


def test_a_sheet_starts_one_run_for_each_sample_and_nothing_twice(aws: Deployed, start_run: Any) -> None:
    events = put_pairs(aws, "a", "b", "c", sheet="yes")
    assert set(outcomes(start_run, *events)) == {"ignored"}
    assert {row["status"] for row in aws.rows()} == {"WAITING"}
    lines = ["sample,lane,ward,status,fastq_1,fastq_2,priority", "S2,1,north,1,c_1.fq.gz,c_2.fq.gz,high"]
    lines += [f"S1,{lane},,0,s3://{FASTQS}/in/{name}_1.fq.gz,./{name}_2.fq.gz," for lane, name in ((2, "b"), (1, "a"))]
    sheet = put_sheet(aws, *lines)
    assert outcomes(start_run, sheet) == ["sheet"]
    deliver(aws, start_run)
    rows = {row["sample"]: row for row in aws.rows()}
    assert rows.keys() == {"S1", "S2"}
    assert {row["sheet"] for row in rows.values()} == {f"s3://{FASTQS}/in/samplesheet.csv"}
    reads = {name: reads_of(aws, row) for name, row in rows.items()}
    assert [(lane["lane"], lane["fastq_1"]["uri"][-9:]) for lane in reads["S1"]["lanes"]] == [
        ("1", "a_1.fq.gz"),
        ("2", "b_1.fq.gz"),
    ]
    assert reads["S2"]["sheet"] == {"ward": "north", "status": "1"}
    assert [warning["warning"] for warning in reads["S2"]["warnings"]] == ["TUMOR"]
    assert "warnings" not in reads["S1"]
    runs = set(aws.executions())
    assert (
        outcomes(start_run, sheet, put_sheet(aws, *lines, key="in/again_samplesheet.csv"), *events)[:2] == ["sheet"] * 2
    )
    deliver(aws, start_run)
    assert (set(aws.executions()), len(aws.rows())) == (runs, 2)


def test_twenty_four_samples_of_a_sheet_are_twenty_four_runs(aws: Deployed, start_run: Any) -> None:
    names = [f"s{number:02}" for number in range(24)]
    put_pairs(aws, *names, sheet="yes")
    rows = [f"{name.upper()},{name}_1.fq.gz,{name}_2.fq.gz" for name in names]
    start_run.call(put_sheet(aws, "sample,fastq_1,fastq_2", *rows))
    for message in aws.sent():
        start_run.call(message)
    assert sorted(row["sample"] for row in aws.rows()) == [name.upper() for name in names]
    assert len(aws.executions()) == 24


OF_BUCKETS = f"of the buckets for FASTQs: {FASTQS} (see InputBucketArns of the stack)"
OUTSIDE = "is neither an address (s3://...) nor a path below the folder of the sheet"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("XZ,b_1.fq.gz,b_2.fq.gz,,,", "sex: 'XZ' is not one of XX, XY, NA"),
        ("XX,a_1.fq.gz,b_2.fq.gz,,,", "fastq_1: 'a_1.fq.gz' is in line 2 too"),
        ("XX,./a_1.fq.gz,b_2.fq.gz,,,", f"fastq_1: s3://{FASTQS}/in/a_1.fq.gz is in line 2 too"),
        ("XX,b_1.fq.gz,c_2.fq.gz,,,", f"fastq_2: 'c_2.fq.gz' does not exist (s3://{FASTQS}/in/c_2.fq.gz)"),
        ("XX,b_1.fq.gz,../b_2.fq.gz,,,", f"fastq_2: '../b_2.fq.gz' {OUTSIDE}"),
        ("XX,b_1.fq.gz,s3://x/b_2.fq,,,", f"fastq_2: 's3://x/b_2.fq' is in none {OF_BUCKETS}"),
        ("XX,b_1.fq.gz,empty_2.fq.gz,,,", "fastq_2: 'empty_2.fq.gz' is empty"),
        ("XX,b_1.fq.gz,b_2.fq.gz,hg99,,", "reference: reference hg99 is not prepared; prepared are: demo"),
        ("XX,b_1.fq.gz,b_2.fq.gz,,strelka,1",
         "ploidy: options of call: strelka has no option --ploidy; it allows --exome"),
    ],
    ids=["sex", "twice", "twice in two forms", "missing", "outside", "bucket", "empty", "reference", "ploidy"],
)  # fmt: skip
def test_one_bad_line_stops_the_sheet(aws: Deployed, start_run: Any, cells: str, message: str) -> None:
    put_pairs(aws, "a", "b", sheet="yes")
    aws.put("in/empty_2.fq.gz", b"", sheet="yes")
    header = "sample,sex,fastq_1,fastq_2,reference,caller,ploidy"
    sheet = put_sheet(aws, header, "A,XX,a_1.fq.gz,a_2.fq.gz,,,", f"B,{cells}")
    assert refusal(aws, start_run, sheet) == f"samplesheet.csv: line 3, column {message}"


def test_a_budget_above_the_limit_of_the_stack_stops_the_sheet(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_RUN_COST", "5")
    put_pairs(aws, "a", sheet="yes")
    sheet = put_sheet(aws, "sample,fastq_1,fastq_2,max_cost", "A,a_1.fq.gz,a_2.fq.gz,7")
    assert refusal(aws, start_run, sheet).startswith("samplesheet.csv: line 2, column max_cost: a budget of $7.00 is")


@pytest.mark.parametrize(("cell", "step", "tool", "column"), [("strelka", "call", "strelka", "caller"),
                                                              ("", "align", "bwa_mem3", "aligner")])  # fmt: skip
def test_a_sheet_with_a_tool_without_an_image_says_which_line_and_what_to_push(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch, cell: str, step: str, tool: str, column: str
) -> None:
    tags = json.loads(os.environ["IMAGE_TAGS"])
    monkeypatch.setenv("IMAGE_TAGS", json.dumps({**tags, tool: "none"}))
    put_pairs(aws, "a", sheet="yes")
    message = refusal(aws, start_run, put_sheet(aws, "sample,fastq_1,fastq_2,caller", f"A,a_1.fq.gz,a_2.fq.gz,{cell}"))
    assert message.startswith(f"samplesheet.csv: line 2, column {column}: the stack has no image of {tool} yet")
    assert f"TOOLS='{tool}'`" in message


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("heart,", "reference demo has no panel heart (it has: none)"),
        ("heart,x.bed", "the row has intervals too, but a panel has its own regions"),
        ("a/b,", "'a/b': it must be a name of letters, digits, '.', '_' and '-'"),
    ],
)
def test_a_panel_that_cannot_be_used_stops_the_sheet(aws: Deployed, start_run: Any, cells: str, message: str) -> None:
    put_pairs(aws, "a", sheet="yes")
    sheet = put_sheet(aws, "sample,fastq_1,fastq_2,panel,intervals", f"A,a_1.fq.gz,a_2.fq.gz,{cells}")
    assert refusal(aws, start_run, sheet) == f"samplesheet.csv: line 2, column panel: {message}"


def test_the_alignment_format_of_a_sheet_is_that_of_its_run(aws: Deployed, start_run: Any) -> None:
    put_pairs(aws, "a", sheet="yes")
    start_run.call(put_sheet(aws, "sample,fastq_1,fastq_2,alignment_format", "A,a_1.fq.gz,a_2.fq.gz,cram"))
    deliver(aws, start_run)
    [run] = aws.executions()
    assert json.loads(aws.input_of(run))["alignment_format"] == "cram"


def test_a_corrected_sheet_starts_its_samples(aws: Deployed, start_run: Any) -> None:
    put_pairs(aws, "a", sheet="yes")
    refusal(aws, start_run, put_sheet(aws, "sample,fastq_1,fastq_2", "A,a_1.fq.gz,"))
    assert outcomes(start_run, put_sheet(aws, "sample,fastq_1,fastq_2", "A,a_1.fq.gz,a_2.fq.gz")) == ["sheet"]
    deliver(aws, start_run)
    assert len(aws.executions()) == 1


def test_a_sheet_decides_for_lanes_that_wait_by_their_names(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = put_pairs(aws, "x_L001", "x_L002")
    start_run.call(events[-1])
    assert [row["status"] for row in aws.rows()] == ["WAITING"]
    waiting = aws.sent()
    rows = [f"PATIENT,{lane},x_L00{lane}_1.fq.gz,x_L00{lane}_2.fq.gz" for lane in (1, 2)]
    start_run.call(put_sheet(aws, "sample,lane,fastq_1,fastq_2", *rows))
    deliver(aws, start_run)
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)
    for message in waiting:
        start_run.call(message)
    assert set(outcomes(start_run, *events)) == {"duplicate"}
    assert [(row["sample"], row["status"]) for row in aws.rows()] == [("PATIENT", "RUNNING")]
    assert (len(aws.executions()), aws.sent()) == (1, [])


def test_a_sheet_decides_for_a_file_that_waits_for_its_mate(aws: Deployed, start_run: Any) -> None:
    start_run.call(aws.put("in/x_1.fq.gz", fastq(1)))
    assert [row["status"] for row in aws.rows()] == ["WAITING"]
    aws.put("in/x_2.fq.gz", fastq(2))
    start_run.call(put_sheet(aws, "sample,fastq_1,fastq_2", "P,x_1.fq.gz,x_2.fq.gz"))
    deliver(aws, start_run)
    assert [(row["sample"], row["status"]) for row in aws.rows()] == [("P", "RUNNING")]


def test_a_file_that_may_not_be_read_is_reported_with_its_line(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_pairs(aws, "a", sheet="yes")
    sheet = put_sheet(aws, "sample,fastq_1,fastq_2", "A,a_1.fq.gz,a_2.fq.gz")
    find, status = s3.Store.find, 403

    def find_or_refuse(store: s3.Store, uri: Any) -> Any:
        if uri.key != "in/a_2.fq.gz":
            return find(store, uri)
        answer = {"Error": {"Code": str(status)}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(answer, "HeadObject")  # type: ignore[arg-type]  # S3 answers a HEAD without more

    monkeypatch.setattr(s3.Store, "find", find_or_refuse)
    message = "'a_2.fq.gz' cannot be read: the policy of its bucket or of its key (InputKeyArns) does not allow it"
    assert refusal(aws, start_run, sheet) == f"samplesheet.csv: line 2, column fastq_2: {message}"
    status = 400
    with pytest.raises(start_run.NotHandledError):  # it says nothing about a right: to be tried again
        start_run.call(sheet)


def test_a_file_that_comes_after_the_sheet_is_started_by_its_name(aws: Deployed, start_run: Any) -> None:
    put_pairs(aws, "x")
    start_run.call(put_sheet(aws, "sample,fastq_1,fastq_2", "P,x_1.fq.gz,x_2.fq.gz"))
    deliver(aws, start_run)
    replaced = [aws.put(f"in/x_{mate}.fq.gz", fastq(mate, 5)) for mate in (1, 2)]
    assert outcomes(start_run, replaced[1]) == ["started"]


def test_a_file_that_is_deleted_before_its_run_starts_has_a_row(aws: Deployed, start_run: Any) -> None:
    put_pairs(aws, "a", sheet="yes")
    start_run.call(put_sheet(aws, "sample,fastq_1,fastq_2", "A,a_1.fq.gz,a_2.fq.gz"))
    aws.s3.delete_object(Bucket=FASTQS, Key="in/a_2.fq.gz")
    deliver(aws, start_run)
    [row] = aws.rows()
    assert (row["sample"], row["class"]) == ("A", "BAD_INPUT.MISSING")


ILLUMINA = """[Header]
[BCLConvert_Data]
Lane,Sample_ID,Index
1,NA1,ACGT
2,NA1,ACGT
1,NA2,TTTT
2,NA2,TTTT
"""


def test_an_illumina_sheet_ends_the_wait_of_samples_whose_lanes_are_all_there(aws: Deployed, start_run: Any) -> None:
    for sample, lanes in (("NA1_S1", (1, 2)), ("NA2_S2", (1,)), ("NA3_S3", (1,))):
        for lane in lanes:
            for mate in (1, 2):
                start_run.call(aws.put(f"r/{sample}_L00{lane}_R{mate}_001.fastq.gz", fastq(mate, lane=lane)))
    aws.sent()
    [result] = start_run.call(aws.put("r/SampleSheet.csv", ILLUMINA.encode()))["outcomes"]
    assert result == {"outcome": "sheet", "reason": "ends the wait of 1 samples"}
    deliver(aws, start_run)
    statuses = sorted((row["sample"], row["status"]) for row in aws.rows())
    assert statuses == [("NA1", "RUNNING"), ("NA2", "WAITING"), ("NA3", "WAITING")]


def test_an_illumina_sheet_starts_no_run_of_lanes_that_do_not_wait(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANE_WAIT_MINUTES", "0")
    for lane in (1, 2):
        for mate in (1, 2):
            start_run.call(aws.put(f"r/NA1_S1_L00{lane}_R{mate}_001.fastq.gz", fastq(mate, lane=lane)))
    assert len(aws.executions()) == 2
    [result] = start_run.call(aws.put("r/SampleSheet.csv", ILLUMINA.encode()))["outcomes"]
    assert result == {"outcome": "ignored", "reason": "lanes do not wait for others: each is a run already"}
    assert (aws.sent(), len(aws.executions())) == ([], 2)


def test_an_invalid_illumina_sheet_has_a_row(aws: Deployed, start_run: Any) -> None:
    sheet = aws.put("r/SampleSheet.csv", ILLUMINA.replace("2,NA1", "x,NA1").encode())
    assert refusal(aws, start_run, sheet) == "SampleSheet.csv: line 5, column Lane: 'x' is not the number of a lane"


def test_the_role_of_start_run_allows_the_calls_of_a_sheet(aws: Deployed, start_run: Any) -> None:
    aws.s3.put_object(Bucket=REFERENCES, Key="demo/exome.bed", Body=b"demo1\t100\t200\n")
    put_pairs(aws, "a", sheet="yes")
    sheet = put_sheet(aws, "sample,fastq_1,fastq_2,intervals", "A,a_1.fq.gz,a_2.fq.gz,exome.bed")
    aws.calls.clear()
    start_run.call(sheet)
    calls = set(aws.calls)
    for message in aws.sent():
        start_run.call(message)
    assert (calls | aws.calls) - {"sqs:ReceiveMessage"} - allowed_actions("start_run") == set()


def test_a_sheet_may_name_files_of_other_buckets_of_the_parameter(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INPUT_BUCKET_ARNS", "arn:aws:s3:::lab,arn:aws:s3:::plain")
    for bucket in ("lab", "plain"):
        aws.s3.create_bucket(Bucket=bucket)
    aws.s3.put_bucket_versioning(Bucket="lab", VersioningConfiguration={"Status": "Enabled"})
    for bucket, mate in (("lab", 1), ("lab", 2), ("plain", 1), ("plain", 2)):
        aws.s3.put_object(Bucket=bucket, Key=f"a_{mate}.fq.gz", Body=fastq(mate))
    header = "sample,fastq_1,fastq_2"
    unversioned = put_sheet(aws, header, "A,s3://plain/a_1.fq.gz,s3://plain/a_2.fq.gz")
    assert "'s3://plain/a_1.fq.gz' has no version: enable versioning" in refusal(aws, start_run, unversioned)
    assert outcomes(start_run, put_sheet(aws, header, "A,s3://lab/a_1.fq.gz,s3://lab/a_2.fq.gz")) == ["sheet"]
    deliver(aws, start_run)
    [row] = [row for row in aws.rows() if row["status"] == "RUNNING"]
    [lane] = reads_of(aws, row)["lanes"]
    assert lane["fastq_1"]["uri"] == "s3://lab/a_1.fq.gz"
