"""Parse a samplesheet in the columns of nf-core/sarek: the samples, their files and the choices for their runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from seqdrop.plan import csv_table, fastq_names, input_names
from seqdrop.plan.choices import MAX_LANES, ChoiceError, Choices
from seqdrop.plan.csv_table import Problem, Row, SheetError
from seqdrop.plan.extras import NO_PANEL
from seqdrop.plan.names import INTERLEAVED, NAME, ONE_FILE, PAIRED, RESERVED, SAMPLE, SINGLE

REQUIRED = ("sample",)
MATES = ("fastq_1", "fastq_2")
ALIGNMENTS = ("bam", "cram")  # of unaligned reads, in the place of FASTQs
FILES = (*MATES, *ALIGNMENTS)
# columns that are choices of the same name
CHOSEN = (
    "reference", "aligner", "caller", "intervals", "alignment_format", "priority", "layout", "panel", "max_cost",
    "form",
)  # fmt: skip
PLOIDY = "ploidy"  # an option of the caller
OF_SAMPLE = ("patient", "sex", "status", *CHOSEN, PLOIDY)  # equal in all rows of a sample
SEXES = ("XX", "XY")
ALLOWED = {"sex": (*SEXES, "NA", ""), "status": ("0", "1", ""), PLOIDY: ("1", "2", "")}
TUMOR = {"warning": "TUMOR", "message": "the samplesheet calls this sample a tumour (status 1): the callers of this "
         "pipeline find germline variants, so that variants in a part of the cells may be missing"}  # fmt: skip
_ENDINGS = {
    **dict.fromkeys(
        MATES, (re.compile(r".*\.(?:fastq|fq)(?:\.gz)?", re.IGNORECASE), ".fastq.gz, .fq.gz, .fastq or .fq")
    ),
    **{form: (re.compile(rf".*\.{form}", re.IGNORECASE), f".{form}") for form in ALIGNMENTS},
}
_SHEET_NAME = re.compile(r"(?:.*[._-])?sample_?sheet(?:[._-].*)?\.csv", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Lane:
    """One row: the files of a lane, as written: an address in S3, or a path."""

    line: int
    lane: str
    fastq_1: str = ""
    fastq_2: str = ""
    bam: str = ""
    cram: str = ""

    @property
    def files(self) -> dict[str, str]:
        """The files by their column."""
        return {column: text for column in FILES if (text := str(getattr(self, column)))}


@dataclass(frozen=True, slots=True)
class Sample:
    """All rows of a sample: one run."""

    name: str
    line: int  # of its first row
    lanes: tuple[Lane, ...]
    choices: Choices
    columns: Mapping[str, str] = field(default_factory=dict)  # all others: patient, sex, status, and unknown ones

    @property
    def warnings(self) -> list[dict[str, str]]:
        """The warnings of its run."""
        return [TUMOR] if self.columns.get("status") == "1" else []


def is_sheet(key: str) -> bool:
    """Return whether a file name is that of a samplesheet: `samplesheet.csv`, `run7_SampleSheet.csv`."""
    return bool(_SHEET_NAME.fullmatch(key.rpartition("/")[2]))


def parse(data: bytes) -> list[Sample]:
    """Return the samples in the order of their first rows; raise SheetError with every problem."""
    header, rows = csv_table.table(csv_table.read_lines(data))
    needed = REQUIRED if {"fastq_1", *ALIGNMENTS} & {*header} else (*REQUIRED, "fastq_1")
    if missing := [name for name in needed if name not in header]:
        columns = f"column{'' if len(missing) == 1 else 's'} {', '.join(missing)}"
        raise SheetError([Problem(1, "", f"the header has no {columns}; it has: {', '.join(header)}")])
    if not rows:
        raise SheetError([Problem(1, "", "there is no sample below the header")])
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.cells["sample"], []).append(row)
    problems = [*_of_rows(rows), *_of_files(rows)]
    for group in groups.values():
        problems += _of_group(group)
    if problems:
        raise SheetError(sorted(problems))
    return [_sample(name, group) for name, group in groups.items()]


def _of_rows(rows: Sequence[Row]) -> Iterator[Problem]:
    """Yield the problems that one row has for itself."""
    for row in rows:
        cells = row.cells
        if not SAMPLE.fullmatch(cells["sample"]):
            allowed = f"use at most 64 letters, digits, '.', '_' and '-', and no '{RESERVED}' at the end"
            yield Problem(row.line, "sample", f"{cells['sample']!r} is not a valid sample id: {allowed}")
        if cells.get("lane") and not NAME.fullmatch(cells["lane"]):
            yield Problem(row.line, "lane", f"{cells['lane']!r} is not a lane: use letters, digits, '.', '_' and '-'")
        for column, allowed_values in ALLOWED.items():
            if cells.get(column, "") not in allowed_values:
                names = ", ".join(filter(None, allowed_values))
                yield Problem(row.line, column, f"{cells[column]!r} is not one of {names}")
        for column in CHOSEN:
            if value := cells.get(column):
                name = f"seqdrop-{column.replace('_', '-')}"
                try:
                    Choices.from_metadata({name: value})
                except ChoiceError as error:
                    yield Problem(row.line, column, f"{value!r}: {error}".replace(name, "it"))
        if cells.get("intervals") and cells.get("panel", "") not in {"", NO_PANEL}:
            yield Problem(row.line, "panel", "the row has intervals too, but a panel has its own regions")


def _of_files(rows: Sequence[Row]) -> Iterator[Problem]:
    """Yield the problems of the files: each is named as its column says and is used once."""
    used: dict[str, int] = {}
    for row in rows:
        yield from _of_columns(row)
        for column, text in _files_of(row).items():
            pattern, endings = _ENDINGS[column]
            if not pattern.fullmatch(text):
                yield Problem(row.line, column, f"{text!r} does not end in {endings}")
            elif text in used:
                yield Problem(row.line, column, f"{text!r} is in line {used[text]} too")
            used.setdefault(text, row.line)


def _files_of(row: Row) -> dict[str, str]:
    return {column: text for column in FILES if (text := row.cells.get(column, ""))}


def _of_columns(row: Row) -> Iterator[Problem]:
    """Yield the problems of a row whose files do not fit together, or do not fit its layout."""
    columns, layout = tuple(_files_of(row)), row.cells.get("layout", "")
    if columns == MATES:
        if layout in ONE_FILE:
            yield Problem(row.line, "layout", f"is {layout}, but fastq_2 is not empty")
    elif columns == MATES[:1]:
        has_mate = fastq_names.parse(row.cells["fastq_1"].rpartition("/")[2])
        if layout == PAIRED or (not layout and has_mate):
            yield Problem(row.line, "fastq_2", f"is empty: without mates, write {SINGLE} into the column layout; with "
                                               f"both mates in one file, {INTERLEAVED}")  # fmt: skip
    elif len(columns) == 1 and columns[0] in ALIGNMENTS:
        if layout == INTERLEAVED:
            yield Problem(
                row.line, "layout", f"a {columns[0].upper()} is {SINGLE} or {PAIRED}, by the flags of its reads"
            )
        if columns[0] == "cram" and not layout:
            yield Problem(row.line, "layout", f"is empty: a CRAM needs {SINGLE} or {PAIRED}")
    elif len(columns) > 1 and columns != MATES:
        yield Problem(
            row.line, columns[-1], f"is not empty, and {columns[0]} neither: a lane is FASTQs, a BAM or a CRAM"
        )
    else:
        yield Problem(row.line, "fastq_1", "is empty")


def layout_of(rows: Sequence[Row]) -> str:
    """Return the layout of a sample; "" for two files of a pair, and for a BAM, whose flags say it."""
    first = rows[0].cells
    if stated := first.get("layout", ""):
        return stated
    if first.get("fastq_1") and not first.get("fastq_2"):
        return input_names.layout_in_name(first["fastq_1"]) or SINGLE
    return ""


def _of_group(rows: Sequence[Row]) -> Iterator[Problem]:
    """Yield the problems of the rows of one sample: equal choices, different lanes."""
    first, lanes = rows[0], dict[str, int]()
    for row in rows:
        lane = row.cells.get("lane", "")
        if lane in lanes:
            twice = f"lane {lane} of this sample is in line {lanes[lane]} too" if lane else "the lanes have no names"
            yield Problem(row.line, "lane", f"{twice}: each row of a sample is another lane")
        lanes.setdefault(lane, row.line)
        if [*_files_of(row)] != [*_files_of(first)] and [*_files_of(row)]:
            yield Problem(row.line, "sample", f"its rows have different columns of files, as in line {first.line}")
        for column in OF_SAMPLE:
            value, other = row.cells.get(column, ""), first.cells.get(column, "")
            if value != other:
                yield Problem(row.line, column, f"{value!r} differs from {other!r} in line {first.line}, same sample")
    if len(rows) > MAX_LANES:
        yield Problem(first.line, "sample", f"has {len(rows)} rows; a run has at most {MAX_LANES} lanes")


def _sample(name: str, rows: Sequence[Row]) -> Sample:
    lanes = tuple(Lane(row.line, row.cells.get("lane", ""), **_files_of(row)) for row in rows)
    cells = rows[0].cells
    own = {*REQUIRED, *FILES, "lane", *CHOSEN, PLOIDY}
    columns = {column: value for column, value in cells.items() if column not in own and value}
    chosen = {column: cells.get(column, "") for column in CHOSEN} | {"layout": layout_of(rows)}
    args = {"call": ["--ploidy", cells[PLOIDY]]} if cells.get(PLOIDY) else {}
    priority = chosen.pop("priority") or "normal"
    sex = cells.get("sex", "") if cells.get("sex") in SEXES else ""
    choices = Choices(**chosen, args=args, lanes=len(rows), priority=priority, sex=sex)
    return Sample(name, rows[0].line, lanes, choices, columns)
