"""Draw the pipeline from its state machine: `make picture` writes docs/pipeline.svg, and a test compares the two."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
MACHINE = ROOT / "statemachine/pipeline.asl.json"
WIDTH, HEIGHT, GAP_X, GAP_Y = 178, 46, 44, 52  # of a box, and between boxes, in pixels
COLUMN_WIDTH = 2 * WIDTH + GAP_X  # a job and its diagnosis
FORMS_X = 2 * COLUMN_WIDTH + 2 * GAP_X + 84  # left edge of the jobs beside the branches
MARKER = """<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0,0 L8,4 L0,8 z" style="fill:#52606d;stroke:none"/></marker></defs>"""
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2933 }
.note { font-size: 11px; fill: #52606d }
.job { fill: #e3f2e1; stroke: #3f7d3a }
.function { fill: #fdf0d5; stroke: #b7791f }
.end { fill: #eef1f4; stroke: #7b8794 }
.branch { fill: none; stroke: #9fb3c8; stroke-dasharray: 5 4 }
path { fill: none; stroke: #52606d; stroke-width: 1.4 }
path.failed { stroke: #c0392b; stroke-dasharray: 4 4 }
"""


@dataclass(frozen=True)
class Box:
    """A state: its name, its kind (the CSS class), a note below the name and its upper left corner."""

    name: str
    kind: str
    note: str
    x: float
    y: float

    @property
    def svg(self) -> str:
        """The box as SVG."""
        label = f'<text x="{self.x + 12}" y="{self.y + 20}">{escape(self.name)}</text>'
        note = f'<text class="note" x="{self.x + 12}" y="{self.y + 36}">{escape(self.note)}</text>'
        frame = f'<rect class="{self.kind}" x="{self.x}" y="{self.y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
        return frame + label + note


@dataclass(frozen=True)
class Column:
    """A path of states from top to bottom: its boxes, and the SVG of everything else in it."""

    boxes: list[Box] = field(default_factory=list)
    svg: list[str] = field(default_factory=list)

    @property
    def bottom(self) -> float:
        """The lower edge of the last box."""
        return self.boxes[-1].y + HEIGHT


def success_path(states: dict[str, Any], start: str) -> list[str]:
    """Return the states of a run without failures, in order: the most of them, if it starts with a Choice."""
    if states[start]["Type"] == "Choice":
        return [start, *success_path(states, rules_of_forms(states[start])[0]["Next"])]
    path, name = [], start
    while name and states[name]["Type"] != "Choice":
        path.append(name)
        name = states[name].get("Next", "")
    return path


def state_box(name: str, state: dict[str, Any], x: float, y: float) -> Box:
    """Return the box of a state: a job, a function or another type."""
    resource = state.get("Resource", "")
    if "batch:submitJob" in resource:
        step = state["Parameters"]["Tags"]["step"]
        return Box(name, "job", f"Batch job: {step}", x, y)
    if "lambda:invoke" in resource:
        return Box(name, "function", "Lambda: " + state["Parameters"]["FunctionName"][2:-9], x, y)
    if state["Type"] == "Choice":
        return Box(name, "end", f"reads {state['Choices'][0]['Variable']}", x, y)
    return Box(name, "end", state["Type"], x, y)


def arrow(upper: Box, lower: Box) -> str:
    """Return an arrow from the bottom of one box to the top of another."""
    x1, y1 = upper.x + WIDTH / 2, upper.y + HEIGHT
    x2, y2 = lower.x + WIDTH / 2, lower.y
    return f'<path marker-end="url(#tip)" d="M{x1},{y1} C{x1},{y1 + 26} {x2},{y2 - 26} {x2},{y2 - 3}"/>'


def diagnosis(job: Box, state: dict[str, Any]) -> list[str]:
    """Return the state that diagnoses a failed job, to the right of the job, and the arrows to it and back."""
    x, y, job_edge = job.x + WIDTH + GAP_X, job.y + HEIGHT / 2, job.x + WIDTH
    box = Box(state["Catch"][0]["Next"], "function", "diagnoses, retries or ends", x, job.y)
    failed = f'<path class="failed" marker-end="url(#tip)" d="M{job_edge},{y - 7} L{x - 3},{y - 7}"/>'
    retry = f'<path class="failed" marker-end="url(#tip)" d="M{x},{y + 7} L{job_edge + 3},{y + 7}"/>'
    return [box.svg, failed + retry]


def draw_column(states: dict[str, Any], start: str, x: float, y: float) -> Column:
    """Return the success path from a state downwards, with the diagnosis of each job beside it."""
    column = Column()
    for name in success_path(states, start):
        box = state_box(name, states[name], x, y)
        column.boxes.append(box)
        if box.kind == "job":
            column.svg.extend(diagnosis(box, states[name]))
        y += HEIGHT + GAP_Y
    column.svg.extend(arrow(upper, lower) for upper, lower in pairwise(column.boxes))
    if states[start]["Type"] == "Choice":
        column.svg.extend(bypass(states[start], column.boxes))
    return column


def bypass(choice: dict[str, Any], boxes: list[Box]) -> list[str]:
    """Return the arrow from a Choice to the state of its default, to the left of those between, and its labels."""
    first, last = boxes[0], next(box for box in boxes if box.name == choice["Default"])
    x, y1, y2 = first.x - 12, first.y + HEIGHT / 2, last.y + HEIGHT / 2
    line = f'<path marker-end="url(#tip)" d="M{first.x},{y1} L{x},{y1} L{x},{y2} L{last.x - 3},{y2}"/>'
    form = escape(rules_of_forms(choice)[0]["StringEquals"])
    label = f'<text class="note" x="{first.x + WIDTH / 2 + 10}" y="{first.y + HEIGHT + 22}">{form}</text>'
    others = f'<text class="note" x="{x + 5}" y="{first.y + HEIGHT + 22}">split</text>'
    return [line, label, others]


def rules_of_forms(choice: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rules of a Choice for single forms, without that for plans that have no form."""
    return [rule for rule in choice["Choices"] if "StringEquals" in rule]


def draw_branches(parallel: dict[str, Any], top: float) -> list[Column]:
    """Return one column for each branch of a Parallel state, side by side."""
    return [
        draw_column(branch["States"], branch["StartAt"], 36 + number * (COLUMN_WIDTH + 2 * GAP_X), top)
        for number, branch in enumerate(parallel["Branches"])
    ]


def draw(machine: dict[str, Any]) -> str:
    """Return the picture of a state machine with one Parallel state of two branches, as SVG.

    It starts with a Choice of the form of a run: the Parallel state is in the default, each other form is one job. A
    branch may start with another Choice, which leaves out its first job.
    """
    states = machine["States"]
    choice = states[machine["StartAt"]]
    path = success_path(states, choice["Default"])
    name = next(name for name in path if states[name]["Type"] == "Parallel")
    before, after = path[: path.index(name)], path[path.index(name) + 1]
    center = 20 + COLUMN_WIDTH / 2
    first = state_box(machine["StartAt"], choice, center, 20)
    head_top = 20 + HEIGHT + GAP_Y
    head = draw_column({state: states[state] | {"Next": ""} for state in before}, before[0], center, head_top)
    top = head.bottom + GAP_Y + 26
    branches = draw_branches(states[name], top)
    bottom = max(branch.bottom for branch in branches)
    tail = draw_column(states, after, center, bottom + GAP_Y + 16)
    parts = [*head.svg]
    for branch in branches:
        parts += [*branch.svg, *(box.svg for box in branch.boxes), arrow(head.boxes[-1], branch.boxes[0])]
    parts += [frame(name, top, bottom), *tail.svg, *(arrow(branch.boxes[-1], tail.boxes[0]) for branch in branches)]
    parts += draw_other_forms(states, choice, first, tail.boxes[-1])
    parts += [arrow(first, head.boxes[0])]
    parts += [box.svg for box in [first, *head.boxes, *tail.boxes]]
    return document(machine["Comment"], parts, tail.bottom + 20)


def draw_other_forms(states: dict[str, Any], choice: dict[str, Any], first: Box, last: Box) -> list[str]:
    """Return the job of each form that has one job, to the right of the branches, and the arrows to and from it."""
    parts = []
    for number, rule in enumerate(rules_of_forms(choice)):
        x = FORMS_X + number * (COLUMN_WIDTH + GAP_X)
        job = state_box(rule["Next"], states[rule["Next"]], x, first.y + HEIGHT + GAP_Y)
        middle, edge = x + WIDTH / 2, last.y + HEIGHT / 2
        label = f'<text class="note" x="{middle - 60}" y="{first.y + 18}">{escape(rule["StringEquals"])}</text>'
        into = f"M{first.x + WIDTH},{first.y + HEIGHT / 2} L{middle},{first.y + HEIGHT / 2} L{middle},{job.y - 3}"
        out = f"M{middle},{job.y + HEIGHT} L{middle},{edge} L{last.x + WIDTH + 3},{edge}"
        parts += [job.svg, *diagnosis(job, states[job.name]), label]
        parts += [f'<path marker-end="url(#tip)" d="{line}"/>' for line in (into, out)]
    return parts


def frame(name: str, top: float, bottom: float) -> str:
    """Return the dashed frame round the branches of a Parallel state, with its name."""
    width = 2 * COLUMN_WIDTH + 2 * GAP_X + 40
    size = f'x="16" y="{top - 34}" width="{width}" height="{bottom - top + 50}"'
    place = f'x="{width - 6}" y="{bottom + 4}" text-anchor="end"'
    label = f'<text class="note" {place}>{name}: both branches run in parallel</text>'
    return f'<rect class="branch" {size} rx="8"/>\n{label}'


def document(title: str, parts: list[str], height: float) -> str:
    """Return an SVG document with this title, content and height."""
    width = FORMS_X + COLUMN_WIDTH + 20
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return "\n".join([svg, f"<title>{escape(title)}</title><style>{STYLE}</style>{MARKER}", *parts, "</svg>\n"])


if __name__ == "__main__":
    (ROOT / "docs/pipeline.svg").write_text(draw(json.loads(MACHINE.read_text())))
    sys.stdout.write("docs/pipeline.svg\n")
