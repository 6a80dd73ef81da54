"""Hostile file names"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from seqdrop.plan import fastq_names
from seqdrop.plan.names import printable
from seqdrop_cli.stack import Stack
from support.catalogue import case, more
from support.function_aws import Deployed, collect_logs
from support.hostile_names import HARMLESS, HOSTILE
from support.made_reads import fastq
from support.pipeline_runs import Sample, fetch, fetch_json, keys, run_pair

CANARY = Path("/tmp/seqdrop-canary")  # noqa: S108  a short path: the stem below is a sample id, of a limited length
# A file name cannot contain a slash, so the shell has to write it as an escape.
SHELL = "`touch $(printf '{}')`;'".format(str(CANARY).replace("/", "\\57"))
MAX_KEY = 1024  # bytes, the limit of S3
MARKUP = "=cmd|' calc'!A0<script>alert(1)"


def sample_of(stem: str) -> str:
    name = fastq_names.parse(f"{stem}_R1.fastq.gz")
    assert name
    return name.sample


def longest_key(folder: str, name: str) -> str:
    """Return a key of the maximum length, with a longer folder."""
    return f"{folder}{'x' * (MAX_KEY - len(f'{folder}/{name}'.encode()))}/{name}"


@case(
    happens="A key contains shell characters, `../`, line ends, characters that reverse the text direction, `=cmd|`, "
    "`<script>`, or has 1,024 bytes.",
    see="A run with a sample id of letters, digits, `.`, `_` and `-` only. A key without a valid sample id is shown as "
    "`IGNORED`.",
    does="Builds every address, header and command from the sample id, never from the key.",
)
@pytest.mark.parametrize("stem", HOSTILE)
def test_a_hostile_key_is_harmless_or_ignored(functions: Deployed, stem: str) -> None:
    functions.prepare()
    start_run = functions.load("start_run")
    key = f"PATIENT7/{stem}"
    with collect_logs() as log:
        start_run.call(functions.put(f"{key}_R1.fastq.gz", fastq(1)))
        (outcome,) = start_run.call(functions.put(f"{key}_R2.fastq.gz", fastq(2)))["outcomes"]
    if outcome["outcome"] == "ignored":
        rows = functions.rows()
        assert ([row["status"] for row in rows], functions.results()) == (["IGNORED"] * 2, {})
        assert all(row["message"].isprintable() and HARMLESS.fullmatch(row["sample"]) for row in rows)
        return
    (row,) = functions.rows()
    assert HARMLESS.fullmatch(row["sample"])
    folder = f"{row['sample']}/{row['run']}"
    assert set(functions.results()) == {f"{folder}/reads.json", f"{folder}/reference.json"}
    plan = json.loads(functions.input_of(row["run"]))
    assert {plan["sample"], plan["run"]} == {row["sample"], row["run"]}
    assert "PATIENT7" not in log.getvalue()


@more
def test_a_key_of_1024_bytes_starts_a_run(functions: Deployed) -> None:
    functions.prepare()
    start_run = functions.load("start_run")
    one, two = (longest_key("Köln/", f"S_R{mate}.fastq.gz") for mate in (1, 2))
    assert len(one.encode()) == MAX_KEY
    start_run.call(functions.put(one, fastq(1)))
    assert [result["outcome"] for result in start_run.call(functions.put(two, fastq(2)))["outcomes"]] == ["started"]
    [row] = functions.rows()
    reads = json.loads(functions.results()[f"S/{row['run']}/reads.json"])
    assert [reads["lanes"][0][mate]["uri"].partition("/Köln/")[2] for mate in ("fastq_1", "fastq_2")] == [
        key.removeprefix("Köln/") for key in (one, two)
    ]


@more
def test_a_name_of_1024_bytes_is_ignored_with_a_row(functions: Deployed) -> None:
    key = "x" * (MAX_KEY - len("_R1.fastq.gz")) + "_R1.fastq.gz"
    start_run = functions.load("start_run")
    assert [result["outcome"] for result in start_run.call(functions.put(key, fastq(1)))["outcomes"]] == ["ignored"]
    assert [(row["status"], row["sample"]) for row in functions.rows()] == [("IGNORED", "x" * 64)]
    assert functions.results() == {}


@case(
    happens="The name of a waiting file or of a refused pair contains line ends, terminal escapes or characters that "
    "reverse the text direction.",
    see="The name on one line, with `_` for each of these characters.",
    does="Replaces non-printable characters in every text for users.",
)
def test_a_name_with_line_ends_is_shown_on_one_line(functions: Deployed) -> None:
    functions.prepare()
    start_run = functions.load("start_run")
    folder = "a\x1b[2J\u202e\n- Sample X is done/"
    start_run.call(functions.put(f"{folder}S_R1.fastq.gz", fastq(1)))
    (row,) = functions.rows()
    assert printable(f"{folder}S_R2.fastq.gz") in row["message"]
    assert row["message"].isprintable()
    for mate in (1, 2):
        event = functions.put(f"S\x1b[2J\u202e- done_R{mate}.fastq.gz", fastq(1))
    (result,) = start_run.call(event)["outcomes"]
    row = functions.row(result["run"]) or {}
    assert (row["class"], row["message"]) == (
        "BAD_INPUT.SAME_FILE",
        "S_[2J_- done_R1.fastq.gz and S_[2J_- done_R2.fastq.gz contain the same reads",
    )


@case(
    happens="A key contains blanks, `+`, umlauts, quotes or shell commands.",
    see="`SUCCEEDED`, and the warning `SAMPLE_ID`: other names give the same sample id (`Müller` and `Möller`).",
    does="Starts every program with a list of arguments. No shell reads a name.",
    do="Compare the file names in `reads.json` with the sample. Rename FASTQs of people before you upload them.",
)
@pytest.mark.parametrize(
    ("folder", "stem", "name"),
    [
        ("March run + repeats (Köln)", "Müller 7", "M_ller_7"),
        (f"$(touch {CANARY})`touch {CANARY}`", f'{SHELL}"', sample_of(f'{SHELL}"')),
    ],
    ids=["umlauts", "shell"],
)
def test_a_run_with_an_unusual_key_succeeds(stack: Stack, sample: Sample, folder: str, stem: str, name: str) -> None:
    CANARY.unlink(missing_ok=True)
    row = run_pair(stack, sample.small_pair, name, key=f"{folder}/{stem}_R{{mate}}.fastq.gz")
    assert row["status"] == "SUCCEEDED", row
    assert f"{name}.bam" in keys(stack, row)
    assert any(
        warning.startswith(f"align: the sample id {name} was made from a file name") for warning in row["warnings"]
    )
    [lane] = fetch_json(stack, row, "reads.json")["lanes"]
    assert lane["fastq_1"]["uri"].endswith(f"{folder}/{stem}_R1.fastq.gz")
    assert not CANARY.exists()


@more
def test_a_shell_that_reads_the_name_creates_the_canary_file() -> None:
    """Shows that the test above can fail."""
    CANARY.unlink(missing_ok=True)
    subprocess.run(["sh", "-c", f'echo "{SHELL}"'], check=True, capture_output=True)
    assert CANARY.exists()
    CANARY.unlink()


@case(
    happens="A key of 1,024 bytes contains code that a browser (`<script>`) or a spreadsheet (`=cmd|`) would run.",
    see="`SUCCEEDED`, and a report without this code.",
    does="Shows the sample id in the report, never the key.",
)
def test_the_report_contains_no_code_of_a_hostile_key(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    name, key = sample_of(MARKUP), longest_key("=cmd|' /C calc'!A0/<script>alert(2)</script>", f"{MARKUP}_R1.fastq.gz")
    row = run_pair(stack, sample.small_pair, name, key=key.replace("_R1", "_R{mate}"))
    assert row["status"] == "SUCCEEDED", row
    for kind in ("report.html", "report.html.json", "stats.txt", "annotated.vcf.gz.csv"):
        text = fetch(stack, row, f"{name}.{kind}", tmp_path).read_text()
        assert name in text or kind != "report.html"
        for trace in ("alert(1)", "alert(2)", "=cmd|", "/C calc", "!A0"):
            assert trace not in text
