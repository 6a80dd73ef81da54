import gzip
from itertools import islice
from random import Random

from seqdrop_cli.demo import reads
from seqdrop_cli.demo.effects import Variant
from seqdrop_cli.demo.genome import Genome
from seqdrop_cli.demo.planting import Planted

BASES = "".join(Random(4).choices("ACGT", k=6000))  # noqa: S311
SMALL = Genome({"c": BASES}, ())


def records(path):
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return [tuple(islice(lines, at, at + 4)) for at in range(0, len(lines), 4)]


def test_a_haplotype_carries_its_own_variants_only():
    end = len(BASES)
    both = Planted(Variant("c", 10, BASES[10], "N"), (True, True), "")
    second = Planted(Variant("c", 20, BASES[20], BASES[20] + "NN"), (False, True), "")
    assert reads.haplotype(SMALL, "c", [both, second], 0) == BASES[:10] + "N" + BASES[11:]
    assert reads.haplotype(SMALL, "c", [both, second], 1) == f"{BASES[:10]}N{BASES[11:21]}NN{BASES[21:end]}"


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        reads.simulate(SMALL, [], 7, tmp_path / folder / "R1.gz", tmp_path / folder / "R2.gz")
    for mate in ("R1.gz", "R2.gz"):
        assert (tmp_path / "a" / mate).read_bytes() == (tmp_path / "b" / mate).read_bytes()


def test_mates_have_the_same_names_full_length_and_a_quality_for_every_base(tmp_path):
    pairs = reads.simulate(SMALL, [], 7, tmp_path / "R1.gz", tmp_path / "R2.gz")
    first, second = records(tmp_path / "R1.gz"), records(tmp_path / "R2.gz")
    assert pairs == len(first) == len(second) == 6000 * reads.COVERAGE // (2 * reads.LENGTH)
    assert [r[0].split()[0] for r in first] == [r[0].split()[0] for r in second]
    assert len({r[0] for r in first}) == pairs
    assert {len(text) for r in first + second for text in (r[1], r[3])} == {reads.LENGTH}


def test_errors_are_few_and_reads_come_from_either_strand_of_the_genome(tmp_path):
    reads.simulate(SMALL, [], 7, tmp_path / "R1.gz", tmp_path / "R2.gz")
    found = records(tmp_path / "R1.gz")
    forward = sum(r[1] in BASES for r in found) / len(found)
    backward = sum(reads.reverse_complement(r[1]) in BASES for r in found) / len(found)
    assert 0.25 < forward < 0.5
    assert 0.25 < backward < 0.5


def test_genotypes_follow_the_haplotypes():
    variant = Variant("c", 1, "A", "G")
    assert Planted(variant, (True, True), "").genotype == "1/1"
    assert Planted(variant, (False, True), "").genotype == "0/1"
