"""`seqdrop fetch`, and the table of samples with prices and times of earlier runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from seqdrop_cli import download, fetch, planned
from seqdrop_cli.errors import CliError
from seqdrop_cli.planned import Planned
from seqdrop_cli.stack import Stack
from support import cli_aws

TOOLS = {"reference": "hg", "aligner": "bwa_mem3", "caller": "bcftools"}


RUNS = (("a1", "S1", "SUCCEEDED", 1), ("b2", "S1", "INCOMPLETE", 2), ("c3", "S2", "FAILED", 3))


@pytest.fixture
def stack() -> Iterator[Stack]:
    """Three runs: two of S1 with results, one of S2 that failed."""
    with cli_aws.stack() as stack:
        for run, sample, status, hour in RUNS:
            times = {"started": f"2026-03-01T0{hour}:00:00Z", "finished": f"2026-03-01T0{hour}:30:00Z"}
            results = f"s3://results/{sample}/{run}"
            row = {"run": run, "sample": sample, "status": status, "results": results, "cost": "3.00", **TOOLS, **times}
            row["fastq_bytes"] = 1_000_000_000
            stack.table.put_item(Item=row)
            for name in ("S1.bam", "S1.vcf.gz", "S1.g.vcf.gz", "S1.annotated.vcf.gz.tbi", "S1.report.html"):
                stack.s3.put_object(Bucket="results", Key=f"{sample}/{run}/{name}", Body=name.encode())
        yield stack


def selected(stack: Stack, text: str | None, *, every: bool = False) -> list[str]:
    return [str(row["run"]) for row in fetch.select(stack, text, every=every)]


def test_a_run_or_the_newest_of_a_sample_or_all_runs_are_selected(stack: Stack) -> None:
    assert selected(stack, "S1") == ["b2"]
    assert selected(stack, "a") == ["a1"]
    assert selected(stack, None, every=True) == ["b2", "a1"]


@pytest.mark.parametrize(
    ("text", "every", "message"),
    [
        (None, False, "Give a RUN or a SAMPLE, or --all"),
        ("S1", True, "Give a RUN or a SAMPLE, or --all"),
        ("c3", False, "Run c3 has no results: FAILED"),
        ("S9", False, "Stack seqdrop has no run or sample S9"),
    ],
)
def test_what_has_no_results_is_an_error(stack: Stack, text: str | None, every: bool, message: str) -> None:
    with pytest.raises(CliError, match=message):
        fetch.select(stack, text, every=every)


def test_only_some_kinds_of_files_are_downloaded(stack: Stack, tmp_path: Path) -> None:
    fetch.fetch(stack, fetch.select(stack, "a1", every=False), tmp_path, download.parse_kinds("vcf, report"))
    names = sorted(path.name for path in (tmp_path / "S1/a1").iterdir())
    assert names == ["S1.annotated.vcf.gz.tbi", "S1.report.html", "S1.vcf.gz"]
    with pytest.raises(CliError, match="--only fastq: expected some of bam, vcf, gvcf, report, manifest"):
        download.parse_kinds("vcf,fastq")


def test_aligned_reads_are_one_kind_in_both_formats(stack: Stack, tmp_path: Path) -> None:
    for suffix in ("cram", "cram.crai", "cram.md5"):
        stack.s3.put_object(Bucket="results", Key=f"S1/a1/S1.{suffix}", Body=suffix.encode())
    fetch.fetch(stack, fetch.select(stack, "a1", every=False), tmp_path, download.parse_kinds("bam"))
    names = sorted(path.name for path in (tmp_path / "S1/a1").iterdir())
    assert names == ["S1.bam", "S1.cram", "S1.cram.crai", "S1.cram.md5"]


def test_a_run_that_cannot_be_downloaded_does_not_stop_the_others(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "S1").mkdir()
    (tmp_path / "S1/b2").write_text("a file")
    with pytest.raises(CliError, match="Not downloaded:\n  b2: "):
        fetch.fetch(stack, fetch.select(stack, None, every=True), tmp_path)
    assert (tmp_path / "S1/a1/S1.bam").is_file()


def test_the_plan_has_price_and_time_of_earlier_runs_of_the_same_tools(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [Planned("N1", ["L001", "L002"], 2_000_000_000, **TOOLS), Planned("N2", [""], 1_000_000, **TOOLS)]
    planned.show(stack, [*rows, Planned("N3", [""], 12, "hg", "bwa", "bcftools")])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "sample lanes size reference tools price time"
    assert lines[1] == "N1 L001, L002 2 GB hg bwa_mem3, bcftools $6.00 1 h 00 min"
    assert lines[2] == "N2 1 MB hg bwa_mem3, bcftools < $0.01 2 s"
    assert lines[3] == "N3 12 B hg bwa, bcftools ? ?"
    assert lines[4] == "3 samples, 2 GB; price and time: estimated from 1 earlier run of another form or format"


def test_without_a_terminal_nothing_is_started_unless_yes_is_given() -> None:
    planned.confirm(yes=True)
    with pytest.raises(CliError, match="give --yes to run these samples"):
        planned.confirm(yes=False)
