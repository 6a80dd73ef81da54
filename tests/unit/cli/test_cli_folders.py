"""Files and folders of the command line, grouped by sample."""

from __future__ import annotations

from pathlib import Path

import pytest
from seqdrop_cli import folders
from seqdrop_cli.errors import CliError


def write(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return [folder / name for name in names]


LANES = [f"run/NA1_S1_L00{lane}_R{mate}_001.fastq.gz" for lane in (2, 1) for mate in (2, 1)]


def test_a_folder_is_grouped_by_sample_with_its_lanes_in_order(tmp_path: Path) -> None:
    write(tmp_path, *LANES, "run/p/NA2_R1.fq.gz", "run/p/NA2_R2.fq.gz", "run/notes.txt", "run/.cache/X_R1.fq.gz")
    one, two = folders.group([tmp_path])
    assert (one.sample, one.lanes, two.sample, two.lanes) == ("NA1", ["L001", "L002"], "NA2", [""])
    assert [(r1.name, r2.name) for r1, r2 in one.pairs] == [
        (f"NA1_S1_L00{lane}_R1_001.fastq.gz", f"NA1_S1_L00{lane}_R2_001.fastq.gz") for lane in (1, 2)
    ]
    assert one.size == sum(len(name) for name in LANES)


def test_files_in_any_order_and_given_twice_are_paired_by_name(tmp_path: Path) -> None:
    paths = write(tmp_path, "B_R2.fq.gz", "A_R1.fq.gz", "B_R1.fq.gz", "A_R2.fq.gz")
    samples = folders.group([*paths, paths[0], tmp_path])
    assert [(one.sample, one.names) for one in samples] == [
        (name, ((f"{name}_R1.fq.gz", f"{name}_R2.fq.gz"),)) for name in ("A", "B")
    ]


def test_the_same_names_in_two_folders_are_two_samples(tmp_path: Path) -> None:
    write(tmp_path, *(f"{folder}/A_R{mate}.fq.gz" for folder in "xy" for mate in (1, 2)))
    assert [one.sample for one in folders.group([tmp_path])] == ["A", "A"]


def test_files_that_make_no_run_are_left_out_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "A_R1.fq.gz", "A_R2.fq.gz", "A_I1.fq.gz", "Undetermined_S0_L001_R1_001.fastq.gz")
    assert len(folders.group([tmp_path])) == 1
    warned = capsys.readouterr().err
    assert "A_I1.fq.gz is left out: it has index reads" in warned
    assert "Undetermined_S0_L001_R1_001.fastq.gz is left out" in warned


@pytest.mark.parametrize(
    ("names", "given", "message"),
    [
        (["A_R1.fq.gz", "B_R1.fq.gz", "B_R2.fq.gz"], ["."], r"The other mate of .*A_R1\.fq\.gz is missing \("),
        (["A_R1.fq.gz"], ["A_R1.fq.gz", "A_R2.fq.gz"], r"A_R2\.fq\.gz: no such file or directory\."),
        (["A_R1.fq.gz", "A_R1.fastq", "A_R2.fq.gz"], ["."], r"are the same mate of one lane: give one of them\."),
        (["notes.txt"], ["."], r"no FASTQs with names of pairs were found\."),
        (["A_I1.fq.gz"], ["A_I1.fq.gz"], r"A_I1\.fq\.gz does not name a sample and a mate"),
    ],
)
def test_what_cannot_be_paired_is_an_error(tmp_path: Path, names: list[str], given: list[str], message: str) -> None:
    write(tmp_path, *names)
    with pytest.raises(CliError, match=message):
        folders.group([tmp_path / name for name in given])
