"""Choose the form of a run: a job for each step, or one job with all steps on one scratch disk."""

from __future__ import annotations

from collections.abc import Mapping

from seqdrop.plan import steps

SPLIT, FUSED = "split", "fused"
AUTO = "auto"  # of a deployment: fused if the FASTQs are small enough
FORMS = (SPLIT, FUSED)


class FormError(ValueError):
    """The form that was chosen is not possible with the tools of the run."""


def check(form: str, tools: Mapping[str, str]) -> None:
    """Raise FormError if a run with this aligner and caller cannot have the form that it chose."""
    if form == FUSED and (other := not_fusible(tools)):
        raise FormError(f"form: {' and '.join(other)} cannot be in one job with other steps; choose form={SPLIT}")


def not_fusible(tools: Mapping[str, str]) -> list[str]:
    """Return the tools of a run that are not in the image of the fused job."""
    return [tool.name for tool in steps.tools_of_run(tools).values() if not tool.fusible]


def of_images(chosen: str, default: str, tools: Mapping[str, str], *, has_fused: bool) -> str:
    """Return the form whose images a run needs, before the size of its files is known.

    AUTO needs those of SPLIT. `has_fused`: the deployment has the image of the job with all steps; without it, only
    runs that choose FUSED need it.
    """
    return chosen or (FUSED if default == FUSED and has_fused and not not_fusible(tools) else SPLIT)


def choose(chosen: str, default: str, size: int, limit: int, tools: Mapping[str, str]) -> str:
    """Return the form of a run: its choice, else the default of the deployment, as far as its tools allow it.

    `size` and `limit` are bytes: of the FASTQs, and up to which AUTO fuses the steps.
    """
    wanted = chosen or default
    if wanted == AUTO:
        wanted = FUSED if size <= limit else SPLIT
    return SPLIT if not chosen and wanted == FUSED and not_fusible(tools) else wanted
