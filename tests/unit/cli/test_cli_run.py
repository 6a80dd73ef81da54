from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import EndpointConnectionError
from seqdrop.plan.choices import Choices
from seqdrop.runs import executions
from seqdrop.storage.s3 import MissingError, Store
from seqdrop.storage.uri import S3Uri
from seqdrop_cli import run, upload
from seqdrop_cli.errors import CliError, ResultsNotFetchedError
from seqdrop_cli.fastqs import Fastqs
from seqdrop_cli.run import RunRequest
from seqdrop_cli.stack import Stack
from support import cli_aws


@pytest.fixture
def stack() -> Iterator[Stack]:
    with cli_aws.stack() as stack:
        cli_aws.write_json(stack, "references", "hg/reference.json", {"contigs": [], "indexes": ["bwa_mem3"]})
        yield stack


@pytest.fixture
def request_s1(tmp_path: Path) -> RunRequest:
    """A request to run two small files with the default reference."""
    for mate in (1, 2):
        (tmp_path / f"S1_R{mate}.fastq.gz").write_bytes(b"reads %d" % mate)
    fastqs = Fastqs.of([tmp_path / "S1_R1.fastq.gz", tmp_path / "S1_R2.fastq.gz"], None)
    return RunRequest(fastqs, None, results=tmp_path / "out")


def earlier_run(stack: Stack, request: RunRequest, **row: Any) -> str:
    """Upload the files of a request, and write the row of a run of them that has ended; return its id."""
    stored = next(upload.destinations(stack, request.fastqs, "", {})).upload_missing(stack, {})
    run_id = upload.run_id(stack, request.fastqs, stored, Choices(reference="hg"), genome="")
    execution = cli_aws.end_execution(stack, run_id, {"steps": ["align"]})
    results = f"s3://results/S1/{run_id}"
    stack.table.put_item(Item={"run": run_id, "sample": "S1", "results": results, "execution": execution, **row})
    return run_id


def uploaded_versions(stack: Stack) -> int:
    return len(stack.s3.list_object_versions(Bucket="fastq").get("Versions", []))


