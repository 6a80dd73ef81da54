"""Align reads with the bwa-mem3 library: the alignments of bwa mem in a third to a fifth of the time."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import BinaryIO

from seqdrop.jobs import alignment, arguments, bwa_mem3
from seqdrop.jobs.step import step


def main(argv: Sequence[str] | None = None) -> None:
    """Align the reads of a run."""
    args = alignment.parse_arguments(argv, __doc__)  # --sample --reference --reads in, --bam out
    with step("align", args) as work:
        options = arguments.parse_options(args.args, "bwa_mem3")
        reference = work.fetch_reference(".fai", *bwa_mem3.INDEX)
        lanes = alignment.fetch_lanes(work, stream=True)
        work.tools["bwa-mem3"] = version("bwa-mem3")
        header = alignment.sam_header(work, lanes, "bwa-mem3")

        reads = [lane.reads(work) for lane in lanes]

        # Forked before there are other programs and threads.
        with bwa_mem3.Aligner(reference, work.vcpus) as aligner:

            def feed(out: BinaryIO) -> None:
                groups = [lane.read_group for lane in lanes]
                aligner.align(list(zip(groups, reads, strict=True)), header, out, work.read_rate.add)
                for each in reads:
                    alignment.count(work, each)

            alignment.sort_and_publish(work, feed, mark_duplicates=not options.no_mark_duplicates)


if __name__ == "__main__":
    main()
