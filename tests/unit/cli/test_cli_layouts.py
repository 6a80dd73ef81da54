"""Single-end, interleaved and unaligned files on the command line and in sheets of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from seqdrop.plan import layout
from seqdrop.plan.choices import Choices
from seqdrop.runs.pairing import Pair
from seqdrop.storage import s3
from seqdrop_cli import folders, run, samplesheet, submit, upload
from seqdrop_cli.errors import CliError
from seqdrop_cli.fastqs import Fastqs
from seqdrop_cli.run import RunRequest
from seqdrop_cli.stack import Stack
from support import cli_aws
from support.made_reads import to_bam

ALONE, R1 = 0x4, 0x4D
FORMS = {".bam": "bam", ".cram": "cram"}


@pytest.fixture
def stack() -> Iterator[Stack]:
    with cli_aws.stack() as stack:
        s3.store.cache_clear()
        yield stack


def write(folder: Path, *names: str, flag: int = ALONE) -> list[Path]:
    """Write files: BAM and CRAM with one record of this flag, others with their name."""
    paths = [folder / name for name in names]
    for path in paths:
        path.write_bytes(path.name.encode())
        if path.suffix in FORMS:
            place = "*\t0\t0\t*" if flag & ALONE else "c\t1\t60\t4M"
            sam = f"@SQ\tSN:c\tLN:9\nr\t{flag}\t{place}\t*\t0\t0\tACGT\tFFFF\n"
            path.write_bytes(to_bam(sam, FORMS[path.suffix]))
    return paths


GROUPS = {
    "single": (["A_L002.fq.gz", "A_L001.fq.gz"], "single", ("A", [("A_L001.fq.gz",), ("A_L002.fq.gz",)], "single")),
    "R1 alone": (["A_R1.fq.gz"], "single", ("A", [("A_R1.fq.gz",)], "single")),
    "interleaved": (["A.fq.gz"], "interleaved", ("A", [("A.fq.gz",)], "interleaved")),
    "interleaved by name": (["A_interleaved.fq.gz"], "", ("A", [("A_interleaved.fq.gz",)], "interleaved")),
    "BAM": (["A.unaligned.bam"], "", ("A", [("A.unaligned.bam",)], "single")),
    "CRAM": (["A.cram"], "paired", ("A", [("A.cram",)], "paired")),
    "pair": (["A_R2.fq.gz", "A_R1.fq.gz"], "", ("A", [("A_R1.fq.gz", "A_R2.fq.gz")], "")),
}


@pytest.mark.parametrize(("names", "chosen", "expected"), GROUPS.values(), ids=GROUPS)
def test_files_are_grouped_by_their_layout(
    tmp_path: Path, names: list[str], chosen: str, expected: tuple[str, list[tuple[str, ...]], str]
) -> None:
    paths = write(tmp_path, *names)
    [one] = folders.group(paths, chosen)
    assert (one.sample, list(one.names), one.layout) == expected
    assert folders.group([tmp_path], chosen) == [one]


WRONG = {
    "no layout": (["A.fq.gz"], "", ALONE, "for single-end or interleaved reads give --layout"),
    "a lone mate": (["A_R1.fq.gz"], "", ALONE, r"is missing \(single-end reads: --layout single\)"),
    "aligned": (["A.bam"], "", 0, "A.bam has alignments: read 1 is not an unaligned one"),
    "other flags": (["A.bam"], "paired", ALONE, "A.bam is single by the flags of its reads, not paired"),
    "interleaved BAM": (["A.bam"], "interleaved", R1, "a BAM or CRAM is single or paired"),
    "CRAM": (["A.cram"], "", R1, "give --layout single or --layout paired"),
    "both mates": (["A_R1.fq.gz", "A_R2.fq.gz"], "single", ALONE, "are of one lane"),
    "mixed": (
        ["A_L001_R1.fq.gz", "A_L001_R2.fq.gz", "A_L002.bam"],
        "",
        ALONE,
        "of one sample, but of different layouts",
    ),
}


@pytest.mark.parametrize(("names", "chosen", "flag", "message"), WRONG.values(), ids=WRONG)
def test_files_whose_layout_is_not_known_or_wrong_are_refused(
    tmp_path: Path, names: list[str], chosen: str, flag: int, message: str
) -> None:
    with pytest.raises(CliError, match=message):
        folders.group(write(tmp_path, *names, flag=flag), chosen)


def test_the_files_of_a_sample_id_get_names_with_lanes(tmp_path: Path) -> None:
    one = Fastqs.of(write(tmp_path, "x.fq.gz", "y.fastq"), "S", "single")
    assert (one.names, one.lanes, one.layout) == (
        (("S_L001.fq.gz",), ("S_L002.fastq",)),
        ["L001", "L002"],
        "single",
    )
    assert Fastqs.of(write(tmp_path, "z.bam", flag=R1), "S").names == (("S.bam",),)


@pytest.mark.parametrize(("name", "chosen"), [("A.fq.gz", "single"), ("A.fq.gz", "interleaved"), ("A.bam", "")])
def test_the_run_id_is_the_one_that_start_run_computes(stack: Stack, tmp_path: Path, name: str, chosen: str) -> None:
    [one] = folders.group(write(tmp_path, name), chosen)
    request = RunRequest(one, "hg")
    destination = next(upload.destinations(stack, one, "", request.metadata))
    stored = destination.upload_missing(stack, request.metadata)
    found = stack.store.head(stored[0].uri)
    assert found.metadata == {"seqdrop-reference": "hg", "seqdrop-layout": chosen or "single"}
    expected = layout.run_id("A", [Pair("", found).entry()], Choices("hg", layout=chosen or "single"), genome="f",
                             **stack.default_tools)  # fmt: skip
    assert upload.run_id(stack, one, stored, request.choices, genome="f") == expected


def test_a_sheet_states_the_layout_of_its_bams(tmp_path: Path, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.bam", flag=R1)
    write(tmp_path, "b.bam", "c.fq.gz")
    path = tmp_path / "sheet.csv"
    path.write_text("sample,bam,fastq_1,reference\nA,a.bam,,hg\nB,b.bam,,hg\nC,,c.fq.gz,hg\n")
    samples = samplesheet.read(path)
    files = dict(samplesheet.files_of(path, samples))
    monkeypatch.setattr(samplesheet, "_check", lambda _, sample: samplesheet.Checked(sample, sample.choices, "f", ""))
    checked = samplesheet.check(stack, samples, files)
    assert [one.choices.layout for one in checked] == ["paired", "single", "single"]
    stored = submit._upload(stack, files, "")
    uri, _ = submit._put_sheet(stack, [one.sample for one in checked], stored, "")
    lines = stack.store.read_start(uri, 10_000).decode().splitlines()
    assert lines[0].startswith("sample,lane,fastq_1,fastq_2,bam,reference")
    assert [line.rstrip(",").rpartition(",")[2] for line in lines[1:]] == ["paired", "single", "single"]


def test_the_bams_of_a_sheet_are_checked_before_anything_is_uploaded(tmp_path: Path, stack: Stack) -> None:
    write(tmp_path, "a.bam", flag=0)
    path = tmp_path / "sheet.csv"
    path.write_text("sample,bam\nA,a.bam\n")
    with pytest.raises(CliError, match=r"line 2, column bam: a\.bam has alignments: read 1"):
        submit.submit(stack, path, "", dry_run=True, yes=False)


def test_a_tool_that_cannot_read_single_end_reads_is_refused_before_the_upload(stack: Stack, tmp_path: Path) -> None:
    [one] = folders.group(write(tmp_path, "A.fq.gz"), "single")
    with pytest.raises(CliError, match=r"^--aligner, --caller: strelka cannot read single-end reads: "):
        run.check_options(stack, RunRequest(one, "hg", caller="strelka"))
