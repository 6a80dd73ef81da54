"""Draw the pipeline from the state machine itself: `docs/pipeline.svg`. `make picture`; a test keeps it true."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
MACHINE = ROOT / "statemachine/pipeline.asl.json"
WIDTH, HEIGHT, GAP_X, GAP_Y = 178, 46, 44, 52
TIP = """<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
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
    name: str
    kind: str
    note: str
    x: float
    y: float

    @property
    def svg(self) -> str:
        label = f'<text x="{self.x + 12}" y="{self.y + 20}">{escape(self.name)}</text>'
        note = f'<text class="note" x="{self.x + 12}" y="{self.y + 36}">{escape(self.note)}</text>'
        frame = f'<rect class="{self.kind}" x="{self.x}" y="{self.y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
        return frame + label + note


def rows(states: dict[str, Any], start: str) -> list[str]:
    """The states of the good path, in order: what comes when nothing fails."""
    path, name = [], start
    while name and states[name]["Type"] != "Choice":
        path.append(name)
        name = states[name].get("Next", "")
    return path


def box(name: str, state: dict[str, Any], x: float, y: float) -> Box:
    resource = state.get("Resource", "")
    if "batch:submitJob" in resource:
        step = state["Parameters"]["Tags"]["step"]
        return Box(name, "job", f"Batch job: {step}", x, y)
    if "lambda:invoke" in resource:
        return Box(name, "function", "Lambda: " + state["Parameters"]["FunctionName"][2:-9], x, y)
    return Box(name, "end", state["Type"], x, y)


def arrow(one: Box, two: Box) -> str:
    x, y = one.x + WIDTH / 2, one.y + HEIGHT
    across, down = two.x + WIDTH / 2, two.y
    return f'<path marker-end="url(#tip)" d="M{x},{y} C{x},{y + 26} {across},{down - 26} {across},{down - 3}"/>'


def doctor(one: Box, state: dict[str, Any], x: float) -> tuple[Box, str]:
    """The state a failed job goes to, and the way back from it."""
    name = state["Catch"][0]["Next"]
    aside = Box(name, "function", "names it; tries again or ends", x, one.y)
    y, side = one.y + HEIGHT / 2, one.x + WIDTH
    there = f'<path class="failed" marker-end="url(#tip)" d="M{side},{y - 7} L{x - 3},{y - 7}"/>'
    back = f'<path class="failed" marker-end="url(#tip)" d="M{x},{y + 7} L{side + 3},{y + 7}"/>'
    return aside, there + back


def column(states: dict[str, Any], start: str, x: float, y: float) -> tuple[list[Box], list[str]]:
    """One path downwards, each job with its doctor to the right of it."""
    boxes, lines = [], []
    for name in rows(states, start):
        boxes.append(box(name, states[name], x, y))
        if boxes[-1].kind == "job":
            aside, ways = doctor(boxes[-1], states[name], x + WIDTH + GAP_X)
            lines += [aside.svg, ways]
        y += HEIGHT + GAP_Y
    lines += [arrow(one, two) for one, two in pairwise(boxes)]
    return boxes, lines


def draw(machine: dict[str, Any]) -> str:
    states = machine["States"]
    path = rows(states, machine["StartAt"])
    parallel = next(name for name in path if states[name]["Type"] == "Parallel")
    place = path.index(parallel)
    wide = 2 * WIDTH + GAP_X
    parts: list[str] = []
    head, lines = column({name: states[name] | {"Next": ""} for name in path[:place]}, path[0], 20 + wide / 2, 20)
    parts += lines
    top = head[-1].y + HEIGHT + GAP_Y + 26
    ends: list[Box] = []
    bottom = top
    for number, branch in enumerate(states[parallel]["Branches"]):
        x = 36 + number * (wide + 2 * GAP_X)
        boxes, lines = column(branch["States"], branch["StartAt"], x, top)
        parts += [*lines, *(item.svg for item in boxes), arrow(head[-1], boxes[0])]
        ends.append(boxes[-1])
        bottom = max(bottom, boxes[-1].y + HEIGHT)
    across = 2 * wide + 2 * GAP_X + 40
    size = f'x="16" y="{top - 34}" width="{across}" height="{bottom - top + 50}"'
    note = f'x="{across - 6}" y="{bottom + 4}" text-anchor="end"'
    parts += [f'<rect class="branch" {size} rx="8"/>', f'<text class="note" {note}>{parallel}: side by side</text>']
    tail, lines = column(states, path[place + 1], 20 + wide / 2, bottom + GAP_Y + 16)
    parts += [*lines, *(arrow(end, tail[0]) for end in ends), *(item.svg for item in [*head, *tail])]
    width, height = 2 * wide + 2 * GAP_X + 80, tail[-1].y + HEIGHT + 20
    title = f"<title>{escape(machine['Comment'])}</title>"
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return "\n".join([svg, f"{title}<style>{STYLE}</style>{TIP}", *parts, "</svg>\n"])


if __name__ == "__main__":
    (ROOT / "docs/pipeline.svg").write_text(draw(json.loads(MACHINE.read_text())))
    sys.stdout.write("docs/pipeline.svg\n")
