"""Read everything that the report shows from the files of the steps; what is missing is said, not guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqdrop.jobs.workspace import Workspace
from seqdrop.plan.extras import KNOWN

from containers.report import calls, depth, reads
from containers.report.calls import Calls
from containers.report.depth import Depth
from containers.report.figures import Figure
from containers.report.reads import Reads
from containers.report.sites import Evidence

STATS, CALLS = "stats.txt", "calls.vcf.gz"
MOSDEPTH = (".mosdepth.summary.txt", ".mosdepth.global.dist.txt", ".mosdepth.region.dist.txt", ".regions.bed.gz",
            ".thresholds.bed.gz")  # fmt: skip


@dataclass
class Measured:
    """What is known of a run when its report is built."""

    depth: Depth | None = None
    reads: Reads | None = None
    calls: Calls | None = None
    call_figures: list[Figure] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)  # part of the report -> why it has no figures
    summary: Mapping[str, Any] = field(default_factory=dict)  # reference.json
    receipts: list[Mapping[str, Any]] = field(default_factory=list)
    evidence: Evidence | None = None  # the reads at the first variants
    evidence_note: str = ""  # why there are none
    sex: str = ""  # XX or XY, which the sample should have; "" if nobody says it

    @property
    def figures(self) -> list[Figure]:
        """Every figure that was measured."""
        found = [*(self.depth.figures() if self.depth else []), *(self.reads.figures() if self.reads else [])]
        return [*found, *self.call_figures]

    @property
    def warnings(self) -> list[dict[str, str]]:
        """The warnings of all steps."""
        return [{"step": one["step"], **warning} for one in self.receipts for warning in one.get("warnings", [])]


def measure(
    work: Workspace, summary: Mapping[str, Any], receipts: list[Mapping[str, Any]], *, targets: bool
) -> Measured:
    """Read the files in the directory of the job."""
    found = Measured(summary=summary, receipts=receipts)
    found.missing = {
        "reads": "the step collect has left no statistics.",
        "depth": "the step collect has left no depths, or is of an earlier version of seqdrop.",
        "calls": "the steps call and annotate have left no variants.",
    }
    if (work / STATS).exists():
        found.reads = reads.read(work / STATS)
    lengths = contig_lengths(work / f"{STATS}.idxstats")
    if lengths and all((work / f"{STATS}{suffix}").exists() for suffix in MOSDEPTH):
        found.depth = depth.read(work.directory, STATS, lengths, targets=targets)
    if (work / CALLS).exists():
        found.calls = read_calls(work, summary.get(KNOWN, {}))
        found.call_figures = figures_of_calls(work, found.calls)
    return found


def contig_lengths(idxstats: Path) -> dict[str, int]:
    """Return the length of every contig, in order; {} without the file."""
    if not idxstats.exists():
        return {}
    rows = (line.split("\t") for line in idxstats.read_text().splitlines())
    return {name: int(length) for name, length, *_ in rows if name != "*"}


def read_calls(work: Workspace, known: Mapping[str, Mapping[str, Any]]) -> Calls:
    """Read the calls with `bcftools query`, as it writes them: a genome has millions."""
    table, columns = work / "calls.tsv", calls.columns(known).replace("\t", r"\t").replace("\n", r"\n")
    work.run("bcftools", "query", "--allow-undef-tags", "-f", columns, work / CALLS, stdout=table)
    with table.open() as file:
        return calls.read(file)


def figures_of_calls(work: Workspace, found: Calls) -> list[Figure]:
    """Return the figures of the calls: by `bcftools stats` where the step call has left it, and by their reads."""
    passed, everything = work / "calls.stats", work / "calls.all.stats"
    counted = calls.read_stats(passed) if passed.exists() else {}
    if not counted:
        return found.figures()
    return [
        *calls.figures_of_stats(counted, calls.read_stats(everything) if everything.exists() else {}),
        *found.figures(),
    ]
