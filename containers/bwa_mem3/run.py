"""Align reads with the bwa-mem3 library: the alignments of bwa mem in a third to a fifth of the time."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import BinaryIO

from seqdrop.jobs import alignment, arguments, bwa_mem3, region_sort
from seqdrop.jobs.division import Division
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

            def feed(outs: Sequence[BinaryIO], division: Division | None = None) -> None:
                groups = [lane.read_group for lane in lanes]
                aligner.align(list(zip(groups, reads, strict=True)), header, outs, work.read_rate.add, division)
                for each in reads:
                    alignment.count(work, each)

            mark = not options.no_mark_duplicates
            if region_sort.is_possible(work):
                region_sort.sort_and_publish(work, feed, aligner.header(header), aligner.count, mark_duplicates=mark)
            else:
                alignment.sort_and_publish(work, lambda out: feed([out]), mark_duplicates=mark)


if __name__ == "__main__":
    main()
