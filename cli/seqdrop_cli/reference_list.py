"""`seqdrop references`: list the prepared references with their size, indexes, genes, panels and known variants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from seqdrop.plan import ploidy, steps
from seqdrop.plan.extras import KNOWN, PANELS
from seqdrop.plan.names import GENOME, NO_GENES
from seqdrop.runs.reference import prepared_names, read_summary

from seqdrop_cli.screen import console, say, short_number
from seqdrop_cli.stack import Stack

ALIGNERS = {tool.name for step in steps.STEPS if step.choice == "aligner" for tool in step.tools}


def read_all(stack: Stack) -> list[dict[str, Any]]:
    """Return each prepared reference: name, bytes of all its files, and its reference.json without the contigs."""
    bucket, found = stack["ReferenceBucket"], []
    for name in prepared_names(stack.store, bucket):
        summary = read_summary(stack.store, bucket, name) or {}
        contigs = summary.pop("contigs", [])
        sizes = {entry["Key"]: entry["Size"] for entry in stack.store.list_objects(bucket, f"{name}/")}
        names = [key.split("/", 1)[1] for key in sizes]
        beds = sorted(
            key for key in names if (".bed" in key or key.endswith(".interval_list")) and not is_companion(key)
        )
        facts = {
            "name": name,
            "bytes": sum(sizes.values()),
            "contigs": len(contigs),
            "bases": sum(contig["length"] for contig in contigs),
            "beds": beds,
        }
        found.append({**summary, **facts})
    return found


def is_companion(key: str) -> bool:
    """Return whether a file of a reference is its genome, or made for it; also the source of a panel has a place."""
    return key.startswith((GENOME, "source/"))


def show(references: Sequence[dict[str, Any]], option: str) -> None:
    """Print a table of references. `option` is the option of commands for this stack."""
    if not references:
        command = f"`seqdrop reference GENOME.fa --genes GENES.gtf --name NAME{option}`"
        say(f"No reference is prepared: {command} prepares one.")
        return
    lists = {
        "aligners": [[index for index in one.get("indexes", ()) if index in ALIGNERS] for one in references],
        "genes": [[_genes(one)] for one in references],
        "panels": [list(one.get(PANELS, ())) for one in references],
        "known": [list(one.get(KNOWN, ())) for one in references],
        "BED files": [one["beds"] for one in references],
    }
    lists = {name: column for name, column in lists.items() if any(column)}  # 80 columns have no place for empty ones
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("reference", "contigs", "bases", "ploidy", *lists, "size"):
        justify: Any = "right" if name in {"contigs", "bases", "size"} else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=justify == "right")
    for number, one in enumerate(references):
        table.add_row(
            one["name"], f"{one['contigs']:,}", short_number(one["bases"]), ploidy.describe(one),
            *(", ".join(column[number]) for column in lists.values()), f"{short_number(one['bytes'])}B",
        )  # fmt: skip
    console().print(table)


def _genes(reference: dict[str, Any]) -> str:
    """Return the file of the genes, "yes" where reference.json does not name it, or "none"."""
    if "snpeff" not in reference.get("indexes", ()):
        return NO_GENES
    return str(reference.get("sources", {}).get("genes", {}).get("uri", "/yes")).rpartition("/")[2]
