"""Judge the figures of a run by a QC policy: a YAML file with limits."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from seqdrop.plan.steps import SEXES

from containers.report.figures import Figure, show

FOLDER = Path(__file__).parent / "policies"
PASS, WARN, FAIL = "PASS", "WARN", "FAIL"
ORDER = (PASS, WARN, FAIL)
MAX_BYTES = 20_000
ADVICE = {
    "mean_depth": "sequence the library more deeply, or check the amount of DNA and the number of reads",
    "breadth": "variants in the bases without enough reads are missed: look at the regions with the lowest depth",
    "reads": "check that all lanes were uploaded",
    "mapped": "check that the reference is the right one, and look for DNA of other species",
    "properly_paired": "check that R1 and R2 are mates of one library, and the size of its fragments",
    "duplicates": "the library has few molecules; for amplicons, use `--args align=--no-mark-duplicates`",
    "insert_size": "check the fragmentation of the library",
    "base_quality": "look at the quality by cycle, and at the report of the sequencer",
    "q30": "look at the quality by cycle, and at the report of the sequencer",
    "gc": "check the species, and look for contamination",
    "error_rate": "check the reference (species, strain, build) and the qualities of the reads",
    "variants": "check the reference, the regions and the sample",
    "ti_tv": "many calls may be false: check the qualities of the reads and the options of the caller",
    "het_hom": "a high ratio hints at a mixture of samples, a low one at related parents or lost alleles",
    "contamination": "do not use the variants before a mixture with another sample is excluded",
    "low_share": "do not use the variants before a mixture with another sample is excluded",
}


class PolicyError(ValueError):
    """A file is not a valid QC policy. The message says where and why."""


@dataclass(frozen=True, slots=True)
class Check:
    """A figure with its limits and its result."""

    figure: Figure
    limits: Mapping[str, float]
    result: str  # PASS WARN FAIL, or "" for a figure of too few data, by a policy that nobody chose

    @property
    def crossed(self) -> str:
        """The limit that decided, as people read it: `under 10x`; "" without one."""
        word = crossed(self.figure.value, self.limits)
        return (
            f"{'under' if word.endswith('below') else 'over'} {show(self.figure.name, self.limits[word])}"
            if word
            else ""
        )

    @property
    def reason(self) -> str:
        """Why the figure has this result, and what to do."""
        name = self.figure.name
        if not self.figure.applies:
            return f"{self.figure.label}: does not apply ({self.figure.note})"
        if self.figure.value is None:
            return (
                f"{self.figure.label}: not judged, too few data{f' ({self.figure.note})' if self.figure.note else ''}"
            )
        advice = ADVICE["breadth" if name.startswith("breadth") else name]
        return f"{self.figure.label}: {self.figure.text}, {self.crossed}; {advice}"

    @property
    def allowed(self) -> list[str]:
        """The limits as people read them: `fail under 10x`."""
        return describe(self.figure.name, self.limits)


@dataclass(frozen=True, slots=True)
class SexCheck:
    """The sex chromosomes of the reads, compared with those that the sample should have."""

    expected: str  # XX or XY
    found: str  # XX, XY, "unclear", or "not known": too few contigs with a depth
    label: str = "Sex chromosomes"

    @property
    def result(self) -> str:
        """PASS if they are equal, FAIL if they are the other ones, else WARN."""
        if self.found == self.expected:
            return PASS
        return FAIL if self.found in SEXES else WARN

    @property
    def reason(self) -> str:
        """Why it is not PASS, and what to do."""
        advice = "check that tubes or names were not swapped" if self.result == FAIL else "look at the depth of X and Y"
        return f"{self.label}: {self.found}, expected {self.expected}; {advice}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a run."""

    result: str  # PASS WARN FAIL
    policy: str
    checks: Sequence[Check]
    missing: Sequence[str]  # figures with limits that were not measured
    sex: SexCheck | None = None

    @property
    def reasons(self) -> list[str]:
        """Why the verdict is not PASS, failures first."""
        every: list[Check | SexCheck] = [*([self.sex] if self.sex else []), *self.checks]
        bad = sorted((check for check in every if check.result in {WARN, FAIL}), key=lambda check: check.result)
        return [*(check.reason for check in bad), *(f"{name} was not measured" for name in self.missing)]


