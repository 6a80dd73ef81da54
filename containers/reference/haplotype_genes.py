"""Write the coding sequences of a reference for `bcftools csq`, in the form of Ensembl's GFF3, which it requires."""

from __future__ import annotations

import gzip
import itertools
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path

from containers.reference.gene_check import coding_bases, has_open_frame, read_sequences
from containers.reference.genes import Annotation, Coding, Exon
from containers.reference.genetic_code import STANDARD

NOT_IN_NAMES = re.compile(r"[^0-9A-Za-z_.:()+-]")  # of GFF3 and BCSQ: separators, blanks
MAX_NAME = 100  # characters
CODON = 3
BIOTYPE = "biotype=protein_coding"


@dataclass(slots=True)
class Written:
    """The coding sequences that were written, by their unique names, and how many were left out."""

    names: set[str] = field(default_factory=set)
    left_out: int = 0

    def unique(self, name: str) -> str:
        """Return a name that no earlier sequence has."""
        plain = NOT_IN_NAMES.sub("_", name)[:MAX_NAME] or "_"
        numbered = (f"{plain}_{number}" for number in itertools.count(2))
        found = next(each for each in itertools.chain([plain], numbered) if each not in self.names)
        self.names.add(found)
        return found


def write_genes(annotation: Annotation, genome: Path, target: Path, skipped: Container[str]) -> Written:
    """Write the coding sequences with open frames to a gzipped GFF3.

    Contigs with another genetic code are skipped: csq knows the standard one only.
    """
    written = Written()
    with target.open("wb") as file, gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as out:
        out.write(b"##gff-version 3\n")
        for contig, bases in read_sequences(genome, annotation.coding):
            for coding in annotation.coding[contig] if contig not in skipped else ():
                _write_coding(out, written, contig, bases, coding)
    return written


def _write_coding(out: gzip.GzipFile, written: Written, contig: str, bases: bytes, coding: Coding) -> None:
    parts = list(open_parts(coding, bases))
    written.left_out += not parts
    for part in parts:
        name = written.unique(part.name)
        gene = NOT_IN_NAMES.sub("_", coding.gene)[:MAX_NAME] or name
        out.write("".join(f"{line}\n" for line in _lines(contig, part, name, gene)).encode())


def open_parts(coding: Coding, bases: bytes) -> Iterator[Coding]:
    """Yield a coding sequence, cut to whole codons, if its frame is open; else its parts with an open frame each.

    A ribosomal frame shift is such a cut: the exons of ORF1ab of SARS-CoV-2 overlap by a base.
    """
    if coding.crosses_origin or max(end for _, end, _ in coding.exons) > len(bases):
        return  # csq cannot read across the origin of a circular contig
    exons = sorted(coding.exons, key=itemgetter(0, 1), reverse=coding.strand == "-")
    overlap = any(_overlap(one, *two[:2], coding.strand) for one, two in itertools.pairwise(exons))
    whole = _whole_codons(replace(coding, exons=exons))
    if not overlap and _is_open(whole, bases):
        yield whole
        return
    parts = [_whole_codons(replace(coding, exons=part)) for part in _frames(exons, coding.strand)]
    for number, part in enumerate(parts, 1):
        if len(parts) > 1 and _is_open(part, bases):
            yield replace(part, name=f"{coding.name}.part{number}")


def _is_open(coding: Coding, bases: bytes) -> bool:
    return bool(coding.exons) and has_open_frame(coding_bases(coding, bases), STANDARD.stops)


def _frames(exons: list[Exon], strand: str) -> Iterator[list[Exon]]:
    """Yield the exons, in the direction of the strand, up to each overlap and each change of the frame."""
    part, length = list[Exon](), 0  # bases from the first whole codon on
    for start, end, given in exons:
        expected = -length % CODON
        phase = expected if given is None else given
        if part and (phase != expected or _overlap(part[-1], start, end, strand)):
            yield part
            part, length = [], 0
        length += end - start - (0 if part else phase)
        part.append((start, end, phase))
    yield part


def _overlap(before: Exon, start: int, end: int, strand: str) -> bool:
    return start < before[1] if strand == "+" else end > before[0]


def _whole_codons(coding: Coding) -> Coding:
    """Return a coding sequence without the bases in front of its first codon and behind its last one."""
    skip = coding.exons[0][2] or 0
    left = sum(end - start for start, end, _ in coding.exons) - skip
    left -= left % CODON
    length, exons = 0, list[Exon]()
    for start, end, _ in coding.exons:
        cut = min(skip, end - start)
        size = min(end - start - cut, left)
        skip, left = skip - cut, left - size
        first = start + cut if coding.strand == "+" else end - cut - size
        if size:
            exons.append((first, first + size, -length % CODON))
        length += size
    return replace(coding, exons=exons)


def _lines(contig: str, coding: Coding, name: str, gene: str) -> Iterator[str]:
    start, end = min(exon[0] for exon in coding.exons) + 1, max(exon[1] for exon in coding.exons)
    span = f"{start}\t{end}\t.\t{coding.strand}\t."
    yield f"{contig}\tseqdrop\tgene\t{span}\tID=gene:{name};Name={gene};{BIOTYPE}"
    yield f"{contig}\tseqdrop\ttranscript\t{span}\tID=transcript:{name};Parent=gene:{name};{BIOTYPE}"
    for start, end, phase in sorted(coding.exons, key=itemgetter(0)):
        yield f"{contig}\tseqdrop\texon\t{start + 1}\t{end}\t.\t{coding.strand}\t.\tParent=transcript:{name}"
        yield f"{contig}\tseqdrop\tCDS\t{start + 1}\t{end}\t.\t{coding.strand}\t{phase}\tParent=transcript:{name}"
