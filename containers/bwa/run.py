"""Align reads with bwa mem."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from seqdrop.fastq.pairs import interleave
from seqdrop.jobs import alignment, arguments
from seqdrop.jobs.processes import Command
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace

INDEX = (".amb", ".ann", ".bwt", ".pac", ".sa")


def main(argv: Sequence[str] | None = None) -> None:
    args = alignment.parse_arguments(argv, __doc__)  # --sample --reference --reads in, --bam out
    with step("align", args) as work:
        chosen = arguments.parse_options(args.args, "--no-mark-duplicates")
        reference = work.fetch_reference(*INDEX)
        lanes = alignment.fetch_lanes(work)
        work.tools["bwa"] = version(work)
        header = alignment.sam_header(work, lanes, "bwa")

        def feed(out: BinaryIO) -> None:
            out.write(header.encode())
            out.flush()
            for lane in lanes:
                stream(work, reference, lane, out)

        alignment.sort_and_publish(work, feed, mark_duplicates=not chosen.no_mark_duplicates)


def stream(work: Workspace, reference: Path, lane: alignment.Lane, out: BinaryIO) -> None:
    """One lane's alignments without a header of their own: the one for all lanes is written already."""
    group = lane.rg_line.replace("\t", "\\t")
    # -K: batches of one size, so that any number of threads gives the same; -Y: soft clips, no bases are lost;
    # -p: mates side by side in one stream, so that the bytes that were proven are the bytes that are aligned
    options: Command = ["-K", "100000000", "-Y", "-p", "-t", work.vcpus, "-R", group]

    def feed(pipe: BinaryIO) -> None:
        with closing(alignment.verified_batches(work, lane)) as batches:
            pipe.writelines(interleave(one, two) for one, two in batches)

    command: Command = ["bwa", "mem", *options, reference, "-"]
    work.processes.pipe(feed, command, ["grep", "-v", "^@"], stdout=out)  # "@": SAM allows no read name to begin so


def version(work: Workspace) -> str:
    """bwa prints it only when it is called wrongly."""
    path = {"PATH": os.environ["PATH"]}
    shown = subprocess.run(["bwa"], cwd=work.directory, env=path, capture_output=True, check=False).stderr.decode()
    return next((line.split()[1] for line in shown.splitlines() if line.startswith("Version:")), "unknown")


if __name__ == "__main__":
    main()
