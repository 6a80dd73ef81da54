"""Runs with warnings"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli import reference, why
from seqdrop_cli.reference import Source
from seqdrop_cli.stack import Stack
from support.catalogue import case, more
from support.made_reads import FLOWCELL, Record, pairs_of, read_records, records, text, to_gzip, write_pair
from support.pipeline_runs import Sample, fetch_json, run_pair

WARNS = "Continues the run. Row, message, report and manifest have the warning, `seqdrop why RUN` shows it first."


def warnings(stack: Stack, row: dict[str, Any]) -> dict[str, str]:
    """Return the warnings of a run that succeeded, by their codes."""
    assert row["status"] == "SUCCEEDED"
    found = fetch_json(stack, row, "manifest.json")["warnings"]
    assert row["warnings"] == [f"{warning['step']}: {warning['message']}" for warning in found]
    return {warning["warning"]: warning["message"] for warning in found}


def run_reads(stack: Stack, folder: Path, name: str, one: list[Record], two: list[Record]) -> dict[str, Any]:
    return run_pair(stack, write_pair(folder, to_gzip(text(one)), to_gzip(text(two))), name)


@case(
    happens="The reads are from another genome than the reference.",
    see="`SUCCEEDED`, almost no variants, and the warning `FEW_MAPPED`: under a tenth of the reads are mapped.",
    does=WARNS,
    do="If you expected more variants, choose the right reference, then upload the reads again.",
)
def test_reads_of_another_genome_cause_a_warning(stack: Stack, tmp_path: Path) -> None:
    row = run_reads(stack, tmp_path, "FOREIGN", records(1, 60), records(2, 60))
    assert row["variants"] == 0
    assert warnings(stack, row)["FEW_MAPPED"].startswith("only 0 of 120 reads align to the reference")


@case(
    happens="No variant has PASS, although most bases have 20 reads or more.",
    see="`SUCCEEDED`, 0 variants, and the warning `NO_VARIANTS`.",
    does=WARNS,
    do="A control that is identical to the reference has no variants. Otherwise check the reference, the regions "
    "and the caller's options.",
)
def test_a_sample_without_variants_at_a_good_depth_is_reported(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    contig = "".join(sample.material.fasta.read_text().splitlines()[1:300])[:15_000]
    row = run_reads(stack, tmp_path, "EQUAL", *pairs_of(contig, 3_000, seed=21))
    assert row["variants"] == 0
    assert "right for a sample that equals its reference, such as a control" in warnings(stack, row)["NO_VARIANTS"]


@case(
    happens="R1 and R2 have the same read names but are not mates, for example because a program sorted one of them.",
    see="`SUCCEEDED`, few variants, and the warning `FEW_PAIRED`: under half of the mapped reads are properly paired.",
    does=WARNS,
    do="Upload the original files from the sequencer.",
)
def test_reads_that_are_no_pairs_cause_a_warning(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    one, two = (read_records(path, 600) for path in sample.small_pair)
    shuffled = [(head, *other[1:]) for (head, _, _), other in zip(two, two[300:] + two[:300], strict=True)]
    found = warnings(stack, run_reads(stack, tmp_path, "UNPAIRED", one, shuffled))
    assert found.keys() == {"FEW_PAIRED", "LOW_DEPTH"}
    assert "mapped reads are properly paired" in found["FEW_PAIRED"]


@case(
    happens="The reads are amplicons, and duplicates are marked.",
    see="`SUCCEEDED`, few variants, and the warning `MANY_DUPLICATES`: over half of the mapped reads are duplicates.",
    does=WARNS,
    do="Run the reads with `--args align=--no-mark-duplicates`. Otherwise, the library has few molecules.",
)
def test_marked_duplicates_of_amplicons_cause_a_warning(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    one, two = (
        [
            (f"{FLOWCELL}:1:1:1:{at}:{n}", seq, qual)
            for n in range(20)
            for at, (_, seq, qual) in enumerate(read_records(path, 30))
        ]
        for path in sample.small_pair
    )
    found = warnings(stack, run_reads(stack, tmp_path, "MARKED", one, two))
    assert found.keys() == {"MANY_DUPLICATES", "LOW_DEPTH"}
    assert "`--args align=--no-mark-duplicates`" in found["MANY_DUPLICATES"]


@dataclass(frozen=True)
class FewReads:
    """A run of few reads."""

    row: dict[str, Any]
    warnings: dict[str, str]


@pytest.fixture(scope="module")
def few(stack: Stack, sample: Sample) -> FewReads:
    row = run_pair(stack, sample.small_pair, "QUARTER")
    return FewReads(row, warnings(stack, row))


@case(
    happens="A sample has few reads: its mean depth without duplicates, over the genome or over the BED file, is under "
    "10.",
    see="`SUCCEEDED`, and the warning `LOW_DEPTH` with the mean depth.",
    does=WARNS,
    do="Sequence more, or upload all lanes of the sample as one run. Do not take a missing call for a base without a "
    "variant: the gVCF has the depth of each base.",
)
def test_a_low_depth_causes_a_warning(few: FewReads) -> None:
    assert few.warnings["LOW_DEPTH"].startswith("the mean depth of the genome is ")


@more
def test_why_shows_a_warning(stack: Stack, few: FewReads, capsys: Any) -> None:
    why.explain(stack, few.row)
    assert "the mean depth of the genome is" in " ".join(capsys.readouterr().out.split())


@more
def test_all_reads_of_a_good_sample_cause_no_warning(stack: Stack, sample: Sample) -> None:
    assert "warnings" not in run_pair(stack, sample.material.fastqs, "GOOD")


@case(
    happens="Some genes of the reference do not fit its genome, and variants are in them.",
    see="At the preparation the warning `CODING_SEQUENCES`. In the run `DOUBTFUL_EFFECTS`: snpEff marks the effects of "
    "more than 2 % of the variants.",
    does=WARNS,
    do="Prepare genome and genes of one release under another name, and run the sample with it.",
)
def test_effects_in_genes_that_do_not_fit_cause_a_warning(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    rows = [line.split("\t") for line in sample.material.genes.read_text().splitlines()]
    first = rows[0][8].split(";")[0]
    for row in rows:
        if row[8].startswith(first):
            row[3:5] = [str(int(position) + 1) for position in row[3:5]]
    genes = tmp_path / "one_shifted.gtf"
    genes.write_text("".join("\t".join(row) + "\n" for row in rows))
    summary = reference.prepare(stack, Source.of(sample.material.fasta, genes, "oneshifted"))
    assert [warning["warning"] for warning in summary["warnings"]] == ["CODING_SEQUENCES"]
    row = run_pair(stack, sample.material.fastqs, "DOUBTFUL", reference="oneshifted")
    assert warnings(stack, row).keys() == {"DOUBTFUL_EFFECTS"}
