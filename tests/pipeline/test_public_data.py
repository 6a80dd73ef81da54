"""Runs of real reads with a truth set, from the folder in SEQDROP_DATA; skipped without this folder."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli.stack import Stack
from support import amplicons
from support.made_reads import text, write_pair
from support.pipeline_runs import fetch, fetch_json, prepare_files, run_pair, run_tool, upload, wait_for_end

DATA = Path(os.environ.get("SEQDROP_DATA", "/nonexistent"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="SEQDROP_DATA is not a folder with public reads")
HUMAN, TWIST, MEASLES = DATA / "human_hg002_chr20", DATA / "sarscov2_twist_MT007544", DATA / "measles_genbank"
SITE = "%CHROM\t%POS\t%REF\t%ALT\n"


def warnings_of(stack: Stack, row: dict[str, Any]) -> list[str]:
    return [warning["warning"] for warning in fetch_json(stack, row, "manifest.json")["warnings"]]


def verdict_of(stack: Stack, row: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the verdict of the report, and the figures that are its reasons, each with its limit."""
    document = fetch_json(stack, row, f"{row['sample']}.report.html.json")
    reasons = [reason.split(";")[0] for reason in document["reasons"]]
    assert "contamination" not in reasons, "no set here is a mixture"
    contamination = document["figures"].get("contamination")
    assert contamination is None or contamination < 1.5
    return document["verdict"], reasons


def lane(number: int) -> tuple[Path, Path]:
    one, two = (HUMAN / f"fastq/HG002_S1_L00{number}_R{mate}_001.fastq.gz" for mate in (1, 2))
    return one, two


def sites(vcf: Path, *options: str | Path) -> set[str]:
    """Return the alleles of a VCF with one allele in each record."""
    return set(run_tool("bcftools", "query", "-f", SITE, *options, vcf).splitlines())


def passed_and_all(vcf: Path, *options: str | Path) -> tuple[set[str], set[str]]:
    """Return the alleles with PASS and all alleles of an annotated VCF."""
    return sites(vcf, "-i", 'FILTER="PASS"', *options), sites(vcf, *options)


@pytest.fixture(scope="module")
def human(stack: Stack) -> Stack:
    prepare_files(stack, HUMAN / "ref/chr20_slice.fa", HUMAN / "ref/chr20_slice.ANKEF1.gtf", "hg")
    return stack


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_calls_of_one_human_lane_match_the_truth_set(human: Stack, tmp_path: Path, number: int) -> None:
    row = run_pair(human, lane(number), f"LANE{number}", reference="hg")
    assert (row["status"], warnings_of(human, row)) == ("SUCCEEDED", ["LOW_DEPTH"])  # 7: see docs/tools.md
    verdict, reasons = verdict_of(human, row)
    assert verdict == "FAIL"
    assert re.fullmatch(r"Mean depth of the genome: [67]\.?\d*x, under 10x", reasons[0])
    truth, bed = truth_of_human(tmp_path)
    called, every = passed_and_all(fetch(human, row, f"LANE{number}.annotated.vcf.gz", tmp_path), "-T", bed)
    assert called < every
    assert len(called - truth) <= 0.02 * len(called)  # depth 7: few calls, almost none wrong
    assert len(called & truth) >= 0.75 * len(truth)


