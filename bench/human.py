"""Chromosome 20 at two depths through preparation and pipeline, each job within the memory of its parameters.

    apt-get install vt-examples; make bench LINE=human      # half an hour on two cores, 11 minutes once the reads exist

The jobs are containers with the limits of their job definitions. Two depths give the fixed part and the slope of each.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import simulate
import stack
from measure import GateError

CHROMOSOME = Path("/usr/share/doc/vt/examples/ref/20.fa.gz")
DEPTHS = (3, 30)
IMAGES = ("reference", "bwa_mem3", "bcftools", "snpeff", "samtools_stats", "report")
VARIANTS = 0.001  # a base, as in a human genome
# Of the containers of Docker, in version 1 and 2 of cgroups.
CGROUPS = ("memory/docker/*/memory.stat", "docker/*/memory.stat", "system.slice/docker-*/memory.stat")


def make(folder: Path, depth: int) -> list[Path]:
    """Write the genome, its genes, and reads of a depth, unless they exist; return R1 and R2."""
    folder.mkdir(parents=True, exist_ok=True)
    fasta, reads = folder / "chr20.fa", folder / f"{depth}x"
    paths = [reads / f"S_R{mate}.fastq.gz" for mate in (1, 2)]
    if (reads / "done").exists():
        return paths
    with gzip.open(CHROMOSOME) as packed, fasta.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    genome = simulate.read_contig(fasta)
    simulate.write_genes(folder / "chr20.gtf", "20", genome)
    reads.mkdir(exist_ok=True)
    pairs = round(depth * len(genome) / (2 * simulate.LENGTH))
    simulate.write_reads(reads, simulate.haplotypes(genome, VARIANTS), pairs, "gzip -1")
    (reads / "done").touch()
    return paths


class Watch:
    """Note the memory of containers each second, without the page cache, which the peak of the kernel has."""

    def __init__(self) -> None:
        """Begin."""
        self.peaks = dict[str, int]()  # MiB of each container, by its name
        self._names = dict[str, str]()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def end(self) -> dict[str, int]:
        """Return the peak of each job: the names of its containers begin with it."""
        self._ended.set()
        self._thread.join()
        return self.peaks

    def _watch(self) -> None:
        while not self._ended.wait(1):
            for pattern in CGROUPS:
                for file in Path("/sys/fs/cgroup").glob(pattern):
                    with contextlib.suppress(OSError, ValueError):  # it has just ended
                        self._note(file)

    def _note(self, file: Path) -> None:
        found = dict(line.split() for line in file.read_text().splitlines())
        used = sum(int(found.get(field, 0)) for field in ("total_rss", "total_shmem", "anon", "shmem"))
        container = re.sub(r"docker-|\.scope", "", file.parent.name)
        if container not in self._names:
            command = ["docker", "inspect", "-f", "{{.Name}}", container]
            self._names[container] = _output(*command)
        name = self._names[container]
        self.peaks[name] = max(self.peaks.get(name, 0), used >> 20)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, check=False, text=True).stdout.strip("/\n")


def measure(folder: Path, executor: str, parameters: Sequence[str]) -> dict[str, Any]:
    """Prepare the genome and run both depths; return each manifest by its depth, and the peaks of all containers."""
    found: dict[str, Any] = {}
    watch = Watch()
    try:
        with stack.up(folder, executor, parameters) as aws:
            aws.run("reference", folder / "chr20.fa", "--genes", folder / "chr20.gtf", "--name", "chr20")
            for depth in DEPTHS:
                out = folder / f"results{depth}"
                shutil.rmtree(out, ignore_errors=True)
                aws.run("run", *make(folder, depth), "--sample", f"D{depth}", "--reference", "chr20", "--results", out)
                found[str(depth)] = json.loads((out / "manifest.json").read_text())
    finally:
        found["peaks"] = watch.end()
    return found


def write(found: dict[str, Any]) -> None:
    """Print a row for each job: its seconds and its memory at both depths."""
    few, many = (found[str(depth)] for depth in DEPTHS)
    for one, other in zip(few["jobs"], many["jobs"], strict=True):
        peaks = [_peak(found["peaks"], f"{other['step']}-{manifest['run']}") for manifest in (few, many)]
        cells = [other["step"], other["memory"], *peaks, round(one["seconds"]), round(other["seconds"])]
        sys.stdout.write(f"| {' | '.join(map(str, cells))} |\n")
        if not 0 < peaks[-1] < other["memory"]:
            raise GateError(f"{other['step']} has {peaks[-1]} MiB of {other['memory']}")


def _peak(peaks: dict[str, int], job: str) -> int:
    return max((peak for name, peak in peaks.items() if name.startswith(job)), default=0)


def main(scratch: str, executor: str = "docker", *parameters: str) -> None:
    """Print what the jobs of both depths took."""
    folder = Path(scratch).resolve() / "human"
    if executor == "docker":
        subprocess.run(["bash", stack.ROOT / "containers/build", *IMAGES], check=True)
    for depth in DEPTHS:
        make(folder, depth)
    found = measure(folder, executor, parameters)
    (folder / "manifests.json").write_text(json.dumps(found, indent=1))
    write(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
