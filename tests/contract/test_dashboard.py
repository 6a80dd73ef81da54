"""Alarms and the dashboard use metrics that exist: functions write them, or they are of AWS and have an alarm."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache

import pytest
from support.changed_templates import template_of
from support.pipeline_parts import ROOT, template

from gates.template import Stack

OWN = "seqdrop"  # the namespace: the name of the stack
Metric = tuple[str, ...]  # namespace, name, dimension, its value


def stack() -> Stack:
    return template_of(template()).stacks[0]


def watched() -> set[Metric]:
    """The metrics of every alarm."""
    metrics = []
    for _, alarm in stack().of_type("AWS::CloudWatch::Alarm"):
        metrics += [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
        metrics += [alarm] if "MetricName" in alarm else []
    return {
        (metric["Namespace"], metric["MetricName"], dimension["Name"], str(dimension["Value"]))
        for metric in metrics
        for dimension in metric["Dimensions"]
    }


def shown() -> set[Metric]:
    """The metrics of every widget of the dashboard; `.` repeats the word of the metric before."""
    [(_, dashboard)] = stack().of_type("AWS::CloudWatch::Dashboard")
    metrics = set()
    for widget in json.loads(dashboard["DashboardBody"])["widgets"]:
        before: Metric = ()
        for row in widget["properties"].get("metrics", []):
            words = [word for word in row if isinstance(word, str)]
            before = tuple(old if word == "." else word for word, old in zip(words, before or words, strict=True))
            metrics.add(before)
    return metrics


def written(service: str) -> Iterator[str]:
    """Yield a pattern for the name of each metric that a function writes."""
    for node in ast.walk(ast.parse((ROOT / f"functions/{service}/app.py").read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("add_metric", "count"):
            for name in [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "name")]:
                for text in [name.body, name.orelse] if isinstance(name, ast.IfExp) else [name]:
                    if isinstance(text, ast.JoinedStr):
                        yield "".join(part.value if isinstance(part, ast.Constant) else "(.+)" for part in text.values)
                    elif isinstance(text, ast.Constant) and isinstance(text.value, str):
                        yield text.value


@cache
def patterns(service: str) -> list[str]:
    """Return the patterns of a function, for all its metrics."""
    return list(written(service))


@cache
def code() -> str:
    """Return the code of the layer and of the functions, in upper case and without `_`."""
    sources = [*(ROOT / "layers/common/seqdrop").rglob("*.py"), *(ROOT / "functions").rglob("app.py")]
    return "\n".join(path.read_text() for path in sources).upper().replace("_", "")


def is_written(metric: Metric) -> bool:
    """Whether the function of a metric writes it; the part of a name that is made must be a text of the code."""
    matches = [match for name in patterns(metric[3]) if (match := re.fullmatch(name, metric[1]))]
    return any(not match.groups() or f'"{match[1].upper()}"' in code() for match in matches)


def unknown(metrics: set[Metric]) -> list[Metric]:
    """Return the metrics of the stack that no function writes."""
    return sorted(metric for metric in metrics if metric[0] == OWN and not is_written(metric))


def test_every_metric_of_the_stack_is_written_by_its_function() -> None:
    assert unknown(watched() | shown()) == []


@pytest.mark.parametrize("name", ["MateWaitingDays", "RunSucceded", "FastqMissing", "RunHour"])
def test_a_metric_that_no_function_writes_is_named(name: str) -> None:
    metric = (OWN, name, "service", "record_run")
    assert unknown({metric}) == [metric]


def test_every_other_metric_of_the_dashboard_has_an_alarm() -> None:
    others = {metric for metric in shown() if metric[0] != OWN}
    assert len(others) == 2
    assert others <= watched()


def test_the_dashboard_shows_every_metric_of_the_stack_that_an_alarm_watches() -> None:
    assert {metric for metric in watched() if metric[0] == OWN} <= shown()


# How each widget sums up its metrics, and the length of a period in seconds.
WIDGETS = {
    "Runs by status": ("Sum", 86400),
    "FASTQs by outcome": ("Sum", 86400),
    "Hours from FASTQ to results": ("Average", 86400),
    "Estimated cost of a run, USD": ("Average", 86400),
    "Needs attention": ("Maximum", 3600),
}


def test_every_widget_shows_the_stack_with_the_statistic_of_its_title() -> None:
    [(_, dashboard)] = stack().of_type("AWS::CloudWatch::Dashboard")
    widgets = [widget["properties"] for widget in json.loads(dashboard["DashboardBody"])["widgets"]]
    metrics = [properties for properties in widgets if "metrics" in properties]
    assert {widget["title"]: (widget["stat"], widget["period"]) for widget in metrics} == WIDGETS
    assert {widget["region"] for widget in metrics} == {"us-east-1"}
    [text] = [properties["markdown"] for properties in widgets if "markdown" in properties]
    assert "Upload FASTQs to `FastqBucket`; results are in `ResultsBucket`" in text
