"""A reader of FASTQ pairs so plain that one sees it is right; the real one is compared with it."""

from __future__ import annotations

import re
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

Read = tuple[bytes, bytes, bytes]  # name, bases, qualities
# As the SAM specification writes them.
QNAME, SEQ, QUAL = re.compile(rb"[!-?A-~]+"), re.compile(rb"[A-Za-z=.]+"), re.compile(rb"[!-~]+")


@dataclass
class File:
    """What one file holds: its reads up to the first fault, which mate its first read says it is, its faults."""

    reads: list[Read]
    mate: str
    faults: set[str]


def read(path: Path) -> File:
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        tested = subprocess.run(["gzip", "-t", path], capture_output=True, check=False).returncode
        if tested:
            file = parsed(intact_members(data))
            file.faults -= {"TRUNCATED"}  # of the text: its end is not reached
            file.faults |= {"CORRUPT_GZIP"} if tested == 2 else {"CORRUPT_GZIP", "TRUNCATED"}
            return file
        data = subprocess.run(["gzip", "-dc", path], capture_output=True, check=True).stdout
    elif data and data[:1] != b"@" and path.name.endswith(".gz"):
        return File([], "", {"NOT_GZIP"})
    return parsed(data)


def intact_members(data: bytes) -> bytes:
    """What was read before the damage: its own faults may be found first."""
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


def parsed(text: bytes) -> File:
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    if lines[-1].endswith(b"\r"):  # the last line of a file with CRLF, its LF missing
        lines[-1] = lines[-1][:-1]
    file = File([], "", set())
    for start in range(0, len(lines), 4):
        record = lines[start : start + 4]
        if not any(lines[start:]):  # only blank lines are left
            break
        file.mate = file.mate if start else mate(record[0])
        fault = cut(record[0]) if len(record) < 4 else fault_of(*record)
        if fault:
            file.faults.add(fault)
            break
        file.reads.append((stem(record[0]), record[1], record[3]))
    return file


def cut(head: bytes) -> str:
    return "TRUNCATED" if head.startswith(b"@") else "MALFORMED"


def fault_of(head: bytes, bases: bytes, plus: bytes, qualities: bytes) -> str:
    name = re.split(rb"[ \t]", head)[0]
    if head.startswith(b"@") and len(name) > 255:
        return "LIMIT"
    good = head.startswith(b"@") and QNAME.fullmatch(name[1:]) and plus.startswith(b"+")
    good = good and SEQ.fullmatch(bases) and QUAL.fullmatch(qualities) and len(bases) == len(qualities)
    return "" if good else "MALFORMED"


def stem(head: bytes) -> bytes:
    return re.sub(rb"/[12]$", b"", re.split(rb"[ \t]", head[1:])[0])


def mate(head: bytes) -> str:
    found = re.match(rb"[^ ]*?(?:/([12]))?(?: ([12]):.*)?(?: .*)?$", head)
    return next((group.decode() for group in found.groups() if group), "") if found else ""


def faults(one: File, two: File, batch: int) -> set[str]:
    """All that may be said against a pair; none, and it must be taken."""
    found = one.faults | two.faults
    if len(one.reads) != len(two.reads):
        found.add("MATE_COUNT")
    elif not found and not one.reads:
        found.add("EMPTY")
    for first, second in zip(one.reads, two.reads, strict=False):
        if first[0] != second[0]:
            found.add("MATE_NAMES")
    if one.reads and [each[1:] for each in one.reads[:batch]] == [each[1:] for each in two.reads[:batch]]:
        found.add("SAME_FILE")
    if one.reads and two.reads and (one.mate, two.mate) in {("2", "1"), ("2", ""), ("", "1")}:
        found.add("SWAPPED")
    for file in (one, two):
        qualities = b"".join(each[2] for each in file.reads[:batch])
        if qualities and min(qualities) >= ord(";") and ord("P") <= max(qualities) <= ord("i"):
            found.add("MALFORMED")
    return found


def count_duplicate_names(reads: list[Read], batch: int) -> int:
    """Names that come count_duplicate_names, in their own batch or in the first one."""
    count = 0
    for start in range(0, len(reads), batch):
        names = [each[0] for each in reads[start : start + batch]]
        earlier = {each[0] for each in reads[:batch]} if start else set()
        count += len(names) - len(set(names)) + len(set(names) & earlier)
    return count
