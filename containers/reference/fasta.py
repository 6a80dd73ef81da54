"""Check the FASTA of a user and write it as the genome of a reference: upper case, with N for ambiguity codes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from seqdrop.failure.verdict import BadInputError
from seqdrop.text import plain_line

MAX_NAME = 80  # characters of a contig name in a message
MAX_CONTIGS = 2_000_000
# The names that the SAM specification allows (1.2.1): others break headers, regions or shell scripts.
CONTIG = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]{0,254}")
KNOWN, AMBIGUOUS = b"ACGTN", b"RYSWKMBDHVX"  # X is N in some files
TO_N = bytes.maketrans(AMBIGUOUS, b"N" * len(AMBIGUOUS))
# UTF-8 and both forms of UTF-16, as text editors write them.
BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Genome:
    """The contigs of a genome, and how many ambiguity codes became N in each."""

    contigs: list[dict[str, Any]]  # name, length and MD5 (as in the M5 tag of @SQ) of each
    ambiguous: dict[str, int]  # contig -> ambiguity codes, for contigs that have some


@dataclass(slots=True)
class _Contig:
    """A contig while its lines are read."""

    name: str
    line: int  # number of its header
    length: int = 0
    ambiguous: int = 0
    width: int = 0  # bases in its first line
    last: tuple[int, int] | None = None  # number and bases of a shorter line, after which no bases may follow
    digest: Any = field(default_factory=partial(hashlib.md5, usedforsecurity=False))

    def add(self, number: int, bases: bytes) -> bytes:
        """Add a line of bases; return it as it is written. Raise BadInputError."""
        bases = _checked(number, bases.upper(), self.name)
        self._check_width(number, len(bases))
        plain = bases.translate(TO_N)
        if plain != bases:
            self.ambiguous += len(bases.translate(None, KNOWN))
        self.length += len(plain)
        self.digest.update(plain)
        return plain

    def _check_width(self, number: int, count: int) -> None:
        """Raise BadInputError unless all lines but the last have as many bases as the first, as samtools needs it."""
        if self.length == 0:
            self.width = count
        elif count and (self.last or count > self.width):
            line, found = self.last or (number, count)
            raise refused(
                f"line {line} of the FASTA has {found} bases, but the first line of {self.name} has {self.width}: "
                "bases may be missing. Copy the file again, or write all lines with one length (`seqkit seq -w 60`)"
            )
        elif count < self.width and self.last is None:
            self.last = number, count

    def summary(self) -> dict[str, Any]:
        """Return the entry of reference.json; raise BadInputError if the contig has no bases."""
        if not self.length:
            raise refused(
                f"sequence {self.name} in line {self.line} of the FASTA has no bases: remove it, or complete it"
            )
        return {"name": self.name, "length": self.length, "md5": self.digest.hexdigest()}


def refused(message: str) -> BadInputError:
    """Return the error for a reference that cannot be prepared."""
    return BadInputError("REFERENCE", message)


def write_genome(source: Path, target: Path) -> Genome:
    """Write the genome from a FASTA; raise BadInputError with the line that is invalid."""
    genome = Genome([], {})
    with source.open("rb") as lines, target.open("wb") as out:
        for contig in _write_contigs(lines, out):
            genome.contigs.append(contig.summary())
            if contig.ambiguous:
                genome.ambiguous[contig.name] = contig.ambiguous
    if not genome.contigs:
        raise refused("the FASTA is empty: give the complete file of the genome")
    return genome


def _write_contigs(lines: BufferedReader, out: BinaryIO) -> Iterator[_Contig]:
    """Write every contig and yield it when it is complete."""
    contig: _Contig | None = None
    names = set[str]()
    for number, line in enumerate(lines, 1):
        if line.startswith(b">"):
            if contig:
                yield contig
            name, description = parse_header(number, line, names)
            contig = _Contig(name, number)
            out.write(b" ".join([b">" + name.encode(), *description]) + b"\n")
        elif contig:
            bases = contig.add(number, b"".join(line.split()))
            out.write(bases + b"\n" if bases else b"")
        elif line.strip():
            raise _no_header(number, line)
    if contig:
        yield contig


def _no_header(number: int, line: bytes) -> BadInputError:
    """Return the error for a line in front of the first header."""
    if line.startswith(BYTE_ORDER_MARKS):
        return byte_order_mark(number, "FASTA")
    if not line.upper().strip().translate(None, KNOWN + AMBIGUOUS + b"U"):
        return refused(f"line {number} of the FASTA has bases before the first name: begin the file with `>NAME`")
    return refused(f"line {number} of the FASTA does not begin with '>': give a FASTA file, plain or gzipped")


def byte_order_mark(number: int, kind: str) -> BadInputError:
    """Return the error for a byte order mark: tools read it as a part of the first name."""
    return refused(
        f"line {number} of the {kind} begins with a byte order mark (BOM): save the file as plain text without it"
    )


def _checked(number: int, bases: bytes, name: str) -> bytes:
    """Return bases in upper case unchanged; raise BadInputError if one is not a base of DNA."""
    others = bases.translate(None, KNOWN + AMBIGUOUS)
    if not others:
        return bases
    if bases.startswith(BYTE_ORDER_MARKS):
        raise byte_order_mark(number, "FASTA")
    wrong = others.translate(None, b"U")
    if not wrong:
        raise refused(f"line {number} of the FASTA has U in {name}: it is RNA; replace U by T, as tools need DNA")
    letter = chr(wrong[0]) if 32 < wrong[0] < 127 else f"byte {wrong[0]:#04x}"
    raise refused(
        f"line {number} of the FASTA has {letter} in {name}, which is not a base: "
        "give DNA of A, C, G, T, N and ambiguity codes"
    )


def parse_header(number: int, line: bytes, names: set[str]) -> tuple[str, list[bytes]]:
    """Return the name in a header line, and its description; add the name to `names`. Raise BadInputError."""
    if b"\r" in line.rstrip(b"\r\n"):
        raise refused(
            f"line {number} of the FASTA ends with CR alone, as on a classic Mac: convert all line ends to LF"
        )
    name, *description = line[1:].decode("ascii", "replace").split(maxsplit=1) or [""]
    where = f"in line {number} of the FASTA"
    if not name:
        raise refused(f"a sequence {where} has no name: write one after '>'")
    shown = plain_line(name, MAX_NAME)
    if name.startswith(("*", "=")):
        raise refused(f"the sequence name {shown} {where} begins with {name[0]}, which SAM does not allow: rename it")
    if not CONTIG.fullmatch(name):
        raise refused(
            f"the sequence name {shown} {where} is invalid: use at most 255 letters, digits, '.', '_' and '-'"
        )
    if name in names:
        raise refused(f"the sequence name {shown} {where} repeats an earlier one: rename one of the two, or remove it")
    if len(names) == MAX_CONTIGS:
        raise refused(f"the FASTA has more than {MAX_CONTIGS:,} sequences: give an assembly of fewer contigs")
    names.add(name)
    return name, [text.rstrip().encode() for text in description]
