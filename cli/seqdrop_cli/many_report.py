"""`seqdrop report`: one MultiQC page for many runs, with a table of them, made on this machine."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqdrop.runs.table import OF_FILES, Row
from seqdrop.storage.uri import S3Uri

from seqdrop_cli import run_table
from seqdrop_cli.errors import CliError
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack
from seqdrop_cli.status import describe_status, format_minute

# A tool of its own: with what it needs it is larger than the rest of the environment.
MULTIQC = "multiqc==1.35"
INSTALL = f"`uv tool install {MULTIQC}` or `pipx install {MULTIQC}`"
# The end of a result's name after the sample -> the end by which MultiQC recognises it.
FILES = {
    ".stats.txt": ".samtools_stats.txt",
    ".stats.txt.flagstat": ".flagstat.txt",
    ".stats.txt.idxstats": ".idxstats.txt",
    ".stats.txt.mosdepth.summary.txt": ".mosdepth.summary.txt",
    ".stats.txt.mosdepth.global.dist.txt": ".mosdepth.global.dist.txt",
    ".vcf.gz.stats": ".bcftools_stats.txt",
    ".annotated.vcf.gz.csv": ".snpeff.csv",
}
MAX_ERROR, MAX_NAMES = 1_000, 10  # characters, and runs, in a message
NO_BANNER = "#mqc_welcome { display: none !important }"  # a link to a video
ORDER = ("FAILED", "TIMED_OUT", "ABORTED", "QC_FAILED", "INCOMPLETE", "RUNNING", "SUCCEEDED")
HEADERS = {
    "status": "Status", "qc": "QC", "sample": "Sample", "started": "Started (UTC)", "reads": "Reads",
    "variants": "Variants (PASS)", "cost": "USD", "message": "Message",
}  # fmt: skip
UNITS = ((1e7, 1e-6, "M", "millions"), (1e4, 1e-3, "k", "thousands"))  # reads of the largest run -> the unit of reads


def build(stack: Stack, chosen: Sequence[Row], folder: Path) -> Path:
    """Write the page of these runs and return its path; raise CliError if MultiQC is missing or fails."""
    program = find_multiqc()
    folder.mkdir(parents=True, exist_ok=True)
    page, names = folder / "report.html", name_rows(chosen)
    page.unlink(missing_ok=True)  # an old one would hide a failure
    with tempfile.TemporaryDirectory(prefix="seqdrop-report-") as text:
        sources = Path(text)
        without = [name for name, row in names.items() if not download(stack, row, sources, name)]
        (sources / "style.css").write_text(NO_BANNER)
        (sources / "config.yaml").write_text(json.dumps(configuration(names, sources)))  # JSON is YAML
        done = subprocess.run(
            [program, "--config", sources / "config.yaml", "--title", f"seqdrop: {len(chosen):,} runs", "--force",
             "--no-ai", "--no-version-check", "--no-megaqc-upload", "--no-ansi",
             "--filename", page.name, "--outdir", folder, sources],
            env={**os.environ, "HOME": text, "MULTIQC_CONFIG_PATH": ""},  # no settings of the user
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode or not page.is_file():
        raise CliError(f"MultiQC failed: {' '.join(done.stderr.split())[-MAX_ERROR:]}")
    if without:
        more = " ..." if len(without) > MAX_NAMES else ""
        say(f"In the table alone, without figures: {', '.join(without[:MAX_NAMES])}{more}")
    return page


def find_multiqc() -> str:
    """Return the path of MultiQC; raise CliError if it is not installed."""
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{Path(sys.executable).parent}"
    if program := shutil.which("multiqc", path=path):
        return program
    raise CliError(f"multiqc is not installed: {INSTALL} installs it.")


def select(rows: Iterable[Row], samples: Sequence[str], since: str, *, every: bool) -> list[Row]:
    """Return the runs of these samples, or since a time (see `run_table.parse_since`), or all, failed ones first.

    Raises CliError.
    """
    if (bool(samples), bool(since), every).count(True) != 1:
        raise CliError("Give samples, or --since TIME, or --all.")
    start = run_table.parse_since(since) if since else ""
    runs = [row for row in rows if row["status"] not in OF_FILES]
    known = {str(row["sample"]) for row in runs}
    if missing := [sample for sample in samples if sample not in known]:
        raise CliError(f"No run of these samples was found: {', '.join(missing)}.")
    found = [row for row in runs if every or row["sample"] in samples or (start and str(row.get("started")) >= start)]
    if not found:
        raise CliError("No run found.")
    return sorted(found, key=lambda row: (rank(row), str(row["sample"])))


def rank(row: Row) -> tuple[int, bool]:
    """Return the place of a run: failed ones first, those with warnings before the others."""
    status = str(row["status"])
    return ORDER.index(status) if status in ORDER else 0, not row.get("warnings")


def name_rows(rows: Sequence[Row]) -> dict[str, Row]:
    """Return the name of each run in the page: its sample, with a part of its id if the sample has several."""
    number = Counter(str(row["sample"]) for row in rows)
    return {
        str(row["sample"]) if number[str(row["sample"])] == 1 else f"{row['sample']}.{row['run']}": row for row in rows
    }


def download(stack: Stack, row: Row, folder: Path, name: str) -> int:
    """Download the figures of a run, under its name; return the number of files."""
    if not row.get("results"):
        return 0
    results, number = S3Uri.parse(str(row["results"])), 0
    stored = {entry["Key"] for entry in stack.store.list_objects(results.bucket, f"{results.key}/")}
    for ending, target in FILES.items():
        uri = results / f"{row['sample']}{ending}"
        if uri.key in stored:
            stack.store.download(uri, folder / f"{name}{target}")
            number += 1
    return number


def table_of(names: Mapping[str, Row]) -> dict[str, Any]:
    """Return the table of runs for MultiQC, which writes cells as they are: they are escaped here."""
    data = {}
    for name, row in names.items():
        cells = {**row, "status": describe_status(row), "started": format_minute(row.get("started"))}
        cells["message"] = row.get("message") or "; ".join(row.get("warnings", ()))
        for key in ("reads", "variants", "cost"):
            cells[key] = float(row[key]) if row.get(key) not in (None, "") else ""
        data[name] = {
            key: html.escape(cells[key]) if isinstance(cells.get(key), str) else cells.get(key, "") for key in HEADERS
        }
    headers = {key: {"title": title, "scale": False} for key, title in HEADERS.items()}
    headers["reads"] |= {"format": "{:,.0f}"}
    headers["variants"] |= {"format": "{:,.0f}"}
    headers["cost"] |= {"format": "{:,.4f}"}
    return {
        "section_name": "Runs", "description": "Failed runs first.", "plot_type": "table",
        "pconfig": {"id": "runs_table", "title": "Runs", "sort_rows": False, "col1_header": "Run", "no_violin": True},
        "headers": headers, "data": data,
    }  # fmt: skip


def configuration(names: Mapping[str, Row], sources: Path) -> dict[str, Any]:
    """Return the configuration of MultiQC: whole names, a unit of reads that fits, no question to a server."""
    most = max((int(row.get("reads", 0)) for row in names.values()), default=0)
    factor, prefix, words = next((unit[1:] for unit in UNITS if most >= unit[0]), (1, "", "reads"))
    return {
        "use_filename_as_sample_name": True,  # one row for each run, not one for each file about it
        "fn_clean_exts": [{"type": "regex", "pattern": f"{re.escape(ending)}$"} for ending in FILES.values()],
        "fn_clean_trim": [],
        "read_count_multiplier": factor,
        "read_count_prefix": prefix,
        "read_count_desc": words,
        "custom_data": {"runs": table_of(names)},
        "custom_css_files": [str(sources / "style.css")],
        "module_order": ["custom_content", "samtools", "mosdepth", "bcftools", "snpeff"],
        "intro_text": False,
        "show_analysis_paths": False,
        "no_ai": True,
        "no_version_check": True,
    }
