"""Align reads with bwa mem."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from seqdrop.fastq.pairs import interleave
from seqdrop.fastq.records import Batch
from seqdrop.jobs import alignment, arguments
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan.names import SINGLE

INDEX = (".amb", ".ann", ".bwt", ".pac", ".sa")


def main(argv: Sequence[str] | None = None) -> None:
    """Align the reads of a run."""
    args = alignment.parse_arguments(argv, __doc__)  # --sample --reference --reads in, --bam out
    with step("align", args) as work:
        options = arguments.parse_options(args.args, "bwa")
        reference = work.fetch_reference(".fai", *INDEX)
        lanes = alignment.fetch_lanes(work, stream=True)
        work.tools["bwa"] = version(work)
        header = alignment.sam_header(work, lanes, "bwa")

        def feed(out: BinaryIO) -> None:
            out.write(header.encode())
            out.flush()
            for lane in lanes:
                align_lane(work, reference, lane, out)

        alignment.sort_and_publish(work, feed, mark_duplicates=not options.no_mark_duplicates)


def align_lane(work: Workspace, reference: Path, lane: alignment.Lane, out: BinaryIO) -> None:
    """Write the alignments of one lane without a header: `out` already has the header of all lanes."""

    def feed(pipe: BinaryIO) -> None:
        with closing(alignment.verified_batches(work, lane)) as batches:
            pipe.writelines(interleave(*map(with_groups, mates)) for mates in batches)

    # -p: both mates in one stream, so that the verified bytes are the aligned bytes
    pairs = [] if lane.layout == SINGLE else ["-p"]
    # -C: the comment of a read is its read group, where a lane has several
    group = ["-C"] if lane.groups else ["-R", lane.rg_line.replace("\t", "\\t")]
    # -K: batches of one size, so that the output does not depend on the number of threads
    # -Y: soft-clip supplementary alignments, which keeps all bases
    # ^@: header lines only, because SAM allows no read name that begins with "@"
    work.processes.pipe(
        feed,
        ["bwa", "mem", "-K", "100000000", "-Y", *pairs, "-t", work.vcpus, *group, reference, "-"],
        ["grep", "-v", "^@"],
        stdout=out,
    )


def with_groups(reads: Batch) -> Batch:
    """Return reads with their read groups as tags of SAM in the comments of their names, if they have some."""
    if not reads.groups:
        return reads
    named = zip(reads.names, reads.groups, strict=True)
    return replace(reads, names=[b"%s RG:Z:%s" % (name, group) for name, group in named])


def version(work: Workspace) -> str:
    """Return the version of bwa, which it prints only with its usage."""
    path = {"PATH": os.environ["PATH"]}
    usage = subprocess.run(["bwa"], cwd=work.directory, env=path, capture_output=True, check=False).stderr.decode()
    return next((line.split()[1] for line in usage.splitlines() if line.startswith("Version:")), "unknown")


if __name__ == "__main__":
    main()
