"""Read the genes of a user (GTF, GFF3, GenBank), check every line, and find the coding sequences."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from seqdrop.failure.verdict import BadInputError
from seqdrop.text import plain_line

from containers.reference.fasta import BYTE_ORDER_MARKS, byte_order_mark, refused

COLUMNS = 9  # of GTF and GFF3
MAX_ANCESTORS = 3  # of a coding sequence: transcript, gene
MAX_TEXT = 60  # characters of a line in a message
GENE_IDS = re.compile(rb'gene_id\s+"?[^";\s]')
TRANSCRIPT = re.compile(rb'transcript_id\s+"?([^";]+)"?')
GENE_NAME = re.compile(rb'(?:^|;)\s*gene(?:_name|)[ =]"?([^";]+)')
GENE_ID = re.compile(rb'(?:^|;)\s*gene_id "?([^";]+)')
NAME = re.compile(rb"(?:^|;)\s*Name=([^;]*)")
ID, PARENT = re.compile(rb"(?:^|;)\s*ID=([^;]*)"), re.compile(rb"(?:^|;)\s*Parent=([^;]*)")
GFF3_ATTRIBUTES = re.compile(rb"(?:^|;)\s*(?:ID|Parent|Name)=")
# Prefixes of ids in Ensembl's GFF3. With them snpEff takes exons for genes, and ends with 0.
ENSEMBL_PREFIX = re.compile(rb"((?:^|;)\s*(?:ID|Parent)=|(?<=,))(?:gene|transcript):")
PARTIAL = re.compile(rb"cds_start_NF|mRNA_start_NF|partial[ =]\"?true|start_range=")
PSEUDO = re.compile(rb"pseudo[ =]\"?true|pseudogene[ =]")
CIRCULAR = re.compile(rb"(?:^|;)\s*Is_circular=true", re.IGNORECASE)
VERSIONED = re.compile(r"(.+)\.\d{1,3}")
# Features of GFF3 that are whole sequences or stretches of these, not genes: every contig has some.
SEQUENCES = {b"region", b"chromosome", b"scaffold", b"supercontig", b"contig", b"biological_region"}
TRANSCRIPT_PARTS = {b"exon", b"CDS", b"transcript", b"mRNA"}


Exon = tuple[int, int, int | None]  # start, from 0; end; phase: bases in front of the first whole codon, if known


@dataclass(slots=True)
class Coding:
    """A coding sequence: its exons, the name of its gene, and whether its start is known to be missing."""

    name: str
    strand: str
    exons: list[Exon] = field(default_factory=list)
    is_partial: bool = False
    gene: str = ""
    crosses_origin: bool = False  # of a circular contig


@dataclass(slots=True)
class Annotation:
    """The genes of a file, as far as they are on contigs of the genome."""

    on: Counter[str] = field(default_factory=Counter)  # contig -> features
    elsewhere: Counter[str] = field(default_factory=Counter)  # name of no contig -> features
    renamed: dict[str, str] = field(default_factory=dict)  # name in the file -> contig
    coding: dict[str, list[Coding]] = field(default_factory=lambda: defaultdict(list))  # contig -> sequences
    past_end: list[int] = field(default_factory=list)  # numbers of lines
    parts: int = 0  # exons, transcripts and coding sequences, without which nothing can be annotated


class ContigNames:
    """Find the contig that a name of another source means."""

    def __init__(self, lengths: Mapping[str, int]) -> None:
        """Set the contigs of the genome with their lengths."""
        self.lengths = lengths
        self.renamed: dict[str, str] = {}
        self._by_key: dict[str, str | None] = {}
        for name in lengths:
            self._by_key[_key(name)] = None if _key(name) in self._by_key else name

    def find(self, name: str) -> str | None:
        """Return the contig; None if the genome has none of this name. Raise BadInputError if two names mean one.

        Two names match if only one of them has a version (`.1`) or `chr`. Names with two different versions do not.
        """
        if name in self.lengths:
            return name
        if name in self.renamed:
            return self.renamed[name]
        contig = self._by_key.get(_key(name))
        if contig is None or (VERSIONED.fullmatch(name) and VERSIONED.fullmatch(contig)):
            return None
        if contig in self.renamed.values():
            raise refused(
                f"the genes have several names for {contig} of the FASTA, one of them {shown(name)}: rename them"
            )
        self.renamed[name] = contig
        return contig

    def find_any(self, names: Sequence[str]) -> str | None:
        """Return the contig that one of several names means: the same name first, then another usual one."""
        same = (name for name in names if name in self.lengths)
        others = (self.find(name) for name in names if name)
        return next(same, None) or next((contig for contig in others if contig), None)


def _key(name: str) -> str:
    """Return what all usual names of a contig have in common: no `chr`, no version; MT for M."""
    match = VERSIONED.fullmatch(name)
    plain = re.sub("^chr", "", match[1] if match else name, flags=re.IGNORECASE)
    return "MT" if plain == "M" else plain


def shown(text: str) -> str:
    """Return the printable beginning of a text of a user."""
    return plain_line(text, MAX_TEXT)


class Row(NamedTuple):
    """One feature of a GTF or GFF3."""

    number: int  # of its line
    fields: list[bytes]
    start: int  # from 0
    end: int

    @property
    def kind(self) -> bytes:
        """The type of the feature."""
        return self.fields[2]

    @property
    def attributes(self) -> bytes:
        """The last column."""
        return self.fields[8]


def read_rows(lines: BinaryIO, kind: str) -> Iterator[Row]:
    """Yield the features of a GTF or GFF3 (`kind`); raise BadInputError for a line that is none."""
    for number, line in enumerate(lines, 1):
        if number == 1 and (line.startswith(BYTE_ORDER_MARKS) or b"\0" in line):
            raise byte_order_mark(1, kind) if line.startswith(BYTE_ORDER_MARKS) else _binary(kind)
        if line.startswith((b"##FASTA", b">")):
            return
        if line.startswith(b"#") or not line.strip():
            continue
        yield _row(number, line.rstrip(b"\r\n"), kind)


def _binary(kind: str) -> BadInputError:
    return refused(f"the {kind} is not text: give a {kind} file, plain or gzipped")


def _row(number: int, line: bytes, kind: str) -> Row:
    fields = line.split(b"\t")
    if b"\0" in line:
        raise _binary(kind)
    if len(fields) != COLUMNS:
        found = "1 column" if len(fields) == 1 else f"{len(fields)} columns"
        raise refused(
            f"line {number} of the {kind} has {found} instead of {COLUMNS} separated by tabs "
            f"({shown(line.decode(errors='replace'))}): give a {kind} file"
        )
    try:
        start, end = int(fields[3]), int(fields[4])
    except ValueError:
        start, end = 0, 0
    if not 1 <= start <= end:
        positions = shown(b" ".join(fields[3:5]).decode(errors="replace"))
        raise refused(
            f"line {number} of the {kind} has an invalid start or end ({positions}): both count from 1, start first"
        )
    return Row(number, fields, start - 1, end)


def read_gtf(source: Path, target: Path, lengths: Mapping[str, int]) -> Annotation:
    """Read a GTF, and write its genes on contigs of the genome to `target`; raise BadInputError."""
    found: dict[str, dict[str, Coding]] = defaultdict(dict)
    annotation = Annotation()
    with source.open("rb") as lines, target.open("wb") as out:
        for contig, row in _rows_of_genome(lines, out, "GTF", lengths, annotation):
            if row.kind not in TRANSCRIPT_PARTS:
                continue
            transcript = TRANSCRIPT.search(row.attributes)
            if transcript is None or GENE_IDS.search(row.attributes) is None:
                raise _no_gtf_ids(row)
            if row.kind == b"CDS" and not PSEUDO.search(row.attributes):
                gene = GENE_NAME.search(row.attributes) or GENE_ID.search(row.attributes)
                coding = _add_exon(found[contig], transcript[1].decode(errors="replace"), row)
                coding.gene = gene[1].decode(errors="replace") if gene else ""
    return _finish(annotation, found, "GTF")


def _no_gtf_ids(row: Row) -> BadInputError:
    if GFF3_ATTRIBUTES.search(row.attributes):
        return refused(f"line {row.number} of the GTF has attributes of GFF3: name the file .gff3")
    return refused(f"line {row.number} of the GTF has no gene_id or no transcript_id: give a complete GTF")


def read_gff3(source: Path, target: Path, lengths: Mapping[str, int]) -> Annotation:
    """Read a GFF3, and write its genes on contigs of the genome to `target`; raise BadInputError."""
    found: dict[str, dict[str, Coding]] = defaultdict(dict)
    annotation, ancestors = Annotation(), Ancestors()
    with source.open("rb") as lines, target.open("wb") as out:
        for contig, row in _rows_of_genome(lines, out, "GFF3", lengths, annotation):
            if GENE_IDS.search(row.attributes) and not GFF3_ATTRIBUTES.search(row.attributes):
                raise refused(f"line {row.number} of the GFF3 has attributes of GTF: name the file .gtf")
            row.fields[8] = ENSEMBL_PREFIX.sub(rb"\1", row.attributes)
            if row.kind == b"CDS" and not PSEUDO.search(row.attributes):
                # snpEff joins all coding sequences of a parent to one transcript.
                parents = PARENT.search(row.attributes) or ID.search(row.attributes)
                for parent in parents[1].split(b",") if parents else [b"?"]:
                    coding = _add_exon(found[contig], parent.decode(errors="replace"), row)
                    if gene := GENE_NAME.search(row.attributes):
                        coding.gene = gene[1].decode(errors="replace")
            elif row.kind not in {b"exon", b"CDS"}:
                ancestors.add(row.attributes)
    for coding in (coding for codings in found.values() for coding in codings.values()):
        coding.gene = coding.gene or ancestors.name(coding.name)
    return _finish(annotation, found, "GFF3")


class Ancestors:
    """The genes and transcripts of a GFF3, to find the name of the gene of a coding sequence."""

    def __init__(self) -> None:
        """Begin without any."""
        self._parents: dict[bytes, bytes] = {}
        self._names: dict[bytes, bytes] = {}

    def add(self, attributes: bytes) -> None:
        """Add the feature with these attributes."""
        if found := ID.search(attributes):
            if parent := PARENT.search(attributes):
                self._parents[found[1]] = parent[1].split(b",")[0]
            if name := NAME.search(attributes):
                self._names[found[1]] = name[1]

    def name(self, feature: str) -> str:
        """Return the name, or the id, of the gene of a feature."""
        current = feature.encode(errors="replace")
        for _ in range(MAX_ANCESTORS):
            if current not in self._parents:
                break
            current = self._parents[current]
        return self._names.get(current, current).decode(errors="replace")


def _rows_of_genome(
    lines: BinaryIO, out: BinaryIO, kind: str, lengths: Mapping[str, int], annotation: Annotation
) -> Iterator[tuple[str, Row]]:
    """Yield contig and row of each feature on the genome, and write them with the names of the contigs; count all."""
    names, circular = ContigNames(lengths), set[str]()
    for row in read_rows(lines, kind):
        name = row.fields[0].decode(errors="replace")
        contig = names.find(name)
        if contig is None:
            annotation.elsewhere[name] += row.kind not in SEQUENCES
            continue
        if CIRCULAR.search(row.attributes):
            circular.add(contig)
        if row.end > lengths[contig] and contig not in circular:
            if row.start >= lengths[contig]:
                raise _outside(row, kind, contig, lengths[contig])
            annotation.past_end.append(row.number)  # a gene across the origin of a plasmid, where GTF cannot say so
        annotation.on[contig] += row.kind not in SEQUENCES
        annotation.parts += row.kind in TRANSCRIPT_PARTS
        yield contig, row
        out.write(b"\t".join([contig.encode(), *row.fields[1:]]) + b"\n")
    annotation.renamed = names.renamed


def _outside(row: Row, kind: str, contig: str, length: int) -> BadInputError:
    return refused(
        f"line {row.number} of the {kind} begins at {row.start + 1:,}, but {contig} has {length:,} bases: "
        "these are genes of another genome or version; give FASTA and genes of one release"
    )


def _add_exon(found: dict[str, Coding], name: str, row: Row) -> Coding:
    coding = found.setdefault(name, Coding(name, row.fields[6].decode(errors="replace")))
    coding.is_partial |= PARTIAL.search(row.attributes) is not None
    phase = int(row.fields[7]) if row.fields[7] in {b"0", b"1", b"2"} else None
    coding.exons.append((row.start, row.end, phase))
    return coding


def _finish(annotation: Annotation, found: Mapping[str, Mapping[str, Coding]], kind: str) -> Annotation:
    """Add the coding sequences to the annotation; raise BadInputError if the file has no features."""
    annotation.on, annotation.elsewhere = +annotation.on, +annotation.elsewhere  # without counts of 0
    if not annotation.on and not annotation.elsewhere:
        raise refused(f"the {kind} has no features: give a complete file of genes, or none")
    annotation.coding = {contig: list(codings.values()) for contig, codings in found.items()}
    return annotation
