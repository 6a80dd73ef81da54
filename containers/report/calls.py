"""Read the calls of a run in one pass: their figures, and the variants that the report lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import nsmallest
from pathlib import Path
from typing import Any, NamedTuple

from seqdrop.plan import extras

from containers.report.figures import Figure, percent

MAX_VARIANTS = 1_000  # listed; a row takes some 400 bytes of the page
MAX_TEXT = 80  # characters of an allele, a gene or a change in the list
CLIPPED = "…"  # the end of a longer one
IMPACTS = ("HIGH", "MODERATE", "LOW", "MODIFIER", "")  # of snpEff, worst first; "" without an annotation
# {0}: the first transcript alone, since a gene can have dozens and a genome has millions of calls.
COLUMNS = "%CHROM\t%POS\t%REF\t%ALT\t%QUAL\t%FILTER\t%INFO/SITE\t%INFO/ANN{0}\t%INFO/BCSQ{0}[\t%GT\t%DP\t%AD\t%VAF]"
KNOWN_COLUMNS = "\t%ID\t{significance}\n"  # of the known variants of the reference
SIGNIFICANCE = "CLNSIG"  # the field of ClinVar
MIN_SITES = 20  # for a share of them
MIN_SNPS = 500  # for their ratio: of 500, it is known to about a tenth
MIN_DEPTH = 20  # reads at a SNP, to judge the share of its alleles
HIGH_SHARE = 0.75  # of a homozygous SNP, whatever its genotype: with reads of another sample it is called heterozygous
LOW_SHARE = 0.2  # as in the filter LowShare of bcftools
SHARE_BINS = 20
KINDS = ("SNV", "insertion", "deletion", "other")


class Variant(NamedTuple):
    """One allele that was called."""

    contig: str
    position: int
    ref: str
    alt: str
    quality: float | None
    filters: str  # PASS, or the names of the filters
    split: bool  # the site has other alternate alleles
    impact: str
    effect: str
    gene: str
    change: str  # of the transcript and of the protein
    genotype: str
    depth: int | None
    share: float | None  # of the reads, that have the allele
    known: str = ""  # identifiers and clinical significance, of the known variants of the reference

    @property
    def passed(self) -> bool:
        """Whether no filter marks it."""
        return self.filters == "PASS"

    @property
    def kind(self) -> str:
        """One of KINDS."""
        if len(self.ref) == len(self.alt) == 1:
            return "SNV"
        if len(self.ref) == len(self.alt) or not self.alt.isalpha():
            return "other"
        return "insertion" if len(self.alt) > len(self.ref) else "deletion"

    @property
    def zygosity(self) -> str:
        """het, hom, or "" for other genotypes. A haploid genotype with the allele is hom."""
        alleles = set(self.genotype.replace("|", "/").split("/"))
        if "." in alleles or self.split:
            return ""
        return {frozenset("01"): "het", frozenset("1"): "hom"}.get(frozenset(alleles), "")

    @property
    def rank(self) -> tuple[bool, int, float]:
        """The place in the list: PASS first, then by impact and quality."""
        return not self.passed, IMPACTS.index(self.impact), -(self.quality or 0)


@dataclass
class Calls:
    """What one pass over the calls counts."""

    all: int = 0
    passed: int = 0
    kinds: Counter[str] = field(default_factory=Counter)  # of the calls with PASS, as all but `low` and `all` here
    impacts: Counter[str] = field(default_factory=Counter)
    zygosity: Counter[str] = field(default_factory=Counter)
    x: Counter[str] = field(default_factory=Counter)  # zygosity of the SNPs of X
    other_reads: list[float] = field(default_factory=lambda: [0.0, 0])  # at homozygous SNPs: sum of shares, SNPs
    low: list[int] = field(default_factory=lambda: [0, 0])  # heterozygous SNPs: with a low share, all
    shares: list[int] = field(default_factory=lambda: [0] * SHARE_BINS)  # of the alleles of SNPs, in bins
    listed: list[Variant] = field(default_factory=list)

    def count(self, variant: Variant) -> None:
        """Count a variant."""
        self.all += 1
        zygosity, is_snp, deep = variant.zygosity, variant.kind == "SNV", (variant.depth or 0) >= MIN_DEPTH
        if is_snp and zygosity == "het" and variant.share is not None and deep:
            self.low[0] += variant.share < LOW_SHARE
            self.low[1] += 1
        if not variant.passed:
            return
        self.passed += 1
        self.kinds[variant.kind] += 1
        self.impacts[variant.impact] += 1
        self.zygosity[zygosity] += 1
        if is_snp and variant.share is not None:
            self.shares[min(int(variant.share * SHARE_BINS), SHARE_BINS - 1)] += 1
            if variant.share > HIGH_SHARE and deep and not variant.split:
                self.other_reads[0] += 1 - variant.share
                self.other_reads[1] += 1
        if is_snp and variant.contig.removeprefix("chr") == "X":
            self.x[zygosity] += 1

    def figures(self) -> list[Figure]:
        """Return the figures that need the genotypes and the reads of the calls."""
        het, hom = self.zygosity["het"], self.zygosity["hom"]
        shares, sites = self.other_reads
        low, hets = self.low
        return [
            Figure("het_hom", "Heterozygous by homozygous", enough(het / hom if hom else None, het + hom, MIN_SNPS),
                   f"{het:,} and {hom:,} with PASS"),
            Figure("contamination", "Other reads at homozygous SNPs", enough(percent(shares, sites), sites),
                   f"{sites:,.0f} SNPs with PASS; another sample shows with about half of its share"),
            Figure("low_share", f"Heterozygous SNPs with a share under {LOW_SHARE:.0%}",
                   enough(percent(low, hets), hets), f"{low:,} of {hets:,} calls at depth {MIN_DEPTH} or more"),
        ]  # fmt: skip


def enough(value: float | None, sites: float, minimum: int = MIN_SITES) -> float | None:
    """Return the value, or None if it is of too few sites."""
    return value if sites >= minimum else None


def columns(known: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the columns for `bcftools query`; `known` are the known variants in reference.json."""
    names = [extras.info_name(name, SIGNIFICANCE) for name, one in known.items() if SIGNIFICANCE in one["fields"]]
    return COLUMNS + KNOWN_COLUMNS.format(significance=f"%INFO/{names[0]}" if names else ".")


