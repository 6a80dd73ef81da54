"""Name the figures of a run: what the report shows and what a QC policy may limit."""

from __future__ import annotations

from typing import NamedTuple

UNITS = {  # of the figures that a QC policy may limit
    "mean_depth": "x",
    **dict.fromkeys((f"breadth_{depth}" for depth in (1, 10, 20, 30)), "%"),
    "reads": "",
    "mapped": "%",
    "properly_paired": "%",
    "duplicates": "%",
    "insert_size": " bp",
    "base_quality": "",
    "q30": "%",
    "gc": "%",
    "error_rate": "%",
    "variants": "",
    "ti_tv": "",
    "het_hom": "",
    "contamination": "%",
    "low_share": "%",
}


class Figure(NamedTuple):
    """A figure of a run."""

    name: str  # a key of UNITS
    label: str
    value: float | None  # in the unit of its name; None: too few data for it
    note: str = ""  # what it counts, or why it has no value
    applies: bool = True  # False: no run of this kind has it, and no policy judges it

    @property
    def text(self) -> str:
        """The value with its unit, as people read it."""
        missing = "not known" if self.applies else "does not apply"
        return missing if self.value is None else show(self.name, self.value)


def show(name: str, value: float) -> str:
    """Return a value of a figure with its unit. Shares are never rounded up to 100 % or down to 0 %."""
    unit, decimals = UNITS[name], 1 if abs(value) >= 10 else 2
    text = f"{value:,.{decimals}f}".rstrip("0").rstrip(".")
    if text == "0" and value:
        return f"<0.01{unit}"
    return f"{'99.9' if unit == '%' and text == '100' and value < 100 else text}{unit}"


def percent(part: float, whole: float) -> float | None:
    """Return a share in percent; None without a whole."""
    return 100 * part / whole if whole else None
