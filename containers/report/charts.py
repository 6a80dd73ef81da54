"""Compute the charts of the report: scales, ticks and paths, which `page.html.jinja` draws as SVG.

A library of charts for browsers would be most of the page, and some need `eval`; those for servers write styles that
the security policy of the page refuses. These charts are text, styled by the page, and read by screen readers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Points = Sequence[tuple[float, float]]
WIDTH, WIDE, HEIGHT = 540, 1_140, 230  # of the drawing, in units of SVG: about pixels of a large screen
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 22, 40  # its margins
TICKS = 5  # about, of an axis
MAX_NAMES = 12  # contigs with their name below the curve
MIN_NAME = 40  # units between two names


@dataclass
class Chart:
    """A chart as `page.html.jinja` draws it."""

    name: str
    title: str
    description: str  # for people who do not see it: the shape in words
    x_label: str
    y_label: str
    x_ticks: list[tuple[float, str]] = field(default_factory=list)
    y_ticks: list[tuple[float, str]] = field(default_factory=list)
    bars: list[tuple[float, float, float, float, str]] = field(default_factory=list)  # x, y, width, height, text
    lines: list[tuple[str, str, str]] = field(default_factory=list)  # class, path, name
    marks: list[tuple[float, str]] = field(default_factory=list)  # y and text of a level across the chart
    borders: list[float] = field(default_factory=list)  # x of lines across the chart
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM

    @property
    def right(self) -> int:
        """The end of the x axis."""
        return self.width - RIGHT


@dataclass(frozen=True)
class Scale:
    """A linear scale from values to units of the drawing."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        return round(self.start + (value - self.low) / ((self.high - self.low) or 1) * (self.end - self.start), 1)

    def ticks(self, unit: str = "") -> list[tuple[float, str]]:
        """Return about TICKS places with their numbers."""
        step = nice((self.high - self.low) / TICKS)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(self(number * step), f"{short(number * step)}{unit}") for number in range(first, last + 1)]


def nice(step: float) -> float:
    """Return the next larger step of 1, 2 or 5 times a power of ten."""
    if step <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


def short(value: float) -> str:
    """Return a number in few characters: 1500000 is 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{round(value, 6):g}"


def horizontal(low: float, high: float, width: int = WIDTH) -> Scale:
    """Return the scale of the x axis."""
    return Scale(low, high, LEFT, width - RIGHT)


def vertical(high: float) -> Scale:
    """Return the scale of the y axis."""
    return Scale(0.0, high or 1.0, HEIGHT - BOTTOM, TOP)


def path(points: Points, x: Scale, y: Scale) -> str:
    """Return the path of a line."""
    return "M" + "L".join(f"{x(a):g} {y(b):g}" for a, b in points) if points else ""


def area(points: Points, x: Scale, y: Scale) -> str:
    """Return the path of the area below a line."""
    first, last = x(points[0][0]), x(points[-1][0])
    return f"{path(points, x, y)}L{last:g} {y(y.low):g}L{first:g} {y(y.low):g}Z"


def line(name: str, title: str, description: str, labels: tuple[str, str], series: Mapping[str, Points], *,
         unit: str = "", filled: bool = False, width: int = WIDTH) -> Chart:  # fmt: skip
    """Return a chart of one or more lines."""
    points = [point for one in series.values() for point in one]
    x = horizontal(min(a for a, _ in points), max(a for a, _ in points), width)
    y = vertical(max(b for _, b in points) * 1.05)
    chart = Chart(name, title, description, *labels, x.ticks(), y.ticks(unit), width=width)
    for place, (label, one) in enumerate(series.items(), start=1):
        if filled:
            chart.lines.append((f"area area{place}", area(one, x, y), ""))
        chart.lines.append((f"line line{place}", path(one, x, y), label))
    return chart


def bars(name: str, title: str, description: str, labels: tuple[str, str], points: Points, *,
         unit: str = "", tick: str = "") -> Chart:  # fmt: skip
    """Return a histogram: each value has a bar that is as wide as the step between two values."""
    step = min((b - a for (a, _), (b, _) in pairwise(points)), default=1.0)
    x = horizontal(points[0][0] - step / 2, points[-1][0] + step / 2)
    y = vertical(max(b for _, b in points) * 1.05)
    chart = Chart(name, title, description, *labels, x.ticks(tick), y.ticks(unit))
    for a, b in points:
        left, width = x(a - step / 2), x(a + step / 2) - x(a - step / 2)
        shown = f"{short(round(a, 3))}{tick}: {b:,.4g}{unit}"
        chart.bars.append((left, y(b), round(max(width * 0.92, 0.3), 2), round(y(0) - y(b), 1), shown))
    return chart


def classes(name: str, title: str, description: str, label: str, counts: Mapping[str, int]) -> Chart:
    """Return a chart with one bar for each class, its name below and its number above."""
    x, y = horizontal(0, len(counts)), vertical(max(counts.values(), default=0) * 1.15)
    chart = Chart(name, title, description, "", label, [], y.ticks())
    for place, (word, number) in enumerate(counts.items()):
        left, right = x(place + 0.18), x(place + 0.82)
        chart.bars.append((left, y(number), round(right - left, 1), round(y(0) - y(number), 1), f"{word}: {number:,}"))
        chart.x_ticks.append((x(place + 0.5), f"{word} {number:,}"))
    return chart


def along(curve: Points, starts: Mapping[str, int], mean: float, *, targets: bool) -> Chart:
    """Return the depth along the genome or the targets, with the borders of the contigs and the mean."""
    place = "targets" if targets else "genome"
    last = curve[-1][0]
    lowest, highest = min(b for _, b in curve), max(b for _, b in curve)
    text = (
        f"Mean depth in {len(curve):,} windows of the {place}: from {lowest:,.1f} to {highest:,.1f}, mean {mean:,.1f}."
    )
    # A few windows of repeats have many times the mean: they are cut at the edge, so that the others can be seen.
    top = min(highest, max(4 * mean, 1.0))
    shown = [(a, min(b, top)) for a, b in curve]
    if top < highest:
        text += f" Windows over {top:,.0f} are cut at the edge."
    chart = line(
        "along", f"Depth along the {place}", text, ("", "mean depth"), {"depth": shown}, filled=True, width=WIDE
    )
    x, y = horizontal(curve[0][0], last, WIDE), vertical(max(b for _, b in shown) * 1.05)
    chart.marks.append((y(mean), f"mean {mean:,.1f}"))
    if len(starts) == 1:
        chart.x_label = f"{next(iter(starts))}, position"
        return chart
    chart.x_ticks, before = [], -float(MIN_NAME)
    ends = [*list(starts.values())[1:], last]
    for (name, start), end in zip(starts.items(), ends, strict=True):
        chart.borders.append(max(x(start), LEFT))
        middle = x((start + end) / 2)
        if middle - before >= MIN_NAME and x(end) - x(start) >= MIN_NAME / 2:
            chart.x_ticks.append((middle, name if len(name) <= MAX_NAMES else f"{name[: MAX_NAMES - 1]}…"))
            before = middle
    chart.borders = chart.borders[1 : 1 + MAX_BORDERS]
    return chart


MAX_BORDERS = 60  # a genome with more contigs has no lines between them
