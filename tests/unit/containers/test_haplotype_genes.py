"""containers/reference: the coding sequences for `bcftools csq`, which reads them here."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pytest
from seqdrop.jobs import csq
from support.made_reads import bases, write_genome

from containers.reference import genbank, genes
from containers.reference.genes import Annotation
from containers.reference.haplotype_genes import Written, write_genes

COMPLEMENT = str.maketrans("ACGT", "TGCA")
CODONS = ["ATG", *["GCA", "GAT", "CTG"] * 12, "TAA"]  # of 38 codons
LENGTH = 3 * len(CODONS)
INTRON = bases(20, 3)
FLANK = bases(30, 4)
HEADER = (
    '##fileformat=VCFv4.2\n##contig=<ID=c,length={length}>\n##FORMAT=<ID=GT,Number=1,Type=String,Description="g">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS\n"
)


def written(folder: Path, contig: str, text: str, kind: str = "gtf", skipped: tuple[str, ...] = ()) -> Written:
    """Read genes of contig `c` and write those for csq to `genes.gff3.gz`."""
    genome = write_genome(folder / "genome.fa", {"c": contig})
    (folder / "source").write_text(text)
    read = {"gtf": genes.read_gtf, "gff3": genes.read_gff3, "gbk": genbank.read_genbank}[kind]
    annotation: Annotation = read(folder / "source", folder / "checked", {"c": len(contig)})
    return write_genes(annotation, genome, folder / "genes.gff3.gz", skipped)


def effects(folder: Path, contig: str, *variants: tuple[int, str]) -> list[str]:
    """Return the effects that csq finds for alternate bases at positions (from 0) of a haploid sample."""
    lines = (f"c\t{at + 1}\t.\t{contig[at]}\t{alt}\t50\tPASS\t.\tGT\t1\n" for at, alt in variants)
    (folder / "calls.vcf").write_text(HEADER.format(length=len(contig)) + "".join(lines))
    subprocess.run(["samtools", "faidx", folder / "genome.fa"], check=True)
    command = csq.command(folder / "genome.fa", folder / "genes.gff3.gz", folder / "calls.vcf", folder / "found.vcf.gz")
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    query = ["bcftools", "query", "-f", "%BCSQ\n", folder / "found.vcf.gz"]
    return subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines()


def gtf(strand: str, *exons: tuple[int, int, str]) -> str:
    """Return a GTF of one coding sequence with exons of these starts (from 0), ends and phases."""
    ids = 'gene_id "g1"; transcript_id "t1"; gene_name "G";'
    return "".join(f"c\tx\tCDS\t{start + 1}\t{end}\t.\t{strand}\t{phase}\t{ids}\n" for start, end, phase in exons)


def reverse(text: str) -> str:
    return text.translate(COMPLEMENT)[::-1]


def test_the_frame_continues_over_exons(tmp_path: Path) -> None:
    """The second exon begins inside of codon 17."""
    coding = "".join(CODONS)
    contig = FLANK + coding[:50] + INTRON + coding[50:] + FLANK
    found = written(tmp_path, contig, gtf("+", (30, 80, "0"), (100, 100 + LENGTH - 50, "1")))
    assert (found.names, found.left_out) == ({"t1"}, 0)
    # codon 3 is GAT, as one haplotype CTA; codon 18 (GAT, too) begins with the second base of the second exon
    assert coding[51:54] == "GAT"
    variants = [(36, "C"), (37, "T"), (38, "A"), (101, "C"), (102, "T"), (103, "A")]
    assert effects(tmp_path, contig, *variants) == [
        "missense|G|t1|protein_coding|+|3D>3L|37G>C+38A>T+39T>A", "@37", "@37",
        "splice_region|G|t1|protein_coding,missense|G|t1|protein_coding|+|18D>18L|102G>C+103A>T+104T>A",
        "splice_region|G|t1|protein_coding,@102", "@102",
    ]  # fmt: skip


@pytest.mark.parametrize("phases", ["012", "...", "000"], ids=["right", "missing", "all 0"])
def test_a_gene_on_the_other_strand_is_read_backwards(tmp_path: Path, phases: str) -> None:
    """If the whole frame is open, phases that contradict it are ignored: some files have 0 everywhere."""
    coding = reverse("".join(CODONS))
    contig = FLANK + coding[:64] + INTRON + coding[64:] + FLANK
    phase = {"012": "1", "...": ".", "000": "0"}[phases]
    text = gtf("-", (30, 94, phase), (114, 114 + LENGTH - 64, phases[0]))
    assert written(tmp_path, contig, text).names == {"t1"}
    at = 114 + LENGTH - 64 - 9  # of codon 3, GAT: ATC here
    assert contig[at : at + 3] == "ATC"
    assert effects(tmp_path, contig, (at, "T"), (at + 1, "A"), (at + 2, "G")) == [
        f"@{at + 3}", f"@{at + 3}",
        f"missense|G|t1|protein_coding|-|3D>3L|{at + 1}A>T+{at + 2}T>A+{at + 3}C>G",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["gtf", "gbk", "gff3"])
def test_both_frames_of_a_ribosomal_frame_shift_are_kept(tmp_path: Path, kind: str) -> None:
    first = "".join(CODONS[:20])
    second = first[-1] + "CT" + "GATCTGGCA" * 5 + "TAA"  # from the last base of the first exon on
    contig = FLANK + first + second[1:] + FLANK
    exons = [(30, 90, "0"), (89, 89 + len(second), "0")]
    record = (
        f"LOCUS       c  {len(contig)} bp    DNA     linear\nFEATURES             Location/Qualifiers\n"
        f'     CDS             join(31..90,90..{89 + len(second)})\n                     /locus_tag="t1"\n'
        '                     /gene="G"\nORIGIN\n//\n'
    )
    rows = "".join(f"c\tx\tCDS\t{a + 1}\t{b}\t.\t+\t{phase}\tID=cds;Parent=t1;gene=G\n" for a, b, phase in exons)
    found = written(tmp_path, contig, {"gtf": gtf("+", *exons), "gbk": record, "gff3": rows}[kind], kind)
    assert (found.names, found.left_out) == ({"t1.part1", "t1.part2"}, 0)
    assert contig[92:95] == "GAT"
    assert effects(tmp_path, contig, (92, "C"), (93, "T"), (94, "A"))[0] == (
        "missense|G|t1.part2|protein_coding|+|2D>2L|93G>C+94A>T+95T>A"
    )


def test_the_bases_in_front_of_the_first_codon_are_skipped(tmp_path: Path) -> None:
    contig = FLANK + "CA" + "".join(CODONS[1:]) + FLANK
    assert written(tmp_path, contig, gtf("+", (30, 32 + LENGTH - 3, "2"))).names == {"t1"}
    assert contig[35:38] == "GAT"
    assert effects(tmp_path, contig, (35, "C"), (36, "T"), (37, "A"))[0].endswith("|2D>2L|36G>C+37A>T+38T>A")


def test_a_gene_without_an_open_frame_is_left_out(tmp_path: Path) -> None:
    contig = FLANK + "".join(["ATG", "TAA", *CODONS[2:]]) + FLANK
    found = written(tmp_path, contig, gtf("+", (30, 30 + LENGTH, "0")))
    assert (found.names, found.left_out) == (set(), 1)


def test_a_gene_across_the_origin_is_left_out(tmp_path: Path) -> None:
    coding = "".join(CODONS)
    contig = coding[60:] + FLANK + coding[:60]
    record = (
        f"LOCUS       c  {len(contig)} bp    DNA     circular\nFEATURES             Location/Qualifiers\n"
        f"     CDS             join({LENGTH - 60 + 31}..{len(contig)},1..{LENGTH - 60})\n"
        '                     /gene="G"\nORIGIN\n//\n'
    )
    assert written(tmp_path, contig, record, "gbk").names == set()
    past_end = gtf("+", (LENGTH - 30, len(contig) + LENGTH - 60, "0"))
    assert written(tmp_path, contig, past_end).names == set()


def test_a_contig_with_another_genetic_code_is_skipped(tmp_path: Path) -> None:
    contig = FLANK + "".join(CODONS) + FLANK
    text = gtf("+", (30, 30 + LENGTH, "0"))
    assert written(tmp_path, contig, text, skipped=("c",)).names == set()


def test_names_are_unique_and_harmless(tmp_path: Path) -> None:
    contig = FLANK + "".join(CODONS) + FLANK
    rows = "".join(
        f"c\tx\tgene\t31\t{30 + LENGTH}\t.\t+\t.\tID=g{n};Name=my|gene,{n}\n"
        f"c\tx\tmRNA\t31\t{30 + LENGTH}\t.\t+\t.\tID={name};Parent=g{n}\n"
        f"c\tx\tCDS\t31\t{30 + LENGTH}\t.\t+\t0\tParent={name}\n"
        for n, name in enumerate(["a b", "a|b", f"x{'y' * 300}"])
    )
    found = written(tmp_path, contig, rows, "gff3")
    assert found.names == {"a_b", "a_b_2", f"x{'y' * 99}"}
    [effect] = effects(tmp_path, contig, (36, "C"))
    assert sorted(each.split("|")[1:3] for each in effect.split(",")) == [
        ["my_gene_0", "a_b"],
        ["my_gene_1", "a_b_2"],
        ["my_gene_2", f"x{'y' * 99}"],
    ]


def test_equal_genes_are_equal_bytes(tmp_path: Path) -> None:
    contig = FLANK + "".join(CODONS) + FLANK
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        folder.mkdir()
        written(folder, contig, gtf("+", (30, 30 + LENGTH, "0")))
    assert (first / "genes.gff3.gz").read_bytes() == (second / "genes.gff3.gz").read_bytes()
    assert gzip.decompress((first / "genes.gff3.gz").read_bytes()).count(b"\n") == 5
