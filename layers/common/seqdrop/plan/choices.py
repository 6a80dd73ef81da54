"""What a person may choose for one run, in the metadata of its FASTQs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seqdrop.plan import layout

CHOICES = {"reference", "intervals", "args", "lanes", "priority"}
PRIORITIES = ("normal", "high")
LANES = re.compile(r"[1-9][0-9]?")


class ChoiceError(ValueError):
    """What was asked for a run, in the metadata of its FASTQs, cannot be."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What may be chosen for one run, written as user metadata on every one of its FASTQs."""

    reference: str = ""  # a name in the reference bucket; "" is the deployment's default
    intervals: str = ""  # a BED beside the genome; "" is the whole of it
    args: Mapping[str, Sequence[str]] = field(default_factory=dict)  # step -> words, each tool checks its own
    lanes: int = 1  # pairs of one sample that make one run
    priority: str = "normal"  # or "high": which queue; changes no result, and so no run id

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Choices:
        """Read `x-amz-meta-seqdrop-*`; raises ChoiceError."""
        given = {key.removeprefix("seqdrop-"): value for key, value in metadata.items() if key.startswith("seqdrop-")}
        unknown = sorted(given.keys() - CHOICES)
        if unknown:
            raise ChoiceError(
                f"unknown choice seqdrop-{unknown[0]}; known: reference, intervals, args, lanes, priority"
            )
        for name in ("reference", "intervals"):
            if given.get(name) and not layout.NAME.fullmatch(given[name]):
                raise ChoiceError(f"seqdrop-{name} must be a name of letters, digits, '.', '_' and '-'")
        if given.get("priority", "normal") not in PRIORITIES:
            raise ChoiceError(f"seqdrop-priority must be one of {', '.join(PRIORITIES)}")
        priority = given.get("priority", "normal")
        return cls(given.get("reference", ""), given.get("intervals", ""), _args(given), _lanes(given), priority)

    def to_metadata(self) -> dict[str, str]:
        args = {step: list(words) for step, words in self.args.items() if words}
        given = {
            "reference": self.reference,
            "intervals": self.intervals,
            "args": layout.canonical(args) if args else "",
            "lanes": str(self.lanes) if self.lanes != 1 else "",
            "priority": self.priority if self.priority != "normal" else "",
        }
        return {f"seqdrop-{name}": value for name, value in given.items() if value}


def _args(given: Mapping[str, str]) -> dict[str, list[str]]:
    try:
        args = json.loads(given.get("args") or "{}")
    except (ValueError, RecursionError):
        raise ChoiceError("seqdrop-args is not JSON") from None
    if not isinstance(args, dict) or args.keys() - set(layout.STEPS):
        raise ChoiceError(
            f"seqdrop-args must be a JSON object of lists of words, its keys among {', '.join(layout.STEPS)}"
        )
    if not all(isinstance(words, list) and all(isinstance(word, str) for word in words) for words in args.values()):
        raise ChoiceError("seqdrop-args must hold lists of words")
    return args


def _lanes(given: Mapping[str, str]) -> int:
    text = given.get("lanes") or "1"
    if not LANES.fullmatch(text):
        raise ChoiceError("seqdrop-lanes must be a number from 1 to 99")
    return int(text)