def test_the_calls_of_four_human_lanes_match_the_truth_set(human: Stack, tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        for path in lane(number):
            upload(human, path, f"all/{path.name}", reference="hg", lanes="4")
    row = wait_for_end(human, "HG002")
    assert (row["qc"], warnings_of(human, row)) == ("PASS", [])
    assert verdict_of(human, row) == ("PASS", [])
    page = fetch(human, row, "HG002.report.html", tmp_path)
    assert page.read_text().count(" reads around this variant are shown.") == 100
    assert page.stat().st_size < 3_000_000
    truth, bed = truth_of_human(tmp_path)
    called, every = passed_and_all(fetch(human, row, "HG002.annotated.vcf.gz", tmp_path), "-T", bed)
    assert len(called & truth) >= 0.99 * len(truth)
    assert called - truth == set()
    assert len(every & truth) >= len(called & truth)


def truth_of_human(folder: Path) -> tuple[set[str], Path]:
    """Return the sites of the truth set, normalised like the calls (one allele a record, left-aligned), and its BED."""
    normalised = folder / "truth.vcf.gz"
    run_tool("bcftools", "norm", "-m", "-any", "-f", HUMAN / "ref/chr20_slice.fa", "-Oz", "-o", normalised,
         HUMAN / "truth/HG002_v4.2.1.slice.vcf.gz")  # fmt: skip
    run_tool("bcftools", "index", "-f", "-t", normalised)
    bed = HUMAN / "truth/HG002_v4.2.1.slice.bed"
    return sites(normalised, "-T", bed), bed


def test_the_calls_of_the_twist_control_are_exactly_its_planted_variants(stack: Stack, tmp_path: Path) -> None:
    prepare_files(stack, TWIST / "ref/MN908947.3.fa", TWIST / "ref/MN908947.3.orf1split.gtf", "sars")
    files = TWIST / "fastq/MT007544_R1.fastq.gz", TWIST / "fastq/MT007544_R2.fastq.gz"
    args = '{"align":["--no-mark-duplicates"],"call":["--ploidy","1"]}'
    row = run_pair(stack, files, "MT007544", reference="sars", args=args)
    assert (row["qc"], warnings_of(stack, row)) == ("PASS", [])
    assert verdict_of(stack, row) == ("PASS", [])
    vcf = fetch(stack, row, "MT007544.annotated.vcf.gz", tmp_path)
    assert sites(vcf, "-i", 'FILTER="PASS"') == sites(TWIST / "truth/MT007544.truth.vcf.gz")
    records = run_tool("bcftools", "view", "-H", vcf)
    assert "p.Gly251Val" in records
    assert "251G>251V" in records


def test_amplicons_of_the_virus_itself_have_no_calls_with_pass(stack: Stack, tmp_path: Path) -> None:
    """All 98 amplicons of ARTIC v3, at depths from about 100 to 3,000, with the options that the README has."""
    prepare_files(stack, TWIST / "ref/MN908947.3.fa", TWIST / "ref/MN908947.3.orf1split.gtf", "sars")
    genome = "".join((TWIST / "ref/MN908947.3.fa").read_text().splitlines()[1:])
    places = amplicons.read_amplicons(TWIST / "ref/artic_v3.primer.bed")
    assert len(places) == 98
    one, two = amplicons.simulate(genome, places, seed=6)
    files = write_pair(tmp_path, gzip.compress(text(one), 1), gzip.compress(text(two), 1))
    args = '{"align":["--no-mark-duplicates"],"call":["--ploidy","1"]}'
    row = run_pair(stack, files, "VIRUS", reference="sars", args=args)
    assert (row["status"], row["reads"], row["variants"]) == ("SUCCEEDED", 2 * len(one), 0)
    assert sites(fetch(stack, row, "VIRUS.vcf.gz", tmp_path), "-i", 'FILTER="PASS"') == set()
    manifest = fetch_json(stack, row, "manifest.json")
    assert [warning["warning"] for warning in manifest["warnings"]] == ["NO_VARIANTS"]
    [call] = [job for job in manifest["jobs"] if job["step"] == "call"]
    assert call["counts"]["typical_depth"] > 50  # of real ones about 1,000: a block counts with its lowest depth


def test_measles_variants_are_annotated_from_genbank(stack: Stack, tmp_path: Path) -> None:
    prepare_files(stack, MEASLES / "ref/JB409847.fa", MEASLES / "ref/JB409847.gbk", "measles")
    files = MEASLES / "fastq/measles_R1.fastq.gz", MEASLES / "fastq/measles_R2.fastq.gz"
    row = run_pair(stack, files, "MEASLES", reference="measles")
    # Half of the genome has a depth under 10; the mean is 10, so there is no LOW_DEPTH.
    assert (row["status"], row["qc"], warnings_of(stack, row)) == ("SUCCEEDED", "FAIL", ["QC_FAIL"])
    verdict, reasons = verdict_of(stack, row)
    assert (verdict, reasons[0].split(":")[0]) == ("FAIL", "Bases of the genome with 10 or more reads")
    assert "missense_variant" in run_tool(
        "bcftools", "view", "-H", fetch(stack, row, "MEASLES.annotated.vcf.gz", tmp_path)
    )


def test_reads_of_another_genome_fail_by_their_mapped_reads(stack: Stack) -> None:
    prepare_files(stack, MEASLES / "ref/JB409847.fa", MEASLES / "ref/JB409847.gbk", "measles")
    row = run_pair(stack, lane(1), "WRONG", reference="measles")
    verdict, reasons = verdict_of(stack, row)
    assert (row["status"], row["qc"], verdict) == ("SUCCEEDED", "FAIL", "FAIL")
    assert "FEW_MAPPED" in warnings_of(stack, row)
    assert re.fullmatch(r"Mapped reads: <?\d[\d.]*%, under 70%", reasons[0])


def test_case_12_many_contigs_cost_what_one_pass_costs(stack: Stack) -> None:
    """1,000 scaffolds, 40 of them with reads and a variant each."""
    folder = DATA / "cases/12-many-contigs"
    prepare_files(stack, folder / "c1000.fa.gz", None, "scaffolds")
    row = run_pair(stack, (folder / "C1000_R1.fastq.gz", folder / "C1000_R2.fastq.gz"), "C1000", reference="scaffolds")
    assert (row["status"], row["variants"]) == ("SUCCEEDED", 40)
    [call] = [job for job in fetch_json(stack, row, "manifest.json")["jobs"] if job["step"] == "call"]
    assert call["seconds"] < 30  # two programs for each contig took 90 s


def unusual_pairs() -> list[Any]:
    """Return the rows of the table of unusual and invalid pairs."""
    table = DATA / "awkward/derived/expected.tsv"
    lines = [line.split("\t") for line in table.read_text().splitlines()[1:]] if table.is_file() else []
    return [pytest.param(line, id=line[0]) for line in lines if line[2] != "-"]


# The failure class of each invalid pair; the other pairs succeed.
CLASSES = {
    "corrupt_gzip": "CORRUPT_GZIP",
    "count_mismatch": "MATE_COUNT",
    "empty_gz": "EMPTY",
    "name_mismatch": "MATE_NAMES",
    "order_mismatch": "MATE_NAMES",
    "phred64": "MALFORMED",
    "qual_len": "MALFORMED",
    "same_file_twice": "SAME_FILE",
    "trailing_garbage": "CORRUPT_GZIP",
    "truncated_gzip": "TRUNCATED",
    "truncated_record": "TRUNCATED",
    "zero_bytes": "EMPTY",
    "zero_len_read": "MALFORMED",
}


OF_FEW_READS = {"LOW_DEPTH", "MANY_DUPLICATES"}  # 50 to 500 pairs of amplicons, with duplicates marked


@pytest.mark.parametrize("case", unusual_pairs())
def test_an_unusual_pair_ends_as_its_table_states(stack: Stack, case: list[str]) -> None:
    prepare_files(stack, TWIST / "ref/MN908947.3.fa", TWIST / "ref/MN908947.3.orf1split.gtf", "sars")
    name, pairs = f"AWK.{case[0]}", case[4]
    files = DATA / "awkward/derived" / case[1], DATA / "awkward/derived" / case[2]
    row = run_pair(stack, files, name, reference="sars")
    if case[0] in CLASSES:
        assert (row["status"], row["class"]) == ("FAILED", f"BAD_INPUT.{CLASSES[case[0]]}")
    else:
        assert (row["status"], row["reads"]) == ("SUCCEEDED", 2 * int(pairs))
        warnings = ["DUPLICATE_NAMES"] if case[0] == "dup_names" else []
        assert [warning for warning in warnings_of(stack, row) if warning not in OF_FEW_READS] == warnings
