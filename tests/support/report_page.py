"""Write a page of the report from made figures: every section, every chart, and names that mean harm."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from seqdrop.storage.uri import S3Uri

from containers.report import calls, depth, page, policy, reads, run
from containers.report.calls import Calls, Variant
from containers.report.depth import Depth, Region
from containers.report.sample import Place, select
from containers.report.sites import Evidence, Site
from containers.report.sources import Measured

SCRIPT = "<script>window.hostile=1</script><img src=x onerror=window.hostile=1>"
LINK = "<a/class='hostile'style=position:fixed>&\"`"  # SAM allows it in the name of a read
STATS = """SN\traw total sequences:\t1000
SN\treads mapped:\t990
SN\treads properly paired:\t980
SN\treads duplicated:\t99
SN\taverage quality:\t36.1
SN\terror rate:\t1.5e-03
IS\t300\t4\t4\t0\t0
IS\t310\t5\t5\t0\t0
FFQ\t1\t0\t0\t2\t8
FFQ\t2\t0\t0\t0\t10
LFQ\t1\t0\t0\t0\t10
LFQ\t2\t0\t0\t0\t10
FTC\t30\t20\t30\t20\t0
"""


def write_page(path: Path, sample: str = "S", sites: int = 6) -> Path:
    """Write the page of a run with one warning and with hostile names; return its path. The last site has no reads."""
    (path.parent / "stats").write_text(STATS)
    found = Measured(made_depth(), reads.read(path.parent / "stats"), made_calls())
    assert found.calls
    found.call_figures = found.calls.figures()
    found.evidence = made_evidence(path.parent, found.calls.listed[:sites])
    found.summary = {"contigs": [{"name": "chr1", "length": 5_000}], "fingerprint": "abc"}
    warning = {"warning": "X", "message": f"a warning {SCRIPT}"}
    output = {"name": "bam", "uri": f"s3://b/S/r/{sample}.bam", "size": 5_000_000}
    receipt = {"step": f"align{SCRIPT}", "tools": {"bwa": "1.0"}, "commands": ["bwa mem | samtools sort"], "seconds": 5}
    found.receipts = [{**receipt, "warnings": [warning], "outputs": [output]}]
    assay, reason = run.guess_assay(found.summary, targets=True)
    verdict = policy.judge(policy.default(assay), found.figures, f"{assay} of seqdrop", warned=True, chosen=False)
    args = argparse.Namespace(sample=sample, run="r", reference=S3Uri("refs", "hg/genome.fa"), intervals="panel.bed")
    path.write_text(page.render(args, found, verdict, reason))
    return path


def made_evidence(folder: Path, variants: list[Variant]) -> Evidence:
    """Return 20 reads at each variant but the last, half of them with its allele, as a BAM; and the reference.

    Names and tags of the reads have elements.
    """
    genome = "ACGTTGCAACGG" * 600
    rows = ["@HD\tVN:1.6\tSO:coordinate", f"@SQ\tSN:chr1\tLN:{len(genome)}"]
    tags = f"RG:Z:{LINK}\tSA:Z:{LINK},1,+,50M,60,0;"
    for variant in sorted(variants[:-1], key=lambda one: one.position):
        start = variant.position - 26
        for number in range(20):
            bases = genome[start : start + 50]
            bases = bases if number % 2 else bases[:25] + variant.alt + bases[26:]
            place = f"{16 * (number % 4 > 1)}\tchr1\t{start + 1}\t60\t50M\t*\t0\t0"
            rows.append(f"r{number}{LINK}\t{place}\t{bases}\t{'I' * 50}\t{tags}")
    places = [Place("chr1", one.position - 1, one.position) for one in variants]
    sam = "".join(select([f"{row}\n" for row in rows], places).lines)
    bam = subprocess.run(["samtools", "view", "-b", "-"], input=sam.encode(), check=True, capture_output=True).stdout
    sites = [Site(one, f"All 20 reads of {one.gene}.") for one in variants]
    sites[-1] = Site(variants[-1], f"Not shown {SCRIPT}", shown=False)
    return Evidence(sites, bam, f">chr1:1-{len(genome)} @len={len(genome)}\n{genome}\n")


def made_depth() -> Depth:
    """Return the depths of 40 targets on 20 contigs."""
    regions = [
        Region(
            f"chr{number % 20}{SCRIPT * (number == 3)}",
            100 * number,
            100 * number + 80,
            20.0 + number,
            (80, 80, 60, 40),
        )
        for number in range(40)
    ]
    total, contigs = depth.Sum(), dict[str, depth.Sum]()
    for region in regions:
        total.add(region)
        contigs.setdefault(region.contig, depth.Sum()).add(region)
    curve = [(80.0 * number, region.mean) for number, region in enumerate(regions)]
    starts = {name: 160 * number for number, name in enumerate(contigs)}
    histogram = [(at, 100 / 60) for at in range(60)]
    return Depth(True, total, contigs, regions[:15], curve, starts, histogram, len(regions))


def made_calls() -> Calls:
    """Return 60 calls with PASS and one without."""
    lines = []
    for number in range(1, 61):
        impact = ("HIGH", "MODERATE", "LOW", "MODIFIER")[number % 4]
        gene = f"GENE{number}{SCRIPT * (number == 5)}"
        ann = f"G|missense_variant|{impact}|{gene}|i|transcript|t|coding||c.{number}A>G|p.Lys{number}Arg|"
        genotype, counts = ("1/1", f"0,{number + 20}") if number % 3 == 0 else ("0/1", f"{number + 10},{number + 9}")
        values = [
            "chr1",
            str(100 * number),
            "A",
            "G",
            "50",
            "PASS",
            ".",
            ann,
            ".",
            genotype,
            str(2 * number),
            counts,
            ".",
        ]
        lines.append("\t".join(values) + "\n")
    lines.append(lines[0].replace("PASS", "LowQual"))
    return calls.read(lines)
