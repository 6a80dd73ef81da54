"""Rewrite the header of Isaac's BAM: the read groups of the plan, and no path of this job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqdrop.failure.verdict import JobError
from seqdrop.jobs.alignment import Lane
from seqdrop.jobs.workspace import Workspace

UNIT_FORMAT = "%F.%L"  # PU of Isaac's read groups: flowcell and lane number


def rewrite(work: Workspace, bam: Path, lanes: Sequence[Lane]) -> None:
    """Replace the header of a BAM, and index it again."""
    text = work.processes.output("samtools", "view", "-H", "--no-PG", bam)
    header, renamed = work / "header.sam", work / "renamed.bam"
    header.write_text(edit(text.replace(f"{work.directory}/", ""), lanes))
    work.run("samtools", "reheader", "--no-PG", header, bam, stdout=renamed)
    renamed.rename(bam)
    work.run("samtools", "index", "-@", work.vcpus, bam)


def edit(header: str, lanes: Sequence[Lane]) -> str:
    """Return the header with the @RG lines of the lanes, and @SQ lines without UR, which has a scratch path.

    The ids of the read groups stay: the records have them. Raise JobError unless every lane has one read group.
    """
    lines, found = list[str](), list[int]()
    for line in header.splitlines():
        if line.startswith("@RG\t"):
            group_id, number = _read_group(line, len(lanes))
            found.append(number)
            lines.append("\t".join(["@RG", f"ID:{group_id}", *lanes[number - 1].rg_lines[0].split("\t")[2:]]))
        elif line.startswith("@SQ\t"):
            lines.append("\t".join(field for field in line.split("\t") if not field.startswith("UR:")))
        else:
            lines.append(line)
    if sorted(found) != list(range(1, len(lanes) + 1)):
        raise JobError("TOOL_FAILED", f"{len(lanes)} lanes went in but the BAM has read groups of lanes {found}")
    return "\n".join(lines) + "\n"


def _read_group(line: str, lanes: int) -> tuple[str, int]:
    """Return the id and the lane number of Isaac's @RG line; raise JobError unless it is one of the lanes."""
    values = dict(field.split(":", 1) for field in line.split("\t")[1:])
    number = values.get("PU", "").rpartition(".")[2]
    if not (number.isdigit() and 1 <= int(number) <= lanes and values.get("ID")):
        raise JobError("TOOL_FAILED", f"Isaac wrote a read group without a lane of this run: {line}")
    return values["ID"], int(number)
