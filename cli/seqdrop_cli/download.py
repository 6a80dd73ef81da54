"""Download the results of a run: everything except the receipts and verdicts of its jobs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from seqdrop.plan.names import MANIFEST
from seqdrop.runs.outcome import WITH_RESULTS
from seqdrop.storage.uri import S3Uri

from seqdrop_cli.errors import CliError
from seqdrop_cli.screen import console, say
from seqdrop_cli.stack import Stack

MAY_HOLD = WITH_RESULTS - {"SUCCEEDED"}  # the status of runs whose manifest may name no VCF
RECORDS = ("jobs/", "failures/")  # receipts and verdicts, which the manifest summarizes
MAIN_SUFFIXES = (".bam", ".cram", ".annotated.vcf.gz", ".vcf.gz", ".report.html", MANIFEST)


KINDS = {  # of `--only`: the endings of the files
    "bam": (".bam", ".bam.bai", ".bam.md5", ".cram", ".cram.crai", ".cram.md5"),  # aligned reads, as in the plan
    "vcf": (".annotated.vcf.gz", ".annotated.vcf.gz.tbi", ".vcf.gz", ".vcf.gz.tbi"),
    "gvcf": (".g.vcf.gz", ".g.vcf.gz.tbi"),
    "report": (".report.html", ".report.html.json"),
    "manifest": (MANIFEST,),
}


def parse_kinds(text: str) -> list[str]:
    """Return the kinds of files in `--only vcf,report`; raise CliError."""
    kinds = [word.strip() for word in text.split(",") if word.strip()]
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise CliError(f"--only {unknown[0]}: expected some of {', '.join(KINDS)}, with `,` between them.")
    return kinds


def download_results(stack: Stack, row: Mapping[str, Any], folder: Path, kinds: Sequence[str] = ()) -> list[Path]:
    """Download the results of a run, or only some kinds of files, and verify each file; return the paths."""
    results = S3Uri.parse(str(row["results"]))
    wanted = {name: size for name, size in _sizes(stack, results).items() if not kinds or kind_of(name) in kinds}
    sizes = _without_held(stack, row, results, wanted)
    _check_free_space(folder, sum(sizes.values()))
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console(), transient=True, disable=not console().is_terminal) as progress:
        task = progress.add_task("results", total=sum(sizes.values()))

        def fetch(name: str) -> Path:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            stack.store.download(results / name, file)
            progress.advance(task, sizes[name])
            return file

        return list(stack.store.each(fetch, sizes))


def _sizes(stack: Stack, results: S3Uri) -> dict[str, int]:
    """Return the size in bytes of each result by its name in the results folder."""
    prefix = f"{results.key}/"
    objects = stack.store.list_objects(results.bucket, prefix)
    sizes = {entry["Key"].removeprefix(prefix): entry["Size"] for entry in objects}
    return {name: size for name, size in sizes.items() if not name.startswith(RECORDS)}


def _without_held(stack: Stack, row: Mapping[str, Any], results: S3Uri, sizes: Mapping[str, int]) -> Mapping[str, int]:
    """Return the results without the VCFs that the manifest does not name: the run failed its QC policy or has none."""
    if row.get("status") not in MAY_HOLD or not any(".vcf.gz" in name for name in sizes):
        return sizes
    named = {S3Uri.parse(output["uri"]).name for output in stack.store.read_json(results / MANIFEST)["outputs"]}
    return {name: size for name, size in sizes.items() if name in named or ".vcf.gz" not in name}


def kind_of(name: str) -> str:
    """Return the kind of a file, "" if it has none; that with the longest ending, since a gVCF ends like a VCF."""
    endings = {ending: kind for kind, endings in KINDS.items() for ending in endings if name.endswith(ending)}
    return endings[max(endings, key=len)] if endings else ""


def create_folder(folder: Path) -> None:
    """Create a folder for results, and check that files can be written there; raise CliError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise CliError(
            f"No results can be written to {folder}: {error.strerror}. Give another folder with --results DIR."
        ) from None


def _check_free_space(folder: Path, needed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise CliError(f"The results need {needed:,} bytes and {folder} has {free:,} free.")


def show_files(files: list[Path]) -> None:
    """Print the main results; the other files are in the same folder."""
    for suffix in MAIN_SUFFIXES:
        for file in files:
            if file.name.endswith(suffix) and not (suffix == ".vcf.gz" and file.name.endswith(".annotated.vcf.gz")):
                say(f"  {file}")
    if not any(file.name == MANIFEST for file in files):
        say(f"  {len(files)} files, but no {MANIFEST}: the run is not complete")
