"""24 samples with one command, one sheet or one sync: 24 runs, none twice. The jobs only write receipts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli import costs, fetch, folders, many, many_report, submit
from seqdrop_cli.errors import CliError
from seqdrop_cli.run import RunRequest
from seqdrop_cli.stack import Stack
from support import quick_stacks
from support.made_reads import fastq
from support.pipeline_runs import eventually, is_recorded, upload

SAMPLES = 24
DATA = Path(os.environ.get("SEQDROP_DATA", "/nonexistent"))
WILD = DATA / "awkward/in_the_wild"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("aws")
    with pytest.MonkeyPatch.context() as patch, quick_stacks.deploy_quick(folder, patch) as stack:
        yield stack


def write_samples(folder: Path, kind: str) -> Path:
    """Write the FASTQs of 24 samples, each with another lane of reads; every third one has two lanes."""
    for number in range(SAMPLES):
        for lane in range(1, 3 if number % 3 == 0 else 2):
            for mate in (1, 2):
                name = f"{kind}{number:02}_S{number + 1}_L00{lane}_R{mate}_001.fastq.gz"
                (folder / name).write_bytes(fastq(mate, 4 + number, lane=lane))
    return folder


def rows(stack: Stack, kind: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = stack.table.scan(ConsistentRead=True)["Items"]
    return [row for row in items if row.get("sample", "").startswith(kind)]


def check(stack: Stack, kind: str) -> None:
    """Assert that each sample has one run, and no other row, and that every run succeeded."""
    eventually(lambda: len(found := rows(stack, kind)) == SAMPLES and all(map(is_recorded, found)), f"runs of {kind}")
    assert Counter(row["status"] for row in rows(stack, kind)) == {"SUCCEEDED": SAMPLES}
    assert sorted(row["sample"] for row in rows(stack, kind)) == [f"{kind}{number:02}" for number in range(SAMPLES)]
    executions = [row["execution"].rpartition(":")[2] for row in rows(stack, kind)]
    assert sorted(executions) == sorted(str(row["run"]) for row in rows(stack, kind))


def test_a_plain_sync_of_24_samples_starts_24_runs(stack: Stack, tmp_path: Path) -> None:
    files = sorted(write_samples(tmp_path, "SYNC").iterdir())
    for path in files:
        upload(stack, path, f"sync/{path.name}")
    check(stack, "SYNC")
    lanes = Counter(row["lanes"] for row in rows(stack, "SYNC"))
    assert lanes == {1: 16, 2: 8}


def test_a_folder_of_24_samples_starts_24_runs_and_fetches_their_results(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    samples = folders.group([write_samples(tmp_path / "in", "DIR")])
    request = RunRequest(samples[0], None, results=tmp_path / "out")
    for _ in range(2):
        many.run_all(stack, request, samples)
    check(stack, "DIR")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"DIR{n:02}" for n in range(SAMPLES)]
    recorded = {row["sample"]: row for row in rows(stack, "DIR")}
    chosen = many_report.select(rows(stack, "DIR"), [], "", every=True)
    table = many_report.table_of(many_report.name_rows(chosen))["data"]  # of `seqdrop report --all`
    assert table.keys() == recorded.keys()
    for key in ("reads", "variants", "cost"):
        assert {name: cells[key] for name, cells in table.items()} == {
            name: float(row[key]) if key in row else "" for name, row in recorded.items()
        }
    by_sample = costs.show(chosen, costs.read(stack, chosen), "sample")["by"]["sample"]
    prices = {name: float(group["usd"]) for name, group in by_sample.items()}
    assert prices == {name: pytest.approx(float(row["cost"]), abs=1e-6) for name, row in recorded.items()}
    assert sum(prices.values()) > 0
    [row] = fetch.select(stack, "DIR07", every=False)
    fetch.fetch(stack, [row], tmp_path / "again", ["manifest"])
    assert [path.name for path in (tmp_path / f"again/DIR07/{row['run']}").iterdir()] == ["manifest.json"]


def test_a_sheet_of_24_samples_starts_24_runs_and_nothing_twice(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_samples(tmp_path, "FILE")
    lines = ["patient,sex,status,sample,lane,fastq_1,fastq_2"]
    for path in sorted(tmp_path.glob("*_R1_001.fastq.gz")):
        number, lane = path.name[4:6], path.name.split("_")[2]
        lines.append(f"P{number},NA,0,SHEET{number},{lane},{path.name},{path.name.replace('_R1_', '_R2_')}")
    (tmp_path / "sheet.csv").write_text("\r\n".join(lines))
    for _ in range(2):
        submit.submit(stack, tmp_path / "sheet.csv", "batch", dry_run=False, yes=True)
    assert capsys.readouterr().out.count("SHEET07: run ") == 2
    check(stack, "SHEET")
    assert rows(stack, "FILE") == []
    (tmp_path / "sheet.csv").write_text("\r\n".join([*lines, "P,XZ,0,SHEET99,L001,a_1.fq,a_2.fq"]))
    with pytest.raises(CliError, match="line 34, column sex: 'XZ' is not one of XX, XY, NA") as raised:
        submit.submit(stack, tmp_path / "sheet.csv", "batch", dry_run=False, yes=True)
    assert raised.value.code == 65
    assert len(rows(stack, "SHEET")) == SAMPLES


@pytest.mark.skipif(not WILD.is_dir(), reason="SEQDROP_DATA is not a folder with public reads")
@pytest.mark.parametrize(
    ("name", "groups"),
    [
        (
            "hartwig_panel",
            {f"CPCT12345678{kind}_{cell}": n for kind in "RT" for cell, n in (("AHHKYHDSXX", 4), ("HJJLGCCXX", 1))},
        ),
        ("sarek_tiny", {"tiny_n": 5, "tiny_t": 6}),
    ],
)
def test_files_in_the_wild_are_grouped_by_sample(stack: Stack, name: str, groups: dict[str, int]) -> None:
    samples = {one.sample: len(one.lanes) for one in folders.group([WILD / name])}
    assert samples == groups
    for path in sorted((WILD / name).glob("*.fastq.gz"), reverse=True):
        upload(stack, path, f"{name}/{path.name}")
    found = lambda: {row["sample"]: row for start in groups for row in rows(stack, start)}  # noqa: E731
    eventually(lambda: len(found()) == len(groups) and all(map(is_recorded, found().values())), f"the runs of {name}")
    assert {sample: row["lanes"] for sample, row in found().items()} == groups
