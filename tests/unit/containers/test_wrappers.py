"""The wrappers of callers, snpEff and samtools stats with real tools; snpEff and Strelka are stand-ins."""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from seqdrop.failure.verdict import JobError
from seqdrop.jobs import calling, regions
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.workspace import Workspace
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from support.job_runs import in_this_process
from support.made_reads import bases
from support.stored_run import StoredRun
from support.waiting import eventually

from containers.bcftools import run as bcftools
from containers.samtools_stats import run as samtools_stats
from containers.snpeff import run as snpeff
from containers.strelka import run as strelka
from containers.strelka import workflow

ANN = '##INFO=<ID=ANN,Number=.,Type=String,Description="Effects">\n'
HEADER = f"##fileformat=VCFv4.2\n##contig=<ID=chr1,length=2000>\n{ANN}"
HEADER += '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">\n'
HEADER += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tNA12878\n"
CALLS = [(1, "A", "C", "0/1"), (2, "A", "C,G", "1/2"), (3, "A", "C", "1/1")]
ALLELES = 4
STAND_INS = Path(__file__).parents[2] / "support/stand_ins"
# Prints the VCF without its last lines, and writes its statistics to the file after -csvStats.
JAVA = r"""#!/bin/sh
while [ $# -gt 1 ]; do [ "$1" = -csvStats ] && echo statistics > "$2"; shift; done
version='##SnpEffVersion="5.1d (build 2022-04-19 15:49), by Pablo Cingolani"'
zcat "$1" | head -n -{lost} | sed -e "/^#CHROM/i $version" -e '$s/PASS\t./PASS\tANN={mark}/'
"""


