from __future__ import annotations

import gzip
from pathlib import Path

from seqdrop_cli.demo import truth
from seqdrop_cli.demo.effects import Variant
from seqdrop_cli.demo.truth import Call, Comparison
from seqdrop_cli.demo.variants import PlantedVariant

MISSENSE = PlantedVariant(Variant("c", 99, "A", "G"), (True, False), "missense_variant")
DELETION = PlantedVariant(Variant("c", 199, "CTG", "C"), (True, True), "frameshift_variant")
ELSEWHERE = PlantedVariant(Variant("c", 299, "A", "T"), (False, True), "")


def test_calls_are_counted_as_found_missed_and_extra() -> None:
    calls = {
        ("c", 100, "A", "G"): Call("0/1", ("missense_variant", "splice_region_variant")),
        ("c", 200, "CTG", "C"): Call("0/1", ("intron_variant",)),
        ("c", 999, "A", "T"): Call("0/1", ()),
    }
    assert truth.compare([MISSENSE, DELETION, ELSEWHERE], calls) == Comparison(
        expected=3,
        matches=2,
        missed=[("c", 300, "A", "T")],
        extra=[("c", 999, "A", "T")],
        wrong_genotypes=[("c", 200, "CTG", "C")],
        effects_agreed=1,
        effects_disagreed=[(("c", 200, "CTG", "C"), "frameshift_variant", "intron_variant")],
    )


def test_the_missed_variants_are_counted_by_kind() -> None:
    sites = [("c", 1, "A", "T"), ("c", 5, "A", "AT"), ("c", 9, "AC", "A"), ("d", 1, "AC", "A")]
    assert truth.count_kinds(sites) == "1 SNPs, 1 insertions, 2 deletions"
    assert truth.count_kinds([]) == ""


def test_recall_and_precision_without_variants_are_one() -> None:
    empty = truth.compare([], {})
    assert (empty.recall, empty.precision) == (1.0, 1.0)


def test_the_recall_without_calls_is_zero() -> None:
    assert truth.compare([MISSENSE], {}).recall == 0.0


def test_a_site_has_its_shortest_form() -> None:
    assert truth.trimmed("c", 10, "CATG", "CTG") == ("c", 10, "CA", "C")
    assert truth.trimmed("c", 10, "CAG", "CTG") == ("c", 11, "A", "T")


def test_calls_without_a_filter_are_read_with_genotypes_and_the_most_severe_effect(tmp_path: Path) -> None:
    rows = [
        "##fileformat=VCFv4.2",
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS",
        "c\t100\t.\tA\tG\t60\t.\tDP=9;ANN=G|stop_gained&splice_region_variant|HIGH|x,G|upstream|LOW|y\tGT:AD\t1|0:4,5",
        "c\t200\t.\tC\tA,T\t60\tPASS\tDP=9\tGT\t1/2",
        "c\t300\t.\tC\tA\t6\tLowQual\tDP=9\tGT\t0/1",
    ]
    with gzip.open(tmp_path / "calls.vcf.gz", "wt") as file:
        file.writelines(f"{row}\n" for row in rows)
    assert truth.read_calls(tmp_path / "calls.vcf.gz") == {
        ("c", 100, "A", "G"): Call("0/1", ("stop_gained", "splice_region_variant")),
        ("c", 200, "C", "A"): Call("0/1", ()),
        ("c", 200, "C", "T"): Call("0/1", ()),
    }
