"""Bring a run's results home: everything but the receipts, each file checked for its size."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from seqdrop.storage.uri import S3Uri

from seqdrop_cli.problem import Problem
from seqdrop_cli.screen import say, screen
from seqdrop_cli.stack import TRANSFER, Stack

RECEIPTS = (
    "jobs/",
    "failures/",
)  # the pipeline's own records; manifest.json sums them up
NAMED = (".bam", ".annotated.vcf.gz", ".vcf.gz", ".report.html", "manifest.json")


def fetch(stack: Stack, row: Mapping[str, Any], folder: Path) -> list[Path]:
    """Download what the run published; answers the files."""
    results = S3Uri.parse(str(row["results"]))
    sizes = _published(stack, results)
    _check_room(folder, sum(sizes.values()))
    files = []
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=screen(), transient=True, disable=not screen().is_terminal) as progress:
        task = progress.add_task("results", total=sum(sizes.values()))
        for name, size in sizes.items():
            files.append(_download(stack, results / name, folder / name, size))
            progress.advance(task, size)
    return files


def _published(stack: Stack, results: S3Uri) -> dict[str, int]:
    """Name below the results folder -> bytes."""
    prefix = f"{results.key}/"
    pages = stack.s3.get_paginator("list_objects_v2").paginate(Bucket=results.bucket, Prefix=prefix)
    found = {entry["Key"].removeprefix(prefix): entry["Size"] for page in pages for entry in page.get("Contents", [])}
    return {name: size for name, size in found.items() if not name.startswith(RECEIPTS)}


def _check_room(folder: Path, needed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise Problem(f"The results need {needed:,} bytes and {folder} has {free:,}: make room or give --results DIR.")


def _download(stack: Stack, uri: S3Uri, path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    stack.s3.download_file(uri.bucket, uri.key, str(path), Config=TRANSFER)
    if path.stat().st_size != size:
        raise Problem(f"{uri} arrived with {path.stat().st_size} of {size} bytes: run the same command again.")
    return path


def show(files: list[Path]) -> None:
    """The files a person opens first; the others lie beside them."""
    for suffix in NAMED:
        for file in files:
            if file.name.endswith(suffix) and not (suffix == ".vcf.gz" and file.name.endswith(".annotated.vcf.gz")):
                say(f"  {file}")
    if not any(file.name == "manifest.json" for file in files):
        say(f"  {len(files)} files, no manifest: the run is not complete")