@pytest.fixture
def run(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredRun:
    in_this_process(monkeypatch, tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{STAND_INS}:{Path(sys.executable).parent}:/usr/bin:/bin")
    return StoredRun(bucket, tmp_path)


def put_calls(run: StoredRun) -> S3Uri:
    """Store a genome and a VCF of three calls with four alleles."""
    run.put_genome({"chr1": "A" * 2_000})
    calls = run.folder / "calls.vcf"
    lines = (f"chr1\t{at}\t.\t{ref}\t{alt}\t50\tPASS\t.\tGT\t{genotype}\n" for at, ref, alt, genotype in CALLS)
    calls.write_text(HEADER + "".join(lines))
    subprocess.run(["bgzip", calls], check=True)
    subprocess.run(["tabix", f"{calls}.gz"], check=True)
    return run.put(Path(f"{calls}.gz"), run.results / "NA12878.vcf.gz", ".tbi")


def test_the_log_of_an_annotation_has_no_sample_ids_of_a_joint_run(run: StoredRun) -> None:
    run.put_genome({"chr1": "A" * 2_000})
    calls = run.folder / "calls.vcf"
    calls.write_text(HEADER.replace("NA12878", "F01\tM01") + "chr1\t1\t.\tA\tC\t50\tPASS\t.\tGT\t0/1\t1/1\n")
    subprocess.run(["bgzip", calls], check=True)
    subprocess.run(["tabix", f"{calls}.gz"], check=True)
    vcf = run.put(Path(f"{calls}.gz"), run.results / "NA12878.vcf.gz", ".tbi")
    bcftools = run.folder / "bin/bcftools"
    bcftools.parent.mkdir(exist_ok=True)
    bcftools.write_text(
        '#!/bin/sh\n[ "$1" != norm ] || { echo "M01 is broken" >&2; exit 1; }\nexec /usr/bin/bcftools "$@"\n'
    )
    bcftools.chmod(0o755)
    with pytest.raises(SystemExit):
        snpeff.main(run.argv(vcf=vcf, annotated_vcf=run.results / "NA12878.annotated.vcf.gz"))
    verdict = s3.store().read_json(run.results / "failures/annotate.1.1.json")
    assert verdict["stderr_tail"] == ["<sample> is broken"]


def annotate(run: StoredRun, lost: int = 0, mark: str = "") -> None:
    """Annotate three calls with a tool that loses `lost` of them and writes `mark` for the last one."""
    put_snpeff(run, lost, mark)
    vcf = put_calls(run)
    snpeff.main(run.argv(vcf=vcf, annotated_vcf=run.results / "NA12878.annotated.vcf.gz"))


def put_snpeff(run: StoredRun, lost: int = 0, mark: str = "") -> None:
    """Install a fake snpEff, and store its database beside the reference."""
    java = run.folder / "bin/java"
    java.parent.mkdir()
    java.write_text(JAVA.replace("{lost}", str(lost)).replace("{mark}", mark))
    java.chmod(0o755)
    database = run.folder / "database.tar"
    tarfile.open(database, "w").close()
    run.put(database, run.reference.companion(".snpeff.tar"))


def test_snpeff_annotates_every_allele_in_a_record_of_its_own(run: StoredRun) -> None:
    annotate(run)
    receipt = s3.store().read_json(run.results / "jobs/annotate.json")
    assert (receipt["counts"], receipt["tools"]["snpEff"], receipt["warnings"]) == ({"alleles": ALLELES}, "5.1d", [])
    assert run.query("NA12878.annotated.vcf.gz", "%POS %ALT [%GT] %INFO/SITE\n") == [
        "1 C 0/1 .",
        "2 C 1/0 chr1|2|A|C,G|1",
        "2 G 0/1 chr1|2|A|C,G|2",
        "3 C 1/1 .",
    ]


def test_known_variants_annotate_the_alleles_that_they_have(run: StoredRun) -> None:
    put_snpeff(run)
    vcf, known = put_calls(run), run.folder / "known.vcf"
    lines = ["chr1\t1\trs1\tA\tG\t.\t.\tb_AF=0.1\n", "chr1\t2\trs2\tA\tG\t.\t.\tb_AF=0.2\n"]
    info = '##INFO=<ID=b_AF,Number=A,Type=Float,Description="d">\n'
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    known.write_text("".join(["##fileformat=VCFv4.2\n##contig=<ID=chr1>\n", info, columns, *lines]))
    subprocess.run(["bgzip", known], check=True)
    subprocess.run(["tabix", f"{known}.gz"], check=True)
    entries = {"b": {"fields": ["ID", "AF"]}, "ids": {"fields": ["ID"]}}
    for name in entries:
        run.put(Path(f"{known}.gz"), run.reference.companion(f".known.{name}.vcf.gz"), ".tbi")
    s3.store().write_json(run.reference.parent / "reference.json", {"known": entries})
    snpeff.main(run.argv(vcf=vcf, annotated_vcf=run.results / "NA12878.annotated.vcf.gz"))
    assert sorted(run.query("NA12878.annotated.vcf.gz", "%POS %ALT %ID %INFO/b_AF\n")) == [
        "1 C . .",
        "2 C . .",
        "2 G rs2 0.2",
        "3 C . .",
    ]


@pytest.mark.parametrize(
    ("mark", "warnings"),
    [
        ("C||MODIFIER|ERROR_CHROMOSOME_NOT_FOUND", ["DOUBTFUL_EFFECTS"]),
        ("C|x|WARNING_TRANSCRIPT_INCOMPLETE,C|y|WARNING_TRANSCRIPT_MULTIPLE_STOP_CODONS", ["DOUBTFUL_EFFECTS"]),
        ("C|x|WARNING_TRANSCRIPT_INCOMPLETE", []),
    ],
)
def test_many_doubtful_effects_are_a_warning(run: StoredRun, mark: str, warnings: list[str]) -> None:
    annotate(run, mark=mark)
    receipt = s3.store().read_json(run.results / "jobs/annotate.json")
    assert [warning["warning"] for warning in receipt["warnings"]] == warnings
    assert all("of 1 of 4 variants are marked" in warning["message"] for warning in receipt["warnings"])


def test_variants_without_genes_to_annotate_with_cause_a_warning(run: StoredRun) -> None:
    vcf = put_calls(run)
    snpeff.main(run.argv(vcf=vcf, annotated_vcf=run.results / "NA12878.annotated.vcf.gz"))
    receipt = s3.store().read_json(run.results / "jobs/annotate.json")
    assert receipt["counts"] == {"alleles": ALLELES}
    assert receipt["warnings"] == [
        {"warning": "NO_GENES", "message": "the variants have no genes and effects: demo was prepared without genes"}
    ]


# A gene of 30 codons from base 31 on, of which codon 11 is GAT, and its GFF3 as the preparation writes it.
CODING = "ATG" + "GCA" * 9 + "GAT" + "GCA" * 18 + "TAA"
GENE = bases(30, 1) + CODING + bases(80, 2)
CSQ_GENES = "".join(
    f"chr1\tseqdrop\t{kind}\t31\t120\t.\t+\t{phase}\t{attributes}\n"
    for kind, phase, attributes in (
        ("gene", ".", "ID=gene:t;Name=g;biotype=protein_coding"),
        ("transcript", ".", "ID=transcript:t;Parent=gene:t;biotype=protein_coding"),
        ("exon", ".", "Parent=transcript:t"),
        ("CDS", "0", "Parent=transcript:t"),
    )
)
NO_FILTER = ("PASS", "1/1")
IN_A_GENE = [
    # position, REF, ALT, FILTER, genotype: GAT becomes CTA; a doubtful call does not change what the good ones mean
    (5, GENE[4], "A" if GENE[4] != "A" else "C", *NO_FILTER),
    (61, "G", "C", *NO_FILTER),
    (62, "A", "T", *NO_FILTER),
    (63, "T", "A", *NO_FILTER),
    (64, "G", "T", "LowQual", "0/1"),
    (65, "C", "T", "PASS", "0/1"),
    (70, "G", "C,GT", "PASS", "1/2"),
]


def annotate_gene(run: StoredRun, csq_genes: str, genotypes: str = "/") -> dict[str, Any]:
    """Annotate calls in a gene, with a reference that has these genes for csq; return the receipt."""
    run.put_genome({"chr1": GENE})
    lines = "".join(
        f"chr1\t{at}\t.\t{ref}\t{alt}\t50\t{mark}\t.\tGT\t{genotype if genotypes == '/' else genotype[-1]}\n"
        for at, ref, alt, mark, genotype in IN_A_GENE
    )
    header = HEADER.replace("length=2000", f"length={len(GENE)}").replace(
        ANN, ANN + '##FILTER=<ID=LowQual,Description="q">\n'
    )
    calls = run.folder / "calls.vcf"
    calls.write_text(header + lines)
    subprocess.run(["bgzip", calls], check=True)
    subprocess.run(["tabix", f"{calls}.gz"], check=True)
    vcf = run.put(Path(f"{calls}.gz"), run.results / "NA12878.vcf.gz", ".tbi")
    put_snpeff(run)
    if csq_genes:
        (run.folder / "genes.gz").write_bytes(gzip.compress(csq_genes.encode()))
        run.put(run.folder / "genes.gz", run.reference.companion(".csq.gff3.gz"))
    snpeff.main(run.argv(vcf=vcf, annotated_vcf=run.results / "NA12878.annotated.vcf.gz"))
    receipt: dict[str, Any] = s3.store().read_json(run.results / "jobs/annotate.json")
    return receipt


RECORDS = "%CHROM %POS %REF %ALT %QUAL %FILTER [%SAMPLE %GT]\n"
EXPECTED_RECORDS = [
    f"chr1 5 {GENE[4]} {IN_A_GENE[0][2]} 50 PASS NA12878 1/1",
    "chr1 61 G C 50 PASS NA12878 1/1",
    "chr1 62 A T 50 PASS NA12878 1/1",
    "chr1 63 T A 50 PASS NA12878 1/1",
    "chr1 64 G T 50 LowQual NA12878 0/1",
    "chr1 65 C T 50 PASS NA12878 0/1",
    "chr1 70 G C 50 PASS NA12878 1/0",
    "chr1 70 G GT 50 PASS NA12878 0/1",
]


def test_neighbouring_variants_have_the_effect_of_their_haplotype(run: StoredRun) -> None:
    """GAT>CTA is D>L, not the three effects of its bases alone."""
    receipt = annotate_gene(run, CSQ_GENES)
    assert (receipt["warnings"], receipt["counts"]) == ([], {"alleles": 8})
    assert run.query("NA12878.annotated.vcf.gz", RECORDS) == EXPECTED_RECORDS
    found = run.query("NA12878.annotated.vcf.gz", "%POS %BCSQ\n")
    assert found[:6] == [
        "5 .",
        "61 missense|g|t|protein_coding|+|11D>11L|61G>C+62A>T+63T>A",
        "62 @61",
        "63 @61",
        "64 .",
        "65 missense|g|t|protein_coding|+|12A>12V|65C>T",
    ]
    assert [line.split("|")[0] for line in found[6:]] == ["70 missense", "70 frameshift"]


def test_haploid_calls_have_the_effect_of_their_haplotype(run: StoredRun) -> None:
    assert annotate_gene(run, CSQ_GENES, genotypes="haploid")["warnings"] == []
    found = run.query("NA12878.annotated.vcf.gz", "[%GT] %BCSQ\n")
    assert found[1] == "1 missense|g|t|protein_coding|+|11D>11L|61G>C+62A>T+63T>A"


@pytest.mark.parametrize("genes", [CSQ_GENES * 2, "chr1\tno columns\n"], ids=["aborts", "ends with an error"])
def test_genes_with_which_csq_fails_cost_the_haplotypes_alone(run: StoredRun, genes: str) -> None:
    [warning] = annotate_gene(run, genes)["warnings"]
    assert warning["warning"] == "NO_HAPLOTYPE_EFFECTS"
    assert re.match(
        r"bcftools csq failed, so that there is no BCSQ \(bcftools ended with exit code -?\d+", warning["message"]
    )
    assert run.query("NA12878.annotated.vcf.gz", RECORDS) == EXPECTED_RECORDS


def test_a_reference_without_genes_for_csq_gives_no_haplotypes_and_the_header_says_so(run: StoredRun) -> None:
    assert annotate_gene(run, "")["warnings"] == []
    assert run.query("NA12878.annotated.vcf.gz", RECORDS) == EXPECTED_RECORDS
    header = subprocess.run(
        ["bcftools", "view", "-h", run.folder / "found.vcf.gz"], capture_output=True, text=True, check=True
    )
    assert "##seqdrop_haplotype_effects=none, " in header.stdout


def test_an_allele_that_snpeff_loses_is_an_error(run: StoredRun) -> None:
    with pytest.raises(SystemExit) as exited:
        annotate(run, lost=1)
    assert exited.value.code == 70
    verdict = s3.store().read_json(run.results / "failures/annotate.1.1.json")
    assert (verdict["class"], verdict["message"]) == ("TOOL_FAILED", "4 alleles went in but 3 came out")
    assert s3.store().find(run.results / "NA12878.annotated.vcf.gz") is None


def collect(run: StoredRun, counts: dict[int, int], length: int = 100, bed: str = "") -> dict[str, str]:
    """Collect the statistics of reads of 100 bases, of each flag a number; return the warnings by their codes.

    The genome has two contigs of `length` bases; all reads that are mapped are at the start of the first one.
    """
    contigs = {"chr1": bases(length, seed=3), "chr2": bases(length, seed=4)}
    run.put_genome(contigs)
    place, nowhere, read = "chr1\t1\t60\t100M", "*\t0\t0\t*", f"{contigs['chr1'][:100]}\t{'I' * 100}"
    reads = "".join(
        f"r{number}\t{flag}\t{nowhere if flag & UNMAPPED else place}\t*\t0\t0\t{read}\n"
        for flag, reads in counts.items()
        for number in range(reads)
    )
    bam = run.put_bam(dict.fromkeys(contigs, length), reads)
    intervals: S3Uri | str = "all"
    if bed:
        intervals = run.results / "intervals.bed"
        s3.store().write(intervals, bed.encode())
    samtools_stats.main(run.argv(bam=bam, intervals=intervals, stats=run.results / "NA12878.stats.txt"))
    receipt = s3.store().read_json(run.results / "jobs/collect.json")
    return {warning["warning"]: warning["message"] for warning in receipt["warnings"]}


PAIRED, PROPER, UNMAPPED, DUPLICATE = 0x1, 0x3, 0x4, 0x400
FEW_MAPPED = "only 19 of 200 reads align to the reference: check that it is the right one and that the sample is DNA"
FEW_PAIRED = (
    "only 49 of 100 mapped reads are properly paired (mates on one contig, in the usual direction and distance), and "
    "callers may ignore the others: check that R1 and R2 are mates of one library"
)
MANY_DUPLICATES = (
    "51 of 100 mapped reads are duplicates, which callers ignore: if they are amplicons, run them with "
    "`--args align=--no-mark-duplicates`"
)


@pytest.mark.parametrize(
    ("counts", "warnings"),
    [
        ({PROPER: 19, UNMAPPED: 181}, {"FEW_MAPPED": FEW_MAPPED}),
        ({PROPER: 20, UNMAPPED: 180}, {}),
        ({PROPER: 49, PAIRED: 51}, {"FEW_PAIRED": FEW_PAIRED}),
        ({PROPER: 50, PAIRED: 50, UNMAPPED: 200}, {}),
        ({PROPER: 49, PROPER | DUPLICATE: 51}, {"MANY_DUPLICATES": MANY_DUPLICATES}),
        ({PROPER: 50, PROPER | DUPLICATE: 50}, {}),
    ],
)
def test_reads_that_look_wrong_are_a_warning(run: StoredRun, counts: dict[int, int], warnings: dict[str, str]) -> None:
    found = collect(run, counts)
    found.pop("LOW_DEPTH", None)
    assert found == warnings


@pytest.mark.parametrize(
    ("counts", "bed", "place", "depth"),
    [
        ({PROPER: 20}, "", "genome", None),
        ({PROPER: 20, UNMAPPED: 20}, "", "genome", None),
        ({PROPER: 19}, "", "genome", "9.5"),
        ({PROPER: 20, PROPER | DUPLICATE: 5}, "", "genome", None),
        ({PROPER: 19, PROPER | DUPLICATE: 5}, "", "genome", "9.5"),
        ({UNMAPPED: 20}, "", "genome", "0.0"),
        ({PROPER: 10}, "chr1\t10\t20\nchr1\t15\t30\n", "intervals", None),
        ({PROPER: 9, PROPER | DUPLICATE: 9}, "chr1\t10\t20\nchr1\t15\t30\n", "intervals", "9.0"),
        ({PROPER: 100}, "chr2\t0\t90\nchr1\t90\t99\n", "intervals", "9.0"),
        ({PROPER: 100}, "chr2\t0\t100\n", "intervals", "0.0"),
    ],
)
def test_a_low_mean_depth_of_the_genome_or_of_the_intervals_is_a_warning(
    run: StoredRun, counts: dict[int, int], bed: str, place: str, depth: str | None
) -> None:
    message = f"the mean depth of the {place} is {depth} without duplicates, under 10: variants may be missing"
    assert collect(run, counts, bed=bed).get("LOW_DEPTH") == (message if depth else None)


def put_reads_with_variants(run: StoredRun, contig: str, positions: list[int], **summary: Any) -> S3Uri:
    """Store a genome of one contig, and a BAM with a homozygous variant at each of the positions (from 0)."""
    reference = bases(400, seed=5)
    sample = list(reference)
    for position in positions:
        sample[position] = "A" if reference[position] == "C" else "C"
    run.put_genome({contig: reference}, **summary)
    starts = [start for start in range(0, 301, 10) for _ in range(2)]
    reads = enumerate("".join(sample[start : start + 100]) for start in starts)
    records = [sam_record(f"r{number}", contig, starts[number], text) for number, text in reads]
    return run.put_bam({contig: 400}, "".join(records))


@pytest.mark.parametrize(
    ("bed", "expected"),
    [("", [100, 200, 300]), ("{contig}\t150\t250\n{contig}\t299\t300\n{contig}\t300\t301\n", [200, 300])],
    ids=["the whole genome", "intervals"],
)
@pytest.mark.parametrize("contig", ["NC_045512.2", "HLA-A*01:01:01:01"])
@pytest.mark.parametrize("caller", [bcftools, strelka], ids=["bcftools", "strelka"])
def test_a_caller_finds_variants_in_all_pieces_or_in_the_intervals(
    run: StoredRun, monkeypatch: pytest.MonkeyPatch, caller: Any, contig: str, bed: str, expected: list[int]
) -> None:
    """Some contigs of hg38 have colons in their names, which `contig:start-end` cannot express."""
    monkeypatch.setattr(regions, "MIN_PIECE_SIZE", 100)
    monkeypatch.setattr(regions, "MIN_PIECE_SIZE_OF_TARGETS", 30)
    run.call(caller, put_reads_with_variants(run, contig, [100, 200, 300]), bed.format(contig=contig))
    assert s3.store().find(run.results / "NA12878.g.vcf.gz.tbi")
    assert run.query("NA12878.vcf.gz", "%CHROM %POS0 %FILTER [%GT]\n") == [
        f"{contig} {position} PASS 1/1" for position in expected
    ]
    receipt = s3.store().read_json(run.results / "jobs/call.json")
    assert receipt["counts"].items() >= {"variants_all": len(expected), "variants": len(expected)}.items()
    assert receipt["counts"]["typical_depth"] == 20


Edit = tuple[int, int, str]  # the first and the last base (half open, from 0) that are replaced by other bases
NEXT = str.maketrans("ACGT", "CGTA")


def edited_read(sample: str, start: int, edits: list[Edit]) -> tuple[str, str]:
    """Return the 100 bases of a read and its CIGAR; ("", "") if an edit is so near to its end that aligners clip it."""
    text, cigar = sample[start : start + 100], "100M"
    for first, last, own in edits:
        before, after = first - start, 100 - (first - start) - len(own)
        if -15 < min(before, after) < 15:
            return "", ""
        if min(before, after) > 0:
            text = sample[start:first] + own + sample[last:][:after]
            longer = len(own) - (last - first)
            change = f"{longer}I" if longer > 0 else f"{-longer}D"
            cigar = f"{before}M{change}{after}M" if longer else cigar
    return text, cigar


@pytest.mark.parametrize("bed", ["", "chr1\t50\t250\n"], ids=["genome", "intervals"])
@pytest.mark.parametrize("caller", [bcftools, strelka], ids=["bcftools", "strelka"])
def test_a_caller_writes_the_same_records_from_bam_and_cram(run: StoredRun, caller: Any, bed: str) -> None:
    bam = put_reads_with_variants(run, "chr1", [100, 200, 300])
    found = []
    for uri in (bam, run.put_cram()):
        run.call(caller, uri, bed)
        found.append([run.query(f"NA12878.{name}", "%LINE") for name in ("vcf.gz", "g.vcf.gz")])
        s3.store().client.delete_object(Bucket=run.results.bucket, Key=f"{run.results.key}/jobs/call.json")
    assert len(found[0][0]) == (2 if bed else 3)
    assert found[1] == found[0]


@pytest.mark.parametrize("bed", ["", "chr1\t50\t250\n"], ids=["genome", "intervals"])
def test_the_statistics_of_bam_and_cram_are_the_same(run: StoredRun, bed: str) -> None:
    bam = put_reads_with_variants(run, "chr1", [100, 200, 300])
    files = [run.folder / name for name in ("aligned.bam", "genome.fa")]
    tagged = subprocess.run(["samtools", "calmd", "-b", *files], capture_output=True, check=True).stdout
    files[0].write_bytes(tagged)  # with NM and MD, as aligners write them
    subprocess.run(["samtools", "index", files[0]], check=True)
    run.put(files[0], bam, ".bai")
    intervals: S3Uri | str = "all"
    if bed:
        intervals = run.results / "intervals.bed"
        s3.store().write(intervals, bed.encode())
    found = []
    for uri in (bam, run.put_cram()):
        stats = run.results / "NA12878.stats.txt"
        samtools_stats.main(run.argv(bam=uri, intervals=intervals, stats=stats))
        receipt = s3.store().read_json(run.results / "jobs/collect.json")
        texts = [
            s3.store().read_start(stats.companion(suffix), 1 << 20).decode()
            for suffix in ("", ".flagstat", ".idxstats")
        ]
        lines = [line for line in texts[0].splitlines() if not line.startswith("# The command line")]
        found.append((lines, texts[1:], receipt["counts"], receipt["warnings"]))
        s3.store().client.delete_object(Bucket=run.results.bucket, Key=f"{run.results.key}/jobs/collect.json")
    assert found[0][2]["reads_mapped"] == 62
    assert found[1] == found[0]


@pytest.mark.parametrize("caller", [bcftools], ids=["bcftools"])
def test_a_caller_of_pieces_finds_every_kind_of_variant_and_has_records_of_all_bases_with_reads_alone(
    run: StoredRun, caller: Any
) -> None:
    """An insertion, a deletion, a heterozygous SNP, and two SNPs side by side, which are two records.

    Two reads have a sequencing error at one base. No variant is called there, and the gVCF has a record of this base.
    """
    run.put_genome({"chr1": DEEP + bases(1_000, seed=12)})
    one, two = DEEP[:SITE] + ONE + DEEP[SITE + 1 :], DEEP
    edits = [(200, 202, DEEP[200:202].translate(NEXT)), (350, 350, "GATTACA"), (700, 705, "")]
    error = (600, 601, DEEP[600:601].translate(NEXT))
    reads = [
        edited_read((one, two)[number % 2], start, sorted([*edits, error] if start in {552, 570} else edits))
        for number, start in enumerate(range(0, 900, 3))
    ]
    records = [sam_record(f"r{n}", "chr1", 3 * n, text, cigar) for n, (text, cigar) in enumerate(reads) if text]
    run.call(caller, run.put_bam({"chr1": 2_000}, "".join(records)))
    found = [line.split() for line in run.query("NA12878.vcf.gz", "%POS %REF %ALT %FILTER [%GT]\n")]
    kinds = [(len(alt) - len(ref), filters, genotype) for _, ref, alt, filters, genotype in found]
    assert kinds == [*[(0, "PASS", "1/1")] * 2, (7, "PASS", "1/1"), (0, "PASS", "0/1"), (-5, "PASS", "1/1")]
    assert [at for at, ref, alt, *_ in found if len(ref) == len(alt)] == ["201", "202", str(SITE + 1)]
    spans = [map(int, line.split()) for line in run.query("NA12878.g.vcf.gz", "%POS %END\n")]
    assert sorted({base for first, last in spans for base in range(first, last + 1)}) == list(range(1, 998))


@pytest.mark.parametrize(
    ("ploidy", "options", "genotype"),
    [
        ({}, [], "1/1"),
        ({"ploidy": 1}, [], "1"),
        ({"ploidy": 1}, ["--ploidy", "2"], "1/1"),
        ({"ploidy": 2}, ["--ploidy", "1"], "1"),
    ],
)
def test_bcftools_calls_with_the_ploidy_of_the_reference_unless_an_option_has_another(
    run: StoredRun, ploidy: dict[str, int], options: list[str], genotype: str
) -> None:
    bam = put_reads_with_variants(run, "chr1", [100], **ploidy)
    run.call(bcftools, bam, args=json.dumps(options))
    assert run.query("NA12878.vcf.gz", "[%GT]\n") == [genotype]


def test_strelka_calls_with_the_ploidy_of_the_reference(run: StoredRun) -> None:
    run.call(strelka, put_reads_with_variants(run, "chr1", [100], ploidy=1))
    assert run.query("NA12878.vcf.gz", "[%GT]\n") == ["1"]


# The ploidy of a man, with a pseudoautosomal region at the start of chrX; and the reverse.
PLOIDIES = {
    "haploid regions": {"ploidy": 2, "ploidy_regions": [["chrX", 150, 400], ["chrM", 0, 400]]},
    "diploid regions": {"ploidy": 1, "ploidy_regions": [["chr1", 0, 400], ["chrX", 0, 150]]},
}


@pytest.mark.parametrize("summary", PLOIDIES.values(), ids=PLOIDIES)
@pytest.mark.parametrize("caller", [bcftools, strelka], ids=["bcftools", "strelka"])
def test_haploid_contigs_and_regions_never_have_heterozygous_calls(
    run: StoredRun, caller: Any, summary: dict[str, Any]
) -> None:
    """On every contig, half of the reads have a variant at 100, and two thirds at 300."""
    contigs = {name: bases(400, seed=number) for number, name in enumerate(["chr1", "chrX", "chrM"])}
    run.put_genome(contigs, **summary)
    records = []
    for name, reference in contigs.items():
        for number, start in enumerate([start for start in range(0, 301, 5) for _ in range(6)]):
            sample = list(reference)
            for position, has_variant in ((100, number % 2), (300, number % 3)):
                sample[position] = ("A" if reference[position] == "C" else "C") if has_variant else reference[position]
            records.append(sam_record(f"{name}{number}", name, start, "".join(sample[start : start + 100])))
    run.call(caller, run.put_bam(dict.fromkeys(contigs, 400), "".join(records)))
    calls = [line.split() for line in run.query("NA12878.vcf.gz", "%CHROM %POS0 [%GT]\n")]
    found = {(contig, int(position)): genotype for contig, position, genotype in calls}
    diploid = {(contig, at) for contig, at in found if contig == "chr1" or (contig, at) == ("chrX", 100)}
    assert {site for site, genotype in found.items() if genotype == "0/1"} == diploid
    assert diploid == {("chr1", 100), ("chr1", 300), ("chrX", 100)}
    assert {found["chrX", 300], found["chrM", 300]} == {"1"}
    if caller is bcftools:
        blocks = run.query("NA12878.g.vcf.gz", "%CHROM [%GT]\n")
        assert {line.split()[1] for line in blocks if line.startswith("chrM")} <= {"0", "1"}
        assert {line.split()[1] for line in blocks if line.startswith("chr1")} <= {"0/0", "0/1"}


def test_the_statistics_of_strelka_are_published(run: StoredRun) -> None:
    run.call(strelka, put_reads_with_variants(run, "chr1", [100]))
    names = {name for name in s3.store().list_names(run.results) if "runStats" in name}
    assert names == {"NA12878.vcf.gz.runStats.tsv", "NA12878.vcf.gz.runStats.xml"}


def test_two_runs_of_strelka_have_equal_bytes(run: StoredRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strelka writes the time and the scratch directory to the headers, bcftools the time."""
    bam = put_reads_with_variants(run, "chr1", [100, 300])
    found = list[dict[str, bytes]]()
    for name in ("a", "another"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv("SEQDROP_SCRATCH", str(tmp_path / name))
        run.call(strelka, bam)
        files = {name: run.folder / name for name in ("NA12878.vcf.gz", "NA12878.g.vcf.gz")}
        for file, path in files.items():
            s3.store().download(run.results / file, path)
        found.append({file: path.read_bytes() for file, path in files.items()})
        s3.store().client.delete_object(Bucket=run.results.bucket, Key=f"{run.results.key}/jobs/call.json")
        second = int(time.time())
        eventually(lambda: time.time() >= second + 1, "another time in the headers")  # noqa: B023  called at once
    assert found[0] == found[1]
    header = subprocess.run(
        ["bcftools", "view", "-h", run.folder / "NA12878.g.vcf.gz"], capture_output=True, check=True
    )
    lines = header.stdout.decode().splitlines()
    assert "##reference=file://genome.fa" in lines
    assert "##source=strelka" in lines


def test_calls_of_strelka_keep_their_filters_and_both_alleles_of_a_site(run: StoredRun) -> None:
    """Two reads are too few for Strelka; the record stays, as in its own VCF."""
    run.call(strelka, put_deep_reads(run, 60, (1, ONE), (1, TWO)))
    [found] = run.query("NA12878.vcf.gz", "%ALT %FILTER [%GT %FT]\n")
    assert found in (f"{ONE},{TWO} PASS 1/2 PASS", f"{TWO},{ONE} PASS 1/2 PASS")
    s3.store().client.delete_object(Bucket=run.results.bucket, Key=f"{run.results.key}/jobs/call.json")
    record = sam_record("r", "chr1", SITE - 50, DEEP[SITE - 50 : SITE] + ONE + DEEP[SITE + 1 : SITE + 50])
    run.call(strelka, run.put_bam({"chr1": 1_000}, record + record.replace("r\t", "q\t", 1)))
    assert run.query("NA12878.vcf.gz", "%FILTER [%FT]\n") == ["LowDepth;NoPassedVariantGTs LowDepth"]
    counts = s3.store().read_json(run.results / "jobs/call.json")["counts"]
    assert counts == {"variants_all": 1, "variants": 0, "typical_depth": 2}


@pytest.mark.parametrize(("memory", "gigabytes"), [(1000, 2), (2048, 2), (5000, 4)])
def test_strelka_gets_the_cores_and_the_memory_of_its_job(
    run: StoredRun, caplog: pytest.LogCaptureFixture, memory: int, gigabytes: int
) -> None:
    """Without them it takes the whole host; it fails with 1 GB."""
    run.call(strelka, put_reads_with_variants(run, "chr1", [100]), memory=memory, vcpus=3)
    commands = [getattr(record, "command", "") for record in caplog.records]
    assert f"strelka/runWorkflow.py -m local -j 3 -g {gigabytes} --quiet" in commands


def test_an_option_that_strelka_does_not_have_is_an_internal_error(tmp_path: Path, run: StoredRun) -> None:
    work = Workspace("call", argparse.Namespace(), tmp_path, Processes(tmp_path))
    with pytest.raises(ToolError, match=r"error: no such option: --x$") as raised:
        workflow.configure(work, "--bam", "a", "--referenceFasta", "b", "--runDir", "c", "--x")
    assert (raised.value.failure_class, raised.value.status) == ("INTERNAL", 2)


@pytest.mark.parametrize("missing", ["runStats.tsv", "runStats.xml"])
def test_strelka_without_statistics_is_an_error(tmp_path: Path, missing: str) -> None:
    (tmp_path / "results/stats").mkdir(parents=True)
    for name in {"runStats.tsv", "runStats.xml"} - {missing}:
        (tmp_path / "results/stats" / name).touch()
    with pytest.raises(JobError, match=f"Strelka wrote no {missing}"):
        workflow.find_statistics(tmp_path)


DEEP = bases(1_000, seed=9)  # a genome
SITE = 500  # the base (from 0) of it at which the sample differs
ONE, TWO = [base for base in "ACGT" if base != DEEP[SITE]][:2]


def put_deep_reads(run: StoredRun, depth: int, *alleles: tuple[int, str]) -> S3Uri:
    """Store a BAM of `depth` reads at every base; those at the site have one of the alleles each, in turn.

    An allele is the number of reference bases that it replaces, from the site on, and its own bases.
    """
    run.put_genome({"chr1": DEEP})
    records = list[str]()
    for start in range(0, 901, 20):
        for _ in range(depth // 5):  # five starts cover a base
            replaced, own = alleles[len(records) % len(alleles)]
            before, same = SITE - start, min(replaced, len(own))
            after = 100 - before - len(own)
            text, cigar = DEEP[start : start + 100], "100M"
            if before > 10 and after > 10:
                text = DEEP[start:SITE] + own + DEEP[SITE + replaced :][:after]
                changes = {"I": len(own) - same, "D": replaced - same}
                change = "".join(f"{size}{kind}" for kind, size in changes.items() if size)
                cigar = f"{before + same}M{change}{after}M" if change else cigar
            records.append(sam_record(f"r{len(records)}", "chr1", start, text, cigar))
    return run.put_bam({"chr1": 1_000}, "".join(records))


def sam_record(name: str, contig: str, start: int, text: str, cigar: str = "100M", quality: str = "I") -> str:
    return f"{name}\t0\t{contig}\t{start + 1}\t60\t{cigar}\t*\t0\t0\t{text}\t{quality * len(text)}\tRG:Z:1\n"


SAME = (1, DEEP[SITE])


@pytest.mark.parametrize("depth", [100, 400, 2_000])
@pytest.mark.parametrize(("allele", "size"), [((7, DEEP[SITE]), -6), ((1, DEEP[SITE] + "GATTACA"), 7)])
def test_a_planted_indel_is_called_at_every_depth(
    run: StoredRun, depth: int, allele: tuple[int, str], size: int
) -> None:
    """At more than 250 reads, mpileup omits indels unless `-L` is given."""
    run.call(bcftools, put_deep_reads(run, depth, SAME, allele))
    [found] = run.query("NA12878.vcf.gz", "%POS %REF %ALT %FILTER [%GT %DP]\n")
    position, ref, alt, filters, genotype, reads = found.split()
    assert abs(int(position) - SITE - 1) <= 3  # left-aligned
    assert (len(alt) - len(ref), filters, genotype) == (size, "PASS", "0/1")
    assert int(reads) > 0.7 * depth


def test_the_second_of_two_deep_amplicons_that_overlap_is_read(run: StoredRun) -> None:
    """With a limit below the depth, mpileup ignores all reads that begin where the first amplicon still has its own."""
    run.put_genome({"chr1": DEEP})
    sample = DEEP[:SITE] + ONE + DEEP[SITE + 1 :]
    starts = [start for start in (SITE - 130, SITE - 50) for _ in range(9_000)]  # the first one ends before the site
    records = [sam_record(f"r{n}", "chr1", start, sample[start : start + 100]) for n, start in enumerate(starts)]
    run.call(bcftools, run.put_bam({"chr1": 1_000}, "".join(records)))
    assert run.query("NA12878.vcf.gz", "%POS %FILTER [%GT %DP]\n") == [f"{SITE + 1} PASS 1/1 9000"]


def test_amplicons_of_the_reference_itself_have_no_calls(run: StoredRun) -> None:
    """1,000 reads at every base, of which one base in a hundred is an error, with the ploidy of a virus."""
    run.put_genome({"chr1": DEEP}, ploidy=1)
    errors, records = random.Random(5), list[str]()  # noqa: S311
    for start in [start for start in range(0, 901, 60) for _ in range(600)]:
        text = "".join(errors.choice("ACGT") if errors.random() < 0.01 else base for base in DEEP[start : start + 100])
        records.append(sam_record(f"r{len(records)}", "chr1", start, text, quality="5"))
    run.call(bcftools, run.put_bam({"chr1": 1_000}, "".join(records)))
    assert run.query("NA12878.vcf.gz", "%POS %REF %ALT\n", "-i", 'FILTER="PASS"') == []


def test_no_call_is_removed_and_every_call_has_the_filters_that_it_matches(run: StoredRun) -> None:
    """A base in less than a fifth of the reads is called, but not with PASS; both counts are in the receipt."""
    run.call(bcftools, put_deep_reads(run, 40, *[(1, ONE)] * 2, *[SAME] * 9))
    assert run.query("NA12878.vcf.gz", "%POS %FILTER\n") == [f"{SITE + 1} LowShare"]
    assert s3.store().read_json(run.results / "jobs/call.json")["counts"] == {
        "typical_depth": 24,
        "variants_all": 1,
        "variants": 0,
    }
    for name, records in (("NA12878.vcf.gz.stats", 0), ("NA12878.vcf.gz.all.stats", 1)):
        s3.store().download(run.results / name, run.folder / "stats")
        assert calling.count_in_stats(run.folder / "stats") == records


@pytest.mark.parametrize(("args", "found"), [([], "LowDepth"), (["--min-depth", "0"], "PASS")])
def test_a_call_from_two_reads_at_a_place_that_others_avoid_is_marked(
    run: StoredRun, args: list[str], found: str
) -> None:
    """All other bases have 20 reads. `--min-depth 0` switches the filter off."""
    run.put_genome({"chr1": DEEP})
    text = DEEP[SITE - 50 : SITE] + ONE + DEEP[SITE + 1 : SITE + 50]
    starts = [start for start in range(0, 901, 5) if not SITE - 100 < start <= SITE]
    records = [sam_record(f"r{n}", "chr1", start, DEEP[start : start + 100]) for n, start in enumerate(starts)]
    low = [sam_record(f"low{n}", "chr1", SITE - 50, text) for n in range(2)]
    at = sum(start <= SITE - 50 for start in starts)
    bam = run.put_bam({"chr1": 1_000}, "".join([*records[:at], *low, *records[at:]]))
    run.call(bcftools, bam, args=json.dumps(args))
    assert run.query("NA12878.vcf.gz", "%POS %FILTER [%DP]\n") == [f"{SITE + 1} {found} 2"]


@pytest.mark.parametrize(
    ("carriers", "ends", "genotype", "found"),
    [(1, 4, "1/1", "InDeletion"), (2, 12, "0/1", "PASS")],
    ids=["all copies", "one copy"],
)
def test_a_base_that_all_copies_lack_has_no_call_with_pass(
    run: StoredRun, carriers: int, ends: int, genotype: str, found: str
) -> None:
    """Reads that end within a deletion can be aligned to its bases: some of them show a base there that is not."""
    run.put_genome({"chr1": DEEP})
    at, changed = SITE + 1, "A" if DEEP[SITE + 1] != "A" else "C"
    starts = [start for start in range(0, 901, 20) for _ in range(8)]
    lines = list[tuple[int, str]]()
    for number, start in enumerate(starts):
        text, cigar = DEEP[start : start + 100], "100M"
        if number % carriers == 0 and SITE - 80 < start < SITE - 10:
            text = DEEP[start : SITE + 1] + DEEP[SITE + 7 :][: 99 - (SITE - start)]
            cigar = f"{SITE + 1 - start}M6D{99 - (SITE - start)}M"
        elif carriers == 1 and start < SITE + 7 <= start + 180:
            continue
        lines.append((start, sam_record(f"r{number}", "chr1", start, text, cigar)))
    text = DEEP[at - 95 : at] + changed
    lines += [(at - 95, sam_record(f"end{number}", "chr1", at - 95, text, f"{len(text)}M")) for number in range(ends)]
    records = "".join(line for _, line in sorted(lines, key=lambda entry: entry[0]))
    run.call(bcftools, run.put_bam({"chr1": 1_000}, records))
    calls = {line.split()[0]: line for line in run.query("NA12878.vcf.gz", "%POS %FILTER [%GT]\n")}
    assert calls[f"{SITE + 1}"] == f"{SITE + 1} PASS {genotype}"
    assert calls[f"{at + 1}"].split()[1] == found
    header = subprocess.run(["bcftools", "view", "-h", run.folder / "found.vcf.gz"], capture_output=True, check=True)
    assert b'##FILTER=<ID=InDeletion,Description="A call with PASS deletes the base from all copies">' in header.stdout


def test_a_call_has_its_genotype_depths_quality_and_share_of_the_reads(run: StoredRun) -> None:
    run.call(bcftools, put_deep_reads(run, 100, (1, ONE), SAME))
    [found] = run.query("NA12878.vcf.gz", "[%GT;%AD;%DP;%GQ;%VAF]\n")
    genotype, alleles, depth, quality, share = found.split(";")
    reads = list(map(int, alleles.split(",")))
    assert (genotype, sum(reads)) == ("0/1", int(depth))
    assert int(quality) > 20
    assert float(share) == pytest.approx(reads[1] / sum(reads), abs=0.001)


def test_the_gvcf_tells_bases_without_a_variant_from_bases_without_reads(run: StoredRun) -> None:
    """Reads cover the first 400 of 1,000 bases, with a variant in the middle."""
    run.put_genome({"chr1": DEEP})
    sample = DEEP[:200] + ("A" if DEEP[200] == "C" else "C") + DEEP[201:]
    starts = [start for start in range(0, 301, 10) for _ in range(3)]
    records = [sam_record(f"r{n}", "chr1", start, sample[start : start + 100]) for n, start in enumerate(starts)]
    run.call(bcftools, run.put_bam({"chr1": 1_000}, "".join(records)))
    covered = list[int]()
    for line in run.query("NA12878.g.vcf.gz", "%POS %END %ALT [%GT]\n"):
        first, last, alt, genotype = line.split()
        covered += range(int(first), int(last) + 1)
        assert (alt, genotype) == ((".", "0/0") if first != "201" else (sample[200], "1/1"))
    assert covered == list(range(1, 401))
    assert run.query("NA12878.vcf.gz", "%POS %ALT\n") == [f"201 {sample[200]}"]


def test_two_alleles_at_a_site_keep_their_genotype(run: StoredRun) -> None:
    run.call(bcftools, put_deep_reads(run, 60, (1, ONE), (1, TWO)))
    [found] = run.query("NA12878.vcf.gz", "%ALT %FILTER [%GT]\n")
    assert found in (f"{ONE},{TWO} PASS 1/2", f"{TWO},{ONE} PASS 1/2")


def test_a_genome_of_many_contigs_is_called_in_few_pieces(run: StoredRun) -> None:
    """A variant in every tenth of 300 contigs; a program for each contig would take a hundred times as long."""
    contigs = {f"scaffold{number}": bases(400, seed=number) for number in range(300)}
    run.put_genome(contigs)
    records, expected = [], []
    for number, (name, reference) in enumerate(contigs.items()):
        base = "A" if reference[200] == "C" else "C"
        sample = reference[:200] + base + reference[201:] if number % 10 == 0 else reference
        expected += [f"{name} 201 {base}"] if sample != reference else []
        starts = range(0, 301, 10)
        records += [sam_record(f"{name}.{start}", name, start, sample[start : start + 100]) for start in starts]
    run.call(bcftools, run.put_bam({name: len(text) for name, text in contigs.items()}, "".join(records)))
    assert run.query("NA12878.vcf.gz", "%CHROM %POS %ALT\n", "-i", 'FILTER="PASS"') == expected
