"""functions/start_run: single-end, interleaved and unaligned files."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from seqdrop.plan import layout
from seqdrop.plan.choices import Choices
from support.function_aws import FASTQS, FINGERPRINT, RESULTS, Deployed
from support.made_reads import fastq, records, text, to_bam, to_gzip

QUIET = 60  # seconds, more than the quiet time
Upload = dict[str, Any]
MIXED = to_gzip(text([read for pair in zip(records(1, 4), records(2, 4), strict=True) for read in pair]))
ALONE, R1, R2 = 0x4, 0x4D, 0x8D  # flags
HEADER = "@HD\tVN:1.6\n@SQ\tSN:demo1\tLN:300000\n"


@pytest.fixture
def start_run(aws: Deployed) -> Any:
    """Load the function, with the default reference prepared."""
    aws.prepare()
    return aws.load("start_run")


def bam(*flags: int, form: str = "bam") -> bytes:
    """Return a BAM or CRAM of unaligned reads with these flags; flag 0 is that of an aligned read."""
    lines = []
    for number, flag in enumerate(flags):
        contig, position, cigar = ("*", "0", "*") if flag & ALONE else ("demo1", "9", "9M")
        lines.append(f"r{number}\t{flag}\t{contig}\t{position}\t0\t{cigar}\t*\t0\t0\tACGTACGTA\tFFFFFFFFF\n")
    return to_bam("".join([HEADER, *lines]), form)


def outcome_of(start_run: Any, upload: Upload) -> dict[str, str]:
    [outcome] = start_run.call(upload)["outcomes"]
    return dict(outcome)


def reads_of(aws: Deployed, run: str) -> dict[str, Any]:
    row = aws.row(run) or {}
    reads: dict[str, Any] = json.loads(aws.text(RESULTS, f"{row['sample']}/{run}/reads.json"))
    return reads


STARTED = {
    "single by metadata": ("NA1.fastq.gz", fastq(1), {"layout": "single"}, "single", "fastq_1"),
    "R1 alone, single by metadata": ("NA1_R1.fastq.gz", fastq(1), {"layout": "single"}, "single", "fastq_1"),
    "R1 of bcl2fastq with one lane": (
        "NA1_S1_L001_R1_001.fastq.gz", fastq(1), {"layout": "single", "lanes": "1"}, "single", "fastq_1"),
    "interleaved by metadata": ("NA1.fq.gz", MIXED, {"layout": "interleaved"}, "interleaved", "fastq_1"),
    "interleaved by name": ("NA1_interleaved.fq.gz", MIXED, {}, "interleaved", "fastq_1"),
    "BAM of pairs": ("NA1.bam", bam(R1, R2), {}, "", "unaligned"),
    "BAM of single reads": ("NA1.unaligned.bam", bam(ALONE, ALONE), {}, "single", "unaligned"),
    "CRAM with its layout": ("NA1.cram", bam(R1, R2, form="cram"), {"layout": "paired"}, "", "unaligned"),
}  # fmt: skip


@pytest.mark.parametrize(("key", "data", "choices", "expected", "word"), STARTED.values(), ids=STARTED)
def test_one_file_starts_its_run(
    aws: Deployed, start_run: Any, key: str, data: bytes, choices: dict[str, str], expected: str, word: str
) -> None:
    upload = aws.put(key, data, **choices)
    outcome = outcome_of(start_run, upload)
    assert outcome["outcome"] == "started", aws.rows()
    run = outcome["run"]
    reads = reads_of(aws, run)
    [lane] = reads["lanes"]
    assert (reads["sample"], reads.get("layout", ""), lane[word]["uri"]) == ("NA1", expected, f"s3://{FASTQS}/{key}")
    assert lane.keys() == {"lane", word, "read_group"}
    plan = json.loads(aws.input_of(run))
    assert (plan.get("layout", ""), (aws.row(run) or {}).get("layout", "")) == (expected, expected)
    chosen = Choices("demo", layout=expected)
    assert run == layout.run_id("NA1", [lane], chosen, genome=FINGERPRINT, aligner="bwa_mem3", caller="bcftools")
    assert outcome_of(start_run, upload)["run"] == run
    assert aws.executions() == [run]


@pytest.mark.parametrize(("key", "started"), [("NA1.fastq.gz", True), ("NA1_forward.fastq.gz", False)])
def test_a_stack_may_have_a_layout_for_names_without_a_mate(
    aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch, key: str, *, started: bool
) -> None:
    monkeypatch.setenv("LAYOUT_WITHOUT_MATE", "single")
    outcome = outcome_of(start_run, aws.put(key, fastq(1)))
    assert outcome["outcome"] == ("started" if started else "ignored")
    assert not started or reads_of(aws, outcome["run"])["layout"] == "single"
    again = outcome_of(start_run, aws.put("NA2.fastq.gz", MIXED))
    assert (again["outcome"], again["failure_class"]) == ("refused", "BAD_INPUT.LAYOUT")


IGNORED = {
    "no layout": ("NA1.fastq.gz", fastq(1), "seqdrop-layout=single or seqdrop-layout=interleaved"),
    "aligned BAM": ("NA1.bam", bam(0, 0), "NA1.bam has alignments: read 1 is not an unaligned one"),
    "CRAM without a layout": ("NA1.cram", bam(R1, R2, form="cram"), "a CRAM with the metadata seqdrop-layout"),
    "no BAM": ("NA1.bam", fastq(1), "NA1.bam is neither a BAM nor a CRAM"),
    "index reads": ("NA1_I1.fastq.gz", fastq(1), "it has index reads"),
}


@pytest.mark.parametrize(("key", "data", "message"), IGNORED.values(), ids=IGNORED)
def test_a_file_that_does_not_say_what_it_is_starts_no_run(
    aws: Deployed, start_run: Any, key: str, data: bytes, message: str
) -> None:
    assert outcome_of(start_run, aws.put(key, data))["outcome"] == "ignored"
    [row] = aws.rows()
    assert (row["status"], message in row["message"]) == ("IGNORED", True), row["message"]


REFUSED = {
    "interleaved as single": ("A.fq.gz", MIXED, {"layout": "single"}, "LAYOUT", "reads 1 and 2 are a pair by their"),
    "single as interleaved": ("A.fq.gz", fastq(1), {"layout": "interleaved"}, "LAYOUT", "it is not interleaved"),
    "aligned, with a layout": ("A.bam", bam(0), {"layout": "single"}, "ALIGNED", "read 1 is not an unaligned one"),
    "BAM of another layout": ("A.bam", bam(R1, R2), {"layout": "single"}, "LAYOUT", "the layout is single, but the"),
    "interleaved BAM": ("A.bam", bam(R1, R2), {"layout": "interleaved"}, "CHOICES", "a BAM or CRAM is single or"),
    "one file as a pair": ("A.fq.gz", fastq(1), {"layout": "paired"}, "CHOICES", "A.fq.gz has no layout"),
    "unknown": ("A_R1.fq.gz", fastq(1), {"layout": "mixed"}, "CHOICES", "seqdrop-layout must be one of paired, single"),
    "Strelka": ("A.fq.gz", fastq(1), {"layout": "single", "caller": "strelka"}, "CHOICES",
                "strelka cannot read single-end reads: choose among bwa_mem3, bwa, bcftools"),
}  # fmt: skip


@pytest.mark.parametrize(("key", "data", "choices", "kind", "message"), REFUSED.values(), ids=REFUSED)
def test_a_file_whose_layout_is_wrong_is_refused(
    aws: Deployed, start_run: Any, key: str, data: bytes, choices: dict[str, str], kind: str, message: str
) -> None:
    upload = aws.put(key, data, **choices)
    if kind == "CHOICES" and choices["layout"] == "mixed":
        aws.put("A_R2.fq.gz", fastq(2), **choices)
    outcome = outcome_of(start_run, upload)
    assert (outcome["outcome"], outcome["failure_class"]) == ("refused", f"BAD_INPUT.{kind}")
    assert message in outcome["reason"], outcome["reason"]
    assert aws.executions() == []


@pytest.mark.parametrize("layouts", [("single", ""), ("", "single"), ("single", "single")])
def test_both_mates_are_no_single_end_reads(aws: Deployed, start_run: Any, layouts: tuple[str, str]) -> None:
    for mate, stated in enumerate(layouts, 1):
        upload = aws.put(f"A_R{mate}.fq.gz", fastq(mate), **({"layout": stated} if stated else {}))
    outcome = outcome_of(start_run, upload)
    assert (outcome["outcome"], outcome["failure_class"]) == ("refused", "BAD_INPUT.CHOICES")
    assert ("different choices" in outcome["reason"]) == (layouts != ("single", "single"))


def deliver(aws: Deployed, start_run: Any) -> None:
    for message in aws.sent():
        assert start_run.call(message) == {"batchItemFailures": []}


def test_single_end_lanes_are_one_run(aws: Deployed, start_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"NA1_S1_L00{lane}_R1_001.fastq.gz" for lane in (1, 2)] + ["NA1_S1_L003.fastq.gz", "NA1_S1_L004.fastq.gz"]
    lanes = [("single",), ("single",), ("single",), ()]
    uploads = [
        aws.put(key, fastq(1, lane=lane), **({"layout": stated[0]} if stated else {}))
        for lane, (key, stated) in enumerate(zip(keys, lanes, strict=True), 1)
    ]
    assert [outcome_of(start_run, upload)["outcome"] for upload in uploads] == ["waiting"] * 3 + ["ignored"]
    after = time.time() + QUIET
    monkeypatch.setattr(time, "time", lambda: after)
    deliver(aws, start_run)
    [run] = aws.executions()
    reads = reads_of(aws, run)
    assert (reads["layout"], [lane["lane"] for lane in reads["lanes"]]) == ("single", ["L001", "L002", "L003"])


def test_lanes_of_different_layouts_are_refused(aws: Deployed, start_run: Any) -> None:
    aws.put("NA1_L001_R1.fq.gz", fastq(1), lanes="2")
    aws.put("NA1_L001_R2.fq.gz", fastq(2), lanes="2")
    outcome = outcome_of(start_run, aws.put("NA1_L002_R1.fq.gz", fastq(1, lane=2), lanes="2", layout="single"))
    assert (outcome["outcome"], outcome["failure_class"]) == ("refused", "BAD_INPUT.CHOICES")
    assert aws.executions() == []


# --- samplesheets -------------------------------------------------------------------------------------------------


def test_a_sheet_starts_runs_of_every_layout(aws: Deployed, start_run: Any) -> None:
    files = {"a.fq.gz": fastq(1), "b_R1.fq.gz": fastq(1, lane=2), "c.fq.gz": MIXED, "d.bam": bam(ALONE, ALONE),
             "e.cram": bam(R1, R2, form="cram"), "f.bam": bam(R1, R2)}  # fmt: skip
    held = [aws.put(f"in/{key}", data, sheet="yes") for key, data in files.items()]
    assert {outcome_of(start_run, upload)["outcome"] for upload in held} == {"ignored"}
    rows = aws.rows()
    assert ({row["status"] for row in rows}, len(rows)) == ({"WAITING"}, 6)
    assert all("waits for the samplesheet that names it" in row["message"] for row in rows)
    lines = ["sample,fastq_1,fastq_2,bam,cram,layout", "A,a.fq.gz,,,,", "B,b_R1.fq.gz,,,,single",
             "C,c.fq.gz,,,,interleaved", "D,,,d.bam,,", "E,,,,e.cram,paired", "F,,,f.bam,,"]  # fmt: skip
    assert outcome_of(start_run, aws.put("in/samplesheet.csv", "\n".join(lines).encode()))["outcome"] == "sheet"
    deliver(aws, start_run)
    found = {row["sample"]: (row["status"], row.get("layout", "")) for row in aws.rows()}
    expected = {"A": "single", "B": "single", "C": "interleaved", "D": "single", "E": "", "F": ""}
    assert found == {sample: ("RUNNING", layout) for sample, layout in expected.items()}
    late = [outcome_of(start_run, upload)["outcome"] for upload in held]
    assert (set(late), len(aws.rows())) == ({"ignored"}, 6)  # their rows do not come again
    assert outcome_of(start_run, aws.put("in/a.fq.gz", fastq(1, lane=3), sheet="yes"))["outcome"] == "ignored"
    assert [row["message"][:10] for row in aws.rows() if row["status"] == "WAITING"] == ["in/a.fq.gz"]  # a new version


def test_a_refused_sample_of_a_sheet_needs_the_sheet_again(aws: Deployed, start_run: Any) -> None:
    aws.put("in/a.fq.gz", MIXED, sheet="yes")
    sheet = aws.put("in/samplesheet.csv", b"sample,fastq_1,layout\nA,a.fq.gz,single\n")
    start_run.call(sheet)
    deliver(aws, start_run)
    [row] = aws.rows()
    assert (row["class"], row["sheet"]) == ("BAD_INPUT.LAYOUT", f"s3://{FASTQS}/in/samplesheet.csv")
    [outcome] = start_run.call({"resume": row["run"]})["outcomes"]
    assert outcome["reason"].endswith("correct what its message says, then upload the samplesheet again")
