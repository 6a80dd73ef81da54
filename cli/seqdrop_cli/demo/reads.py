"""Simulate a paired 2x150 run of a diploid sample: base qualities, then errors at the rate of the qualities."""

from __future__ import annotations

import gzip
from bisect import bisect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import accumulate
from pathlib import Path
from random import Random

from seqdrop_cli.demo.genome import Genome, reverse_complement
from seqdrop_cli.demo.variants import PlantedVariant

LENGTH = 150
COVERAGE = 30
INSERT, INSERT_SD = 350, 50
PROFILES = 2_000  # quality strings of each mate
_OTHERS = {base: [other for other in "ACGT" if other != base] for base in "ACGT"}


def haplotype(genome: Genome, contig: str, planted: Sequence[PlantedVariant], which: int) -> str:
    """Return one copy of a contig with its variants."""
    pieces, at = [], 0
    for variant in (p.variant for p in planted if p.variant.contig == contig and p.haplotypes[which]):
        pieces += [genome.contigs[contig][at : variant.start], variant.alt]
        at = variant.start + len(variant.ref)
    return "".join(pieces) + genome.contigs[contig][at:]


class _Sequencer:
    """Turn bases of the sample into a read with errors, and its qualities."""

    def __init__(self, random: Random, best: int, decrease: float) -> None:
        self._random = random
        self._profiles = [self._profile(best, decrease) for _ in range(PROFILES)]

    def _profile(self, best: int, decrease: float) -> tuple[str, list[float]]:
        """Return a quality string and its expected number of errors, cumulated by cycle."""
        level, qualities = 0.0, []
        tail = self._random.expovariate(1.0)  # the quality of some reads decreases much more than that of others
        for cycle in range(LENGTH):
            level = 0.8 * level + self._random.gauss(0, 1.5)
            mean = best - min(4, tail) * decrease * (cycle / LENGTH) ** 2 - (5 if cycle < 5 else 0)
            qualities.append(max(2, min(40, round(mean + level))))
        text = "".join(chr(33 + quality) for quality in qualities)
        return text, list(accumulate(10 ** (-quality / 10) for quality in qualities))

    def read(self, bases: str) -> tuple[str, str]:
        """Return the bases with errors, and their qualities."""
        qualities, expected = self._random.choice(self._profiles)
        at = self._random.expovariate(1.0)
        if at >= expected[-1]:
            return bases, qualities
        letters = list(bases)
        while at < expected[-1]:
            cycle = bisect(expected, at)
            letters[cycle] = self._random.choice(_OTHERS[letters[cycle]])
            at += self._random.expovariate(1.0)
        return "".join(letters), qualities


def simulate(genome: Genome, planted: Sequence[PlantedVariant], seed: int, r1: Path, r2: Path) -> int:
    """Write both FASTQs; return the number of pairs. The same seed gives the same bytes."""
    pairs = 0
    with _fastq(r1) as first, _fastq(r2) as second:
        for record_1, record_2 in _pairs(genome, planted, Random(seed)):  # noqa: S311  data, not secrets
            first.write(record_1)
            second.write(record_2)
            pairs += 1
    return pairs


@contextmanager
def _fastq(path: Path) -> Iterator[TextIOWrapper]:
    # No name and no time in the gzip header, so that the same reads give the same bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 4, raw, mtime=0) as packed, TextIOWrapper(packed) as text:
        yield text


def _pairs(genome: Genome, planted: Sequence[PlantedVariant], random: Random) -> Iterator[tuple[str, str]]:
    sequencers = _Sequencer(random, 38, 4.0), _Sequencer(random, 37, 6.0)
    copies = [haplotype(genome, contig, planted, which) for contig in genome.contigs for which in (0, 1)]
    total = sum(map(len, copies)) * COVERAGE // 2 // (2 * LENGTH)
    for number, copy in enumerate(random.choices(copies, [len(copy) for copy in copies], k=total)):
        fragment = _fragment(random, copy)
        tile, spot = 1101 + number % 16, number // 16
        name = f"@SIM01:7:HSEQDROPXY:1:{tile}:{1000 + spot % 30_000}:{1000 + 7 * spot}"
        yield (
            _record(f"{name} 1:N:0:ACGTACGT", *sequencers[0].read(fragment[:LENGTH])),
            _record(f"{name} 2:N:0:ACGTACGT", *sequencers[1].read(reverse_complement(fragment[-LENGTH:]))),
        )


def _fragment(random: Random, copy: str) -> str:
    size = max(LENGTH + 20, round(random.gauss(INSERT, INSERT_SD)))
    start = random.randrange(len(copy) - size)
    fragment = copy[start : start + size]
    return fragment if random.random() < 0.5 else reverse_complement(fragment)


def _record(name: str, bases: str, qualities: str) -> str:
    return f"{name}\n{bases}\n+\n{qualities}\n"
