"""From a FASTA and reads to calls, with real tools: bases and reads add up, and planted variants are found."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from support.function_aws import FASTQS, Deployed
from support.job_runs import in_this_process
from support.made_reads import COMPLEMENT, Record, text, to_gzip

from containers.bcftools import run as bcftools
from containers.bwa import run as bwa
from containers.reference import run as prepare
from containers.samtools_stats import run as samtools_stats

RUNS = count()
MARGIN = 150  # bases between variants, and to the ends, codes and gaps: a read with one is aligned over all its length
READ, INSERT, INSERT_SD, STEP = 100, 260, 30, 5  # bases; a pair begins at every fifth base of each copy: a depth of 36
SITE = "%CHROM\t%POS\t%REF\t%ALT\n"
NAMES = st.one_of(
    st.from_regex(r"HLA:[ABC]\*[0-9]{2}:[0-9]{2}", fullmatch=True),
    st.from_regex(r"HLA-[ABC]\*[0-9]{2}:[0-9]{2}:[0-9]{2}", fullmatch=True),
    st.from_regex(r"(chr|NC_0+|scaffold)[0-9XYM]{1,3}(\.[0-9])?", fullmatch=True),
)


@dataclass(frozen=True)
class Case:
    """A FASTA, the reads of a sample, and the variants that the sample has."""

    fasta: str = field(repr=False)
    lengths: dict[str, int]
    pairs: tuple[list[Record], list[Record]] = field(repr=False)
    truth: list[tuple[str, int, str, str]]  # contig, start from 0, REF, ALT
    ploidy: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Generate contigs with lower case, N and ambiguity codes, some too short for reads, and a sample with variants."""
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)) + [
        f"s{n}" for n in range(draw(st.integers(0, 30)))
    ]
    rng, ploidy = random.Random(draw(st.integers(0, 1 << 30))), draw(st.sampled_from([1, 2]))  # noqa: S311
    width, newline = draw(st.sampled_from([60, 71, 5_000])), draw(st.sampled_from(["\n", "\r\n"]))
    fasta, lengths = list[str](), dict[str, int]()
    truth, pairs = list[tuple[str, int, str, str]](), (list[Record](), list[Record]())
    for name in names:
        length = rng.randint(40, 90) if name.startswith("s") and name[1:].isdigit() else rng.randint(1_500, 2_500)
        genome = rng.choices("ACGT", k=length)
        if length > 1_000:
            clean = "".join(genome)
            planted = plant(rng, name, clean)
            truth += planted
            add_oddities(rng, genome, [start for _, start, _, _ in planted])
            for copy in range(ploidy):
                add_pairs(rng, name, haplotype(clean, planted, copy), pairs)
        lengths[name] = length
        lines = ["".join(genome[at : at + width]) for at in range(0, length, width)]
        fasta += [f">{name} of a test", *lines]
    return Case(newline.join(fasta) + newline, lengths, pairs, truth, ploidy)


def plant(rng: random.Random, name: str, genome: str) -> list[tuple[str, int, str, str]]:
    """Return SNVs, insertions and deletions far from each other, in order."""
    planted = []
    for start in range(2 * MARGIN, len(genome) - 2 * MARGIN, 2 * MARGIN):
        at, size = start + rng.randrange(20), rng.randint(1, 6)
        base = genome[at]
        planted.append(
            rng.choice(
                [
                    (name, at, base, rng.choice("ACGT".replace(base, ""))),
                    (name, at, genome[at : at + size + 1], base),
                    (name, at, base, base + "".join(rng.choices("ACGT", k=size))),
                ]
            )
        )
    return planted


def haplotype(genome: str, planted: list[tuple[str, int, str, str]], copy: int) -> str:
    """Return a copy of a contig: the first one has all variants, the second one every other."""
    for number, (_, start, ref, alt) in reversed(list(enumerate(planted))):
        if copy == 0 or number % 2:
            genome = genome[:start] + alt + genome[start + len(ref) :]
    return genome


def add_oddities(rng: random.Random, genome: list[str], variants: list[int]) -> None:
    """Write a part in lower case, and codes and a gap between the variants, where the sample has a base."""
    first, last = sorted(rng.sample(range(len(genome)), 2))
    free = [at for at in range(len(genome)) if all(abs(at - variant) > MARGIN - 30 for variant in variants)]
    for code in rng.choices("RYSWKMBDHVN", k=2):
        genome[rng.choice(free)] = code
    gap = rng.choice(range(20))
    genome[gap : gap + 10] = "N" * 10
    genome[first:last] = [base.lower() for base in genome[first:last]]


def add_pairs(rng: random.Random, name: str, copy: str, pairs: tuple[list[Record], list[Record]]) -> None:
    """Add read pairs from all of a copy, in both directions, of several lengths and some with N."""
    for start in range(0, len(copy) - READ, STEP):
        fragment = copy[start : start + max(READ, round(rng.gauss(INSERT, INSERT_SD)))]
        if len(fragment) < READ:
            continue
        if rng.random() < 0.5:
            fragment = fragment.translate(COMPLEMENT)[::-1]
        header = f"A00123:45:HXYZTDSXX:1:1101:{len(pairs[0])}:{rng.randrange(9_999)}"
        for reads, part in zip(pairs, (fragment, fragment.translate(COMPLEMENT)[::-1]), strict=True):
            bases = list(part[: rng.randint(READ - 20, READ)])
            qualities = ["F"] * len(bases)
            if rng.random() < 0.05:
                at = rng.randrange(len(bases))
                bases[at], qualities[at] = "N", "#"
            reads.append((header, "".join(bases), "".join(qualities)))