def describe(name: str, limits: Mapping[str, float]) -> list[str]:
    """Return the limits of a figure as people read them: `fail under 10x`."""
    words = {word: word.replace("_below", " under").replace("_above", " over") for word in limits}
    return [f"{words[word]} {show(name, limit)}" for word, limit in limits.items()]


def parse(text: str) -> dict[str, Any]:
    """Return a policy from YAML; raise PolicyError."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415  # 0.1 s, for files of users alone

    if len(text) > MAX_BYTES:
        raise PolicyError(f"a QC policy has at most {MAX_BYTES:,} characters")
    try:
        policy = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise PolicyError(f"not YAML: {' '.join(str(error).split())}") from None
    errors = sorted(Draft202012Validator(_schema()).iter_errors(policy), key=lambda error: list(map(str, error.path)))
    if errors:
        place = ".".join(map(str, errors[0].absolute_path))
        raise PolicyError(f"{place or 'the file'}: {errors[0].message}")
    check_limits(policy["checks"])
    return dict(policy)


def check_limits(checks: Mapping[str, Mapping[str, float]]) -> None:
    """Raise PolicyError for limits that contradict each other, or are no numbers."""
    for name, limits in checks.items():
        if not all(map(math.isfinite, limits.values())):
            raise PolicyError(f"checks.{name}: a limit is not a finite number")
        warn, fail = limits.get("warn_below", math.inf), limits.get("fail_below", -math.inf)
        if fail > warn:
            raise PolicyError(f"checks.{name}: fail_below {fail:g} is over warn_below {warn:g}")
        warn, fail = limits.get("warn_above", -math.inf), limits.get("fail_above", math.inf)
        if fail < warn:
            raise PolicyError(f"checks.{name}: fail_above {fail:g} is under warn_above {warn:g}")


@cache
def _schema() -> Any:
    return json.loads((FOLDER / "schema.json").read_text())


def default(assay: str) -> dict[str, Any]:
    """Return the policy of seqdrop for an assay."""
    policy: dict[str, Any] = yaml.safe_load((FOLDER / f"{assay}.yaml").read_text())
    return policy


def crossed(value: float | None, limits: Mapping[str, float]) -> str:
    """Return the name of the limit that a value crosses, failures first; "" if it crosses none."""
    for word in ("fail_below", "fail_above", "warn_below", "warn_above"):
        limit = limits.get(word)
        if value is not None and limit is not None and (value < limit if word.endswith("below") else value > limit):
            return word
    return ""


def judge(policy: Mapping[str, Any], figures: Sequence[Figure], name: str, *, warned: bool, chosen: bool,
          sex: SexCheck | None = None) -> Verdict:  # fmt: skip
    """Return the verdict on figures by a policy. A figure that was not measured is a warning.

    So is a figure of too few data, if somebody chose the policy (`chosen`). A run that has warnings (`warned`) does not
    pass either.
    """
    measured = {figure.name: figure for figure in figures}
    checks = [
        Check(measured[key], limits, _result(measured[key], limits, unknown=WARN if chosen else ""))
        for key, limits in policy["checks"].items()
        if key in measured
    ]
    missing = [key for key in policy["checks"] if key not in measured]
    results = [check.result for check in checks if check.result] + [WARN] * (len(missing) + warned)
    results += [sex.result] if sex else []
    return Verdict(max(results, key=ORDER.index, default=PASS), name, checks, missing, sex)


def _result(figure: Figure, limits: Mapping[str, float], unknown: str) -> str:
    if figure.value is None:
        return unknown if figure.applies else ""
    word = crossed(figure.value, limits)
    return word.split("_")[0].upper() if word else PASS
