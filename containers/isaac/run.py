"""Align reads with Isaac, which also sorts, marks duplicates and writes the index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqdrop.failure.verdict import UsageError
from seqdrop.jobs import alignment, arguments
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace

SHEET_HEADER = "FCID,Lane,SampleID,SampleRef,Barcode,Description,Control,Recipe,Operator,Project"
MAX_LANES = 8  # the file names that Isaac reads have lanes 1 to 8


def main(argv: Sequence[str] | None = None) -> None:
    """Align the reads of a run."""
    args = alignment.parse_arguments(argv, __doc__)  # --sample --reference --reads in, --bam out
    with step("align", args) as work:
        options = arguments.parse_options(args.args, "isaac")
        tuning = arguments.tool_options(
            options, seed_length="--seed-length", clusters_at_a_time="--clusters-at-a-time"
        )  # fmt: skip
        reference = work.fetch_reference(".fai")
        lanes = alignment.fetch_lanes(work)
        if any(is_uncompressed(path) for lane in lanes for path in (lane.fastq_1, lane.fastq_2)):
            raise UsageError("Isaac reads gzipped FASTQs only: compress them, or use bwa_mem3 or bwa")
        work.version("isaac-align")
        sheet = write_sheet(work, lanes)
        memory = max(2, work.memory // 1024 - 1)  # GB; Isaac limits its address space to it
        # --use-bases-mask: keep the last base of every read
        with alignment.verify_alongside(work, lanes):
            work.run("isaac-align", "-r", reference, "-b", work / "fastq", "--base-calls-format", "fastq-gz",
                     "-m", memory, "-j", work.vcpus, "--use-bases-mask", "y*,y*", "--variable-read-length", "yes",
                     "-s", sheet, *tuning, "--output-directory", work / "isaac",
                     "--temp-directory", work / "temp")  # fmt: skip
        # Isaac gives every read the length of the first one of its lane: it cuts longer reads and pads shorter ones.
        bam, statistics = work / "isaac/Projects/default" / args.sample / "sorted.bam", work / "isaac/Stats"
        alignment.publish(work, bam, padded=True, statistics=sorted(statistics.glob("*.xml")))


def is_uncompressed(fastq: Path) -> bool:
    """Return True if the file is plain FASTQ, whatever its name."""
    with fastq.open("rb") as file:
        return file.read(1) == b"@"


def write_sheet(work: Workspace, lanes: Sequence[alignment.Lane]) -> Path:
    """Link the FASTQ files of all lanes to the names that Isaac reads, and write its sample sheet."""
    if len(lanes) > MAX_LANES:
        raise UsageError(f"Isaac takes at most {MAX_LANES} lanes, not {len(lanes)}")
    (work / "fastq").mkdir()
    rows = [SHEET_HEADER]
    for number, lane in enumerate(lanes, start=1):
        (work / f"fastq/lane{number}_read1.fastq.gz").symlink_to(lane.fastq_1)
        (work / f"fastq/lane{number}_read2.fastq.gz").symlink_to(lane.fastq_2)
        flowcell = lane.read_group.rpartition(".")[0]
        rows.append(f"{flowcell},{number},{lane.sample},default,,{lane.sample},N,,seqdrop,default")
    sheet = work / "sheet.csv"
    sheet.write_text("\n".join(rows) + "\n")
    return sheet


if __name__ == "__main__":
    main()
