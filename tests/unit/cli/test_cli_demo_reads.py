from __future__ import annotations

import gzip
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from seqdrop_cli.demo import reads
from seqdrop_cli.demo.effects import Variant
from seqdrop_cli.demo.genome import Genome, reverse_complement
from seqdrop_cli.demo.variants import PlantedVariant

BASES = "".join(Random(4).choices("ACGT", k=6000))  # noqa: S311
SMALL = Genome({"c": BASES}, ())


def records(path: Path) -> list[tuple[str, ...]]:
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return [tuple(islice(lines, at, at + 4)) for at in range(0, len(lines), 4)]


def test_a_haplotype_has_its_own_variants_only() -> None:
    end = len(BASES)
    both = PlantedVariant(Variant("c", 10, BASES[10], "N"), (True, True), "")
    second = PlantedVariant(Variant("c", 20, BASES[20], BASES[20] + "NN"), (False, True), "")
    assert reads.haplotype(SMALL, "c", [both, second], 0) == BASES[:10] + "N" + BASES[11:]
    assert reads.haplotype(SMALL, "c", [both, second], 1) == f"{BASES[:10]}N{BASES[11:21]}NN{BASES[21:end]}"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The folder of simulated FASTQs, and the number of their pairs."""
    folder = tmp_path_factory.mktemp("reads")
    return folder, reads.simulate(SMALL, [], 7, folder / "R1.gz", folder / "R2.gz")


def test_the_same_seed_gives_the_same_bytes(simulated: tuple[Path, int], tmp_path: Path) -> None:
    folder, pairs = simulated
    assert reads.simulate(SMALL, [], 7, tmp_path / "R1.gz", tmp_path / "R2.gz") == pairs
    for mate in ("R1.gz", "R2.gz"):
        assert (folder / mate).read_bytes() == (tmp_path / mate).read_bytes()


def test_mates_have_the_same_names_full_length_and_a_quality_for_every_base(simulated: tuple[Path, int]) -> None:
    folder, pairs = simulated
    first, second = records(folder / "R1.gz"), records(folder / "R2.gz")
    assert pairs == len(first) == len(second) == 6000 * reads.COVERAGE // (2 * reads.LENGTH)
    assert [r[0].split()[0] for r in first] == [r[0].split()[0] for r in second]
    assert len({r[0] for r in first}) == pairs
    assert {len(text) for r in first + second for text in (r[1], r[3])} == {reads.LENGTH}


def test_reads_have_few_errors_and_come_from_both_strands(simulated: tuple[Path, int]) -> None:
    first = records(simulated[0] / "R1.gz")
    forward = sum(r[1] in BASES for r in first) / len(first)
    reverse = sum(reverse_complement(r[1]) in BASES for r in first) / len(first)
    assert 0.25 < forward < 0.5
    assert 0.25 < reverse < 0.5


def test_genotypes_follow_from_the_haplotypes() -> None:
    variant = Variant("c", 1, "A", "G")
    assert PlantedVariant(variant, (True, True), "").genotype == "1/1"
    assert PlantedVariant(variant, (False, True), "").genotype == "0/1"
