"""Read FASTQ pairs with code that is slow but obviously correct, as a reference for the real reader."""

from __future__ import annotations

import re
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

Read = tuple[bytes, bytes, bytes]  # name, bases, qualities
# Patterns from the SAM specification.
QNAME, SEQ, QUAL = re.compile(rb"[!-?A-~]+"), re.compile(rb"[A-Za-z=.]+"), re.compile(rb"[!-~]+")


@dataclass
class File:
    """Hold the content of one file: the reads before the first error, the mate of the first read, the errors."""

    reads: list[Read]
    mate: str
    errors: set[str]


def read(path: Path) -> File:
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        exit_code = subprocess.run(["gzip", "-t", path], capture_output=True, check=False).returncode
        if exit_code:
            file = parse(intact_members(data))
            file.errors -= {"TRUNCATED"}  # of the text: its end is not read
            file.errors |= {"CORRUPT_GZIP"} if exit_code == 2 else {"CORRUPT_GZIP", "TRUNCATED"}
            return file
        data = subprocess.run(["gzip", "-dc", path], capture_output=True, check=True).stdout
    elif data and data[:1] != b"@" and path.name.endswith(".gz"):
        return File([], "", {"NOT_GZIP"})
    return parse(data)


def intact_members(data: bytes) -> bytes:
    """Return the text of the members before the damage: the real reader may report an error there first."""
    text = b""
    while data[:2] == b"\x1f\x8b":
        member = zlib.decompressobj(31)
        try:
            more = member.decompress(data)
        except zlib.error:
            break
        if not member.eof:
            break
        text, data = text + more, member.unused_data
    return text


def parse(text: bytes) -> File:
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    if lines[-1].endswith(b"\r"):  # the last line of a file with CRLF, its LF missing
        lines[-1] = lines[-1][:-1]
    file = File([], "", set())
    for start in range(0, len(lines), 4):
        record = lines[start : start + 4]
        if not any(lines[start:]):  # only blank lines follow
            break
        file.mate = file.mate if start else mate(record[0])
        error = incomplete_error(record[0]) if len(record) < 4 else record_error(*record)
        if error:
            file.errors.add(error)
            break
        file.reads.append((stem(record[0]), record[1], record[3]))
    return file


def incomplete_error(head: bytes) -> str:
    return "TRUNCATED" if head.startswith(b"@") else "MALFORMED"


def record_error(head: bytes, bases: bytes, plus: bytes, qualities: bytes) -> str:
    name = re.split(rb"[ \t]", head)[0]
    if head.startswith(b"@") and len(name) > 255:
        return "LIMIT"
    valid = head.startswith(b"@") and QNAME.fullmatch(name[1:]) and plus.startswith(b"+")
    valid = valid and SEQ.fullmatch(bases) and QUAL.fullmatch(qualities) and len(bases) == len(qualities)
    return "" if valid else "MALFORMED"


def stem(head: bytes) -> bytes:
    return re.sub(rb"/[12]$", b"", re.split(rb"[ \t]", head[1:])[0])


def mate(head: bytes) -> str:
    match = re.match(rb"[^ ]*?(?:/([12]))?(?: ([12]):.*)?(?: .*)?$", head)
    return next((group.decode() for group in match.groups() if group), "") if match else ""


def find_errors(one: File, two: File, batch: int) -> set[str]:
    """Return every error that the real reader may report for a pair; empty if it must accept the pair."""
    errors = one.errors | two.errors
    if len(one.reads) != len(two.reads):
        errors.add("MATE_COUNT")
    elif not errors and not one.reads:
        errors.add("EMPTY")
    for first, second in zip(one.reads, two.reads, strict=False):
        if first[0] != second[0]:
            errors.add("MATE_NAMES")
    if one.reads and [each[1:] for each in one.reads[:batch]] == [each[1:] for each in two.reads[:batch]]:
        errors.add("SAME_FILE")
    if one.reads and two.reads and (one.mate, two.mate) in {("2", "1"), ("2", ""), ("", "1")}:
        errors.add("SWAPPED")
    for file in (one, two):
        qualities = b"".join(each[2] for each in file.reads[:batch])
        counted = [value for each in file.reads[:batch] for value in each[2].rstrip(b"B")]
        low = sum(value - 64 < 20 for value in counted)
        possible = qualities and min(qualities) >= ord(";") and ord("P") <= max(qualities) <= ord("i")
        if possible and 4 * low <= len(counted):
            errors.add("MALFORMED")
    return errors


def count_duplicate_names(reads: list[Read], batch: int) -> int:
    """Count names that occur earlier in their own batch, or in the first batch."""
    count = 0
    for start in range(0, len(reads), batch):
        names = [each[0] for each in reads[start : start + batch]]
        earlier = {each[0] for each in reads[:batch]} if start else set()
        count += len(names) - len(set(names)) + len(set(names) & earlier)
    return count