def read(lines: Iterable[str]) -> Calls:
    """Read what `bcftools query` writes with `columns`."""
    calls = Calls()

    def counted() -> Iterator[Variant]:
        for line in lines:
            variant = parse(line)
            calls.count(variant)
            yield variant

    first = nsmallest(MAX_VARIANTS, counted(), key=lambda variant: variant.rank)
    calls.listed = first
    return calls


def parse(line: str) -> Variant:
    """Return the variant of a line. Of several transcripts the first, the worst, counts."""
    contig, position, ref, alt, quality, filters, site, ann, bcsq, *sample = line.rstrip("\n").split("\t")
    genotype, depth, counts, vaf = sample[:4] if len(sample) >= len(("GT", "DP", "AD", "VAF")) else ("./.", *"...")
    known = [text.replace("_", " ") for text in sample[4:] if text not in {".", ""}]
    fields = ann.split(",", 1)[0].split("|") if ann != "." else []
    effect, impact, gene, kind, feature, transcript, protein = (
        fields[place] if len(fields) > place else "" for place in (1, 2, 3, 5, 6, 9, 10)
    )
    if transcript and feature and kind == "transcript":  # c.34G>C says nothing without its transcript
        transcript = f"{feature}:{transcript}"
    return Variant(
        contig, int(position), clip(ref), clip(alt), number(quality), filters, site != ".",
        impact if impact in IMPACTS else "", clip(effect.replace("&", ", ").replace("_", " ")), clip(gene),
        clip(" ".join(filter(None, (transcript, protein, haplotype_change(bcsq))))), genotype,
        int(depth) if depth.isdigit() else None, allele_share(counts, vaf), clip(" ".join(known)),
    )  # fmt: skip


def haplotype_change(bcsq: str) -> str:
    """Return the change of the protein by several variants of one codon, by `bcftools csq`; "" for one variant alone.

    The form is `missense|GENE|T1|coding|+|12D>12L|34G>C+35A>T`; `@POS` points to the record that has it.
    """
    fields = bcsq.split(",", 1)[0].split("|")
    protein, dna = fields[5:7] if len(fields) > 6 else ("", "")
    return f"with its neighbours {protein}" if "+" in dna else ""


def allele_share(counts: str, vaf: str) -> float | None:
    """Return the share of the reads that have the allele: VAF of bcftools, else by AD."""
    share = number(vaf.split(",", maxsplit=1)[0])
    if share is not None:
        return share
    reads = [int(text) for text in counts.split(",") if text.isdigit()]
    total = sum(reads)
    return reads[1] / total if len(reads) > 1 and total else None


def number(text: str) -> float | None:
    """Return a number of a VCF; None for a missing one."""
    return None if text == "." else float(text)


def clip(text: str) -> str:
    """Return at most MAX_TEXT characters of a text."""
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}{CLIPPED}"


def read_stats(path: Path) -> dict[str, float]:
    """Return the counts of `bcftools stats`: `SNPs`, `indels`, `records` ..., and `ti_tv`."""
    counts = dict[str, float]()
    for line in path.read_text().splitlines():
        name, *fields = line.split("\t")
        if name == "SN":
            counts[fields[1].removeprefix("number of ").rstrip(":")] = int(fields[2])
        elif name == "TSTV":
            transitions, transversions = int(fields[1]), int(fields[2])
            counts["ti_tv"] = transitions / transversions if transversions else 0.0
    return counts


def figures_of_stats(stats: dict[str, float], everything: dict[str, float]) -> list[Figure]:
    """Return the figures of `bcftools stats`: of the calls with PASS, and of all."""
    note = f"{stats['SNPs']:,} SNPs and {stats['indels']:,} indels"
    if everything:
        note += f"; of all {everything['records']:,} calls: {everything['SNPs']:,} and {everything['indels']:,}"
    ti_tv = enough(stats.get("ti_tv") or None, stats["SNPs"], MIN_SNPS)
    return [
        Figure("variants", "Variants with PASS", stats["records"], note),
        Figure(
            "ti_tv", "Transitions by transversions", ti_tv, "of the SNPs with PASS; about 2.0 in genomes, 3 in exomes"
        ),
    ]
