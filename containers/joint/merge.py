"""Merge the calls of all samples in a part of the genome, and complete the genotypes of samples without a call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from seqdrop.failure.verdict import JobError
from seqdrop.jobs import regions
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan import bed
from seqdrop.plan.bed import Interval

from containers.joint.evidence import LOW_DEPTH, OVERLAP, Evidence, record_span, site_span
from containers.joint.inputs import Sample

FIRST_SAMPLE = 9  # column
FILTER, FORMAT = 6, 8
FILTER_LINE = re.compile(r"##FILTER=<ID=(?!PASS)([^,]+),.*")
FT_LINE = (
    '##FORMAT=<ID=FT,Number=1,Type=String,Description="Filters of the call of the sample; of an unknown genotype: '
    f'{LOW_DEPTH} (too few reads) or {OVERLAP} (a call of the sample deletes or replaces bases of the site)">\n'
)
Evidences = Mapping[str, Evidence]  # contig -> what a sample has of it


def join_piece(work: Workspace, samples: Sequence[Sample], piece: Path) -> Path:
    """Return the sites of a piece (BED file) as BCF, with the genotypes of all samples.

    A site belongs to the piece that has its position: pieces that tile the genome have each site once.
    """
    files = [_take_calls(work, sample, number, piece) for number, sample in enumerate(samples)]
    merged, complete, part = (piece.with_suffix(ending) for ending in (".merged.vcf", ".vcf", ".bcf"))
    work.run("bcftools", "merge", "--no-index", "-m", "all", "-F", "x", "-Ov", "-o", merged, *files)
    sites = _write_sites(merged, piece.with_suffix(".sites.bed"))
    evidences = [_read_evidence(work, sample, file, sites) for sample, file in zip(samples, files, strict=True)]
    found = _complete(merged, complete, evidences)
    expected = [_count_records(file) for file in files]
    if found != expected:
        raise JobError("TOOL_FAILED", f"{sum(expected):,} calls went into bcftools merge but {sum(found):,} came out")
    work.run("bcftools", "+fill-tags", complete, "-Ob", "-o", part, "--", "-t", "AN,AC,AF,NS")
    return part


def _take_calls(work: Workspace, sample: Sample, number: int, piece: Path) -> Path:
    """Write the calls of a sample that begin in a piece, without INFO and with their filters as FORMAT/FT."""
    plain, calls = (piece.with_suffix(f".{number}.{ending}") for ending in ("plain.vcf", "vcf"))
    work.processes.pipe(
        None,
        ["bcftools", "view", "-R", piece, "--regions-overlap", "0", "-Ou", sample.calls],
        ["bcftools", "annotate", "-x", "INFO", "-Ov", "-o", plain, "-"],
    )
    with plain.open() as lines, calls.open("w") as target:
        target.writelines(map(_with_filters, lines))
    plain.unlink()
    return calls


def _with_filters(line: str) -> str:
    """Return a line of a VCF with FORMAT/FT; the filters of a site have no numbers of a single sample."""
    if line.startswith("##"):
        described = r'##FILTER=<ID=\1,Description="No sample has a call with PASS here: FORMAT/FT has their filters">'
        return FILTER_LINE.sub(described, line)
    if line.startswith("#"):
        return FT_LINE + line
    fields = line.rstrip("\n").split("\t")
    fields[FORMAT] += ":FT"
    fields[FIRST_SAMPLE] += f":{fields[FILTER].replace('.', 'PASS')}"  # a dot in FT marks a sample without a call
    return "\t".join(fields) + "\n"


def _records(lines: TextIO) -> Iterator[list[str]]:
    return (line.rstrip("\n").split("\t") for line in lines if not line.startswith("#"))


def _count_records(vcf: Path) -> int:
    with vcf.open() as lines:
        return sum(1 for _ in _records(lines))


def _write_sites(merged: Path, target: Path) -> Path:
    """Write the bases that the gVCFs must tell about, as a BED file."""
    with merged.open() as lines:
        spans = [
            (contig, *site_span(int(position), ref, alts.split(",")))
            for contig, position, _, ref, alts, *_ in _records(lines)
        ]
    return regions.write_bed(target, bed.merge(Interval(contig, start - 1, end) for contig, start, end in spans))


def _read_evidence(work: Workspace, sample: Sample, calls: Path, sites: Path) -> dict[str, Evidence]:
    """Return what the gVCF and the calls of a sample say about the sites, by contig."""
    if not sites.stat().st_size:
        return {}
    columns = calls.with_suffix(".tsv")
    form = "%CHROM\t%POS\t%END\t%REF\t%ALT\t[%DP]\n"
    work.run("bcftools", "query", "-R", sites, "-f", form, sample.gvcf, stdout=columns)
    evidence: dict[str, Evidence] = {}
    with columns.open() as lines:
        for contig, position, end, ref, alts, depth in _records(lines):
            span = record_span(int(position), int(end), ref, alts.split(","))
            known = evidence.setdefault(contig, Evidence(sample.least_depth))
            known.add(*span, int(depth) if depth.isdigit() else 0)
    # The calls that overlap the piece, not only those that begin in it.
    work.run("bcftools", "query", "-R", sites, "-f", "%CHROM\t%POS\t%REF\n", sample.calls, stdout=columns)
    with columns.open() as lines:
        for contig, position, ref in _records(lines):
            evidence.setdefault(contig, Evidence(sample.least_depth)).add_call(int(position), ref)
    return evidence


def _complete(merged: Path, target: Path, evidences: Sequence[Evidences]) -> list[int]:
    """Write the sites with the genotypes of samples without a call; return the number of calls of each sample."""
    counts = [0] * len(evidences)
    with merged.open() as lines, target.open("w") as out:
        for line in lines:
            if line.startswith("#"):
                out.write(line)
                continue
            fields = line.rstrip("\n").split("\t")
            for number, is_called in enumerate(_complete_site(fields, evidences)):
                counts[number] += is_called
            out.write("\t".join(fields) + "\n")
    return counts


def _complete_site(fields: list[str], evidences: Sequence[Evidences]) -> list[bool]:
    """Fill in the genotypes of samples without a call; return which samples have one."""
    contig, position, _, ref, alts = fields[:5]
    keys = fields[FORMAT].split(":")
    columns = [dict(zip(keys, column.split(":"), strict=False)) for column in fields[FIRST_SAMPLE:]]
    called = [column.get("FT", ".") != "." for column in columns]
    genotypes = [column["GT"] for column, is_called in zip(columns, called, strict=True) if is_called]
    ploidy = max(len(re.split("[/|]", genotype)) for genotype in genotypes)
    span = site_span(int(position), ref, alts.split(","))
    for number, is_called in enumerate(called):
        if is_called:
            continue
        known = evidences[number].get(contig) or Evidence(1)
        genotype = known.genotype(*span)
        allele = "0" if genotype.is_reference else "."
        values = {"GT": "/".join([allele] * ploidy), "DP": str(genotype.depth), "FT": genotype.reason or "."}
        fields[FIRST_SAMPLE + number] = ":".join(values.get(key, ".") for key in keys)
    return called
