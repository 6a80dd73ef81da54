"""Choose the form of a run: a job for each step, one job with all steps, or several jobs that call the variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqdrop.plan import steps

SPLIT, FUSED, SCATTERED = "split", "fused", "scattered"
AUTO = "auto"  # of a deployment: fused if the FASTQs are small enough, scattered if they are large enough
FORMS = (SPLIT, FUSED, SCATTERED)
# Children of the array job that calls the variants; Batch accepts no array of one.
MIN_PARTS, MAX_PARTS = 2, 100
# Bytes of FASTQs for each child: with 4 vCPUs 4 minutes by the model of docs/sizing.md, which may be several times too
# low for real reads, beside 90 seconds for the start of a job.
PART_BYTES = 5_000_000_000
HUMAN_BASES = 3_100_000_000  # of a genome, where that of a run is not known
# Bases that a child should have to call: four pieces (jobs/regions.py) for its vCPUs. Targets have deeper reads.
PART_BASES, PART_BASES_OF_TARGETS = 800_000, 80_000


class FormError(ValueError):
    """The form that was chosen is not possible with the tools of the run."""


def check(form: str, tools: Mapping[str, str]) -> None:
    """Raise FormError if a run with this aligner and caller cannot have the form that it chose."""
    if form == FUSED and (other := not_fusible(tools)):
        raise FormError(f"{' and '.join(other)} cannot be in one job with other steps; choose form={SPLIT}")
    if form == SCATTERED and (caller := not_scatterable(tools)):
        raise FormError(f"{caller} calls a genome in one job only; choose form={SPLIT}")


def not_fusible(tools: Mapping[str, str]) -> list[str]:
    """Return the tools of a run that are not in the image of the fused job."""
    return [tool.name for tool in steps.tools_of_run(tools).values() if not tool.fusible]


def of_images(chosen: str, default: str, tools: Mapping[str, str], *, has_fused: bool) -> str:
    """Return the form whose images a run needs, before the size of its files is known.

    AUTO needs those of SPLIT. `has_fused`: the deployment has the image of the job with all steps; without it, only
    runs that choose FUSED need it.
    """
    return chosen or (FUSED if default == FUSED and has_fused and not not_fusible(tools) else SPLIT)


def not_scatterable(tools: Mapping[str, str]) -> str:
    """Return the caller of a run if it gives other results for the parts of a genome than for the whole, else ""."""
    caller = steps.tools_of_run(tools)[steps.CALL.name]
    return "" if caller.scatterable else caller.name


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the parameters of a deployment say about the forms of its runs. Sizes are bytes of FASTQs."""

    form: str  # of runs that choose none
    fused_limit: int  # up to which AUTO takes one job for all steps
    scattered_from: int  # from which AUTO calls the variants by several jobs; 0: never
    has_fused_image: bool  # whether it has the image of the job with all steps


def of_run(
    deployment: Deployment, chosen: str, tools: Mapping[str, str], size: int, parts: int, *, has_alignments: bool
) -> str:
    """Return the form of a run: its choice, else the default of the deployment, as far as its tools and images allow.

    `size` is that of the input files in bytes, `parts` the number of jobs that would call the variants. The limits are
    those of FASTQs: the same reads take fewer bytes as BAM or CRAM (`has_alignments`), so AUTO never fuses those.
    """
    if chosen:
        return chosen
    wanted = _by_size(deployment, size, has_alignments) if deployment.form == AUTO else deployment.form
    if wanted == SCATTERED and (not_scatterable(tools) or parts < MIN_PARTS):
        return SPLIT
    if wanted == FUSED and (not_fusible(tools) or not deployment.has_fused_image):
        return SPLIT
    return wanted


def _by_size(deployment: Deployment, size: int, has_alignments: bool) -> str:
    if size <= deployment.fused_limit and deployment.has_fused_image and not has_alignments:
        return FUSED
    return SCATTERED if deployment.scattered_from and size >= deployment.scattered_from else SPLIT


def sizes_of(plan: Mapping[str, Any], job: str) -> str:
    """Return the step whose sizes a job of a plan has: those of the children for the job that gathers their calls."""
    return steps.SCATTER.name if plan.get("form") == SCATTERED and job == steps.CALL.name else job


def number_of_parts(size: int, bases: int, *, targets: bool) -> int:
    """Return in how many parts the variants of a run should be called: 1 for a small run.

    `size` is that of the FASTQs in bytes; `bases` are those to call, of `targets` or of the whole genome.
    """
    least = PART_BASES_OF_TARGETS if targets else PART_BASES
    return max(1, min(-(-size // PART_BYTES), bases // least, MAX_PARTS))
