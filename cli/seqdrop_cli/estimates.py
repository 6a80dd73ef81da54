"""Estimate the time and the price of runs from earlier runs of the same stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from seqdrop.plan.names import FILES
from seqdrop.storage.s3 import MissingError
from seqdrop.storage.uri import S3Uri
from seqdrop.text import format_seconds

from seqdrop_cli import run_table
from seqdrop_cli.stack import Stack

MAX_RUNS = 5  # earlier runs that are read
CENT = 0.01  # USD
SAME = ("reference", "aligner", "caller")


@dataclass(frozen=True, slots=True)
class Rates:
    """What a byte of FASTQs has taken in earlier runs with the same reference and tools: medians."""

    runs: int  # 0: there is none
    seconds: float = 0.0  # for each byte
    usd: float = 0.0

    def describe_time(self, size: int) -> str:
        """Return the time for so many bytes, rounded; "?" without earlier runs."""
        return format_seconds(self.seconds * size) if self.runs else "?"

    def describe_price(self, size: int) -> str:
        """Return the price for so many bytes; "?" without earlier runs."""
        price = self.usd * size
        return ("< $0.01" if price < CENT else f"${price:.2f}") if self.runs else "?"


def rates(stack: Stack, **chosen: str) -> Rates:
    """Return the rates of the last runs that succeeded with this reference, aligner and caller."""
    rows = [row for row in run_table.rows(stack) if row["status"] == "SUCCEEDED" and "cost" in row]
    same = [row for row in rows if all(row.get(name) == chosen[name] for name in SAME)][:MAX_RUNS]
    measured = [(row, size) for row in same if (size := _size(stack, row))]
    if not measured:
        return Rates(0)
    seconds = median(_seconds(row) / size for row, size in measured)
    return Rates(len(measured), seconds, median(float(row["cost"]) / size for row, size in measured))


def _size(stack: Stack, row: Mapping[str, Any]) -> int:
    """Return the bytes of the FASTQs of a run; 0 if its folder is gone."""
    try:
        reads = stack.store.read_json(S3Uri.parse(str(row["results"])) / "reads.json")
    except MissingError:
        return 0
    return sum(lane[word]["size"] for lane in reads["lanes"] for word in FILES if word in lane)


def _seconds(row: Mapping[str, Any]) -> float:
    started, finished = (datetime.fromisoformat(str(row[name])) for name in ("started", "finished"))
    return (finished - started).total_seconds()
