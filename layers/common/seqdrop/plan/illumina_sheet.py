"""Read samples and lanes in a sample sheet of Illumina: `[Data]` of bcl2fastq, `[BCLConvert_Data]` of BCL Convert."""

from __future__ import annotations

from dataclasses import dataclass

from seqdrop.plan import csv_table
from seqdrop.plan.csv_table import Problem, SheetError
from seqdrop.plan.fastq_names import harmless

SECTIONS = ("[data]", "[bclconvert_data]")


@dataclass(frozen=True, slots=True)
class Expected:
    """A sample as its FASTQs will be named."""

    name: str
    line: int
    lanes: frozenset[int]  # empty: not in the sheet


def is_illumina(data: bytes) -> bool:
    """Return whether the first line of a sheet opens a section, as in those of Illumina."""
    return data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"[", b'"['))


def parse(data: bytes) -> list[Expected]:
    """Return the samples of the data section; raise SheetError.

    FASTQs have the Sample_Name, if there is one, else the Sample_ID.
    """
    lines = csv_table.read_lines(data)
    starts = [place for place, (_, cells) in enumerate(lines) if cells[0].lower() in SECTIONS]
    if len(starts) != 1:
        raise SheetError([Problem(0, "", f"it has {len(starts)} sections [Data] or [BCLConvert_Data], not one")])
    section = lines[starts[0] + 1 :]
    end = next((place for place, (_, cells) in enumerate(section) if cells[0].startswith("[")), len(section))
    if end == 0:
        raise SheetError([Problem(lines[starts[0]][0], "", "the section has no samples")])
    header, rows = csv_table.table(section[:end])
    names = {name.lower(): name for name in header}
    if "sample_id" not in names:
        raise SheetError([Problem(section[0][0], "Sample_ID", "is missing in the header of the section")])
    found: dict[str, tuple[int, set[int]]] = {}
    problems = []
    for row in rows:
        cells = {name: row.cells[written] for name, written in names.items()}
        sample, lane = cells.get("sample_name") or cells["sample_id"], cells.get("lane", "")
        if not harmless(sample):
            problems.append(Problem(row.line, names["sample_id"], f"{sample!r} is not a valid sample id"))
        if lane and not (lane.isascii() and lane.isdecimal() and 0 < int(lane) < 100):
            problems.append(Problem(row.line, names["lane"], f"{lane!r} is not the number of a lane"))
            continue
        _, lanes = found.setdefault(harmless(sample), (row.line, set()))
        lanes |= {int(lane)} if lane else set()
    if problems:
        raise SheetError(problems)
    return [Expected(name, line, frozenset(lanes)) for name, (line, lanes) in found.items()]
