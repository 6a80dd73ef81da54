"""Simulate the reads of amplicons: 2x251 bases, some of them errors, at a depth that differs between amplicons."""

from __future__ import annotations

import random
from pathlib import Path

from support.made_reads import COMPLEMENT, Record

LENGTH = 251
ERRORS = 0.8  # in a read, on average: 0.3 % of its bases, as after the last cycles of a MiSeq run
DEPTH, SPREAD = 600, 0.8  # pairs of the median amplicon; sigma of the logarithm


def read_amplicons(primers: Path) -> list[tuple[int, int]]:
    """Return start and end (as in BED) of each amplicon of an ARTIC scheme, from the outer ends of its primers."""
    ends: dict[str, list[int]] = {}
    for line in primers.read_text().splitlines():
        _, start, end, name, *_ = line.split("\t")
        ends.setdefault(name.split("_")[1], []).extend((int(start), int(end)))
    return [(min(places), max(places)) for places in ends.values()]


def simulate(genome: str, amplicons: list[tuple[int, int]], seed: int) -> tuple[list[Record], list[Record]]:
    """Return both mates of reads without variants; half of the errors have a high quality."""
    rng = random.Random(seed)  # noqa: S311
    one, two = list[Record](), list[Record]()
    for number, (start, end) in enumerate(amplicons):
        forward, backward = genome[start:end], genome[start:end].translate(COMPLEMENT)[::-1]
        for pair in range(round(DEPTH * rng.lognormvariate(0, SPREAD))):
            mates = (forward, backward) if rng.random() < 0.5 else (backward, forward)
            name = f"M01234:7:000000000-AMPLI:1:1101:{number}:{pair}"
            for reads, bases in zip((one, two), mates, strict=True):
                reads.append((name, *_read(rng, bases[:LENGTH])))
    return one, two


def _read(rng: random.Random, bases: str) -> tuple[str, str]:
    letters, qualities = list(bases), ["F"] * len(bases)
    at = rng.expovariate(ERRORS / LENGTH)
    while at < len(letters):
        letters[int(at)] = rng.choice("ACGT".replace(letters[int(at)], ""))
        qualities[int(at)] = rng.choice(",F")
        at += rng.expovariate(ERRORS / LENGTH) + 1
    return "".join(letters), "".join(qualities)
