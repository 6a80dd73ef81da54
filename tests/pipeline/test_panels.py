"""A run with a panel and known variants of its reference, from `seqdrop reference` to the report."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli import reference
from seqdrop_cli.demo.effects import Variant
from seqdrop_cli.reference import Source
from seqdrop_cli.reference_files import Extra
from seqdrop_cli.stack import Stack
from support.pipeline_runs import Sample, fetch, fetch_json, run_pair, run_tool

NAME, CONTIG, PADDING = "kits", "demo1", 100
HEADER = """\
##fileformat=VCFv4.2
##INFO=<ID=CLNSIG,Number=.,Type=String,Description="significance">
##INFO=<ID=AF,Number=A,Type=Float,Description="frequency">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
"""


def known_vcf(variants: Sequence[Variant]) -> str:
    """Return a VCF of planted variants in reverse order, without the lines of contigs."""
    lines = (
        f"{one.contig}\t{one.start + 1}\trs{one.start + 1}\t{one.ref}\t{one.alt}\t.\t.\tCLNSIG=Pathogenic;AF=0.25\n"
        for one in reversed(variants)
    )
    return HEADER + "".join(lines)


@pytest.fixture(scope="module")
def placed(sample: Sample) -> list[Variant]:
    """The planted variants of a contig."""
    planted = (one.variant for one in sample.material.variants)
    return sorted((one for one in planted if one.contig == CONTIG), key=lambda one: one.start)


@pytest.fixture(scope="module")
def run(stack: Stack, sample: Sample, placed: list[Variant], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Prepare a reference, add a panel and known variants to it, and run a sample."""
    folder = tmp_path_factory.mktemp("kits")
    (folder / "kit.bed").write_text(f"{CONTIG}\t{placed[3].start + 20}\t{placed[-1].start + 200}\n")
    (folder / "known.vcf").write_text(known_vcf(placed))
    before = reference.prepare(stack, Source.of(sample.material.fasta, None, NAME))
    extra = {
        "panels": {"kit": Extra(folder / "kit.bed", {"padding": PADDING})},
        "known": {"clinvar": Extra(folder / "known.vcf")},
    }
    after = reference.prepare(stack, Source(NAME, None, None, extras=extra))
    assert {**after, "panels": 0, "known": 0} == {**before, "panels": 0, "known": 0}
    return run_pair(stack, sample.material.fastqs, "KIT", reference=NAME, panel="kit")


def test_calling_uses_the_padded_targets_and_coverage_the_targets(
    stack: Stack, run: dict[str, Any], placed: list[Variant], tmp_path: Path
) -> None:
    assert run["status"] == "SUCCEEDED", f"{run.get('class')}: {run.get('message')}"
    called = run_tool("bcftools", "query", "-f", "%CHROM\t%POS\n", fetch(stack, run, "KIT.vcf.gz", tmp_path))
    places = [(contig, int(place)) for contig, place in (line.split("\t") for line in called.splitlines())]
    first, last = placed[3].start + 20, placed[-1].start + 200
    assert (CONTIG, placed[3].start + 1) in places  # in the padding
    assert all(contig == CONTIG and first - PADDING < place <= last + PADDING for contig, place in places)
    with gzip.open(fetch(stack, run, "KIT.stats.txt.regions.bed.gz", tmp_path), "rt") as file:
        assert [line.split("\t")[:3] for line in file] == [[CONTIG, str(first), str(last)]]


def test_calls_have_the_identifiers_and_fields_of_known_variants(
    stack: Stack, run: dict[str, Any], placed: list[Variant], tmp_path: Path
) -> None:
    vcf = fetch(stack, run, "KIT.annotated.vcf.gz", tmp_path)
    columns = "%POS\t%ID\t%INFO/clinvar_CLNSIG\t%INFO/clinvar_AF\n"
    found = run_tool("bcftools", "query", "-i", 'FILTER="PASS"', "-f", columns, vcf).splitlines()
    expected = {f"{one.start + 1}\trs{one.start + 1}\tPathogenic\t0.25" for one in placed[3:]}
    assert expected <= set(found)
    page = fetch(stack, run, "KIT.report.html", tmp_path).read_text()
    assert f"rs{placed[5].start + 1}" in page
    assert "Pathogenic" in page


def test_the_run_pins_its_panel_and_its_known_variants(stack: Stack, run: dict[str, Any]) -> None:
    manifest, pinned = fetch_json(stack, run, "manifest.json"), fetch_json(stack, run, "reference.json")
    assert (manifest["choices"]["panel"], manifest["padding"], manifest["intervals_name"]) == ("kit", PADDING, "kit")
    assert manifest["intervals_sha256"] == pinned["panels"]["kit"]["sha256"]
    assert manifest["known"]["clinvar"] == pinned["known"]["clinvar"]
    assert pinned["files"]["genome.fa.known.clinvar.vcf.gz"]["version_id"]
    assert manifest["fingerprint"] not in {"", pinned["fingerprint"]}
