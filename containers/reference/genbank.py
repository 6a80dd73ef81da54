"""Read the genes of a user from a GenBank file, and check its records against the genome."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from containers.reference.fasta import BYTE_ORDER_MARKS, byte_order_mark, refused
from containers.reference.genes import Annotation, Coding, ContigNames, Exon, shown

LOCUS = re.compile(r"LOCUS\s+(\S+)(?:\s+(\d+)\s+bp)?(.*)")
FEATURE = re.compile(r" {5}(\S+)\s+(\S.*)")
NAMES = ("VERSION", "ACCESSION", "LOCUS")  # in the order in which snpEff takes one
SPAN = re.compile(r"<?(\d+)(?:\.\.>?(\d+))?")
PARTS = {"CDS", "mRNA", "exon", "tRNA", "rRNA", "ncRNA"}


@dataclass(slots=True)
class Feature:
    """A feature of a record: its kind, location and qualifiers, as text."""

    number: int  # of its line
    kind: str
    location: str
    qualifiers: str = ""


@dataclass(slots=True)
class Record:
    """One sequence of a GenBank file."""

    number: int  # of its line LOCUS
    names: dict[str, str]  # keyword -> name
    length: int
    is_circular: bool
    features: list[Feature] = field(default_factory=list)
    version_line: int = 0  # number; 0 without one

    @property
    def name(self) -> str:
        """The name that snpEff gives to the contig."""
        return next((self.names[word] for word in NAMES if self.names.get(word)), "")


def read_genbank(source: Path, target: Path, lengths: Mapping[str, int]) -> Annotation:
    """Read a GenBank file and copy it to `target`; raise BadInputError."""
    annotation, names = Annotation(), ContigNames(lengths)
    versions: dict[int, str] = {}  # number of a line -> contig
    with source.open("rb") as lines:
        for record in read_records(lines):
            if contig := _add_record(annotation, names, record):
                versions[record.version_line or record.number] = contig
    if not annotation.on and not annotation.elsewhere:
        raise refused("the GenBank file has no features: give a complete file of genes, or none")
    annotation.renamed = names.renamed
    _write_versions(source, target, versions)
    return annotation


def _write_versions(source: Path, target: Path, versions: Mapping[int, str]) -> None:
    """Copy the records with the names of their contigs in VERSION, where snpEff looks first."""
    with source.open("rb") as lines, target.open("wb") as out:
        for number, line in enumerate(lines, 1):
            if not line.startswith(b"VERSION") or number not in versions:
                out.write(line)
            if number in versions:
                out.write(f"VERSION     {versions[number]}\n".encode())


def read_records(lines: BinaryIO) -> Iterator[Record]:
    """Yield the records with their features; raise BadInputError if the file is not GenBank."""
    record: Record | None = None
    feature: Feature | None = None
    section = ""
    for number, raw in enumerate(lines, 1):
        line = raw.decode(errors="replace").rstrip()
        if record is None:
            record = _first_line(number, raw, line)
        elif line == "//":
            yield record
            record = feature = None
        elif line[:1].strip():
            section = _read_keyword(record, number, line)
        elif section == "FEATURES":
            feature = _read_feature(record, feature, number, line)
    if record:
        raise refused(f"record {shown(record.name)} of the GenBank file has no end (//): copy the complete file again")


def _first_line(number: int, raw: bytes, line: str) -> Record | None:
    """Return the record that begins with this line; None if the line is blank. Raise BadInputError."""
    if match := LOCUS.fullmatch(line):
        return Record(number, {"LOCUS": match[1]}, int(match[2] or 0), "circular" in match[3])
    if raw.startswith(BYTE_ORDER_MARKS):
        raise byte_order_mark(number, "GenBank file")
    if line:
        raise refused(f"line {number} of the GenBank file is not LOCUS ({shown(line)}): give a GenBank file")
    return None


def _read_keyword(record: Record, number: int, line: str) -> str:
    """Read a line that begins a section of a record; return its keyword."""
    keyword, *words = line.split(maxsplit=2)
    if keyword in NAMES[:2] and words:
        record.names[keyword] = words[0]
    if keyword == "VERSION":
        record.version_line = number
    return keyword


def _read_feature(record: Record, feature: Feature | None, number: int, line: str) -> Feature | None:
    """Add a line to the features of a record; return the feature that it is a part of."""
    if match := FEATURE.fullmatch(line):
        feature = Feature(number, match[1], match[2])
        record.features.append(feature)
    elif feature and (feature.qualifiers or line.lstrip().startswith("/")):
        feature.qualifiers += f"{line.strip()}\n"
    elif feature:
        feature.location += line.strip()
    return feature


def _add_record(annotation: Annotation, names: ContigNames, record: Record) -> str | None:
    """Add the features of a record; return its contig. Raise BadInputError if it is of another sequence."""
    features = [feature for feature in record.features if feature.kind != "source"]
    contig = names.find_any([record.names.get(word, "") for word in NAMES])
    if contig is None:
        annotation.elsewhere[record.name] += len(features)
        return None
    length = names.lengths[contig]
    if record.length and record.length != length:
        raise refused(
            f"record {shown(record.name)} in line {record.number} of the GenBank file has {record.length:,} bases, but "
            f"{contig} of the FASTA has {length:,}: give FASTA and genes of one release"
        )
    for feature in features:
        annotation.on[contig] += 1
        annotation.parts += feature.kind in PARTS
        spans = _spans(feature.location)
        if spans and max(end for _, end in spans) > length and not record.is_circular:
            raise refused(
                f"line {feature.number} of the GenBank file ends at {max(end for _, end in spans):,}, but {contig} has "
                f"{length:,} bases: give FASTA and genes of one release"
            )
        if feature.kind == "CDS" and spans and "/pseudo" not in feature.qualifiers:
            annotation.coding[contig].append(_coding(feature, spans))
    return contig


def _spans(location: str) -> list[tuple[int, int]]:
    """Return start (from 0) and end of the parts of a location; nothing if parts are on another sequence or strand."""
    inner = location.removeprefix("complement(")
    if ":" in location or "complement" in inner:
        return []
    return [(int(start) - 1, int(end or start)) for start, end in SPAN.findall(location)]


def _coding(feature: Feature, spans: list[tuple[int, int]]) -> Coding:
    strand = "-" if feature.location.startswith("complement") else "+"
    name = re.search(r'/(?:locus_tag|gene|protein_id)="([^"]*)"', feature.qualifiers)
    gene = re.search(r'/gene="([^"]*)"', feature.qualifiers) or name
    skipped = re.search(r"/codon_start=([123])", feature.qualifiers)
    exons: list[Exon] = [(start, end, None) for start, end in spans]
    first = 0 if strand == "+" else -1
    exons[first] = (*spans[first], int(skipped[1]) - 1 if skipped else 0)
    return Coding(
        name[1] if name else feature.location,
        strand,
        exons,
        is_partial=("<" if strand == "+" else ">") in feature.location,
        gene=gene[1] if gene else "",
        crosses_origin=[start for start, _ in spans] != sorted(start for start, _ in spans),
    )