def test_a_copy_of_the_files_of_another_run_is_explained_and_not_uploaded_again(
    stack: Stack, request_s1: RunRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = next(upload.destinations(stack, request_s1.fastqs, "", {})).upload_missing(stack, {})
    run_id = upload.run_id(stack, request_s1.fastqs, stored, Choices(reference="hg"), genome="")
    message = "a and b have the same bytes and choices as the FASTQs of run 0123"
    stack.table.put_item(Item={"run": run_id, "sample": "S1", "status": "IGNORED", "message": message})
    with pytest.raises(CliError, match="These files start no run"):
        run.run_pipeline(stack, request_s1)
    assert uploaded_versions(stack) == 2
    assert f"{message}." in capsys.readouterr().out.replace("\n", " ")


def test_files_of_a_run_with_results_are_not_uploaded_again(
    stack: Stack, request_s1: RunRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = earlier_run(stack, request_s1, status="SUCCEEDED")
    result = run.run_pipeline(stack, request_s1)
    assert result.row["run"] == run_id
    assert [state.step for state in result.steps] == ["align"]
    assert uploaded_versions(stack) == 2
    assert f"These files were uploaded before: run {run_id}, succeeded." in capsys.readouterr().out


def test_a_run_that_failed_its_quality_control_ends_with_its_own_exit_code(
    stack: Stack, request_s1: RunRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    message = "The figures of this run are beyond the limits of its QC policy (p): Mean depth: 3x, under 10x."
    failure = {"class": "QC", "step": "compose", "message": message, "advice": "Read the report."}
    run_id = earlier_run(stack, request_s1, status="QC_FAILED", **failure)
    with pytest.raises(CliError, match="failed its quality control") as raised:
        run.run_pipeline(stack, request_s1)
    assert raised.value.code == run.QC_EXIT == 3
    output = capsys.readouterr().out
    assert f"Run {run_id} qc failed" in output
    assert "succeeded" not in output
    assert message in output.replace("\n", " ")
    assert "Read the report." in output


def test_files_of_a_failed_run_are_uploaded_again(
    stack: Stack, request_s1: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier_run(stack, request_s1, status="FAILED")
    monkeypatch.setattr(run, "START_TIMEOUT", 0)
    with pytest.raises(CliError, match="The files were uploaded, but no run started within 0 s"):
        run.run_pipeline(stack, request_s1)
    assert uploaded_versions(stack) == 4


def test_a_run_that_was_refused_is_explained(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"run": cli_aws.RUN, "status": "FAILED", "class": "REFERENCE", "message": "hg has no index of bwa."}
    stack.table.put_item(Item=row)
    with pytest.raises(CliError, match="was refused before it started"):
        run.wait_for_start(stack, cli_aws.RUN)
    assert capsys.readouterr().out.splitlines()[:2] == ["REFERENCE", "hg has no index of bwa."]


def test_a_run_whose_execution_is_known_before_its_row_has_started(stack: Stack) -> None:
    execution = cli_aws.end_execution(stack, cli_aws.RUN, {})
    assert execution == cli_aws.EXECUTION == executions.arn(cli_aws.RUN, f"{cli_aws.MACHINE}:live")
    row = run.wait_for_start(stack, cli_aws.RUN)
    assert row == {"run": cli_aws.RUN, "execution": execution, "status": "RUNNING"}


@pytest.mark.parametrize("function", ["wait_for_start", "follow"])
def test_ctrl_c_after_the_upload_reports_that_the_run_continues(
    stack: Stack, request_s1: RunRequest, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    run_id = earlier_run(stack, request_s1, status="SUCCEEDED")
    monkeypatch.setattr(run, function, interrupt)
    with pytest.raises(CliError) as raised:
        run.run_pipeline(stack, request_s1)
    assert raised.value.code == 130
    assert str(raised.value) == (
        f"Interrupted. The run continues: `seqdrop status {run_id} --stack seqdrop` shows it, "
        f"`seqdrop stop {run_id} --stack seqdrop` stops it."
    )


def test_a_folder_that_cannot_have_results_is_refused_before_the_upload(stack: Stack, request_s1: RunRequest) -> None:
    assert request_s1.results
    request_s1.results.write_text("a file")
    with pytest.raises(CliError) as raised:
        run.run_pipeline(stack, request_s1)
    assert str(raised.value) == (
        f"No results can be written to {request_s1.results}: File exists. Give another folder with --results DIR."
    )
    assert uploaded_versions(stack) == 0


@pytest.mark.parametrize("failure", ["disk", "space", "object", "connection"])
def test_results_that_cannot_be_fetched_stay_and_the_message_says_how_to_fetch_them(
    stack: Stack, request_s1: RunRequest, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    run_id = earlier_run(stack, request_s1, status="SUCCEEDED")
    stack.s3.put_object(Bucket="results", Key=f"S1/{run_id}/S1.bam", Body=b"bam")
    assert request_s1.results
    if failure == "disk":  # a folder in the place of the file
        (request_s1.results / "S1.bam").mkdir(parents=True)
    elif failure == "space":
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1))
    else:
        errors = {
            "object": MissingError(S3Uri("results", "x")),
            "connection": EndpointConnectionError(endpoint_url="http://x"),
        }
        monkeypatch.setattr(Store, "download", Mock(side_effect=errors[failure]))
    with pytest.raises(ResultsNotFetchedError) as raised:
        run.run_pipeline(stack, request_s1)
    message = str(raised.value)
    assert message.startswith(f"Run {run_id} succeeded; its results are still at s3://results/S1/{run_id}. ")
    assert message.endswith("run the same command again: it downloads the results and computes nothing again.")
    monkeypatch.undo()
    again = replace(request_s1, results=request_s1.results.with_name("another"))
    assert [file.name for file in run.run_pipeline(stack, again).files] == ["S1.bam"]
    assert uploaded_versions(stack) == 2


def test_a_row_that_is_never_closed_has_the_error_of_its_execution(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    execution = cli_aws.end_execution(stack, cli_aws.RUN, {})
    monkeypatch.setattr(run, "CLOSE_TIMEOUT", 0)
    with pytest.raises(CliError, match=f"Run {cli_aws.RUN} of .* ended as ABORTED"):
        run.follow_run(stack, cli_aws.RUN, execution)
    assert "ABORTED" in capsys.readouterr().out


def test_the_options_for_tools_are_parsed_by_step() -> None:
    assert run.parse_args(["align=--no-mark-duplicates", "call=-q 20", "call=-x"]) == {
        "align": ["--no-mark-duplicates"],
        "call": ["-q", "20", "-x"],
    }


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            {"call": ["--exome"]},
            "--args: options of call: bcftools has no option --exome; it allows --ploidy N (1 to",
        ),
        ({"call": ["--ploidy", "9"]}, "--args: options of call: argument --ploidy: must be a whole number from 1 to 2"),
        ({"align": ["--no-mark-duplicate"]}, "bwa_mem3 has no option --no-mark-duplicate; it allows --no-mark-dup"),
    ],
)
def test_options_that_a_tool_does_not_allow_are_refused_before_the_upload(
    stack: Stack, request_s1: RunRequest, args: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(CliError, match=re.escape(message)):
        run.run_pipeline(stack, replace(request_s1, args=args))
    assert uploaded_versions(stack) == 0


def test_a_budget_above_the_limit_of_the_stack_is_refused_before_the_upload(
    stack: Stack, request_s1: RunRequest
) -> None:
    object.__setattr__(stack, "parameters", {"MaxRunCost": "5"})
    with pytest.raises(CliError, match=r"^--max-cost: a budget of \$7\.50 is above the limit of this stack, \$5\.00: "):
        run.run_pipeline(stack, replace(request_s1, max_cost="7.5"))
    assert uploaded_versions(stack) == 0


@pytest.mark.parametrize("text", ["sort=-x", "align", "align="])
def test_options_without_a_step_are_refused(text: str) -> None:
    with pytest.raises(CliError, match="expected STEP=OPTIONS, with a STEP of align, call"):
        run.parse_args([text])


@pytest.mark.parametrize(
    ("tags", "aligner", "args", "message"),
    [
        ("bwa:none", "bwa", None, "Stack seqdrop has no image of bwa yet"),
        ("", "bwa", None, "Reference hg has no index for bwa"),
        ("", "bwa", {"align": ["--seed-length", "12"]}, "--args: options of align: bwa has no option --seed-length"),
    ],
)
def test_a_tool_that_the_run_cannot_use_is_refused_before_the_upload(
    stack: Stack, request_s1: RunRequest, tags: str, aligner: str, args: dict[str, list[str]] | None, message: str
) -> None:
    outputs = {**stack.outputs, "ImageTags": f"{stack['ImageTags']} {tags}"}
    object.__setattr__(stack, "outputs", outputs)
    with pytest.raises(CliError, match=message):
        run.run_pipeline(stack, replace(request_s1, aligner=aligner, args=args))
    assert uploaded_versions(stack) == 0


def test_the_files_of_a_run_carry_its_tools_and_its_id_has_them(stack: Stack, request_s1: RunRequest) -> None:
    stored = next(upload.destinations(stack, request_s1.fastqs, "", {})).upload_missing(stack, {})
    ids = {
        upload.run_id(stack, request_s1.fastqs, stored, Choices(reference="hg", aligner=aligner), genome="")
        for aligner in ("", "bwa_mem3", "bwa")
    }
    assert len(ids) == 2, "the default of the stack, chosen or not, is the same run"
    request = replace(request_s1, aligner="bwa", caller="strelka")
    assert request.choices.to_metadata() == {"seqdrop-aligner": "bwa", "seqdrop-caller": "strelka"}


@pytest.mark.parametrize("default", ["", "bam", "cram"])
def test_the_id_of_a_run_has_the_format_of_its_aligned_reads(
    stack: Stack, request_s1: RunRequest, default: str
) -> None:
    if default:  # else a stack of a version without this output
        object.__setattr__(stack, "outputs", {**stack.outputs, "AlignmentFormat": default})
    stored = next(upload.destinations(stack, request_s1.fastqs, "", {})).upload_missing(stack, {})
    ids = {
        form: upload.run_id(stack, request_s1.fastqs, stored, Choices("hg", alignment_format=form), genome="")
        for form in ("", "bam", "cram")
    }
    assert ids["bam"] != ids["cram"]
    assert ids[""] == ids[default or "bam"]
    request = replace(request_s1, alignment_format="cram")
    assert request.choices.to_metadata() == {"seqdrop-alignment-format": "cram"}
    assert replace(request_s1, max_cost="12.5").choices.to_metadata() == {"seqdrop-max-cost": "12.5"}


@pytest.mark.parametrize(
    ("name", "metadata"), [("S1_S1_L001_R{}_001.fastq.gz", {"seqdrop-lanes": "1"}), ("S1_R{}.fq", {})]
)
def test_a_lane_in_the_file_names_does_not_wait_for_others(tmp_path: Path, name: str, metadata: dict[str, str]) -> None:
    for mate in (1, 2):
        (tmp_path / name.format(mate)).write_bytes(b"reads")
    request = RunRequest(Fastqs.of([tmp_path / name.format(mate) for mate in (1, 2)], None), None)
    assert request.metadata == metadata
