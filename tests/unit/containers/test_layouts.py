"""The aligners on reads without a mate, interleaved pairs and unaligned BAM or CRAM. Isaac is a fake program."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from seqdrop.storage import s3
from support.aligner_runs import ONE, PAIRS, TWO, AlignerRun, alignments, run_isaac
from support.function_aws import Deployed
from support.made_reads import FLOWCELL, Record, flip_byte, text, to_bam, to_gzip

from containers.bwa import run as bwa
from containers.bwa_mem3 import run as bwa_mem3

Main = Callable[[Sequence[str]], None]
BWA: dict[str, Main] = {"bwa": bwa.main, "bwa_mem3": bwa_mem3.main}
ALIGNERS = {**BWA, "isaac": run_isaac}
MIXED = [read for pair in zip(ONE, TWO, strict=True) for read in pair]
COPIES = [(f"copy{number}", *ONE[number][1:]) for number in range(20)]
DUPLICATE = 0x400
COUNTS = {"reads": 2 * PAIRS, "primary_records": 2 * PAIRS, "bases": 200 * PAIRS, "primary_bases": 200 * PAIRS}


def run(main: Main, aligner_run: AlignerRun, folder: Path) -> list[tuple[str, ...]]:
    """Run an aligner; return its records without bases, tags (but RG) and the flag of duplicates."""
    main(aligner_run.argv())
    return sorted(facts(record) for record in alignments(folder, aligner_run.results / "NA12878.bam"))


def facts(record: list[str]) -> tuple[str, ...]:
    group = next((tag for tag in record[11:] if tag.startswith("RG:Z:")), "")
    return (record[0], str(int(record[1]) & ~DUPLICATE), *record[2:9], group)


def run_again(aligner_run: AlignerRun) -> None:
    s3.store().client.delete_object(Bucket=aligner_run.results.bucket, Key=f"{aligner_run.results.key}/jobs/align.json")


def refuse(main: Main, aligner_run: AlignerRun) -> tuple[str, str]:
    with pytest.raises(SystemExit) as ended:
        main(aligner_run.argv())
    assert ended.value.code == 65
    return aligner_run.failure()


@pytest.mark.parametrize("main", BWA.values(), ids=BWA)
def test_single_end_reads_are_aligned_as_bwa_mem_aligns_them(
    aws: Deployed, aligner_run: AlignerRun, aligner_genome: Path, tmp_path: Path, main: Main
) -> None:
    reads = [*ONE, *COPIES]
    halves = [to_gzip(text(reads[:101])), to_gzip(text(reads[101:]))]
    keys = [f"NA12878_L00{lane}.fastq.gz" for lane in (1, 2)]
    aligner_run.put_files(aws, "single", "fastq_1", *zip(keys, halves, strict=True))
    found = run(main, aligner_run, tmp_path)
    (tmp_path / "R1.fastq").write_bytes(text(reads))
    command: list[str | Path] = ["bwa", "mem", "-K", "100000000", "-Y", aligner_genome, tmp_path / "R1.fastq"]
    sam = subprocess.run(command, capture_output=True, check=True).stdout.decode().splitlines()
    expected = sorted(facts(line.split("\t")) for line in sam if not line.startswith("@"))
    assert [record[:-1] for record in found] == [record[:-1] for record in expected]
    assert {record[-1] for record in found} == {"RG:Z:HXYZTDSXX.1", "RG:Z:HXYZTDSXX.2"}
    assert aligner_run.counts() == dict.fromkeys(("reads", "primary_records"), PAIRS + 20) | dict.fromkeys(
        ("bases", "primary_bases"), 100 * (PAIRS + 20)
    )
    duplicates = [one for one in alignments(tmp_path, aligner_run.results / "NA12878.bam") if int(one[1]) & DUPLICATE]
    assert len(duplicates) >= len(COPIES)  # by chance, some other reads begin at the same base
    assert not any(tag.startswith(("MQ:", "MC:")) for record in duplicates for tag in record[11:])


@pytest.mark.parametrize("main", ALIGNERS.values(), ids=ALIGNERS)
def test_interleaved_pairs_are_aligned_as_two_files_are(
    aws: Deployed, aligner_run: AlignerRun, tmp_path: Path, main: Main
) -> None:
    aligner_run.put(aws, to_gzip(text(ONE)), to_gzip(text(TWO)))
    expected = run(main, aligner_run, tmp_path)
    run_again(aligner_run)
    aligner_run.put_files(aws, "interleaved", "fastq_1", ("NA12878.fastq.gz", to_gzip(text(MIXED))))
    found = run(main, aligner_run, tmp_path)
    if main is not run_isaac:
        assert [record[:-1] for record in found] == [record[:-1] for record in expected]
    assert {key: aligner_run.counts()[key] for key in COUNTS} == COUNTS


WRONG = {
    "interleaved as single": ("single", MIXED, "NA12878.fastq.gz has mates, but was uploaded as single-end reads"),
    "single as interleaved": ("interleaved", ONE, "reads 1 and 2 of NA12878.fastq.gz should be a pair"),
}


@pytest.mark.parametrize("main", BWA.values(), ids=BWA)
@pytest.mark.parametrize(("layout", "reads", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_layout_ends_the_job(
    aws: Deployed, aligner_run: AlignerRun, main: Main, layout: str, reads: list[Record], message: str
) -> None:
    aligner_run.put_files(aws, layout, "fastq_1", ("NA12878.fastq.gz", to_gzip(text(reads))))
    failure_class, found = refuse(main, aligner_run)
    assert (failure_class, message in found) == ("BAD_INPUT.LAYOUT", True), found


def test_isaac_refuses_single_end_reads(aws: Deployed, aligner_run: AlignerRun) -> None:
    aligner_run.put_files(aws, "single", "fastq_1", ("NA12878.fastq.gz", to_gzip(text(ONE))))
    message = "NA12878.fastq.gz has single-end reads, which Isaac is not given: use bwa_mem3 or bwa"
    assert refuse(run_isaac, aligner_run) == ("BAD_INPUT.ALIGNER", message)


# --- unaligned BAM and CRAM ---------------------------------------------------------------------------------------

SAM_HEADER = ("@HD\tVN:1.6\tSO:unsorted\tGO:query\n@RG\tID:a.1\tSM:NA12878\tPU:unit1\tPL:ELEMENT\tLB:lib\n"
              "@RG\tID:b.2\tSM:NA12878\n")  # fmt: skip
R1, R2, ALONE = 0x4D, 0x8D, 0x4


def record(read: Record, flag: int, number: int, *tags: str) -> str:
    head, seq, qual = read
    group = "RG:Z:a.1" if number % 3 else "RG:Z:b.2"
    return "\t".join([head.split()[0], str(flag), "*", "0", "0", "*", "*", "0", "0", seq, qual,
                      "RX:Z:ACGTRGZ", "xb:B:s,1,2", group, *tags])  # fmt: skip


PAIRED = [line for number, (one, two) in enumerate(zip(ONE, TWO, strict=True))
          for line in (record(one, R1, number), record(two, R2, number))]  # fmt: skip
UNPAIRED = [record(read, ALONE, number) for number, read in enumerate(ONE)]


def write(lines: list[str], form: str = "bam", header: str = SAM_HEADER) -> bytes:
    return to_bam("".join([header, *(f"{line}\n" for line in lines)]), form)


@pytest.mark.parametrize("form", ["bam", "cram"])
@pytest.mark.parametrize("main", BWA.values(), ids=BWA)
def test_the_reads_of_an_unaligned_file_are_aligned_as_those_of_fastqs(
    aws: Deployed, aligner_run: AlignerRun, tmp_path: Path, main: Main, form: str
) -> None:
    aligner_run.put(aws, to_gzip(text(ONE)), to_gzip(text(TWO)))
    expected = run(main, aligner_run, tmp_path)
    run_again(aligner_run)
    aligner_run.put_files(aws, "paired", "unaligned", (f"NA12878.{form}", write(PAIRED, form)))
    found = run(main, aligner_run, tmp_path)
    if main is bwa.main:  # the other one estimates one insert size, but aligns each read group of a batch apart
        assert [record[:-1] for record in found] == [record[:-1] for record in expected]
    assert {record[:5] for record in found} == {record[:5] for record in expected}
    assert aligner_run.counts() == COUNTS
    groups = {record[0]: record[-1] for record in found}
    assert groups == {head: "RG:Z:a.1" if number % 3 else "RG:Z:b.2" for number, (head, *_) in enumerate(ONE)}
    bam = tmp_path / "found.bam"
    header = subprocess.run(["samtools", "view", "-H", bam], capture_output=True, check=True).stdout.decode()
    assert [line for line in header.splitlines() if line.startswith("@RG")] == [
        "@RG\tID:a.1\tSM:NA12878\tLB:lib\tPL:ELEMENT\tPU:unit1",
        "@RG\tID:b.2\tSM:NA12878\tLB:NA12878\tPL:ILLUMINA\tPU:b.2.NA12878",
    ]


@pytest.mark.parametrize("main", BWA.values(), ids=BWA)
def test_an_unaligned_bam_without_mates_and_read_groups_is_single_end(
    aws: Deployed, aligner_run: AlignerRun, tmp_path: Path, main: Main
) -> None:
    bare = [line.partition("\tRX:")[0] for line in UNPAIRED]
    data = write(bare, header="@HD\tVN:1.6\n")
    aligner_run.put_files(aws, "single", "unaligned", ("NA12878.bam", data))
    found = run(main, aligner_run, tmp_path)
    assert len(found) == PAIRS
    assert {(int(record[1]) & ~0x10, record[-1]) for record in found} == {(0, "RG:Z:HXYZTDSXX.1")}
    assert aligner_run.counts()["reads"] == PAIRS


def test_isaac_reads_a_bam_with_one_read_group(aws: Deployed, aligner_run: AlignerRun, tmp_path: Path) -> None:
    lines = [line.replace("b.2", "a.1") for line in PAIRED]
    one = "".join(SAM_HEADER.splitlines(keepends=True)[:2])
    aligner_run.put_files(aws, "paired", "unaligned", ("NA12878.bam", write(lines, header=one)))
    run(run_isaac, aligner_run, tmp_path)
    assert {key: aligner_run.counts()[key] for key in COUNTS} == COUNTS


def test_isaac_refuses_a_bam_with_two_read_groups(aws: Deployed, aligner_run: AlignerRun) -> None:
    aligner_run.put_files(aws, "paired", "unaligned", ("NA12878.bam", write(PAIRED)))
    message = "NA12878.bam has 2 read groups in one file, which Isaac is not given: use bwa_mem3 or bwa"
    assert refuse(run_isaac, aligner_run) == ("BAD_INPUT.ALIGNER", message)


def test_two_bams_with_one_read_group_are_told_apart(aws: Deployed, aligner_run: AlignerRun, tmp_path: Path) -> None:
    halves = [write(PAIRED[:400]), write(PAIRED[400:])]
    aligner_run.put_files(aws, "paired", "unaligned", ("A.bam", halves[0]), ("B.bam", halves[1]))
    found = run(bwa.main, aligner_run, tmp_path)
    assert {record[-1] for record in found} == {f"RG:Z:{group}" for group in ("a.1", "b.2", "a.1.2", "b.2.2")}


ALIGNED = "@SQ\tSN:chr1\tLN:20000\n"
PLACED = [line.replace("\t4\t*\t0\t0\t*", "\t0\tchr1\t7\t60\t100M") for line in UNPAIRED[:3]]
LAST = len(PAIRED) - 1
BAD = {
    "aligned": ("single", write([*UNPAIRED, *PLACED], header=SAM_HEADER + ALIGNED), "ALIGNED",
                "NA12878.bam has alignments: read 401 is not an unaligned one"),
    "reversed": ("single", write([record(ONE[0], 0x14, 0)]), "ALIGNED", "read 1 is not an unaligned one"),
    "single as paired": ("paired", write(UNPAIRED), "LAYOUT", "read 1 of NA12878.bam has no mate, but its layout"),
    "paired as single": ("single", write(PAIRED), "LAYOUT", "read 1 of NA12878.bam has a mate, but its layout"),
    "mates without flags": ("single", write([record(read, ALONE, 1) for read in MIXED]), "LAYOUT",
                            "import the FASTQs again"),
    "a mate is missing": ("paired", write([*PAIRED[:101], *PAIRED[102:]]), "MATE_NAMES",
                          "reads 101 and 102 have different names: group the mates"),
    "the last mate is missing": ("paired", write(PAIRED[:-1]), "MATE_NAMES", f"read {LAST} is alone"),
    "R2 before R1": ("paired", write([*PAIRED[:2], *PAIRED[3:1:-1]]), "LAYOUT", "reads 3 and 4 are not R1 and R2"),
    "no qualities": ("single", write([record((*ONE[0][:2], "*"), ALONE, 0)]), "MALFORMED", "read 1 has no qualities"),
    "a read group that is not in the header": (
        "single", write([UNPAIRED[1], UNPAIRED[2].replace("a.1", "c.3")]), "MALFORMED", "the read group c.3"),
    "no reads": ("single", write([]), "EMPTY", "NA12878.bam contains no reads"),
    "truncated between blocks": ("single", write(UNPAIRED)[:-28], "CORRUPT_BAM", "damaged or incomplete"),
    "a flipped byte": ("single", flip_byte(write(UNPAIRED), 5000), "CORRUPT_BAM", "damaged or incomplete"),
    "no BAM": ("single", to_gzip(text(ONE)), "CORRUPT_BAM", "is neither a BAM nor a CRAM"),
}  # fmt: skip


@pytest.mark.parametrize(("layout", "data", "kind", "message"), BAD.values(), ids=BAD)
def test_a_bam_that_is_not_of_unaligned_reads_is_refused(
    aws: Deployed, aligner_run: AlignerRun, layout: str, data: bytes, kind: str, message: str
) -> None:
    aligner_run.put_files(aws, layout, "unaligned", ("NA12878.bam", data))
    failure_class, found = refuse(bwa.main, aligner_run)
    assert (failure_class, message in found) == (f"BAD_INPUT.{kind}", True), found
    assert FLOWCELL not in found
