from __future__ import annotations

from pathlib import Path

import pytest
from seqdrop_cli.errors import CliError
from seqdrop_cli.fastqs import Fastqs


def write_files(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).write_bytes(name.encode() * 10)
    return [folder / name for name in names]


def test_a_pair_keeps_its_names(tmp_path: Path) -> None:
    fastqs = Fastqs.of(write_files(tmp_path, "NA1_R1.fastq.gz", "NA1_R2.fastq.gz"), None)
    assert (fastqs.sample, fastqs.names) == ("NA1", (("NA1_R1.fastq.gz", "NA1_R2.fastq.gz"),))


def test_a_sample_option_renames_the_pair_and_keeps_its_extension(tmp_path: Path) -> None:
    fastqs = Fastqs.of(write_files(tmp_path, "a.1.fq.gz", "a.2.fq.gz"), "NA1")
    assert fastqs.names == (("NA1_R1.fq.gz", "NA1_R2.fq.gz"),)


def test_the_lanes_of_one_sample_make_one_run(tmp_path: Path) -> None:
    names = [f"NA1_S1_L00{lane}_R{mate}_001.fastq.gz" for lane in (1, 2) for mate in (1, 2)]
    fastqs = Fastqs.of(write_files(tmp_path, *names), None)
    assert (fastqs.sample, len(fastqs.pairs)) == ("NA1", 2)


def test_one_mate_may_be_compressed_and_the_other_not(tmp_path: Path) -> None:
    fastqs = Fastqs.of(write_files(tmp_path, "NA1_R1.FASTQ.GZ", "NA1_r2.fq"), None)
    assert (fastqs.sample, fastqs.names) == ("NA1", (("NA1_R1.FASTQ.GZ", "NA1_r2.fq"),))


def test_the_chunks_of_a_lane_make_one_run(tmp_path: Path) -> None:
    names = [f"NA1_S1_L001_R{mate}_00{chunk}.fastq.gz" for chunk in (1, 2) for mate in (1, 2)]
    fastqs = Fastqs.of(write_files(tmp_path, *names), None)
    assert (fastqs.sample, len(fastqs.pairs)) == ("NA1", 2)


def test_a_sample_option_numbers_the_lanes(tmp_path: Path) -> None:
    fastqs = Fastqs.of(write_files(tmp_path, "a.1.fq.gz", "a.2.fq.gz", "b.1.fq.gz", "b.2.fq.gz"), "NA1")
    assert fastqs.names[1] == ("NA1_L002_R1.fq.gz", "NA1_L002_R2.fq.gz")


@pytest.mark.parametrize(
    ("names", "sample", "message"),
    [
        (["A_R1.fastq.gz"], None, "1 file: R1 and R2 are needed"),
        (["A_R1.fastq.gz", "A_R2.fastq.gz", "B_R1.fastq.gz"], None, "3 files: R1 and R2 are needed"),
        (["A_R2.fastq.gz", "A_R1.fastq.gz"], None, "give R1 first"),
        (["A_R1.fastq.gz", "B_R2.fastq.gz"], None, "are not a pair"),
        (["a.fastq.gz", "b.fastq.gz"], None, "does not name a sample"),
        ([f"{'x' * 76}_R1.fastq.gz", f"{'x' * 76}_R2.fastq.gz"], None, "more than 64 letters"),
        (["Undetermined_S0_R1_001.fastq.gz", "Undetermined_S0_R2_001.fastq.gz"], None, "of no sample"),
        (["A_R1.fastq.gz", "A_R2_trimmed.fastq.gz"], None, "are not a pair"),
        (["P_S1_R1.fq", "P_S1_R2.fq", "P_S2_R1.fq", "P_S2_R2.fq"], None, "not lanes of one sample"),
        (["A_R1.fastq.gz", "A_R2.fastq.gz"], "Undetermined", "choose another --sample"),
        (["a.bz2", "b.bz2"], "A", "not named like a FASTQ: expected"),
        (["A_R1.fastq.bz2", "A_R2.fastq.bz2"], "A", "only gzip is read"),
        (["A_R1.fastq.gz", "A_R2.fastq.gz", "B_R1.fastq.gz", "B_R2.fastq.gz"], None, "not lanes of one sample"),
        (["A_R1.fastq.gz", "A_R2.fastq.gz"], "no/slash", "not a valid sample id"),
        (["A_R1.fastq.gz", "A_R2.fastq.gz"], "NA1_L001", "choose another --sample"),
        (["A_R1.fastq.gz", "A_R2.fastq.gz"], "A.annotated", "do not end with '.annotated'"),
        (["a.bam", "b.bam"], "A", "a.bam is neither a BAM nor a CRAM"),
        (["a.sam", "b.sam"], "A", "not named like a FASTQ"),
    ],
)
def test_files_that_do_not_make_one_run_are_refused(
    tmp_path: Path, names: list[str], sample: str | None, message: str
) -> None:
    with pytest.raises(CliError, match=message):
        Fastqs.of(write_files(tmp_path, *names), sample)


def test_one_lane_given_twice_is_refused(tmp_path: Path) -> None:
    names = [f"{folder}/A_L001_R{mate}.fastq.gz" for folder in ("x", "y") for mate in (1, 2)]
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
    with pytest.raises(CliError, match="give each lane once"):
        Fastqs.of(write_files(tmp_path, *names), None)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"A_R1\.fastq\.gz: no such file, or it is a directory\."):
        Fastqs.of([tmp_path / "A_R1.fastq.gz", tmp_path / "A_R2.fastq.gz"], None)


def test_one_file_as_r1_and_r2_is_refused(tmp_path: Path) -> None:
    [r1] = write_files(tmp_path, "A_R1.fastq.gz")
    (tmp_path / "A_R2.fastq.gz").symlink_to(r1)
    with pytest.raises(CliError, match="was given as R1 and as R2"):
        Fastqs.of([r1, tmp_path / "A_R2.fastq.gz"], None)
