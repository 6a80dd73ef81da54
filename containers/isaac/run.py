"""Align reads with Isaac, which also sorts, marks duplicates and writes the index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqdrop.failure.verdict import JobError
from seqdrop.jobs import alignment, arguments
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.processes import Command
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace

from containers.isaac import header, lanes, memory
from containers.isaac.memory import Settings

USAGE = "***"  # around the message about an option


def main(argv: Sequence[str] | None = None) -> None:
    """Align the reads of a run."""
    args = alignment.parse_arguments(argv, __doc__)  # --sample --reference --reads in, --bam out
    with step("align", args) as work:
        options = arguments.parse_options(args.args, "isaac")
        seed, clusters = options.seed_length or memory.SEED_LENGTH, options.clusters_at_a_time
        memory.settings(work.memory, work.vcpus, seed, clusters or memory.MIN_CLUSTERS)  # before any download
        reference = work.fetch_reference(".fai")
        sources = alignment.fetch_lanes(work)
        work.version("isaac-align")
        inputs = lanes.write_inputs(work, sources)
        largest = max(lane.pairs for lane in inputs)
        settings = memory.settings(work.memory, work.vcpus, seed, clusters or memory.clusters_for(largest))
        align(work, reference, inputs, settings, mark_duplicates=not options.no_mark_duplicates)
        bam = work / "isaac/Projects/default" / args.sample / "sorted.bam"
        header.rewrite(work, bam, sources)
        # Isaac pads the reads of a lane to the length of its longest read.
        alignment.publish(work, bam, padded=True, statistics=find_statistics(work / "isaac/Stats"))


def align(
    work: Workspace, reference: Path, inputs: Sequence[lanes.Input], settings: Settings, *, mark_duplicates: bool
) -> None:
    """Run Isaac. Every lane has its own folder, mask and sample sheet: in one folder all have those of the first."""
    each: Command = []
    for lane in inputs:
        each += ["-b", lane.folder, "--base-calls-format", "fastq-gz", "--use-bases-mask", lane.mask, "-s", lane.sheet]
    buckets: Command = ["--hash-table-buckets", settings.buckets] if settings.buckets else []
    try:
        work.run("isaac-align", "-r", reference, *each, "-m", settings.gigabytes, "-j", settings.threads,
                 "--variable-read-length", "yes", "--lane-number-max", max(lanes.LANES_OF_ISAAC, len(inputs)),
                 "--seed-length", settings.seed_length, *buckets, "--clusters-at-a-time", settings.clusters,
                 "--mark-duplicates", int(mark_duplicates), "--bam-exclude-tags", "ZX,ZY,BC",
                 "--bam-pu-format", header.UNIT_FORMAT,
                 "--output-directory", work / "isaac", "--temp-directory", work / "temp")  # fmt: skip
    except ToolError as error:
        if USAGE in error.sentence:  # this wrapper checks the options of a run
            error.failure_class = "INTERNAL"
        raise


def find_statistics(folder: Path) -> list[Path]:
    """Return the XML files of Isaac's statistics; raise JobError if there are none."""
    files = sorted(folder.glob("*.xml"))
    if not files:
        raise JobError("TOOL_FAILED", "Isaac wrote no statistics")
    return files


if __name__ == "__main__":
    main()
