"""The fake Isaac and Strelka do what was measured on the real ones, silence included."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.aligner_runs import STAND_INS
from support.made_reads import Record, bases, bgzf, pairs_of, text, to_gzip, write_genome

GENOME = bases(5_000, seed=31)
ONE, TWO = pairs_of(GENOME, 20, seed=32)
ISAAC, CONFIGURE = STAND_INS / "isaac-align", STAND_INS / "configureStrelkaGermlineWorkflow.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a genome, and the sample sheet of two lanes."""
    subprocess.run(["samtools", "faidx", write_genome(tmp_path / "genome.fa", {"chr1": GENOME})], check=True)
    (tmp_path / "sheet.csv").write_text("FCID,Lane,SampleID\nF,1,NA12878\nF,2,NA12878\nF,9,NA12878\n")
    return tmp_path


def put(folder: Path, one: bytes, two: bytes, lane: int = 1) -> None:
    (folder / "reads").mkdir(exist_ok=True)
    for mate, data in ((1, one), (2, two)):
        (folder / f"reads/lane{lane}_read{mate}.fastq.gz").write_bytes(data)


def run_isaac(folder: Path, mask: str = "y*,y*", *more: str) -> subprocess.CompletedProcess[str]:
    command = [ISAAC, "-r", "genome.fa", "-b", "reads", "--base-calls-format", "fastq-gz", "--use-bases-mask", mask]
    command += ["-s", "sheet.csv", "-j", "1", "--variable-read-length", "yes", "--output-directory", "out"]
    command += ["--temp-directory", "temp", "--seed-length", "12", "--clusters-at-a-time", "1000"]
    memory = [] if "-m" in more or "no -m" in more else ["-m", "2"]
    words = [word for word in (*command, *memory, *more) if word != "no -m"]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


def records(folder: Path) -> list[list[str]]:
    bam = folder / "out/Projects/default/NA12878/sorted.bam"
    command = ["samtools", "view", "-F", "0x900", bam]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.split("\t") for line in lines]


def cut(reads: Sequence[Record], length: int) -> list[Record]:
    return [(name, seq[:length], qual[:length]) for name, seq, qual in reads]


def rename(reads: Sequence[Record], form: str) -> bytes:
    return to_gzip(text([(form.format(number), *rest) for number, (_, *rest) in enumerate(reads)]))  # type: ignore[misc]  # unpacked


@pytest.mark.parametrize(("mask", "length"), [("y*,y*", 35), ("y100,y100", 100), ("y120,y120", 120)])
def test_isaac_gives_all_reads_the_length_of_the_first_one_or_of_the_mask(folder: Path, mask: str, length: int) -> None:
    put(folder, to_gzip(text([*cut(ONE[:1], 35), *ONE[1:]])), to_gzip(text([*cut(TWO[:1], 35), *TWO[1:]])))
    assert run_isaac(folder, mask).returncode == 0
    assert {len(record[9]) for record in records(folder)} == {length}


def test_all_lanes_of_a_folder_have_the_layout_of_the_first(folder: Path) -> None:
    put(folder, to_gzip(text(cut(ONE, 50))), to_gzip(text(cut(TWO, 50))))
    put(folder, to_gzip(text(ONE)), to_gzip(text(TWO)), lane=2)
    assert run_isaac(folder).returncode == 0
    assert {len(record[9]) for record in records(folder)} == {50}


def test_names_lose_their_front_and_keep_the_mate(folder: Path) -> None:
    put(folder, rename(ONE, "r{0}/1"), rename(TWO, "r{0}/2"))
    assert run_isaac(folder).returncode == 0
    assert {record[0] for record in records(folder)} == {f"r{number}/2" for number in range(20)}
    long = ["r", *(f"front-{number:0>11}" for number in range(1, 20))]
    put(folder, *(to_gzip(text([(long[n], *rest) for n, (_, *rest) in enumerate(reads)])) for reads in (ONE, TWO)))  # type: ignore[misc]  # unpacked
    for name in ("out", "temp"):
        subprocess.run(["rm", "-r", folder / name], check=True)
    assert run_isaac(folder).returncode == 0
    assert {record[0] for record in records(folder)} == {"r", *(f"{number:0>11}" for number in range(1, 20))}


GOOD = to_gzip(text(TWO))
FAILURES = {
    "flowcell": (
        rename(TWO, "SRR1.{0} {0} length=99"),
        (),
        1,
        "Flowcell ID mismatch between fastq reads length=100 vs",
    ),
    "base": (
        to_gzip(text([(TWO[0][0], "R" + TWO[0][1][1:], TWO[0][2]), *TWO[1:]])),
        (),
        -6,
        "Invalid oligo R found in",
    ),
    "quality": (to_gzip(text([(*TWO[0][:2], "~" * 100), *TWO[1:]])), (), -6, "Invalid quality 93 found in"),
    "count": (to_gzip(text(TWO[:-1])), (), 1, "Mismatching number of cluster read for r1/r2 = 20/19, files:"),
    "damage": (GOOD[:-8] + bytes(8), (), 1, "incorrect data check"),
    "cut": (to_gzip(text(TWO)[:-90]), (), 1, "Fastq file end while reading the sequence line:"),
    "BGZF and gzip": (bgzf(text(TWO[:9])) + to_gzip(text(TWO[9:])), (), -11, "Assertion failed"),
    "no memory": (GOOD, ("no -m",), 1, "*** the following arguments are required: -m ***"),
    "table": (GOOD, ("--seed-length", "16"), 3, "std::bad_alloc"),
    "clusters": (GOOD, ("--clusters-at-a-time", "8000000"), 3, "std::bad_alloc"),
    "16 threads": (GOOD, ("-j", "16", "-m", "2"), 2, "boost::thread_resource_error"),
    "32 threads": (GOOD, ("-j", "32", "-m", "3"), 2, "boost::thread_resource_error"),
    "64 threads": (GOOD, ("-j", "64", "-m", "7"), 2, "boost::thread_resource_error"),
    "seed": (
        GOOD,
        ("--seed-length", "9"),
        1,
        "*** --seed-length other than 10 11 12 13 14 15 16 17 18 19 20  is not supported. ***",
    ),
    "seed without buckets": (GOOD, ("--seed-length", "17", "-m", "99"), 1, "--hash-table-buckets"),
    "option": (GOOD, ("--no-such-option",), 1, "--no-such-option"),
}


