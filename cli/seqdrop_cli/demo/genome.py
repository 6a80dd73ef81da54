"""Simulate a small genome with realistic genes: open reading frames, GT..AG introns, both strands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

CONTIGS = {"demo1": 200_000, "demo2": 100_000}
GENES = {"demo1": 8, "demo2": 4}
STOPS = ("TAA", "TAG", "TGA")
SENSE = [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT" if a + b + c not in STOPS]
_COMPLEMENT = str.maketrans("ACGT", "TGCA")

Span = tuple[int, int]  # 0-based, half-open


def reverse_complement(bases: str) -> str:
    """Return the bases of the other strand."""
    return bases.translate(_COMPLEMENT)[::-1]


@dataclass(frozen=True, slots=True)
class Gene:
    """The position of a gene. Spans ascend along the contig, on both strands."""

    name: str
    contig: str
    strand: str
    exons: tuple[Span, ...]
    cds: tuple[Span, ...]  # from the start codon to the stop codon, both included

    @property
    def span(self) -> Span:
        """From the first exon to the last."""
        return self.exons[0][0], self.exons[-1][1]

    @property
    def introns(self) -> list[Span]:
        """The spans between the exons."""
        return [(left[1], right[0]) for left, right in pairwise(self.exons)]

    def coding_sequence(self, contig: str) -> str:
        """Return the coding bases in reading direction."""
        bases = "".join(contig[start:end] for start, end in self.cds)
        return bases if self.strand == "+" else reverse_complement(bases)


@dataclass(frozen=True, slots=True)
class Genome:
    """The contigs and the genes on them."""

    contigs: Mapping[str, str]
    genes: tuple[Gene, ...]

    def gene_at(self, contig: str, start: int, end: int) -> Gene | None:
        """Return the gene that overlaps a span; None if there is none."""
        return next((g for g in self.genes if g.contig == contig and g.span[0] < end and start < g.span[1]), None)


def make_genome(seed: int) -> Genome:
    """Return a genome; the same seed gives the same one."""
    random = Random(seed)  # noqa: S311  data, not secrets
    contigs: dict[str, str] = {}
    genes: list[Gene] = []
    for name, length in CONTIGS.items():
        bases = list(_background(random, length))
        for block, gene in _genes(random, name, length):
            bases[gene.span[0] : gene.span[1]] = block
            genes.append(gene)
        contigs[name] = "".join(bases)
    return Genome(contigs, tuple(genes))


def _background(random: Random, length: int) -> str:
    """Return bases whose GC content changes from window to window, as in a real genome."""
    windows = []
    for _ in range(0, length, 1000):
        gc = random.uniform(0.36, 0.52)
        windows.append("".join(random.choices("ACGT", [1 - gc, gc, gc, 1 - gc], k=1000)))
    return "".join(windows)[:length]


def _genes(random: Random, contig: str, length: int) -> Iterator[tuple[str, Gene]]:
    """Yield one gene for each of several equal parts of the contig, on alternating strands."""
    part = length // GENES[contig]
    for index in range(GENES[contig]):
        start = part * index + random.randint(2_000, part // 2)
        strand = "+-"[index % 2]
        transcript = _Transcript(random, exons=random.choice([1, 2, 3, 4]))
        yield transcript.block(strand), transcript.gene(f"{contig.upper()}G{index + 1}", contig, strand, start)


class _Transcript:
    """A gene in reading direction: 5' UTR, coding exons with introns between them, 3' UTR."""

    def __init__(self, random: Random, exons: int) -> None:
        coding = "ATG" + "".join(random.choices(SENSE, k=random.randint(80, 150) * exons)) + random.choice(STOPS)
        # At least 90 coding bases for each exon. Exons end in any phase, so that some codons span an intron.
        step = len(coding) // exons
        cuts = [0, *(step * n + random.randint(-60, 60) for n in range(1, exons)), len(coding)]
        self.bases = _noncoding(random, 80)
        self.exons: list[Span] = []
        self.cds: list[Span] = []
        for number, (left, right) in enumerate(pairwise(cuts)):
            exon_start = 0 if number == 0 else len(self.bases)
            cds_start = len(self.bases)
            self.bases += coding[left:right]
            self.cds.append((cds_start, len(self.bases)))
            last = number == exons - 1
            self.bases += _noncoding(random, 120) if last else ""
            self.exons.append((exon_start, len(self.bases)))
            self.bases += "" if last else f"GTAAGT{_noncoding(random, random.randint(90, 300))}TTTCCTTGCAG"

    def block(self, strand: str) -> str:
        """Return the bases as they are on the contig."""
        return self.bases if strand == "+" else reverse_complement(self.bases)

    def gene(self, name: str, contig: str, strand: str, start: int) -> Gene:
        """Return the gene at a position of a contig."""
        return Gene(
            name, contig, strand, self._on_contig(self.exons, strand, start), self._on_contig(self.cds, strand, start)
        )

    def _on_contig(self, spans: list[Span], strand: str, start: int) -> tuple[Span, ...]:
        if strand == "-":
            spans = [(len(self.bases) - end, len(self.bases) - begin) for begin, end in reversed(spans)]
        return tuple((start + begin, start + end) for begin, end in spans)


def _noncoding(random: Random, length: int) -> str:
    return "".join(random.choices("ACGT", [0.29, 0.21, 0.21, 0.29], k=length))


def write_fasta(genome: Genome, path: Path) -> None:
    """Write the contigs as FASTA."""
    with path.open("w") as file:
        for name, bases in genome.contigs.items():
            file.write(f">{name}\n")
            file.writelines(f"{bases[at : at + 60]}\n" for at in range(0, len(bases), 60))


def write_gtf(genome: Genome, path: Path) -> None:
    """Write the genes as GTF."""
    path.write_text("".join("\t".join(row) + "\n" for gene in genome.genes for row in _gtf_rows(gene)))


def _gtf_rows(gene: Gene) -> Iterator[list[str]]:
    def row(feature: str, span: Span, frame: str = ".") -> list[str]:
        ids = f'gene_id "{gene.name}"; transcript_id "{gene.name}.1"; gene_name "{gene.name}";'
        kind = ' gene_biotype "protein_coding"; transcript_biotype "protein_coding";'
        return [gene.contig, "seqdrop", feature, str(span[0] + 1), str(span[1]), ".", gene.strand, frame, ids + kind]

    yield row("gene", gene.span)
    yield row("transcript", gene.span)
    yield from (row("exon", span) for span in gene.exons)
    read = 0
    in_reading_order = gene.cds if gene.strand == "+" else gene.cds[::-1]
    for start, end in in_reading_order:
        yield row("CDS", (start, end), str(-read % 3))
        read += end - start
    low, high = (gene.cds[0][0], gene.cds[0][0] + 3), (gene.cds[-1][1] - 3, gene.cds[-1][1])
    yield row("start_codon", low if gene.strand == "+" else high, "0")
    yield row("stop_codon", high if gene.strand == "+" else low, "0")
