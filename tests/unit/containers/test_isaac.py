"""The wrapper of Isaac, with a fake program that cuts, pads and fails as silently as the real one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from seqdrop.failure.verdict import JobError
from seqdrop.jobs.alignment import Lane
from seqdrop.storage import s3
from support.aligner_runs import ONE, PAIRS, TWO, AlignerRun, alignments, run_isaac, trim
from support.function_aws import Deployed
from support.made_reads import Record, bgzf, text, to_gzip

from containers.isaac import header, memory
from containers.isaac import run as isaac

BAM = "NA12878.bam"


def cut(reads: list[Record], length: int) -> list[Record]:
    return [(name, bases[:length], qualities[:length]) for name, bases, qualities in reads]


def rename(reads: list[Record], form: str) -> list[Record]:
    """Give the reads names: {n} is the number of the read, {length} that of its bases."""
    return [(form.format(n=n, length=len(seq)), seq, qual) for n, (_, seq, qual) in enumerate(reads, start=1)]


def names(folder: Path, aligner_run: AlignerRun) -> set[str]:
    return {record[0] for record in alignments(folder, aligner_run.results / BAM)}


def header_lines(folder: Path, aligner_run: AlignerRun, kind: str) -> list[str]:
    s3.store().download(aligner_run.results / BAM, folder / "found.bam")
    command = ["samtools", "view", "-H", "--no-PG", str(folder / "found.bam")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if line.startswith(kind)]


def test_a_short_first_read_does_not_cut_the_others(aws: Deployed, aligner_run: AlignerRun) -> None:
    """With the mask `y*`, Isaac gives all reads the length of the first one and exits with 0."""
    aligner_run.put(aws, to_gzip(text([*trim(ONE[:1], 35), *ONE[1:]])), to_gzip(text(cut(TWO, 90))))
    run_isaac(aligner_run.argv())
    known = 100 * (PAIRS - 1) + 33 + 90 * PAIRS
    assert (aligner_run.counts()["known_bases"], aligner_run.counts()["primary_bases"]) == (known, known)


def test_lanes_of_any_number_format_and_length_are_aligned(
    aws: Deployed,
    aligner_run: AlignerRun,
    tmp_path: Path,
) -> None:
    """Ten lanes with other lengths: plain text, gzip, BGZF, members of both, CRLF, and mates of two formats."""
    pairs: list[tuple[bytes, bytes]] = []
    for number in range(10):
        part = slice(40 * number, 40 * number + 40)
        one, two = cut(ONE[part], 100 - 3 * number), cut(TWO[part], 70 + 2 * number)
        mixed = bgzf(text(one[:20])) + to_gzip(text(one[20:]))
        forms = [
            (text(one), text(two)),
            (to_gzip(text(one)), text(two)),
            (bgzf(text(one)), to_gzip(text(two, "\r\n"))),
            (mixed, to_gzip(text(two)[:-1])),
        ]
        pairs.append(forms[number % len(forms)])
    aligner_run.put(aws, *pairs[0], *pairs[1:])
    run_isaac(aligner_run.argv())
    bases = sum(40 * (100 - 3 * number + 70 + 2 * number) for number in range(10))
    assert aligner_run.counts() == {
        "reads": 2 * PAIRS,
        "primary_records": 2 * PAIRS,
        "bases": bases,
        "known_bases": bases,
        "primary_bases": bases,
    }
    assert header_lines(tmp_path, aligner_run, "@RG") == [
        f"@RG\tID:{number - 1}\tSM:NA12878\tLB:NA12878\tPL:ILLUMINA\tPU:HXYZTDSXX.{number}.NA12878"
        for number in range(1, 11)
    ]
    for record in alignments(tmp_path, aligner_run.results / BAM):
        tags = dict(tag.split(":", 1) for tag in record[11:])
        lane = int(record[0].split(":")[-1]) // 40  # the reads are numbered
        assert tags["RG"] == f"Z:{lane}"
        assert not tags.keys() & {"ZX", "ZY", "BC"}


NAMES = {
    "mates": ("r{n}/1", "r{n}/2", "r{n}"),
    "archive": ("SRR1.{n} {n} length={length}", "SRR1.{n} {n} length={length}", "SRR1.{n}"),
    "casava": ("A1:2:HXY:1:1101:{n}:9 1:N:0:A", "A1:2:HXY:1:1101:{n}:9 2:N:0:A", "A1:2:HXY:1:1101:{n}:9"),
    "ten letters longer": ("r{n:0<11}", "r{n:0<11}", "r{n:0<11}"),
}


@pytest.mark.parametrize(("one", "two", "expected"), NAMES.values(), ids=NAMES)
def test_names_are_those_of_the_reads_without_mate_and_comment(
    aws: Deployed,
    aligner_run: AlignerRun,
    tmp_path: Path,
    one: str,
    two: str,
    expected: str,
) -> None:
    """Isaac keeps `/2`, and ends on `length=100` against `length=90` since it takes them for a flowcell."""
    first, second = rename(ONE, one), rename(cut(TWO, 90), two)
    aligner_run.put(aws, to_gzip(text(first)), to_gzip(text(second)))
    run_isaac(aligner_run.argv())
    assert names(tmp_path, aligner_run) == {expected.format(n=n) for n in range(1, PAIRS + 1)}


def edit(place: int, **change: str) -> list[Record]:
    record = dict(zip(("name", "bases", "qualities"), TWO[place], strict=True)) | change
    return [*TWO[:place], (record["name"], record["bases"], record["qualities"]), *TWO[place + 1 :]]


LONG = TWO[6][0] + "x" * 12
REFUSED = {
    "an IUPAC base": (ONE, edit(6, bases="R" + TWO[6][1][1:]), "has a base other than A, C, G, T and N"),
    "a high quality": (ONE, edit(6, qualities="~" + TWO[6][2][1:]), "has a quality above 63"),
    "a long name": (
        [*ONE[:6], (LONG, *ONE[6][1:]), *ONE[7:]],
        edit(6, name=LONG),
        "has a name more than 10 letters longer than that of the first read",
    ),
}


@pytest.mark.parametrize(("one", "two", "reason"), REFUSED.values(), ids=REFUSED)
def test_reads_that_isaac_cannot_read_are_refused_by_name_before_it_starts(
    aws: Deployed,
    aligner_run: AlignerRun,
    one: list[Record],
    two: list[Record],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    aligner_run.put(aws, to_gzip(text(one)), to_gzip(text(two)))
    with pytest.raises(SystemExit) as exited:
        run_isaac(aligner_run.argv())
    assert exited.value.code == 65
    failure_class, message = aligner_run.failure()
    assert failure_class == "BAD_INPUT.ALIGNER"
    file = "NA12878_R1.fastq.gz" if one is not ONE else "NA12878_R2.fastq.gz"
    assert message.startswith(f"{file}: read 7 ({two[6][0]}) {reason}")
    assert message.endswith("use bwa_mem3 or bwa")
    commands = [getattr(record, "command", "") for record in caplog.records]
    assert [command for command in commands if command.startswith("isaac-align")] == ["isaac-align --version"]


def test_damaged_gzip_data_is_not_taken_for_reads_that_isaac_cannot_read(
    aws: Deployed, aligner_run: AlignerRun
) -> None:
    """The base is in the first of many blocks, the checksum behind the last."""
    damaged = to_gzip(text([*edit(6, bases="R" + TWO[6][1][1:]), *20 * TWO]))
    aligner_run.put(aws, to_gzip(text(21 * ONE)), damaged[:-8] + bytes(4) + damaged[-4:])  # another checksum
    with pytest.raises(SystemExit):
        run_isaac(aligner_run.argv())
    assert aligner_run.failure()[0] == "BAD_INPUT.CORRUPT_GZIP"


def test_lower_case_and_dots_are_bases(aws: Deployed, aligner_run: AlignerRun) -> None:
    dotted = [(name, f".{bases[1:].lower()}", qualities) for name, bases, qualities in ONE]
    aligner_run.put(aws, to_gzip(text(dotted)), to_gzip(text(TWO)))
    run_isaac(aligner_run.argv())
    assert aligner_run.counts()["primary_bases"] == 199 * PAIRS


@pytest.mark.parametrize(("options", "found"), [([], True), (["--no-mark-duplicates"], False)])
def test_duplicates_are_marked_unless_an_option_says_no(
    aws: Deployed,
    aligner_run: AlignerRun,
    tmp_path: Path,
    options: list[str],
    found: bool,
) -> None:
    one, two = ([*reads, *((f"{name}9", *rest) for name, *rest in reads)] for reads in (ONE[:20], TWO[:20]))
    aligner_run.put(aws, to_gzip(text(one)), to_gzip(text(two)))  # type: ignore[arg-type]  # unpacked records
    isaac.main(aligner_run.argv(args=json.dumps(["--seed-length", "12", *options])))
    assert any(int(record[1]) & 0x400 for record in alignments(tmp_path, aligner_run.results / BAM)) == found


def test_two_runs_of_the_same_reads_have_equal_bytes(
    aws: Deployed,
    aligner_run: AlignerRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aligner_run.put(aws, to_gzip(text(ONE)), to_gzip(text(TWO)))
    data = []
    for name in ("a", "another"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv("SEQDROP_SCRATCH", str(tmp_path / name))
        run_isaac(aligner_run.argv())
        s3.store().download(aligner_run.results / BAM, tmp_path / f"{name}.bam")
        data.append((tmp_path / f"{name}.bam").read_bytes())
        s3.store().client.delete_object(
            Bucket=aligner_run.results.bucket, Key=f"{aligner_run.results.key}/jobs/align.json"
        )
    assert header_lines(tmp_path, aligner_run, "@SQ") == ["@SQ\tSN:chr1\tLN:20000"]
    assert data[0] == data[1]


@pytest.mark.parametrize("seed", ["9", "21", "32", "16.5"])
def test_seed_lengths_that_isaac_does_not_know_are_refused_before_any_download(
    aligner_run: AlignerRun,
    seed: str,
) -> None:
    with pytest.raises(SystemExit) as exited:
        isaac.main(aligner_run.argv(args=json.dumps(["--seed-length", seed])))
    assert exited.value.code == 64
    assert aligner_run.failure()[0] == "BAD_INPUT.ARGS"
    assert "must be a whole number from 10 to 20" in aligner_run.failure()[1]


def test_a_job_with_too_little_memory_for_the_table_ends_before_any_download(aligner_run: AlignerRun) -> None:
    with pytest.raises(SystemExit) as exited:
        isaac.main(aligner_run.argv())
    assert exited.value.code == 70
    need = "Isaac needs at least 18,432 MiB with a seed length of 16 and 1,000 clusters, the job has 4,096"
    assert aligner_run.failure() == ("OUT_OF_MEMORY", f"{need}: --seed-length 12 needs less")


@pytest.mark.parametrize(
    ("memory_of_job", "vcpus", "seed", "clusters", "expected"),
    [
        (80_000, 32, 16, 8_000_000, memory.Settings(77, 32, 16, 0, 8_000_000)),
        (80_000, 32, 20, 8_000_000, memory.Settings(77, 32, 20, 4**16, 8_000_000)),
        (4096, 64, 12, 1_000, memory.Settings(3, 21, 12, 0, 1_000)),  # fewer threads: 64 of them fail with 7 GB
        (8192, 64, 12, 8_000_000, memory.Settings(7, 12, 12, 0, 8_000_000)),
    ],
)
def test_the_settings_of_isaac_follow_from_the_size_of_the_job(
    memory_of_job: int, vcpus: int, seed: int, clusters: int, expected: memory.Settings
) -> None:
    assert memory.settings(memory_of_job, vcpus, seed, clusters) == expected


@pytest.mark.parametrize(("threads", "gigabytes"), [(16, 2), (32, 3), (64, 7)])
def test_no_size_is_chosen_that_fails_for_real(threads: int, gigabytes: int) -> None:
    assert memory.settings((gigabytes + 1) << 10, threads, 12, memory.MIN_CLUSTERS).threads < threads


@pytest.mark.parametrize(("pairs", "clusters"), [(1, 1_000), (5_000_000, 5_000_000), (10**9, 8_000_000)])
def test_a_batch_is_never_smaller_than_the_largest_lane_or_the_default(pairs: int, clusters: int) -> None:
    assert memory.clusters_for(pairs) == clusters


def made_lanes(count: int) -> list[Lane]:
    return [Lane("S", f"F.{number}", f"L{number}", Path("a"), Path("b")) for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["PU:F.1"], r"2 lanes went in but the BAM has read groups of lanes \[1\]"),
        (["PU:F.1", "PU:F.1"], r"lanes \[1, 1\]"),
        (["PU:F.1", "PU:F.3"], "a read group without a lane of this run"),
        (["PU:F.1", "SM:x"], "a read group without a lane of this run"),
    ],
)
def test_read_groups_that_are_not_those_of_the_lanes_are_an_error(groups: list[str], message: str) -> None:
    text_of_header = "".join(f"@RG\tID:{number}\t{field}\n" for number, field in enumerate(groups))
    with pytest.raises(JobError, match=message) as raised:
        header.edit(text_of_header, made_lanes(2))
    assert raised.value.failure_class == "TOOL_FAILED"


def test_isaac_without_statistics_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="Isaac wrote no statistics"):
        isaac.find_statistics(tmp_path)


@pytest.mark.parametrize(
    ("program", "failure_class", "reason"),
    [
        ("*** unrecognised option '--x' ***", "INTERNAL", "*** unrecognised option '--x' ***"),
        ("Flowcell ID mismatch between fastq reads X vs Y", "TOOL_FAILED", None),
    ],
)
def test_the_options_and_the_last_line_of_isaac_decide_the_class(
    aws: Deployed,
    aligner_run: AlignerRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    failure_class: str,
    reason: Any,
) -> None:
    """The message about an option comes before 800 lines of help."""
    fake = tmp_path / "bin/isaac-align"
    fake.parent.mkdir()
    helps = "seq 800 >&2; " if program.startswith("***") else ""
    fake.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit\ncat >&2 <<EOF\n{program}\nEOF\n{helps}exit 1\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    aligner_run.put(aws, to_gzip(text(ONE)), to_gzip(text(TWO)))
    with pytest.raises(SystemExit):
        run_isaac(aligner_run.argv())
    assert aligner_run.failure() == (failure_class, f"isaac-align ended with exit code 1: {reason or program}")
