"""Read the choices for a run from the metadata of its FASTQs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from seqdrop.plan import forms, options, steps
from seqdrop.plan.extras import NO_PANEL
from seqdrop.plan.names import ALIGNMENT_FORMATS, LAYOUTS, NAME, SINGLE, canonical
from seqdrop.plan.options import OptionError
from seqdrop.text import format_usd

CHOICES = (
    "reference", "intervals", "aligner", "caller", "alignment-format", "args", "lanes", "priority", "layout", "panel",
    "max-cost", "form",
)  # fmt: skip
PRIORITIES = ("normal", "high")
HOLD = "seqdrop-sheet"  # metadata of a FASTQ that a samplesheet will name: it starts no run by its name
LANES = re.compile(r"[1-9][0-9]?")
MAX_LANES = 99
MAX_COST = re.compile(r"(?=.*[1-9])[0-9]{1,6}(\.[0-9]{1,4})?")  # USD, more than 0


class ChoiceError(ValueError):
    """A choice in the metadata of the FASTQs, or in a samplesheet, is not possible."""

    column = "ploidy"  # of a samplesheet, and the option of the CLI: only `ploidy` becomes options of a tool there
    option = "--args"


class BudgetError(ChoiceError):
    """The budget of the run is above the limit of the deployment."""

    column, option = "max_cost", "--max-cost"


class FormChoiceError(ChoiceError):
    """The form of the run is not possible with its tools."""

    column, option = "form", "--form"


class SingleError(ChoiceError):
    """A tool of the run cannot read reads without a mate."""

    column, option = "layout", "--aligner, --caller"


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices for one run: user metadata, the same on all of its FASTQs."""

    reference: str = ""  # a name in the reference bucket; "" is the default of the deployment
    intervals: str = ""  # the name of a BED beside the genome; "" is the whole genome
    args: Mapping[str, Sequence[str]] = field(default_factory=dict)  # step -> options of its tool
    lanes: int = 1  # pairs of the sample in this run
    priority: str = "normal"  # or "high": selects the queue; not part of the run id, since results are the same
    aligner: str = ""  # a tool of the step; "" is the default of the deployment
    caller: str = ""
    alignment_format: str = ""  # of the file of aligned reads; "" is the default of the deployment
    layout: str = ""  # of the files: "" is paired, or what the name or the BAM says
    panel: str = ""  # a panel of the reference, instead of `intervals`; "" is the default of the deployment
    max_cost: str = ""  # USD that its jobs may cost; "" is the limit of the deployment; not part of the run id
    form: str = ""  # not part of the run id, since results are the same; "" is the default of the deployment
    sex: str = ""  # XX or XY of a samplesheet: the verdict of the report depends on it

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Choices:
        """Read `x-amz-meta-seqdrop-*`; raise ChoiceError."""
        values = {key.removeprefix("seqdrop-"): value for key, value in metadata.items() if key.startswith("seqdrop-")}
        values.pop(HOLD.removeprefix("seqdrop-"), None)
        ours = [
            key for key in metadata if key.startswith("seqdrop") and key != HOLD
        ]  # `seqdrop_reference` is meant for us too
        unknown = sorted(key for key in ours if key.removeprefix("seqdrop-") not in CHOICES)
        if unknown:
            raise ChoiceError(f"unknown choice {unknown[0]}; known: {', '.join(CHOICES)}")
        if empty := sorted(name for name, value in values.items() if not value.strip()):
            raise ChoiceError(f"seqdrop-{empty[0]} is empty: leave it out for its default")
        for name in ("reference", "intervals", "panel"):
            if values.get(name) and not NAME.fullmatch(values[name]):
                raise ChoiceError(f"seqdrop-{name} must be a name of letters, digits, '.', '_' and '-'")
        if values.get("intervals") and values.get("panel", NO_PANEL) != NO_PANEL:
            raise ChoiceError("seqdrop-intervals and seqdrop-panel are both given: a panel has its own regions")
        for step in steps.STEPS:
            _check_tool(step, values.get(step.choice, ""))
        for name, known in (
            ("priority", PRIORITIES), ("alignment-format", ALIGNMENT_FORMATS), ("layout", LAYOUTS),
            ("form", forms.FORMS),
        ):  # fmt: skip
            if values.get(name, known[0]) not in known:
                raise ChoiceError(f"seqdrop-{name} must be one of {', '.join(known)}")
        if not MAX_COST.fullmatch(values.get("max-cost", "1")):
            raise ChoiceError("seqdrop-max-cost must be an amount in USD such as 12.50, more than 0")
        return cls(
            values.get("reference", ""),
            values.get("intervals", ""),
            _parse_args(values.get("args") or "{}"),
            _parse_lanes(values.get("lanes") or "1"),
            values.get("priority", "normal"),
            values.get("aligner", ""),
            values.get("caller", ""),
            values.get("alignment-format", ""),
            values.get("layout", ""),
            values.get("panel", ""),
            values.get("max-cost", ""),
            values.get("form", ""),
        )

    def tools(self, defaults: Mapping[str, str]) -> dict[str, str]:
        """Return the aligner and the caller of the run; `defaults` has those of the deployment."""
        return {"aligner": self.aligner or defaults["aligner"], "caller": self.caller or defaults["caller"]}

    def with_panel(self, reference: str, panel: str) -> Choices:
        """Return the choices with the panel of the run, "" for none.

        `panel` is that of the deployment for runs of its default `reference` that choose neither panel nor intervals.
        """
        chosen = self.panel or (panel if self.reference == reference and not self.intervals else NO_PANEL)
        return replace(self, panel="" if chosen == NO_PANEL else chosen)

    def check_options(self, defaults: Mapping[str, str]) -> None:
        """Raise ChoiceError unless the tools of the run allow all options and its form. `defaults` as for `tools`."""
        tools = steps.tools_of_run(self.tools(defaults))
        if self.layout == SINGLE and (refused := [tool.name for tool in tools.values() if not tool.single]):
            others = [tool.name for step in steps.STEPS for tool in step.tools if tool.single and step.choice]
            raise SingleError(f"{' and '.join(refused)} cannot read single-end reads: choose among {', '.join(others)}")
        for step, words in self.args.items():
            try:
                options.parse(tools[step].name, tools[step].options, list(words))
            except OptionError as error:
                raise ChoiceError(f"options of {step}: {error}") from None
        try:
            forms.check(self.form, self.tools(defaults))
        except forms.FormError as error:
            raise FormChoiceError(str(error)) from None

    def check_budget(self, limit: str) -> None:
        """Raise BudgetError if the budget of the run is above `limit` (USD; MaxRunCost, "0" for none)."""
        if self.max_cost and 0 < float(limit) < float(self.max_cost):
            budget, most = format_usd(float(self.max_cost)), format_usd(float(limit))
            raise BudgetError(
                f"a budget of {budget} is above the limit of this stack, {most}: choose at most {most}, or ask the "
                "owner of the stack to raise MaxRunCost"
            )

    def to_metadata(self) -> dict[str, str]:
        """Return the metadata that `from_metadata` reads; choices with their default value are omitted."""
        args = {step: list(words) for step, words in self.args.items() if words}
        values = {
            "reference": self.reference,
            "intervals": self.intervals,
            "aligner": self.aligner,
            "caller": self.caller,
            "alignment-format": self.alignment_format,
            "panel": self.panel,
            "form": self.form,
            "args": canonical(args) if args else "",
            "lanes": str(self.lanes) if self.lanes != 1 else "",
            "layout": self.layout,
            "priority": self.priority if self.priority != "normal" else "",
            "max-cost": self.max_cost,
        }
        return {f"seqdrop-{name}": value for name, value in values.items() if value}


def _check_tool(step: steps.Step, name: str) -> None:
    """Raise ChoiceError unless the tool, if one is chosen, can do the step."""
    if name and name not in (known := [tool.name for tool in step.tools]):
        raise ChoiceError(f"seqdrop-{step.choice} must be one of {', '.join(known)}")


def _parse_args(text: str) -> dict[str, list[str]]:
    try:
        args = json.loads(text)
    except (ValueError, RecursionError):
        raise ChoiceError("seqdrop-args is not valid JSON") from None
    if not isinstance(args, dict) or args.keys() - set(steps.names()):
        raise ChoiceError(
            f"seqdrop-args must be a JSON object of lists of words, its keys among {', '.join(steps.names())}"
        )
    if not all(isinstance(words, list) and all(isinstance(word, str) for word in words) for words in args.values()):
        raise ChoiceError("seqdrop-args must hold lists of words")
    return args


def _parse_lanes(text: str) -> int:
    if not LANES.fullmatch(text):
        raise ChoiceError(f"seqdrop-lanes must be a number from 1 to {MAX_LANES}")
    return int(text)
