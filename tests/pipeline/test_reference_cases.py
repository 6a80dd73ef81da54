"""Cases of references that were found in use, from the folder in SEQDROP_DATA; skipped without this folder."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from seqdrop_cli import reference
from seqdrop_cli.reference import Source
from seqdrop_cli.stack import Stack
from support.pipeline_runs import Sample, fetch, run_pair, run_tool

CASES = Path(os.environ.get("SEQDROP_DATA", "/nonexistent")) / "cases"
COMMON = CASES / "common"
GENES = COMMON / "demo.gtf"
SITE = "%CHROM\t%POS\t%REF\t%ALT\n"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="SEQDROP_DATA has no folder of cases")


def prepared(stack: Stack, fasta: Path, genes: Path, name: str) -> list[str]:
    """Prepare a reference; return the codes of its warnings."""
    summary = reference.prepare(stack, Source.of(fasta, genes, name))
    return [warning["warning"] for warning in summary["warnings"]]


def called(stack: Stack, sample: Sample, name: str, folder: Path) -> set[str]:
    """Return the sites that a run of all reads of the demo calls, as text."""
    row = run_pair(stack, sample.material.fastqs, name, reference=name)
    assert row["status"] == "SUCCEEDED"
    vcf = fetch(stack, row, f"{name}.vcf.gz", folder)
    return set(run_tool("bcftools", "query", "-i", 'FILTER="PASS"', "-f", SITE, vcf).splitlines())


def truth() -> set[str]:
    return set(run_tool("bcftools", "query", "-f", SITE, COMMON / "truth.vcf").splitlines())


def test_case_02_ambiguity_codes_cost_no_other_variants(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    folder = CASES / "02-iupac-indel"
    assert prepared(stack, folder / "iupac.fa.gz", GENES, "CASE02") == ["AMBIGUITY_CODES"]
    codes = positions_of_codes(folder / "iupac.fa.gz")
    away = {site for site in truth() if not touches(site, codes)}
    assert 90 < len(away) < 120
    assert away <= called(stack, sample, "CASE02", tmp_path)


def positions_of_codes(fasta: Path) -> set[tuple[str, int]]:
    """Return contig and position (from 1) of every ambiguity code."""
    codes, name, at = set(), "", 0
    for line in gzip.decompress(fasta.read_bytes()).decode().splitlines():
        if line.startswith(">"):
            name, at = line[1:].split()[0], 0
            continue
        codes |= {(name, at + number) for number, base in enumerate(line, 1) if base.upper() not in "ACGTN"}
        at += len(line)
    return codes


def touches(site: str, codes: set[tuple[str, int]]) -> bool:
    """Return whether a code is among the bases that a variant replaces, or beside them."""
    contig, position, ref, _ = site.split("\t")
    return any((contig, at) in codes for at in range(int(position) - 1, int(position) + len(ref) + 1))


def test_case_03_calls_on_a_soft_masked_genome_equal_the_truth_as_text(
    stack: Stack, sample: Sample, tmp_path: Path
) -> None:
    assert prepared(stack, CASES / "03-soft-masked/lower.fa.gz", GENES, "CASE03") == []
    calls = called(stack, sample, "CASE03", tmp_path)
    assert calls == truth()
    assert all(line == line.upper() for line in (site.split("\t", 1)[1] for site in calls))


def test_case_09_genes_of_half_of_the_contigs_are_reported(stack: Stack) -> None:
    genes = CASES / "09-gtf-half/half.gtf"
    warnings = prepared(stack, COMMON / "demo.fa.gz", genes, "CASE09")
    assert warnings == ["GENES_WITHOUT_CONTIG", "CONTIGS_WITHOUT_GENES"]
