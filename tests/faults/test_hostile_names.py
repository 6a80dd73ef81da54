"""Names that mean harm"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import pytest
from seqdrop.plan import fastq_names
from seqdrop.plan.names import printable
from seqdrop_cli.stack import Stack
from support.catalogue import case, more
from support.function_aws import Deployed, logged
from support.hostile_names import HARMLESS, HOSTILE
from support.made_reads import fastq
from support.pipeline_runs import Sample, drop, ended, fetch, fetch_json, keys

CANARY = Path(tempfile.gettempdir()) / "seqdrop-canary"
# No name of a file has a slash, so a shell that reads it must make one.
SHELL = "`touch $(printf '{}')`;'".format(str(CANARY).replace("/", "\\57"))
LONGEST = 1024  # bytes of a key, as S3 allows
MARKUP = "=cmd|' calc'!A0<script>alert(1)"


def sample_of(stem: str) -> str:
    found = fastq_names.parse(f"{stem}_R1.fastq.gz")
    assert found
    return found.sample


def of_length(folder: str, name: str) -> str:
    """A key as long as a key can be."""
    return f"{folder}{'x' * (LONGEST - len(f'{folder}/{name}'.encode()))}/{name}"


@case(
    happens="A key has shell characters, `../`, line ends, marks that turn text, `=cmd|`, `<script>` or 1,024 bytes.",
    see="A run whose sample id has only letters, digits, `.`, `_` and `-`; or nothing, where no such id can be made.",
    does="Makes every address, every header and every command from that id, never from the key.",
)
@pytest.mark.parametrize("stem", HOSTILE)
def test_a_hostile_key_is_harmless_or_ignored(functions: Deployed, stem: str) -> None:
    functions.prepare()
    start_run = functions.load("start_run")
    key = f"PATIENT7/{stem}"
    with logged() as log:
        start_run.call(functions.put(f"{key}_R1.fastq.gz", fastq(1)))
        (outcome,) = start_run.call(functions.put(f"{key}_R2.fastq.gz", fastq(2)))["outcomes"]
    if outcome["outcome"] == "ignored":
        assert (functions.rows(), functions.results()) == ([], {})
        return
    (row,) = functions.rows()
    assert HARMLESS.fullmatch(row["sample"])
    (written,) = functions.results()
    assert written == f"{row['sample']}/{row['run']}/reads.json"
    plan = json.loads(functions.input_of(row["run"]))
    assert {plan["sample"], plan["run"]} == {row["sample"], row["run"]}
    assert "PATIENT7" not in log.getvalue()


@more
def test_a_key_of_1024_bytes_starts_a_run(functions: Deployed) -> None:
    functions.prepare()
    start_run = functions.load("start_run")
    one, two = (of_length("Köln/", f"S_R{mate}.fastq.gz") for mate in (1, 2))
    assert len(one.encode()) == LONGEST
    start_run.call(functions.put(one, fastq(1)))
    assert [found["outcome"] for found in start_run.call(functions.put(two, fastq(2)))["outcomes"]] == ["started"]
    [row] = functions.rows()
    reads = json.loads(functions.results()[f"S/{row['run']}/reads.json"])
    assert [reads["lanes"][0][mate]["uri"].partition("/Köln/")[2] for mate in ("fastq_1", "fastq_2")] == [
        key.removeprefix("Köln/") for key in (one, two)
    ]


@more
def test_a_name_of_1024_bytes_is_ignored(functions: Deployed) -> None:
    key = "x" * (LONGEST - len("_R1.fastq.gz")) + "_R1.fastq.gz"
    start_run = functions.load("start_run")
    assert [found["outcome"] for found in start_run.call(functions.put(key, fastq(1)))["outcomes"]] == ["ignored"]
    assert (functions.rows(), functions.results()) == ([], {})


@case(
    happens="A lone mate, or a refused pair, has a name with line ends, escapes or marks that turn text round.",
    see="The name with `_` in their place, on one line.",
    does="Shows people no character that no printer prints.",
)
def test_a_name_that_would_forge_a_line_is_shown_as_one(functions: Deployed) -> None:
    functions.prepare()
    start_run = functions.load("start_run")
    folder = "a\x1b[2J\u202e\n- Sample X is done/"
    start_run.call(functions.put(f"{folder}S_R1.fastq.gz", fastq(1)))
    (row,) = functions.rows()
    assert printable(f"{folder}S_R1.fastq.gz") in row["message"]
    assert row["message"].isprintable()
    for mate in (1, 2):
        told = functions.put(f"S\x1b[2J\u202e- done_R{mate}.fastq.gz", fastq(1))
    (refused,) = start_run.call(told)["outcomes"]
    row = functions.row(refused["run"]) or {}
    assert (row["class"], row["message"]) == (
        "BAD_INPUT.SAME_FILE",
        "S_[2J_- done_R1.fastq.gz and S_[2J_- done_R2.fastq.gz contain the same reads",
    )


@case(
    happens="A key has blanks, `+`, umlauts, quotes or the words of a shell.",
    see="A run like any other.",
    does="Runs every program with a list of words; no shell ever reads a name.",
)
@pytest.mark.parametrize(
    ("folder", "stem", "name"),
    [
        ("March run + repeats (Köln)", "Müller 7", "M_ller_7"),
        (f"$(touch {CANARY})`touch {CANARY}`", f'{SHELL}"', sample_of(f'{SHELL}"')),
    ],
    ids=["umlauts", "shell"],
)
def test_a_strange_name_runs_well(stack: Stack, sample: Sample, folder: str, stem: str, name: str) -> None:
    CANARY.unlink(missing_ok=True)
    for mate, path in enumerate(sample.few, 1):
        drop(stack, path, f"{folder}/{stem}_R{mate}.fastq.gz")
    row = ended(stack, name)
    assert row["status"] == "SUCCEEDED", row
    assert f"{name}.bam" in keys(stack, row)
    [lane] = fetch_json(stack, row, "reads.json")["lanes"]
    assert lane["fastq_1"]["uri"].endswith(f"{folder}/{stem}_R1.fastq.gz")
    assert not CANARY.exists()


@more
def test_a_shell_that_reads_the_name_wakes_the_canary() -> None:
    """Or the test above could not fail."""
    CANARY.unlink(missing_ok=True)
    subprocess.run(["sh", "-c", f'echo "{SHELL}"'], check=True, capture_output=True)
    assert CANARY.exists()
    CANARY.unlink()


@case(
    happens="A key holds what a browser would run (`<script>`) or a spreadsheet (`=cmd|`), and is 1,024 bytes long.",
    see="A run like any other, and a report with no trace of it.",
    does="Shows the sample id in the report, never the key.",
)
def test_what_a_browser_would_run_is_not_in_the_report(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    for mate, path in enumerate(sample.few, 1):
        drop(stack, path, of_length("=cmd|' /C calc'!A0/<script>alert(2)</script>", f"{MARKUP}_R{mate}.fastq.gz"))
    name = sample_of(MARKUP)
    row = ended(stack, name)
    assert row["status"] == "SUCCEEDED", row
    for kind in ("report.html", "report.html.json", "stats.txt", "annotated.vcf.gz.csv"):
        text = fetch(stack, row, f"{name}.{kind}", tmp_path).read_text()
        assert name in text or kind != "report.html"
        for trace in ("alert(1)", "alert(2)", "=cmd|", "/C calc", "!A0"):
            assert trace not in text
