"""Configure and run Strelka's workflow, and say why it failed.

A script of Strelka has one exit code for most failures, and the workflow prints nothing with `--quiet` (its log
without is that of every task). Its error log has the reason: that of the task that failed.
"""

from __future__ import annotations

import re
from pathlib import Path

from seqdrop.failure.verdict import BAD_DATA_EXIT, JobError
from seqdrop.jobs.child import TAIL_LINES, ToolError
from seqdrop.jobs.processes import Argument
from seqdrop.jobs.workspace import Workspace
from seqdrop.log import logger
from seqdrop.text import plain_line

CONFIGURE = "configureStrelkaGermlineWorkflow.py"
USAGE_STATUS = 2  # of Python's optparse
MISMATCH = "Reference genome mismatch"
MIN_GIGABYTES = 2  # the workflow refuses less
MAX_LOG_LINES = 200  # the last ones of the error log
PREFIX = re.compile(r"^\[.*\] \[(WorkflowRunner|ERROR)\] (\[ERROR\] )?")  # time, host, process
STATISTICS = ("runStats.tsv", "runStats.xml")


def configure(work: Workspace, *options: Argument) -> None:
    """Write the run directory; raise ToolError with the class REFERENCE if the BAM is of another genome."""
    try:
        work.run(CONFIGURE, *options)
    except ToolError as error:
        if any(MISMATCH in line for line in error.tail):
            error.failure_class, error.exit_code = "REFERENCE", BAD_DATA_EXIT
        elif error.status == USAGE_STATUS:  # no option of a run reaches it unchecked
            error.failure_class = "INTERNAL"
        raise


def run(work: Workspace, run_dir: Path) -> None:
    """Call the variants, with the cores and the memory of the job: the default is the whole host."""
    gigabytes = max(MIN_GIGABYTES, work.memory // 1024)
    try:
        work.run(run_dir / "runWorkflow.py", "-m", "local", "-j", work.vcpus, "-g", gigabytes, "--quiet")
    except ToolError as error:
        lines = read_error_log(work, run_dir / "workflow.error.log.txt") or list(error.tail)
        for line in lines:
            logger.info("%s", line, tool=error.tool)
        full = error.failure_class == "NO_SPACE"
        raise ToolError(error.tool, error.status, lines[-TAIL_LINES:], head=lines, disk_full=full) from None


def read_error_log(work: Workspace, log: Path) -> list[str]:
    """Return the last lines of the error log, without times and process ids; [] if there is none."""
    if not log.is_file():
        return []
    lines = work.processes.redactor.redact(log.read_text(errors="replace")).splitlines()[-MAX_LOG_LINES:]
    return [PREFIX.sub("", plain_line(line)) for line in lines if line.strip()]


def find_statistics(run_dir: Path) -> list[Path]:
    """Return the files of Strelka's statistics; raise JobError if one is missing."""
    files = [run_dir / "results/stats" / name for name in STATISTICS]
    for file in files:
        if not file.is_file():
            raise JobError("TOOL_FAILED", f"Strelka wrote no {file.name}")
    return files
