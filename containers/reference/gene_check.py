"""Compare the genes of a user with the genome: their contigs, and the start and frame of coding sequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

from seqdrop.jobs.workspace import Workspace

from containers.reference.fasta import refused
from containers.reference.genes import Annotation, Coding, shown
from containers.reference.genetic_code import STANDARD, VERTEBRATE_MITOCHONDRIAL, GeneticCode

MAX_NAMED = 5  # contigs or transcripts in a message
# Start codons of all usual genetic codes: one in nine random codons is among them.
STARTS = {b"ATG", b"GTG", b"TTG", b"CTG", b"ATT", b"ATC", b"ATA"}
COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")
# Shares of coding sequences. A wrong genome gives 0.1 with a start and almost none open; a file of mature peptides has
# few starts but open frames; another genetic code has starts but few open frames.
MIN_STARTS, MIN_OPEN = 0.5, 0.9
# Below these shares: a warning. Some viral and partial genes rightly begin with another codon.
ENOUGH_STARTS, ENOUGH_OPEN = 0.9, 0.99
ENOUGH_ON_CONTIG = 10  # sequences, to judge a contig alone
LARGE_SHARE = 0.01  # of the bases of the genome, on contigs without genes


@dataclass(slots=True)
class Fit:
    """How many coding sequences fit the genome."""

    total: int = 0
    complete: int = 0  # with their first codon
    broken: list[str] = field(default_factory=list)  # names, with a stop codon in front of the last codon
    without_start: list[str] = field(default_factory=list)  # names, of complete ones

    def add(self, coding: Coding, bases: bytes, stops: frozenset[bytes]) -> None:
        """Count a coding sequence with these bases, from its first whole codon."""
        self.total += 1
        self.complete += not coding.is_partial
        if not has_open_frame(bases, stops):
            self.broken.append(coding.name)
        if not coding.is_partial and bases[:3] not in STARTS:
            self.without_start.append(coding.name)

    def include(self, other: Fit) -> None:
        """Add the counts of another contig."""
        self.total += other.total
        self.complete += other.complete
        self.broken += other.broken
        self.without_start += other.without_start

    def has_starts(self, share: float) -> bool:
        """Return whether at least this share of the complete sequences has a start codon."""
        return self.complete - len(self.without_start) >= share * self.complete

    def has_open_frames(self, share: float) -> bool:
        """Return whether at least this share of the sequences has an open frame."""
        return self.total - len(self.broken) >= share * self.total

    @property
    def is_foreign(self) -> bool:
        """True if the genes are of another genome, or all positions are shifted."""
        few_starts = not self.has_starts(MIN_STARTS) or not self.complete
        return few_starts and not self.has_open_frames(MIN_OPEN)

    def __str__(self) -> str:
        """Name the sequences that do not fit."""
        broken = (
            f"{len(self.broken):,} of {self.total:,} coding sequences have stop codons inside ({named(self.broken)})"
        )
        starts = f"{len(self.without_start):,} of {self.complete:,} have no start codon ({named(self.without_start)})"
        return ", ".join([broken] * bool(self.broken) + [starts] * bool(self.without_start))


def has_open_frame(bases: bytes, stops: frozenset[bytes]) -> bool:
    """Return whether no codon but the last is a stop codon."""
    return stops.isdisjoint({bases[at : at + 3] for at in range(0, len(bases) - 3, 3)})


def coding_bases(coding: Coding, contig: bytes) -> bytes:
    """Return the bases of a coding sequence in the direction of its strand, from its first whole codon."""
    exons, bases, done = sorted(coding.exons, key=itemgetter(0, 1)), b"", 0
    for start, end, _ in exons:
        bases += contig[max(start, done) : end]  # snpEff joins exons that overlap, as at a frame shift of a virus
        done = max(end, done)
    if coding.strand == "-":
        bases, exons = bases.translate(COMPLEMENT)[::-1], exons[::-1]
    return bases[exons[0][2] or 0 :]


def check_contigs(work: Workspace, annotation: Annotation, lengths: Mapping[str, int]) -> None:
    """Warn of genes without contig and contigs without genes; raise BadInputError if hardly any name is the same."""
    empty = [name for name in lengths if name not in annotation.on]
    empty_share = sum(lengths[name] for name in empty) / sum(lengths.values())
    elsewhere = named(annotation.elsewhere)
    known, unknown = annotation.on.total(), annotation.elsewhere.total()
    if not known or (unknown > known and empty_share > 1 / 2):
        raise refused(
            f"the genes are on {elsewhere}, which the FASTA does not have; it has {named(lengths)}: "
            "give FASTA and genes of one source, with the same names"
        )
    if annotation.renamed:
        pairs = named([f"{name} is {contig}" for name, contig in annotation.renamed.items()])
        work.warn("CONTIGS_RENAMED", f"names in the genes were matched with those of the FASTA: {pairs}")
    if unknown:
        work.warn(
            "GENES_WITHOUT_CONTIG",
            f"{unknown:,} of {known + unknown:,} lines of the genes are left out: "
            f"they are on {elsewhere}, which the FASTA does not have",
        )
    if annotation.past_end:
        lines = "1 line" if len(annotation.past_end) == 1 else f"{len(annotation.past_end):,} lines"
        work.warn(
            "GENES_PAST_END",
            f"{lines} of the genes end after the end of their contig ({named(map(str, annotation.past_end))}): "
            "the contig is circular, or the genes are of another version",
        )
    if empty and (unknown or empty_share > LARGE_SHARE):
        work.warn(
            "CONTIGS_WITHOUT_GENES",
            f"no genes are on {named(empty)} of the FASTA ({empty_share:.0%} of the bases): "
            "variants there are annotated as if between genes",
        )


def check_coding(work: Workspace, annotation: Annotation, genome: Path) -> dict[str, GeneticCode]:
    """Warn of coding sequences that do not fit the genome; return the contigs with another than the standard code.

    Raises BadInputError if most do not fit.
    """
    if not annotation.parts:
        raise refused(
            "the genes have no exons, transcripts or coding sequences: give a complete file of genes, or none"
        )
    whole, foreign, codes = Fit(), list[str](), dict[str, GeneticCode]()
    for name, bases in read_sequences(genome, annotation.coding):
        sequences = [(coding, coding_bases(coding, bases)) for coding in annotation.coding[name]]
        code, on_contig = fitting_code(sequences)
        whole.include(on_contig)
        if code != STANDARD:
            codes[name] = code
        if on_contig.total >= ENOUGH_ON_CONTIG and not on_contig.has_open_frames(MIN_OPEN):
            foreign.append(name)
    work.counts |= {"coding_sequences": whole.total, "broken_coding_sequences": len(whole.broken)}
    if whole.is_foreign:
        raise refused(
            f"the genes are of another genome or version, or shifted: {whole}; give FASTA and genes of one release"
        )
    warn_of_unfit(work, whole, foreign)
    return codes


def fitting_code(sequences: Sequence[tuple[Coding, bytes]]) -> tuple[GeneticCode, Fit]:
    """Return the genetic code of a contig, and how its coding sequences fit with it.

    It is the standard one, unless most frames are open with the other one alone and there are enough to tell.
    """
    fits = {code: Fit() for code in (STANDARD, VERTEBRATE_MITOCHONDRIAL)}
    for code, fit in fits.items():
        stops = code.stops
        for coding, bases in sequences:
            fit.add(coding, bases, stops)
        if fit.total < ENOUGH_ON_CONTIG or fit.has_open_frames(MIN_OPEN):
            return code, fit
    return STANDARD, fits[STANDARD]


def warn_of_unfit(work: Workspace, fit: Fit, foreign: Sequence[str]) -> None:
    """Warn if there are no coding sequences, or if too many do not fit."""
    if not fit.total:
        work.warn(
            "NO_CODING_SEQUENCES", "the genes have no coding sequences (CDS): no effect on a protein can be found"
        )
    elif foreign or not (fit.has_open_frames(ENOUGH_OPEN) and fit.has_starts(ENOUGH_STARTS)):
        place = f"; most of those on {named(foreign)} do not fit" if foreign else ""
        work.warn("CODING_SEQUENCES", f"{fit}{place}: effects of variants in these may be wrong")


def named(names: Iterable[str]) -> str:
    """Return the first names, and how many others there are."""
    texts = [shown(name) for name in names]
    more = f" and {len(texts) - MAX_NAMED:,} more" if len(texts) > MAX_NAMED else ""
    return ", ".join(texts[:MAX_NAMED]) + more


def read_sequences(genome: Path, names: Mapping[str, object]) -> Iterator[tuple[str, bytes]]:
    """Yield name and bases of those contigs of a prepared genome that are in `names`, one at a time."""
    name, parts = "", list[bytes]()
    with genome.open("rb") as lines:
        for line in lines:
            if line.startswith(b">"):
                if name:
                    yield name, b"".join(parts)
                name, parts = line[1:].split(maxsplit=1)[0].decode(), []
                name = name if name in names else ""
            elif name:
                parts.append(line.rstrip())
    if name:
        yield name, b"".join(parts)
