"""`seqdrop submit` checks a sheet before anything is uploaded. tests/pipeline has whole submissions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from seqdrop.plan import layout
from seqdrop.plan.choices import Choices
from seqdrop.plan.csv_table import SheetError
from seqdrop.runs.pairing import Pair
from seqdrop.storage.uri import S3Uri
from seqdrop_cli import run, run_table, samplesheet, submit
from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack
from support import cli_aws

HEADER = "sample,sex,fastq_1,fastq_2,reference,caller,ploidy"


@pytest.fixture
def stack() -> Iterator[Stack]:
    with cli_aws.stack() as stack:
        reference = {"contigs": [], "indexes": ["bwa_mem3"], "fingerprint": "f"}
        cli_aws.write_json(stack, "references", "hg/reference.json", reference)
        yield stack


def write_sheet(folder: Path, *lines: str) -> Path:
    for name in ("a_1.fq.gz", "a_2.fq.gz", "b_1.fq.gz", "b_2.fq.gz"):
        (folder / name).write_bytes(name.encode())
    (folder / "sheet.csv").write_text("\n".join(lines))
    return folder / "sheet.csv"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("B,XZ,b_1.fq.gz,b_2.fq.gz,,,", "line 3, column sex: 'XZ' is not one of XX, XY, NA"),
        ("B,XX,b_1.fq.gz,c_2.fq.gz,,,", "line 3, column fastq_2: FOLDER/c_2.fq.gz: no such file, or it is a directory"),
        ("B,XX,b_1.fq.gz,s3://fastq/x.fq,,,", "line 3, column fastq_2: s3://fastq/x.fq does not exist"),
        ("B,XX,b_1.fq.gz,s3://other/x.fq,,,",
         "line 3, column fastq_2: s3://other/x.fq is in none of the buckets for FASTQs: fastq (see InputBucketArns of "
         "the stack)"),
        ("B,XX,b_1.fq.gz,b_2.fq.gz,hg99,,",
         "line 3, column reference: Reference 'hg99' is not prepared (prepared: hg): "
         "`seqdrop reference GENOME.fa --name NAME --stack seqdrop` prepares one"),
        ("B,XX,b_1.fq.gz,b_2.fq.gz,,strelka,2",
         "line 3, column ploidy: options of call: strelka has no option --ploidy; it allows --exome"),
    ],
    ids=["cells", "no file", "no object", "other bucket", "reference", "ploidy"],
)  # fmt: skip
def test_a_problem_is_named_with_line_and_column_and_nothing_is_uploaded(
    stack: Stack, tmp_path: Path, line: str, message: str
) -> None:
    path = write_sheet(tmp_path, HEADER, "A,XX,a_1.fq.gz,a_2.fq.gz,,,", line)
    with pytest.raises(CliError) as raised:
        submit.submit(stack, path, "", dry_run=False, yes=True)
    expected = f"Nothing was started: {path} has problems:\n  {message.replace('FOLDER', str(tmp_path))}"
    assert (raised.value.code, str(raised.value)) == (65, expected)
    assert "Contents" not in stack.s3.list_objects_v2(Bucket="fastq")


def test_a_dry_run_shows_the_samples_and_uploads_nothing(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_sheet(tmp_path, HEADER, "A,XX,a_1.fq.gz,a_2.fq.gz,,,")
    submit.submit(stack, path, "", dry_run=True, yes=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["A", "18", "B", "hg", "bwa_mem3,", "bcftools", "?", "?"]
    assert lines[2] == "1 sample, 18 B; price and time: ? until a run with this reference and tools has ended"
    assert "Contents" not in stack.s3.list_objects_v2(Bucket="fastq")


@pytest.mark.parametrize("form", ["bam", "cram"])
def test_the_run_of_a_sample_is_awaited_in_the_format_of_the_stack(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    object.__setattr__(stack, "outputs", {**stack.outputs, "AlignmentFormat": form})

    def start(stack: Stack, run: str) -> dict[str, str] | None:
        """Answer for the id that start_run computes from the uploaded files, as the table does."""
        stored = [
            stack.store.head(S3Uri("fastq", entry["Key"]))
            for entry in stack.s3.list_objects_v2(Bucket="fastq")["Contents"]
            if entry["Key"].endswith(".fq.gz")
        ]
        pair = Pair("", *sorted(stored, key=lambda one: one.uri.name))
        choices = Choices("hg", alignment_format=form, sex="XX")
        tools = {"aligner": "bwa_mem3", "caller": "bcftools"}
        expected = layout.run_id("A", [pair.entry()], choices, genome="f", **tools)
        return {"run": run, "status": "RUNNING", "execution": "e"} if run == expected else None

    monkeypatch.setattr(run_table, "get", start)
    monkeypatch.setattr(run, "START_TIMEOUT", 0)
    monkeypatch.setattr(submit, "WAIT", 5)
    path = write_sheet(tmp_path, HEADER, "A,XX,a_1.fq.gz,a_2.fq.gz,,,")
    assert [row["status"] for row in submit.submit(stack, path, "", dry_run=False, yes=True)] == ["RUNNING"]
    assert "A: run " in capsys.readouterr().out


def test_a_sheet_of_another_machine_is_one_sentence(stack: Stack, tmp_path: Path) -> None:
    with pytest.raises(CliError, match="no such file"):
        submit.submit(stack, tmp_path / "sheet.csv", "", dry_run=False, yes=True)


ILLUMINA = "[Header]\n[Data]\nLane,Sample_ID,index\n1,NA1,ACGT\n2,NA1,ACGT\n1,NA2,TTTT\n"


def test_the_samples_of_an_illumina_sheet_are_found_below_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "SampleSheet.csv"
    path.write_text(ILLUMINA)
    for name in ("p/NA1_S1_L001", "p/NA1_S1_L002", "NA2_S2_L001"):
        for mate in (1, 2):
            (tmp_path / "p").mkdir(exist_ok=True)
            (tmp_path / f"{name}_R{mate}_001.fastq.gz").write_bytes(b"x")
    one, two = samplesheet.read(path)
    assert [(lane.lane, lane.fastq_1) for lane in one.lanes] == [
        (lane, f"p/NA1_S1_{lane}_R1_001.fastq.gz") for lane in ("L001", "L002")
    ]
    assert (two.name, one.choices.lanes, two.choices.lanes) == ("NA2", 2, 1)
    (tmp_path / "p/NA1_S1_L002_R1_001.fastq.gz").unlink()
    (tmp_path / "p/NA1_S1_L002_R2_001.fastq.gz").unlink()
    with pytest.raises(SheetError, match="line 4: sample NA1: FASTQs of lane 2 are missing below the sheet"):
        samplesheet.read(path)


def test_the_later_chunk_of_a_lane_counts_for_its_lane(tmp_path: Path) -> None:
    path = tmp_path / "SampleSheet.csv"
    path.write_text("[Data]\nLane,Sample_ID,index\n1,NA1_S1,ACGT\n")
    for chunk in ("001", "002"):
        for mate in (1, 2):
            (tmp_path / f"NA1_S1_L1_R{mate}_{chunk}.fastq.gz").write_bytes(b"x")
    (sample,) = samplesheet.read(path)
    assert [lane.lane for lane in sample.lanes] == ["L1", "L1_002"]
    path.write_text("[Data]\nLane,Sample_ID,index\n10,NA1_S1,ACGT\n")
    with pytest.raises(SheetError, match="FASTQs of lane 10 are missing below the sheet"):
        samplesheet.read(path)
