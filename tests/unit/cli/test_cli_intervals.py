"""seqdrop_cli.intervals: the BED file of `seqdrop run --intervals`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from seqdrop.plan import bed
from seqdrop.plan.choices import Choices
from seqdrop_cli import intervals
from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack
from support import cli_aws

BED = "chr1\t0\t50\n"


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "panel.bed").write_text(BED)
    (tmp_path / "folder").mkdir()
    with cli_aws.stack() as stack:
        cli_aws.write_json(stack, "references", "hg/reference.json", {"contigs": [{"name": "chr1", "length": 100}]})
        yield stack


def stored(stack: Stack) -> list[str]:
    return [entry["Key"] for entry in stack.s3.list_objects_v2(Bucket="references")["Contents"]]


def test_a_file_of_this_machine_is_uploaded_once(stack: Stack) -> None:
    first = intervals.resolve(stack, "panel.bed", "hg")
    assert first == intervals.resolve(stack, "./panel.bed", "hg")
    assert (first[0], stored(stack)) == ("panel.bed", ["hg/panel.bed", "hg/reference.json"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/nowhere/panel.bed", "/nowhere/panel.bed: no such file, or it is a directory."),
        ("./other.bed", "other.bed: no such file, or it is a directory."),
        ("folder/", "folder: no such file, or it is a directory."),
        ("other.bed", "other.bed is not beside reference hg: upload it to s3://references/hg/other.bed."),
        ("my panel.bed", "'my panel.bed': rename the BED file to at most 64 letters, digits, '.', '_' and '-'."),
    ],
)
def test_intervals_that_do_not_exist_are_refused(stack: Stack, text: str, message: str) -> None:
    with pytest.raises(CliError) as raised:
        intervals.resolve(stack, text, "hg")
    assert (str(raised.value), stored(stack)) == (message, ["hg/reference.json"])


def test_a_file_with_other_regions_than_that_beside_the_reference_is_refused(stack: Stack) -> None:
    intervals.resolve(stack, "panel.bed", "hg")
    Path("panel.bed").write_text("chr1\t10\t50\n")
    with pytest.raises(CliError, match=r"hg/panel\.bed has other regions than panel\.bed"):
        intervals.resolve(stack, "panel.bed", "hg")


def test_a_panel_is_that_of_the_reference_with_its_padding(stack: Stack) -> None:
    panel = {"padding": 50, "sha256": bed.checksum(BED.encode())}
    summary = {"contigs": [{"name": "chr1", "length": 100}], "panels": {"exome": panel}}
    cli_aws.write_json(stack, "references", "hg/reference.json", summary)
    stack.s3.put_object(Bucket="references", Key="hg/genome.fa.panel.exome.bed", Body=BED.encode())
    chosen = Choices("hg", panel="exome"), f"{panel['sha256']}+50"
    assert intervals.pin(stack, Choices("hg", panel="exome")) == chosen
    assert intervals.pin(stack, Choices("hg", panel="none")) == (Choices("hg"), "")
    assert intervals.pin(stack, Choices("hg", "panel.bed"))[0] == Choices("hg", "panel.bed")
    object.__setattr__(stack, "outputs", {**stack.outputs, "DefaultPanel": "exome"})
    assert intervals.pin(stack, Choices("hg")) == chosen
    with pytest.raises(CliError) as raised:
        intervals.pin(stack, Choices("hg", panel="heart"))
    assert str(raised.value) == (
        "Reference hg has no panel heart (it has: exome): `seqdrop reference --name hg --panel heart=FILE.bed "
        "--stack seqdrop` adds it."
    )