class Run:
    """Prepare a reference and run the steps of a run in this process, each with the results of the one before."""

    def __init__(self, bucket: str, number: int) -> None:
        self.results, self.reference = S3Uri(bucket, f"S{number}/r"), S3Uri(bucket, f"ref{number}/genome.fa")

    def step(self, main: Any, name: str, **values: Any) -> dict[str, Any]:
        """Run one step; return its receipt."""
        values = {
            "reference": self.reference,
            "results": self.results,
            "run": "r",
            "attempt": 1,
            "args": "[]",
            **values,
        }
        values |= {"vcpus": 2, "memory": 1000}
        main([word for key, value in values.items() for word in (f"--{key}", str(value))])
        receipt: dict[str, Any] = s3.store().read_json(values["results"] / f"jobs/{name}.json")
        return receipt


def output(*command: str | Path) -> str:
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # a failure is not made smaller, which would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(case=cases())
def test_bases_and_reads_add_up_at_every_step_and_planted_variants_are_found(
    aws: Deployed, bucket: str, tmp_path: Path, case: Case
) -> None:
    folder = tmp_path / str(next(RUNS))
    folder.mkdir()
    run, sample = Run(bucket, int(folder.name)), f"S{folder.name}"
    (folder / "source.fa").write_text(case.fasta, newline="")
    fasta = S3Uri(bucket, f"in/{folder.name}.fa")
    s3.store().upload(folder / "source.fa", fasta)
    lane: dict[str, object] = {"lane": "L001", "read_group": "HXYZTDSXX.1"}
    for mate, reads in enumerate(case.pairs, 1):
        aws.put(f"{sample}_R{mate}.fastq.gz", to_gzip(text(reads)))
        lane[f"fastq_{mate}"] = s3.store().head(S3Uri(FASTQS, f"{sample}_R{mate}.fastq.gz")).pin()
    s3.store().write_json(run.results / "reads.json", {"sample": sample, "lanes": [lane]})
    bam, stats = run.results / f"{sample}.bam", run.results / f"{sample}.stats.txt"
    vcf, gvcf = run.results / f"{sample}.vcf.gz", run.results / f"{sample}.g.vcf.gz"
    with pytest.MonkeyPatch.context() as patch:
        in_this_process(patch, folder)
        patch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
        ploidy = f'["--ploidy","{case.ploidy}"]'
        preparation = run.reference.parent / "preparation/r"
        inputs = {"fasta": fasta, "genes": "none", "sources": "{}", "aligner": "bwa"}
        run.step(prepare.main, "prepare", **inputs, args=ploidy, results=preparation)
        align = run.step(bwa.main, "align", sample=sample, reads=run.results / "reads.json", bam=bam)["counts"]
        collect = run.step(samtools_stats.main, "collect", intervals="all", bam=bam, stats=stats)["counts"]
        run.step(bcftools.main, "call", sample=sample, intervals="all", bam=bam, parts=1, vcf=vcf, gvcf=gvcf)

    for uri in (bam, bam.companion(".bai"), stats, vcf, run.reference):
        s3.store().download(uri, folder / uri.name)
    reads = [read for mate in case.pairs for read in mate]
    total = sum(len(bases) for _, bases, _ in reads)
    assert (align["reads"], align["bases"]) == (len(reads), total)
    assert (align["primary_records"], align["primary_bases"], collect["reads"]) == (len(reads), total, len(reads))
    records = output("samtools", "view", "-F", "0x900", folder / bam.name).splitlines()
    assert (len(records), sum(len(record.split("\t")[9]) for record in records)) == (len(reads), total)
    summary = dict(line.split("\t")[1:3] for line in (folder / stats.name).read_text().splitlines() if line[:2] == "SN")
    assert (int(summary["raw total sequences:"]), int(summary["total length:"])) == (len(reads), total)
    contigs = {
        row["name"]: row["length"] for row in s3.store().read_json(run.reference.parent / "reference.json")["contigs"]
    }
    mapped = [line.split("\t") for line in output("samtools", "idxstats", folder / bam.name).splitlines()]
    assert contigs == {name: int(length) for name, length, *_ in mapped if name != "*"} == case.lengths

    assert calls_of(folder / vcf.name) == normalised(folder, case)


def calls_of(vcf: Path) -> set[str]:
    """Return the calls with PASS, as text."""
    return set(output("bcftools", "query", "-i", 'FILTER="PASS"', "-f", SITE, vcf).splitlines())


def normalised(folder: Path, case: Case) -> set[str]:
    """Return the planted variants, left-aligned, as text."""
    header = "".join(f"##contig=<ID={name},length={length}>\n" for name, length in case.lengths.items())
    rows = "".join(f"{name}\t{start + 1}\t.\t{ref}\t{alt}\t.\t.\t.\n" for name, start, ref, alt in case.truth)
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (folder / "truth.vcf").write_text(f"##fileformat=VCFv4.2\n{header}{columns}{rows}")
    left = output("bcftools", "norm", "-f", folder / "genome.fa", folder / "truth.vcf")
    (folder / "left.vcf").write_text(left)
    return set(output("bcftools", "query", "-f", SITE, folder / "left.vcf").splitlines())
