"""Read a CSV file strictly: every problem with its line and its column."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

DELIMITERS = ",;\t"  # `;` where Excel has a decimal comma
MAX_SIZE = 1 << 20  # bytes: some ten thousand files
MAX_CELL = 1024  # characters: the longest key of S3
# The beginnings of files that are no CSV, and what to do.
_OTHER_FORMATS = (
    (b"PK\x03\x04", "it is an Excel workbook: save it as CSV UTF-8"),
    (codecs.BOM_UTF16_LE, "it is UTF-16: save it as CSV UTF-8"),
    (codecs.BOM_UTF16_BE, "it is UTF-16: save it as CSV UTF-8"),
    (b"\x1f\x8b", "it is compressed: upload the plain CSV"),
)


class Problem(NamedTuple):
    """What is wrong, and where. Lines count from 1, with the header; the column is the name in the header."""

    line: int
    column: str
    message: str

    def __str__(self) -> str:
        """Return `line 3, column sex: ...`."""
        column = f", column {self.column}" if self.column else ""
        return f"line {self.line}{column}: {self.message}" if self.line else self.message


class SheetError(ValueError):
    """A sheet is not valid. The message has the first problems, `problems` has all."""

    def __init__(self, problems: Sequence[Problem], shown: int = 10) -> None:
        """Create the error; `shown` is the number of problems in the message."""
        more = f"; and {len(problems) - shown} more" if len(problems) > shown else ""
        super().__init__("; ".join(map(str, problems[:shown])) + more)
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a line by the name of their column."""

    line: int
    cells: dict[str, str]


def write(rows: Sequence[Mapping[str, str]]) -> bytes:
    """Return rows as a CSV file with a header; cells that a row lacks are empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def read_lines(data: bytes) -> list[tuple[int, list[str]]]:
    """Return the cells of each line that is not empty, without spaces around them; raise SheetError."""
    text = _decode(data)
    first = next((line for line in text.splitlines() if line.strip()), "")
    if first.lower().startswith("sep=") and len(first) == len("sep=;"):  # Excel's own line for the delimiter
        delimiter = first[-1]
    else:
        delimiter = max(DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines, number = [], 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped) and not (number == 1 and stripped[0].lower().startswith("sep=")):
                lines.append((number, stripped))
            number = reader.line_num + 1
    except csv.Error as error:
        raise SheetError([Problem(number, "", f"it is not valid CSV: {error}")]) from None
    if problems := [Problem(line, "", message) for line, cells in lines for message in _bad_cells(cells)]:
        raise SheetError(problems)
    return lines


def _decode(data: bytes) -> str:
    if len(data) > MAX_SIZE:
        raise SheetError([Problem(0, "", f"it has more than {MAX_SIZE:,} bytes")])
    for start, reason in _OTHER_FORMATS:
        if data.startswith(start):
            raise SheetError([Problem(0, "", reason)])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SheetError([Problem(line, "", "a character is not UTF-8: save it as CSV UTF-8")]) from None
    if not text.strip():
        raise SheetError([Problem(0, "", "it is empty")])
    return text


def _bad_cells(cells: Sequence[str]) -> Iterator[str]:
    if any(not cell.isprintable() for cell in cells):
        yield "a cell has a line end, a tab or another character that cannot be printed"
    if any(len(cell) > MAX_CELL for cell in cells):
        yield f"a cell has more than {MAX_CELL} characters"


def table(lines: Sequence[tuple[int, list[str]]]) -> tuple[list[str], list[Row]]:
    """Return the header and the rows below it; raise SheetError. Empty columns at the end, as Excel writes, are cut."""
    (number, cells), *rest = lines
    header = _without_empty_end(cells)
    problems = [Problem(number, "", f"column {place} has no name") for place, name in enumerate(header, 1) if not name]
    problems += [Problem(number, name, "is there twice") for name in sorted({n for n in header if header.count(n) > 1})]
    rows = []
    for line, written in rest:
        values = written if any(written[len(header) :]) else written[: len(header)]
        if len(values) != len(header):
            problems.append(Problem(line, "", f"has {len(values)} cells, the header has {len(header)}"))
        else:
            rows.append(Row(line, dict(zip(header, values, strict=True))))
    if problems:
        raise SheetError(problems)
    return header, rows


def _without_empty_end(cells: Sequence[str]) -> list[str]:
    used = [place for place, cell in enumerate(cells, 1) if cell]
    return list(cells[: used[-1] if used else 0])
