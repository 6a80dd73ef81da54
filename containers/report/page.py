"""Render the page of the report from what was measured.

Jinja escapes every value of the template: names of contigs, genes and samples, and fields of a VCF, are input of
strangers. IGV does not escape names and tags of reads: `sample.without_html` does it before. The security policy in the
page allows its own scripts, by their hashes, and no address.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from seqdrop import __version__

from containers.report import depth, describe, igv, plots
from containers.report.calls import IMPACTS
from containers.report.figures import show
from containers.report.policy import FAIL, PASS, WARN, Verdict
from containers.report.sources import Measured

FOLDER = Path(__file__).parent
TILES = ("mean_depth", "breadth_20", "mapped", "duplicates", "variants", "contamination")
SECTIONS = (("checks", "Checks"), ("depth", "Depth"), ("reads", "Reads"), ("variants", "Variants"), ("run", "Run"),
            ("files", "Files"))  # fmt: skip
HEADLINES = {
    PASS: "All figures are within their limits",
    WARN: "Check the points below before you use the variants",
    FAIL: "Do not use the variants of this run before the points below are explained",
}
WHAT_TO_DO = {
    PASS: "The reads and the calls look as expected. Each variant still needs its own review.",
    WARN: "Something is unusual.",
    FAIL: "The figures are too far from what this assay needs. All files are kept.",
}
INCOMPLETE = " Some steps have left no results: this page lacks their figures."


def render(args: argparse.Namespace, measured: Measured, verdict: Verdict, policy_reason: str) -> str:
    """Return the page."""
    css, js = (Markup((FOLDER / f"page.{kind}").read_text()) for kind in ("css", "js"))  # noqa: S704  # our own files
    allowed = security_policy(css, js, igv.script() if measured.evidence and measured.evidence.shown else "")
    known = {figure.name: figure for figure in measured.figures}
    return _environment().get_template("page.html.jinja").render(
        css=css, js=js, policy=allowed, version=__version__, sample=args.sample, run=args.run,
        verdict=verdict, headline=HEADLINES[verdict.result], what_to_do=describe_action(verdict, measured),
        warnings=measured.warnings, policy_reason=policy_reason,
        sections=SECTIONS, tiles=[known[name] for name in TILES if name in known],
        depth=measured.depth, reads=measured.reads, calls=measured.calls, call_figures=measured.call_figures,
        missing=measured.missing, thresholds=depth.THRESHOLDS, charts=plots.all_charts(measured),
        **describe.contigs_of(measured.depth), sex=describe.sex(measured), list_note=describe.list_of(measured.calls),
        breadth_note="Positions count from 1.", impacts=IMPACTS[:-1], ranks={name: n for n, name in enumerate(IMPACTS)},
        reference=describe.reference(args.reference, measured.summary),
        regions=describe.regions(measured.summary) if args.intervals else "the whole genome",
        with_known=bool(measured.calls and any(one.known for one in measured.calls.listed)),
        hours=describe.hours(measured), steps=[describe.step(receipt) for receipt in measured.receipts],
        **igv.words(measured.evidence), evidence_note=measured.evidence_note,
        files=describe.files(measured), alignment=describe.alignment(args.sample, measured),
    )  # fmt: skip


def describe_action(verdict: Verdict, measured: Measured) -> str:
    """Return what the verdict means, and whether results are missing."""
    complete = measured.reads and measured.depth and measured.calls
    return WHAT_TO_DO[verdict.result] + ("" if complete else INCOMPLETE)


@cache
def _environment() -> Environment:
    found = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, auto_reload=False)
    found.filters["share"] = partial(show, "mapped")  # a percentage
    return found


def security_policy(css: str, js: str, igv: str) -> str:
    """Return the policy that allows this style and these scripts alone; with igv.js also the styles that it adds."""
    scripts = " ".join(_source(text) for text in (js, igv) if text)
    styles = "'unsafe-inline'" if igv else _source(css)
    return (
        f"default-src 'none'; style-src {styles}; script-src {scripts}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
