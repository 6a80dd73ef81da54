"""Names that mean harm"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from catalogue import case
from function_aws import Deployed, logged
from made_reads import fastq
from pipeline_runs import Sample, drop, ended, fetch_json, keys
from seqdrop import layout
from seqdrop_cli.stack import Stack
from test_layout_properties import HARMLESS, HOSTILE

CANARY = Path(tempfile.gettempdir()) / "seqdrop-canary"


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
    assert layout.shown(f"{folder}S_R1.fastq.gz") in row["message"]
    assert row["message"].isprintable()


@case(
    happens="A key has blanks, `+`, umlauts, quotes or the words of a shell.",
    see="A run like any other.",
    does="Runs every program with a list of words; no shell ever reads a name.",
)
@pytest.mark.parametrize(
    ("folder", "stem", "name"),
    [
        ("March run + repeats (Köln)", "Müller 7", "M_ller_7"),
        (f"$(touch {CANARY})", f"`touch {CANARY.name}`;'\"", "touch_seqdrop-canary_"),
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
