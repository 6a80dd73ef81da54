"""`seqdrop report`: MultiQC is a fake program, which keeps what it was given; the real one was tried by hand."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli import many_report
from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack
from support import cli_aws

MULTIQC = """#!{python}
import json, pathlib, shutil, sys
words = sys.argv[1:]
folder = pathlib.Path(words[words.index("--outdir") + 1])
sources = pathlib.Path(words[-1])
config = json.loads(pathlib.Path(words[words.index("--config") + 1]).read_text())
names = sorted(path.name for path in sources.iterdir())
(folder / "given.json").write_text(json.dumps([words, config, names]))
if "BROKEN" in config["custom_data"]["runs"]["data"]:
    sys.exit("No analysis results found")
(folder / "report.html").write_text("<html>")
"""
FIGURES = ("S1.stats.txt", "S1.vcf.gz.stats", "S1.stats.txt.mosdepth.global.dist.txt", "S1.vcf.gz", "S1.bam")


def row(sample: str, status: str = "SUCCEEDED", **more: Any) -> dict[str, Any]:
    run = f"{sample.lower():0<20}"
    started = more.pop("started", "2026-03-02T10:00:00Z")
    return {"run": run, "sample": sample, "status": status, "started": started, **more}


@pytest.fixture
def stack() -> Iterator[Stack]:
    with cli_aws.stack() as stack:
        for name in FIGURES:
            stack.s3.put_object(Bucket="results", Key=f"S1/r/{name}", Body=name.encode())
        yield stack


@pytest.fixture
def multiqc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the fake program; return the folder for the page."""
    program = tmp_path / "bin/multiqc"
    program.parent.mkdir()
    program.write_text(MULTIQC.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return tmp_path / "page"


def test_the_runs_of_a_page_are_those_that_were_asked_for_failed_ones_first() -> None:
    rows = [
        row("A"),
        row("B", warnings=["w"], started="2026-03-05T10:00:00Z"),
        row("C", "QC_FAILED"),
        row("D", "FAILED"),
        row("W", "WAITING"),
    ]
    chosen = [one["sample"] for one in many_report.select(rows, [], "", every=True)]
    assert chosen == ["D", "C", "B", "A"]
    assert [one["sample"] for one in many_report.select(rows, ["A", "C"], "", every=False)] == ["C", "A"]
    assert [one["sample"] for one in many_report.select(rows, [], "2026-03-05", every=False)] == ["B"]


@pytest.mark.parametrize(
    ("samples", "since", "every", "message"),
    [
        ([], "", False, "Give samples, or --since TIME, or --all"),
        (["A"], "", True, "Give samples, or --since TIME, or --all"),
        ([], "yesterday", False, "expected a time such as 2d"),
        (["A", "X"], "", False, "No run of these samples was found: X"),
        ([], "2027-01-01", False, "No run found"),
    ],
)
def test_a_choice_without_runs_is_refused(samples: list[str], since: str, every: bool, message: str) -> None:
    with pytest.raises(CliError, match=message):
        many_report.select([row("A")], samples, since, every=every)


def test_multiqc_gets_the_figures_and_the_table_of_all_runs(
    stack: Stack, multiqc: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warned = ["compose: depth < 10", "call: few"]
    good = row("S1", results="s3://results/S1/r", reads=42_000, variants=3, cost="0.01", warnings=warned)
    failed = row("S2.trimmed", "FAILED", message="<script>alert(1)</script>")
    assert many_report.build(stack, [failed, good], multiqc) == multiqc / "report.html"
    words, config, names = json.loads((multiqc / "given.json").read_text())
    assert {"--no-ai", "--no-version-check", "--no-megaqc-upload"} <= set(words)
    assert [name for name in names if name.startswith("S")] == [
        "S1.bcftools_stats.txt",
        "S1.mosdepth.global.dist.txt",
        "S1.samtools_stats.txt",
    ]
    runs = config["custom_data"]["runs"]
    assert list(runs["data"]) == ["S2.trimmed", "S1"]
    assert runs["data"]["S2.trimmed"]["message"] == "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert runs["data"]["S1"]["message"] == "compose: depth &lt; 10; call: few"
    assert (runs["data"]["S1"]["reads"], runs["pconfig"]["sort_rows"]) == (42_000, False)
    assert (config["read_count_multiplier"], config["read_count_prefix"]) == (1e-3, "k")
    assert "S2.trimmed" in capsys.readouterr().out  # without figures


@pytest.mark.parametrize(("reads", "prefix"), [(500, ""), (20_000, "k"), (600_000_000, "M")])
def test_the_unit_of_reads_fits_the_largest_run(reads: int, prefix: str) -> None:
    names = many_report.name_rows([row("A", reads=10), row("B", reads=reads)])
    assert many_report.configuration(names, Path("x"))["read_count_prefix"] == prefix


def test_two_runs_of_a_sample_have_names_of_their_own() -> None:
    again = {**row("A"), "run": "b" * 20}
    assert list(many_report.name_rows([row("A"), again, row("C")])) == [f"A.{row('A')['run']}", f"A.{'b' * 20}", "C"]


def test_a_failure_of_multiqc_is_reported(stack: Stack, multiqc: Path) -> None:
    with pytest.raises(CliError, match="MultiQC failed: No analysis results found"):
        many_report.build(stack, [row("BROKEN")], multiqc)


def test_without_multiqc_its_installation_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(CliError, match=re.escape("`uv tool install multiqc==1.35`")):
        many_report.find_multiqc()
