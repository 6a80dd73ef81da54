"""The line `sort`: everything after the aligner, in one pipe and by region, with the aligned reads of a file.

A machine with few cores cannot show the time that many cores need. The CPU time of the busiest thread bounds it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from pickle import PickleBuffer
from typing import Any, BinaryIO

import staging
from measure import GateError

# Megabases of the contigs of a human genome. Here they have a hundredth of that.
CONTIGS = (248, 242, 198, 190, 181, 170, 159, 145, 138, 133, 135, 133, 114, 107, 101, 90, 83, 80, 58, 64, 46, 50, 156,
           57)  # fmt: skip
BASES = 10_000  # for each megabase
PAIRS, BATCH = 1_000_000, 10_000
VCPUS, MEMORY = 8, 208  # MiB: a tenth of the records fits, as of a genome in the memory of its job
RUNS = ("one pipe", "by region")
TICKS = os.sysconf("SC_CLK_TCK")


def make(folder: Path) -> None:
    """Write the aligned reads in another process, unless they exist."""
    if not (folder / "batches.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, __file__, "make", folder], check=True, capture_output=True)


def make_here(path: str) -> None:
    """Write aligned.bam, uncompressed and in the order of the reads, and the places of its batches."""
    import numpy as np
    import simulate
    from seqdrop.fastq.pairs import Pairs
    from seqdrop.jobs import bwa_mem3

    from containers.reference import bwa_mem3_index

    folder = Path(path)
    fasta, contigs = folder / "genome.fa", [simulate.random_bases(size * BASES, size) for size in CONTIGS]
    fasta.write_bytes(b"".join(b">chr%d\n%s\n" % (n, contig.tobytes()) for n, contig in enumerate(contigs, start=1)))
    subprocess.run(["bwa", "fa2pac", "-f", fasta], check=True)
    bwa_mem3_index.build_index(fasta)
    gap = np.full(simulate.LONGEST, ord("N"), np.uint8)  # no pair is on two contigs
    simulate.write_reads(
        folder, (np.concatenate([part for contig in contigs for part in (contig, gap)]),), PAIRS, "gzip -1"
    )
    pairs = Pairs(folder / "S_R1.fastq.gz", folder / "S_R2.fastq.gz")
    lines = [f"@SQ\tSN:chr{n}\tLN:{len(contig)}\n" for n, contig in enumerate(contigs, start=1)]
    with bwa_mem3.Aligner(fasta, 2) as aligner, (folder / "aligned.bam").open("wb") as out:
        aligner.align([("g", pairs)], "".join(["@HD\tVN:1.6\tGO:query\n", *lines, "@RG\tID:g\tSM:S\n"]), [out])
    (folder / "batches.json").write_text(json.dumps(batches(folder / "aligned.bam")))


def batches(bam: Path) -> list[int]:
    """Return the places where batches of pairs begin, and the size of the file."""
    from seqdrop.fastq import bam_header
    from seqdrop.fastq.bam_reads import NOT_PRIMARY

    data = bam.read_bytes()
    _, at = bam_header.skip(iter([data]))
    places, primary = list[int](), 0
    while at < len(data):
        is_primary = not int.from_bytes(data[at + 18 : at + 20], "little") & NOT_PRIMARY
        if is_primary and primary % (2 * BATCH) == 0:
            places.append(at)
        primary += is_primary
        at += 4 + int.from_bytes(data[at : at + 4], "little")
    return [*places, at]


_kept: dict[str, Any] = {}  # of a forked process


def serve(bam: Path, task: str, *arguments: Any) -> Any:
    """Do the work of an aligner process after the alignment of a batch."""
    from seqdrop.jobs import bam_counts

    if task == "count":
        return bam_counts.count_primary(*arguments)
    if task == "keep":
        [_kept["division"]] = arguments
        return None
    (start, end), division = arguments, _kept["division"]
    with bam.open("rb") as file:
        file.seek(start)
        records = file.read(end - start)
    return list(map(PickleBuffer, division.divide(records) if division else [records]))


def sort_here(path: str, folder: str, kind: str) -> None:
    """Sort and publish the reads; the file `fed` appears after the last one is passed on."""
    from seqdrop.jobs import alignment, region_sort
    from seqdrop.jobs.forked import Forked
    from seqdrop.jobs.processes import Processes
    from seqdrop.jobs.workspace import Workspace
    from seqdrop.storage.uri import S3Uri

    source, results = Path(path), S3Uri.parse("s3://b/S/r")
    places = json.loads((source / "batches.json").read_text())
    with (source / "aligned.bam").open("rb") as file:
        header = file.read(places[0])
    args = argparse.Namespace(sample="S", bam=results / "S.bam", results=results, run="r", vcpus=VCPUS, memory=MEMORY)
    work = Workspace("align", args, Path(folder), Processes(Path(folder)))
    alignment.MIN_SORT_MEMORY = region_sort.MIN_MEMORY = 1  # as the memory of the job, which has few reads
    region_sort.REGION_MEMORY = region_sort.BATCH_MEMORY = 0
    forked: Forked[Any] = Forked("aligner", partial(serve, source / "aligned.bam"), 2, ahead=4)

    def feed(outs: Sequence[BinaryIO], division: Any = None) -> None:
        for out in outs:
            out.write(division.fixed_header if division else header)
        forked.call_each("keep", division)
        for by_region in forked.map(("align", *pair) for pair in pairwise(places)):
            for out, part in zip(outs, by_region, strict=True):
                out.write(part)
        work.counts |= {"reads": 2 * PAIRS, "bases": 2 * PAIRS * 150}
        (work / "fed").touch()

    if kind == RUNS[0]:
        alignment.sort_and_publish(work, lambda out: feed([out]), mark_duplicates=True)
    elif region_sort.is_possible(work):
        region_sort.sort_and_publish(
            work, feed, header, lambda paths: forked.map(("count", path) for path in paths), mark_duplicates=True
        )
    forked.close()


def threads(process: int, comm: str = "") -> Iterator[tuple[tuple[int, str], float]]:
    """Yield the threads of a process and of the samtools that it has started, with their CPU seconds.

    The processes of the aligner are left out: there are as many as vCPUs.
    """
    try:
        name = Path(f"/proc/{process}/comm").read_text().strip()
        for thread in Path(f"/proc/{process}/task").iterdir() if comm in ("", name) else ():
            fields = (thread / "stat").read_text().rpartition(")")[2].split()
            yield (process, thread.name), (int(fields[11]) + int(fields[12])) / TICKS
            for child in (thread / "children").read_text().split():
                yield from threads(int(child), "samtools")
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return


def measure(source: Path, folder: Path, kind: str, env: dict[str, str]) -> tuple[str, str]:
    """Return a digest of the records, and the CPU seconds of a million pairs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    command = [sys.executable, __file__, "sort", source, folder, kind]
    program = subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.DEVNULL)
    used, before = dict[tuple[int, str], float](), dict[tuple[int, str], float]()
    while not (ended := os.wait4(program.pid, os.WNOHANG))[0]:
        used |= threads(program.pid)
        if not before and (folder / "fed").exists():
            before = dict(used)
        time.sleep(0.02)
    _, status, total = ended
    if status:
        raise GateError(f"sort {kind} ended with status {status}")
    seconds = [
        max(value for (process, _), value in used.items() if process != program.pid),
        max(value - before.get(thread, 0) for thread, value in used.items()),
        total.ru_utime + total.ru_stime,
    ]
    records = subprocess.run(["samtools", "view", folder / "aligned.bam"], stdout=subprocess.PIPE, check=True).stdout
    return hashlib.blake2b(records).hexdigest(), (
        "{:.2f} s of the busiest thread of samtools, {:.2f} s of the busiest thread after the last read, {:.1f} s in "
        "all".format(*(1e6 / PAIRS * value for value in seconds))
    )


def main(scratch: Path, repeats: int) -> None:
    """Print the CPU time of both ways; raise GateError unless their records are the same."""
    source = scratch / "sort"
    make(source)
    (source / "S/r").mkdir(parents=True, exist_ok=True)
    contigs = [{"name": f"chr{n}", "length": size * BASES, "md5": "x"} for n, size in enumerate(CONTIGS, start=1)]
    (source / "S/r/reference.json").write_text(json.dumps({"contigs": contigs}))
    digests = set()
    with staging.server(source) as env:
        for _ in range(repeats):
            for kind in RUNS:
                digest, text = measure(source, scratch / "sorting", kind, env)
                digests.add(digest)
                sys.stdout.write(f"sort, {kind}, a million pairs: {text}\n")
    if len(digests) != 1:
        raise GateError("the records differ")


if __name__ == "__main__":
    {"make": make_here, "sort": sort_here}[sys.argv[1]](*sys.argv[2:])
