"""Align reads with Isaac: `isaac-align` sorts, marks duplicates and indexes by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqdrop.failure.verdict import UsageError
from seqdrop.jobs import alignment, arguments
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace

HEADER = "FCID,Lane,SampleID,SampleRef,Barcode,Description,Control,Recipe,Operator,Project"
MOST_LANES = 8  # Isaac's file names have room for lanes 1 to 8


def main(argv: Sequence[str] | None = None) -> None:
    args = alignment.parse_arguments(argv, __doc__)  # --sample --reference --reads in, --bam out
    with step("align", args) as work:
        sizes = {"seed_length": arguments.integer(10, 32), "clusters_at_a_time": arguments.integer(1_000, 100_000_000)}
        chosen = arguments.parse_options(args.args, "--no-mark-duplicates", **sizes)
        if chosen.no_mark_duplicates:
            raise UsageError("Isaac always marks duplicates: use bwa_mem3 or bwa for amplicons")
        reference = work.fetch_reference(".fai")
        lanes = alignment.fetch_lanes(work)
        if any(is_plain(path) for lane in lanes for path in (lane.fastq_1, lane.fastq_2)):
            raise UsageError("Isaac reads gzipped FASTQs only: compress them, or use bwa_mem3 or bwa")
        work.version("isaac-align")
        sheet = prepare(work, lanes)
        tuning = [word for name in ("seed_length", "clusters_at_a_time") for word in option(chosen, name)]
        # the mask keeps the last base of every read; -m is enforced as address space, in GB
        with alignment.verify_alongside(work, lanes):
            work.run("isaac-align", "-r", reference, "-b", work / "fastq", "--base-calls-format", "fastq-gz",
                     "-m", max(2, work.memory // 1024 - 1), "-j", work.vcpus, "--use-bases-mask", "y*,y*",
                     "--variable-read-length", "yes", "-s", sheet, *tuning,
                     "--output-directory", work / "isaac", "--temp-directory", work / "temp")  # fmt: skip
        alignment.publish(work, work / "isaac/Projects/default" / args.sample / "sorted.bam")


def is_plain(fastq: Path) -> bool:
    """Whatever the file is called."""
    with fastq.open("rb") as file:
        return file.read(1) == b"@"


def prepare(work: Workspace, lanes: Sequence[alignment.Lane]) -> Path:
    """Lanes under the names Isaac looks for, and the sheet that gives them their sample."""
    if len(lanes) > MOST_LANES:
        raise UsageError(f"Isaac takes at most {MOST_LANES} lanes, not {len(lanes)}")
    (work / "fastq").mkdir()
    rows = [HEADER]
    for number, lane in enumerate(lanes, start=1):
        (work / f"fastq/lane{number}_read1.fastq.gz").symlink_to(lane.fastq_1)
        (work / f"fastq/lane{number}_read2.fastq.gz").symlink_to(lane.fastq_2)
        flowcell = lane.read_group.rpartition(".")[0]
        rows.append(f"{flowcell},{number},{lane.sample},default,,{lane.sample},N,,seqdrop,default")
    sheet = work / "sheet.csv"
    sheet.write_text("\n".join(rows) + "\n")
    return sheet


def option(chosen: object, name: str) -> list[str]:
    value = getattr(chosen, name)
    return [] if value is None else [f"--{name.replace('_', '-')}", str(value)]


if __name__ == "__main__":
    main()