@pytest.mark.parametrize(("two", "options", "status", "message"), FAILURES.values(), ids=FAILURES)
def test_isaac_fails_with_its_exit_code_and_text(
    folder: Path, two: bytes, options: tuple[str, ...], status: int, message: str
) -> None:
    put(folder, rename(ONE, "SRR1.{0} {0} length=100") if "length=100" in message else to_gzip(text(ONE)), two)
    done = run_isaac(folder, "y*,y*", *options)
    assert done.returncode == status
    assert message in done.stderr
    assert (len(done.stderr.splitlines()) > 800) == message.startswith(("***", "--"))
    assert not (folder / "out").exists()


@pytest.mark.parametrize(("options", "status"), [((), 1), (("--lane-number-max", "9"), 0)])
def test_isaac_reads_eight_lanes_unless_an_option_has_more(folder: Path, options: tuple[str, ...], status: int) -> None:
    put(folder, to_gzip(text(ONE)), GOOD, lane=9)
    assert run_isaac(folder, "y*,y*", *options).returncode == status


def test_isaac_writes_paths_numbers_and_tags_to_the_bam(folder: Path) -> None:
    put(folder, to_gzip(text(ONE)), GOOD)
    assert run_isaac(folder, "y*,y*", "--bam-pu-format", "%F.%L").returncode == 0
    bam = folder / "out/Projects/default/NA12878/sorted.bam"
    command = ["samtools", "view", "-H", "--no-PG", bam]
    header = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"@SQ\tSN:chr1\tLN:5000\tUR:file://{folder}/genome.fa\n" in header
    assert "@RG\tID:0\tPL:ILLUMINA\tSM:NA12878\tPU:HXYZTDSXX.1\n" in header
    assert all(any(tag.startswith("BC:Z:") for tag in record) for record in records(folder))
    assert bam.with_name("sorted.bam.md5").read_text().endswith(" *sorted.bam\n")
    assert list((folder / "out/Reports/html").iterdir())


@pytest.fixture
def strelka(folder: Path) -> Path:
    """Write a BAM and configure a run of Strelka."""
    header = "@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:chr1\tLN:5000\n@RG\tID:1\tSM:NA12878\n"
    sam = f"{header}r\t0\tchr1\t1\t60\t9M\t*\t0\t0\t{GENOME[:9]}\t*\n"
    subprocess.run(["samtools", "view", "-b", "-o", folder / "in.bam"], input=sam.encode(), check=True)
    subprocess.run(["samtools", "index", folder / "in.bam"], check=True)
    assert configure(folder).returncode == 0
    return folder


def configure(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [CONFIGURE, "--bam", "in.bam", "--referenceFasta", "genome.fa", "--runDir", "run"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def run_workflow(run_dir: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [run_dir / "runWorkflow.py", "-m", "local", "-j", "1", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_strelka_is_configured_once_and_not_moved(strelka: Path) -> None:
    assert configure(strelka).returncode == 2
    moved = (strelka / "run").rename(strelka / "moved")
    (strelka / "run").mkdir()
    assert run_workflow(moved, "-g", "2").returncode == 1


def test_a_quiet_workflow_fails_without_a_word(strelka: Path) -> None:
    done = run_workflow(strelka / "run", "-g", "1", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert "1024 MiB" in (strelka / "run/workflow.error.log.txt").read_text()
    assert "1024 MiB" in run_workflow(strelka / "run", "-g", "1").stderr


@pytest.mark.parametrize(
    ("missing", "message"), [("in.bam.bai", "BAM/CRAM index files"), ("genome.fa.fai", "fasta index")]
)
def test_strelka_needs_its_indexes(strelka: Path, missing: str, message: str) -> None:
    subprocess.run(["rm", "-r", strelka / "run", strelka / missing], check=True)
    done = configure(strelka)
    assert done.returncode == 2
    assert message in done.stderr


def test_the_vcf_of_strelka_has_times_and_paths(strelka: Path) -> None:
    assert run_workflow(strelka / "run", "-g", "2", "--quiet").returncode == 0
    results = strelka / "run/results"
    assert (results / "variants/genome.vcf.gz").is_symlink()
    command = ["bcftools", "view", "-h", results / "variants/genome.S1.vcf.gz"]
    header = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"##reference=file://{strelka}/genome.fa\n" in header
    assert header.startswith("##fileformat=VCFv4.1\n")
    assert "##startTime=" in header
    assert "##fileDate=" in header
