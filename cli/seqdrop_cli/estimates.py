"""Estimate the time and the price of runs from earlier runs of the same stack, else from its sizes and prices."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from seqdrop.plan import forms
from seqdrop.plan.steps import FUSED, SCATTER, STEPS
from seqdrop.runs import estimate, prices
from seqdrop.runs.estimate import KIND, SAME, Estimate
from seqdrop.runs.prices import Prices
from seqdrop.runs.table import Row

from seqdrop_cli import run_table
from seqdrop_cli.stack import Stack

ENDED = frozenset({"SUCCEEDED"})


class Estimator:
    """Estimates runs of a stack; it reads the earlier runs with the same reference and tools once."""

    def __init__(self, stack: Stack) -> None:
        """Use the run table and the parameters of a stack."""
        self._stack, self._past = stack, cache(self._read_past)

    def of_run(self, size: int, chosen: Mapping[str, str], *, has_alignments: bool = False) -> Estimate | None:
        """Return the estimate for FASTQs of `size` bytes; `chosen` has the reference, the tools, form and format.

        None without earlier runs, if the stack was deployed from a template that lacks prices or sizes.
        """
        run = {**chosen, **kind_of(self._stack, size, chosen, has_alignments=has_alignments)}
        past, rates = self._past(*(run[name] for name in (*SAME, *KIND))), rates_of(self._stack)
        if not past and rates is None:
            return None
        queue = self._stack.outputs.get("JobQueues", "").partition(",")[0]
        return estimate.of_run(size, run, past, sizes_of(self._stack.parameters), queue, rates or NO_PRICES)

    def _read_past(self, *chosen: str) -> list[Row]:
        rows = run_table.rows(self._stack, statuses=ENDED)
        return estimate.alike(rows, dict(zip((*SAME, *KIND), chosen, strict=True)))


def kind_of(stack: Stack, size: int, chosen: Mapping[str, str], *, has_alignments: bool) -> dict[str, str]:
    """Return the form of a run, its parts, and the format of its aligned reads: as it chose, else those of the stack.

    Raise FormError if its tools do not allow the form that it chose, so that no run is priced that would be refused.
    The bases to call are not known here: the parts are those of a human genome.
    """
    tags, parameters = stack.outputs.get("ImageTags", "").split(), stack.parameters
    deployment = forms.Deployment(
        parameters.get("Form", forms.SPLIT),
        int(parameters.get("FusedLimitMib", "0")) << 20,
        int(parameters.get("ScatterFromMib", "0")) << 20,
        any(tag.startswith("fused:") and tag != "fused:none" for tag in tags),
    )
    forms.check(chosen.get("form", ""), chosen)
    parts = forms.number_of_parts(size, forms.HUMAN_BASES, targets=False)
    form = forms.of_run(deployment, chosen.get("form", ""), chosen, size, parts, has_alignments=has_alignments)
    alignment_format = chosen.get("alignment_format") or stack.default_alignment_format
    return {"form": form, "parts": str(max(forms.MIN_PARTS, parts)), "alignment_format": alignment_format}


def sizes_of(parameters: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return vcpus and memory (MiB) of each step that the template has sizes for."""
    names = {step.name: step.name.title() for step in (*STEPS, FUSED, SCATTER)}
    return {
        step: {"vcpus": parameters[f"{name}Vcpus"], "memory": parameters[f"{name}Memory"]}
        for step, name in names.items()
        if f"{name}Vcpus" in parameters
    }


NO_PRICES = Prices(prices.Rates(0, 0), prices.Rates(0, 0))  # where earlier runs make the estimate


def rates_of(stack: Stack) -> Prices | None:
    """Return the prices in the parameters of a stack; None if its template is older than they are."""
    names = [f"{kind}PricePer{unit}Hour" for kind in ("Spot", "OnDemand") for unit in ("Vcpu", "Gib")]
    try:
        values = [stack.parameters[name] for name in names]
        settings = {
            "spot": values[:2],
            "on_demand": values[2:],
            "scratch_gib_month": stack.parameters["PricePerScratchGibMonth"],
            "scratch_size": stack.parameters["ScratchSize"],
            "instances": stack.parameters["InstancePrices"],
            "spot_share": stack.parameters["SpotShare"],
            "normal_queue": stack.outputs["JobQueues"].partition(",")[0],
        }
    except KeyError:
        return None
    return prices.parse(settings, "")
