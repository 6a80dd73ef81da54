"""`seqdrop demo`: make a sample whose variants are known, run the pipeline on it, count what it found."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from seqdrop_cli import drop
from seqdrop_cli.demo import genome, planting, reads, truth
from seqdrop_cli.demo.variants import Planted
from seqdrop_cli.demo.truth import Comparison, Site
from seqdrop_cli.run import Order, Outcome
from seqdrop_cli.errors import CliError
from seqdrop_cli.reference import Source
from seqdrop_cli.screen import say, screen, seconds
from seqdrop_cli.stack import Stack
from seqdrop_cli.upload import Drop

SEED = 20
SAMPLE = "DEMO"
REFERENCE = "demo"
ENOUGH = 0.95  # of recall, precision and effects; 30x of clean reads gives nearly all of each

SOME = 10  # of each kind of disagreement


@dataclass(frozen=True, slots=True)
class Material:
    """What was made, and the truth about it."""

    fasta: Path
    genes: Path
    fastqs: tuple[Path, Path]
    planted: list[Planted]


def tell(stack: Stack, keep: Path | None, seed: int) -> None:
    """Raises CliError when the run fails or finds too little."""
    began = time.monotonic()
    with _folder(keep) as folder:
        material = make(folder, seed)
        took = time.monotonic() - began
        outcome = drop.run(stack, _order(material, keep / "results" if keep else None))
    comparison = truth.compare(material.planted, truth.read_calls(_annotated(outcome)))
    screen().print(_table(comparison))
    _tell_details(comparison)
    _tell_times(took, outcome, time.monotonic() - began)
    if report := next((file for file in outcome.files if file.name.endswith(".report.html")), None):
        say(f"Report: {report.resolve()}", style="bold")
    _check(comparison)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="seqdrop-demo-") as folder:
        yield Path(folder)


def make(folder: Path, seed: int) -> Material:
    """Genome, genes, truth and reads as files. The same seed gives the same bytes."""
    name = REFERENCE if seed == SEED else f"{REFERENCE}-{seed}"  # a name is one genome's for good
    made = genome.make_genome(seed)
    planted = planting.plant(made, seed)
    material = Material(
        folder / f"{name}.fa",
        folder / f"{name}.gtf",
        (folder / f"{SAMPLE}_R1.fastq.gz", folder / f"{SAMPLE}_R2.fastq.gz"),
        planted,
    )
    genome.write_fasta(made, material.fasta)
    genome.write_gtf(made, material.genes)
    truth.write_truth(made, planted, SAMPLE, folder / "truth.vcf")
    pairs = reads.simulate(made, planted, seed, *material.fastqs)
    bases = sum(map(len, made.contigs.values()))
    say(f"Made a genome of {bases:,} bases with {len(made.genes)} genes; {len(planted)} variants; {pairs:,} read pairs")
    return material


def _order(material: Material, results: Path | None) -> Order:
    source = Source.of(material.fasta, material.genes, material.fasta.stem)
    return Order(Drop.of(material.fastqs, None), None, source, intervals="", args={}, prefix="", results=results)


def _annotated(outcome: Outcome) -> Path:
    for file in outcome.files:
        if file.name.endswith(".annotated.vcf.gz"):
            return file
    raise CliError("The run left no annotated variants.")


def _table(comparison: Comparison) -> Table:
    effects = comparison.effects_agreed + len(comparison.effects_disagreed)
    table = Table(title="Variants", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    table.add_row("planted", str(comparison.planted), "")
    table.add_row("found", str(comparison.found), f"recall {comparison.recall:.1%}")
    table.add_row("missed", str(len(comparison.missed)), "")
    table.add_row("extra", str(len(comparison.extra)), f"precision {comparison.precision:.1%}")
    right = comparison.found - len(comparison.wrong_genotypes)
    table.add_row("genotypes right", str(right), f"of {comparison.found}")
    table.add_row("effects as expected", str(comparison.effects_agreed), f"of {effects}")
    return table


def _tell_details(comparison: Comparison) -> None:
    wrong = {"missed": comparison.missed, "extra": comparison.extra, "wrong genotype": comparison.wrong_genotypes}
    for kind, sites in wrong.items():
        _tell_some([f"{kind}: {_written(site)}" for site in sites])
    disagreed = comparison.effects_disagreed
    _tell_some(
        [f"effect: {_written(site)} should be {term}, is {named or 'unnamed'}" for site, term, named in disagreed]
    )


def _tell_some(sentences: Sequence[str]) -> None:
    for sentence in sentences[:SOME]:
        say(f"  {sentence}")
    if len(sentences) > SOME:
        say(f"  ... and {len(sentences) - SOME} more")


def _written(site: Site) -> str:
    contig, position, ref, alt = site
    return f"{contig}:{position} {ref}>{alt}"


def _tell_times(making: float, outcome: Outcome, total: float) -> None:
    steps: Sequence[tuple[str, float]] = [("simulate", making), *((line.step, line.elapsed) for line in outcome.lines)]
    say("Times: " + ", ".join(f"{step} {seconds(elapsed)}" for step, elapsed in steps) + f"; {seconds(total)} in all")


def _check(comparison: Comparison) -> None:
    effects = comparison.effects_agreed + len(comparison.effects_disagreed)
    agreed = comparison.effects_agreed / effects if effects else 1.0
    if min(comparison.recall, comparison.precision, agreed) < ENOUGH:
        raise CliError(f"Recall, precision and effects must each reach {ENOUGH:.0%}: this run does not.")
