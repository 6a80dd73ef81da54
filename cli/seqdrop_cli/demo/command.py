"""`seqdrop demo`: simulate a sample with known variants, run the pipeline on it, and count what it finds."""

from __future__ import annotations

import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from seqdrop.plan.choices import Choices
from seqdrop.plan.extras import NO_PANEL
from seqdrop.text import format_seconds

from seqdrop_cli.demo import files, truth
from seqdrop_cli.demo.files import DemoFiles
from seqdrop_cli.demo.truth import Comparison, Site
from seqdrop_cli.errors import CliError
from seqdrop_cli.fastqs import Fastqs
from seqdrop_cli.reference import Source
from seqdrop_cli.run import RunRequest, RunResult, run_pipeline
from seqdrop_cli.screen import console, say
from seqdrop_cli.stack import Stack

THRESHOLD = 0.95  # of recall, precision and effects; 30x of simulated reads gives nearly all of each
MAX_DETAILS = 10  # of each kind of difference


def run_demo(stack: Stack, keep: Path | None, seed: int, choices: Choices) -> dict[str, Any]:
    """Run the demo with an aligner and a caller; return its figures, for JSON.

    Raises CliError if the run fails or finds too few variants.
    """
    started = time.monotonic()
    with _folder(keep) as folder:
        simulated = _simulate(folder, seed)
        simulation_time = time.monotonic() - started
        request = _request(simulated, _sample(stack), keep / "results" if keep else None, choices)
        result = run_pipeline(stack, request)
    comparison = truth.compare(simulated.variants, truth.read_calls(_annotated_variants(result)))
    console().print(_table(comparison))
    _show_differences(comparison)
    _show_times(simulation_time, result, time.monotonic() - started)
    if report := next((file for file in result.files if file.name.endswith(".report.html")), None):
        say(f"Report: {report.resolve()}", style="bold")
    if not stack.is_embedded:
        say(f"The stack keeps this run ({result.row['results']}), its FASTQs and the reference {simulated.fasta.stem}.")
    _check(comparison)
    shares = {"recall": comparison.recall, "precision": comparison.precision}
    return {"run": result.row["run"], **asdict(comparison), **shares}


def _simulate(folder: Path, seed: int) -> DemoFiles:
    """Write the simulated files; raise CliError if the folder cannot have them."""
    try:
        return files.make_files(folder, seed)
    except OSError as error:
        message = (
            f"The simulated files cannot be written to {folder}: {error.strerror}. Give another folder with --keep DIR."
        )
        raise CliError(message) from None


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="seqdrop-demo-") as folder:
        yield Path(folder)


def _sample(stack: Stack) -> str | None:
    """Return the sample id; on AWS another one each time.

    There, the demo tests the deployment: the results of an earlier run would say nothing about the present one.
    """
    return None if stack.is_embedded else f"{files.SAMPLE}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def _request(simulated: DemoFiles, sample: str | None, results: Path | None, choices: Choices) -> RunRequest:
    source = Source.of(simulated.fasta, simulated.genes, simulated.fasta.stem)
    fastqs = Fastqs.of(simulated.fastqs, sample)
    chosen = {word: getattr(choices, word) for word in ("aligner", "caller", "alignment_format")}
    return RunRequest(fastqs, None, source, results=results, panel=NO_PANEL, **chosen)


def _annotated_variants(result: RunResult) -> Path:
    for file in result.files:
        if file.name.endswith(".annotated.vcf.gz"):
            return file
    raise CliError("The results of the run have no annotated variants.")


def _table(comparison: Comparison) -> Table:
    effects = comparison.effects_agreed + len(comparison.effects_disagreed)
    table = Table(title="Variants (calls with PASS)", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    table.add_row("planted", str(comparison.expected), "")
    table.add_row("found", str(comparison.matches), f"recall {comparison.recall:.1%}")
    table.add_row("missed", str(len(comparison.missed)), truth.count_kinds(comparison.missed))
    table.add_row("extra", str(len(comparison.extra)), f"precision {comparison.precision:.1%}")
    correct = comparison.matches - len(comparison.wrong_genotypes)
    table.add_row("correct genotypes", str(correct), f"of {comparison.matches}")
    table.add_row("correct effects", str(comparison.effects_agreed), f"of {effects}")
    return table


def _show_differences(comparison: Comparison) -> None:
    sites = {"missed": comparison.missed, "extra": comparison.extra, "wrong genotype": comparison.wrong_genotypes}
    for kind, differing in sites.items():
        _show_some([f"{kind}: {_format_site(site)}" for site in differing])
    _show_some(
        [
            f"wrong effect: {_format_site(site)} should be {expected}, is {called or 'without one'}"
            for site, expected, called in comparison.effects_disagreed
        ]
    )


def _show_some(lines: Sequence[str]) -> None:
    for line in lines[:MAX_DETAILS]:
        say(f"  {line}")
    if len(lines) > MAX_DETAILS:
        say(f"  ... and {len(lines) - MAX_DETAILS} more")


def _format_site(site: Site) -> str:
    contig, position, ref, alt = site
    return f"{contig}:{position} {ref}>{alt}"


def _show_times(simulation: float, result: RunResult, total: float) -> None:
    times = [("simulation", simulation), *((state.step, state.elapsed) for state in result.steps)]
    steps = ", ".join(f"{step} {format_seconds(elapsed)}" for step, elapsed in times)
    for line in textwrap.wrap(f"Times: {steps}; {format_seconds(total)} in total", console().width):
        say(line)


def _check(comparison: Comparison) -> None:
    effects = comparison.effects_agreed + len(comparison.effects_disagreed)
    agreement = comparison.effects_agreed / effects if effects else 1.0
    if min(comparison.recall, comparison.precision, agreement) < THRESHOLD:
        raise CliError(
            f"Recall, precision and correct effects must each reach {THRESHOLD:.0%}: see the differences above."
        )
