"""containers/reference: genes that fit the genome, genes that do not, and files that are no genes."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, cast

import pytest
from seqdrop.failure.verdict import BadInputError
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan.names import GENOME
from seqdrop.storage.uri import S3Uri
from seqdrop_cli.demo import genome as demo
from seqdrop_cli.demo.files import SEED
from support.made_reads import bases

from containers.reference import run
from containers.reference.fasta import write_genome
from containers.reference.genetic_code import CODONS, STANDARD, VERTEBRATE_MITOCHONDRIAL, GeneticCode, config

MADE = demo.make_genome(SEED)
NEXT_LINE = f",\n{' ' * 21}"  # of a location in GenBank


@pytest.fixture(scope="module")
def gtf(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("genes") / "demo.gtf"
    demo.write_gtf(MADE, path)
    return path.read_text()


class Work(Workspace):
    """The directory of a preparation, and the genetic codes that it found."""

    codes: dict[str, GeneticCode]


def workspace(folder: Path) -> Work:
    return Work("prepare", argparse.Namespace(), folder, cast(Any, None))


def check(folder: Path, text: str | bytes, kind: str = ".gtf", contigs: dict[str, str] | None = None) -> Work:
    """Check genes against a genome, that of the demo or one of these contigs."""
    made = demo.Genome(contigs, ()) if contigs else MADE
    demo.write_fasta(made, folder / "source.fa")
    genome = write_genome(folder / "source.fa", folder / GENOME)
    work = workspace(folder)
    (folder / run.GENES_SOURCE).write_bytes(text if isinstance(text, bytes) else text.encode())
    checked = run.check_genes(work, genome, S3Uri("bucket", f"in/genes{kind}"), folder / run.GENES_SOURCE)
    work.codes = dict(checked.codes)
    run.write_haplotype_genes(work, checked)
    return work


def codes(work: Workspace) -> list[str]:
    return [warning["warning"] for warning in work.warnings]


def refusal(folder: Path, text: str | bytes, kind: str = ".gtf", contigs: dict[str, str] | None = None) -> str:
    with pytest.raises(BadInputError) as raised:
        check(folder, text, kind, contigs)
    assert raised.value.failure_class == "REFERENCE"
    return str(raised.value)


def shifted(gtf: str, by: int, contig: str = "") -> str:
    """Return genes with all positions of a contig, or of all, moved."""
    rows = [line.split("\t") for line in gtf.splitlines()]
    for row in rows:
        if row[0] == contig or not contig:
            row[3:5] = [str(int(position) + by) for position in row[3:5]]
    return "".join("\t".join(row) + "\n" for row in rows)


def to_gff3(gtf: str) -> str:
    """Return the genes as GFF3 with plain ids."""
    rows = ["##gff-version 3"]
    for line in gtf.splitlines():
        *columns, attributes = line.split("\t")
        found = re.search('gene_id "([^"]*)"', attributes)
        gene = found[1] if found else ""
        ids = {"gene": f"ID={gene};Name={gene}", "transcript": f"ID={gene}.1;Parent={gene}"}
        columns[2] = "mRNA" if columns[2] == "transcript" else columns[2]
        kind = "transcript" if columns[2] == "mRNA" else columns[2]
        if kind in {"gene", "transcript", "exon", "CDS"}:
            rows.append("\t".join([*columns, ids.get(kind, f"Parent={gene}.1")]))
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize("kind", [".gtf", ".gff3"])
def test_genes_of_the_genome_cause_no_warning(tmp_path: Path, gtf: str, kind: str) -> None:
    work = check(tmp_path, gtf if kind == ".gtf" else to_gff3(gtf), kind)
    counts = {"coding_sequences": 12, "broken_coding_sequences": 0}
    assert (work.warnings, work.counts) == ([], {**counts, "haplotype_genes": 12, "genes_without_haplotypes": 0})


@pytest.mark.parametrize("by", [-1, 1, 2, 60, 100, -1000])
def test_shifted_genes_are_refused(tmp_path: Path, gtf: str, by: int) -> None:
    assert "the genes are of another genome or version, or shifted" in refusal(tmp_path, shifted(gtf, by))


def test_genes_of_another_genome_are_refused(tmp_path: Path, gtf: str) -> None:
    other = {name: bases(len(sequence), 5) for name, sequence in MADE.contigs.items()}
    assert "12 of 12 coding sequences have stop codons inside (DEMO1G1.1, " in refusal(tmp_path, gtf, contigs=other)


def test_one_shifted_contig_is_a_warning(tmp_path: Path, gtf: str) -> None:
    work = check(tmp_path, shifted(gtf, 1, "demo2"))
    assert codes(work) == ["CODING_SEQUENCES"]
    assert re.match(r"4 of 12 coding sequences have stop .* \(DEMO2G1\.1, DEMO2G2\.1, ", work.warnings[0]["message"])


def test_genes_past_the_end_of_a_contig_are_refused(tmp_path: Path, gtf: str) -> None:
    assert re.match(
        r"line \d+ of the GTF begins at [\d,]+, but demo1 has 200,000 bases: these are genes of another genome",
        refusal(tmp_path, shifted(gtf, 70_000)),
    )


def test_a_gene_across_the_end_of_a_contig_is_a_warning(tmp_path: Path, gtf: str) -> None:
    work = check(tmp_path, gtf + 'demo1\tx\texon\t199990\t200020\t.\t+\t.\tgene_id "g"; transcript_id "t";\n')
    assert codes(work) == ["GENES_PAST_END"]
    number = gtf.count("\n") + 1
    assert work.warnings[0]["message"].startswith(f"1 line of the genes end after the end of their contig ({number}): ")


def test_genes_without_contig_and_contigs_without_genes_are_a_warning(tmp_path: Path, gtf: str) -> None:
    """Case 09: the second contig has another name."""
    work = check(tmp_path, gtf.replace("demo2\t", "NC_000002.12\t"))
    assert codes(work) == ["GENES_WITHOUT_CONTIG", "CONTIGS_WITHOUT_GENES"]
    assert "on NC_000002.12, which the FASTA does not have" in work.warnings[0]["message"]
    assert "no genes are on demo2 of the FASTA (33% of the bases)" in work.warnings[1]["message"]
    assert "NC_000002" not in (tmp_path / "genes").read_text()


def test_a_contig_with_its_own_region_alone_has_no_genes(tmp_path: Path, gtf: str) -> None:
    rows = [row for row in to_gff3(gtf).splitlines() if not row.startswith("demo2")]
    rows += ["demo2\tx\tregion\t1\t100000\t.\t+\t.\tID=demo2", "other\tx\tregion\t1\t100000\t.\t+\t.\tID=other"]
    assert codes(check(tmp_path, "\n".join(rows), ".gff3")) == ["CONTIGS_WITHOUT_GENES"]
    assert refusal(tmp_path, "\n".join(rows[-2:]), ".gff3").startswith("the GFF3 has no features")


def test_genes_of_which_no_contig_is_in_the_genome_are_refused(tmp_path: Path, gtf: str) -> None:
    message = refusal(tmp_path, gtf.replace("demo1\t", "I\t").replace("demo2\t", "II\t"))
    assert message.startswith(
        "the genes are on I, II, which the FASTA does not have; it has demo1, demo2: give FASTA and"
    )


@pytest.mark.parametrize(
    ("contig", "name"),
    [
        ("demo2.1", "demo2"),
        ("demo2", "demo2.12"),
        ("chr2", "2"),
        ("2", "chr2"),
        ("chrM", "MT"),
        ("CM000663.2", "CM000663"),
    ],
)
def test_another_usual_name_of_a_contig_is_corrected_and_reported(
    tmp_path: Path, gtf: str, contig: str, name: str
) -> None:
    renamed = {"demo1": MADE.contigs["demo1"], contig: MADE.contigs["demo2"]}
    work = check(tmp_path, gtf.replace("demo2\t", f"{name}\t"), contigs=renamed)
    assert work.warnings == [
        {
            "warning": "CONTIGS_RENAMED",
            "message": f"names in the genes were matched with those of the FASTA: {name} is {contig}",
        }
    ]
    assert {line.split("\t")[0] for line in (tmp_path / "genes").read_text().splitlines()} == {"demo1", contig}


def test_another_version_of_a_contig_is_not_corrected(tmp_path: Path, gtf: str) -> None:
    renamed = {"demo1": MADE.contigs["demo1"], "demo2.2": MADE.contigs["demo2"]}
    work = check(tmp_path, gtf.replace("demo2\t", "demo2.1\t"), contigs=renamed)
    assert codes(work) == ["GENES_WITHOUT_CONTIG", "CONTIGS_WITHOUT_GENES"]


def test_two_names_of_one_contig_are_refused(tmp_path: Path, gtf: str) -> None:
    text = gtf.replace("demo1\t", "demo2.1\t").replace("demo2\t", "demo2.2\t")
    contigs = {"demo2": MADE.contigs["demo1"]}
    assert "the genes have several names for demo2 of the FASTA" in refusal(tmp_path, text, contigs=contigs)


def test_small_contigs_without_genes_cause_no_warning(tmp_path: Path, gtf: str) -> None:
    assert check(tmp_path, gtf, contigs={**MADE.contigs, "scaffold_1": bases(500, 1)}).warnings == []


def test_genes_without_coding_sequences_are_a_warning(tmp_path: Path, gtf: str) -> None:
    text = "".join(line for line in gtf.splitlines(keepends=True) if "\tCDS\t" not in line)
    assert codes(check(tmp_path, text)) == ["NO_CODING_SEQUENCES"]


@pytest.mark.parametrize("kind", ['tag "cds_start_NF";', 'pseudo "true";'])
def test_sequences_that_are_known_to_be_partial_are_no_misfit(tmp_path: Path, gtf: str, kind: str) -> None:
    rows = gtf.splitlines()
    firsts = [next(row for row in rows if f"{gene}.1" in row and "\tCDS\t" in row) for gene in ("DEMO1G1", "DEMO1G3")]
    cut = shifted_starts = gtf
    for first in firsts:
        fields = first.split("\t")
        fields[3] = str(int(fields[3]) + 3)  # without its start codon
        shifted_starts = shifted_starts.replace(first, "\t".join(fields))
        cut = cut.replace(first, "\t".join(fields) + f" {kind}")
    assert codes(check(tmp_path, shifted_starts)) == ["CODING_SEQUENCES"]
    assert codes(check(tmp_path, cut)) == []


def test_mature_peptides_are_a_warning(tmp_path: Path) -> None:
    """They have open frames without start codons."""
    cds = "ATG" + "GCA" * 400 + "TAA"
    rows = "".join(
        f'c\tx\tCDS\t{start}\t{start + 299}\t.\t+\t0\tgene_id "G{start}"; transcript_id "T{start}";\n'
        for start in (13, 313, 613)
    )
    assert codes(check(tmp_path, rows, contigs={"c": cds})) == ["CODING_SEQUENCES"]


def test_a_gene_past_the_end_of_a_circular_contig_is_accepted(tmp_path: Path) -> None:
    rows = "c\tx\tregion\t1\t906\t.\t+\t.\tID=c;Is_circular=true\nc\tx\tCDS\t901\t960\t.\t+\t0\tID=a;Parent=g\n"
    assert codes(check(tmp_path, rows, ".gff3", {"c": bases(906, 1)})) in ([], ["CODING_SEQUENCES"])


@pytest.mark.parametrize("kind", [".gff3", ".gbk"])
def test_a_coding_sequence_with_a_frame_shift_is_a_warning(tmp_path: Path, kind: str) -> None:
    """snpEff joins its parts to one frame, which is wrong after the shift."""
    contig = "ATG" + "GCA" * 20 + "GCGTAAC" + "GCA" * 20 + "GCTAA"
    record = "LOCUS       c   135 bp    DNA\nVERSION     c\nFEATURES\n     CDS             join(1..66,66..135)\n//\n"
    rows = "".join(
        f"c\tx\tCDS\t{span}\t.\t+\t0\tID=cds-1;Parent=gene-1;exception=ribosomal slippage\n"
        for span in ("1\t66", "66\t135")
    )
    work = check(tmp_path, rows if kind == ".gff3" else record, kind, {"c": contig})
    assert (codes(work), work.counts["coding_sequences"]) == (["CODING_SEQUENCES"], 1)


def test_the_prefixes_of_ensembl_ids_are_removed(tmp_path: Path, gtf: str) -> None:
    """With them snpEff takes exons for genes."""
    plain = to_gff3(gtf)
    prefixed = re.sub(r"(ID|Parent)=(\w+\.1)", r"\1=transcript:\2", plain)
    prefixed = re.sub(r"(ID|Parent)=(\w+)(?=[;\n])", r"\1=gene:\2", prefixed).replace("\n", ";x=1\n")
    assert "ID=transcript:DEMO1G1.1;Parent=gene:DEMO1G1;" in prefixed
    assert check(tmp_path, prefixed, ".gff3").warnings == []
    written = (tmp_path / "genes").read_text().replace(";x=1", "")
    assert written.splitlines() == plain.splitlines()[1:]
    shared = "demo1\tx\texon\t1\t9\t.\t+\t.\tParent=transcript:A,transcript:B\n"
    check(tmp_path, shared, ".gff3")
    assert (tmp_path / "genes").read_text().endswith("Parent=A,B\n")


def mitochondrial(code: GeneticCode, genes: int) -> tuple[dict[str, str], str]:
    """Return a contig and a GTF with genes of every sense codon of a code."""
    sense = [codon for codon, letter in zip(CODONS, code.amino_acids, strict=True) if letter != "*"]
    gene = "ATG" + "".join(sense) + "TAA"
    spans = [(at * len(gene) + 1, (at + 1) * len(gene)) for at in range(genes)]
    rows = "".join(
        f'MT\tx\tCDS\t{start}\t{end}\t.\t+\t0\tgene_id "G{start}"; transcript_id "T{start}";\n' for start, end in spans
    )
    return {"MT": gene * genes}, rows


def test_the_code_of_vertebrate_mitochondria_is_recognised(tmp_path: Path) -> None:
    contigs, rows = mitochondrial(VERTEBRATE_MITOCHONDRIAL, 13)
    work = check(tmp_path, rows, contigs=contigs)
    assert (work.warnings, work.codes) == ([], {"MT": VERTEBRATE_MITOCHONDRIAL})


def test_the_standard_code_is_kept_where_its_frames_are_open(tmp_path: Path) -> None:
    contigs, rows = mitochondrial(STANDARD, 13)
    work = check(tmp_path, rows, contigs=contigs)
    assert (work.warnings, work.codes) == ([], {})


def test_few_genes_are_not_enough_to_tell_the_code(tmp_path: Path) -> None:
    contigs, rows = mitochondrial(VERTEBRATE_MITOCHONDRIAL, 9)
    work = check(tmp_path, rows, contigs=contigs)
    assert (codes(work), work.codes) == (["CODING_SEQUENCES"], {})


def test_another_code_is_a_warning(tmp_path: Path) -> None:
    """Table 4, of Mycoplasma and of mitochondria of molds: TGA is W, AGA is R."""
    mold = GeneticCode("Mold_Mitochondrial", STANDARD.amino_acids.replace("CC*W", "CCWW"))
    contigs, rows = mitochondrial(mold, 13)
    work = check(tmp_path, rows, contigs=contigs)
    assert (codes(work), work.codes) == (["CODING_SEQUENCES"], {})
    assert "most of those on MT do not fit" in work.warnings[0]["message"]


def test_the_configuration_of_snpeff_has_the_codon_tables_of_contigs() -> None:
    assert list(config("genome", {})) == []
    first, table = config("genome", {"NC_012920.1": VERTEBRATE_MITOCHONDRIAL})
    assert first == "genome.NC_012920.1.codonTable : Vertebrate_Mitochondrial"
    name, _, text = table.partition(" : ")
    codons = dict(entry.split("/") for entry in text.split(", "))
    assert (name, len(codons)) == ("codon.Vertebrate_Mitochondrial", 64)
    expected = {"TGA": "W", "ATA": "M+", "AGA": "*", "AGG": "*", "ATG": "M+", "TTG": "L", "TAA": "*"}
    assert {codon: codons[codon] for codon in expected} == expected


ROW = 'demo1\tx\texon\t1\t9\t.\t+\t.\tgene_id "g"; transcript_id "t";\n'
INVALID: dict[str, tuple[str | bytes, str, str]] = {
    "an empty GTF": ("", ".gtf", "the GTF has no features: give a complete file of genes, or none"),
    "comments alone": ("#!genome-build x\n\n", ".gff3", "the GFF3 has no features: give a complete file"),
    "genes alone": ('demo1\tx\tgene\t1\t9\t.\t+\t.\tgene_id "g";\n', ".gtf", "the genes have no exons, transcripts or"),
    "text": (
        "Not found\n",
        ".gtf",
        "line 1 of the GTF has 1 column instead of 9 separated by tabs (Not found): give a",
    ),
    "a BED": ("demo1\t1\t9\n", ".gtf", "line 1 of the GTF has 3 columns instead of 9 separated by tabs (demo1 1 9)"),
    "binary data": (b"\x89PNG\0\0\n", ".gtf", "the GTF is not text: give a GTF file, plain or gzipped"),
    "binary data later on": (ROW.encode() + b"\0\0\n", ".gtf", "the GTF is not text: give a GTF file"),
    "a BOM": ("\ufeff" + ROW, ".gtf", "line 1 of the GTF begins with a byte order mark (BOM): save the file as plain"),
    "no number": (ROW.replace("\t1\t", "\tx\t"), ".gtf", "line 1 of the GTF has an invalid start or end (x 9): both"),
    "start 0": (ROW + ROW.replace("\t1\t", "\t0\t"), ".gtf", "line 2 of the GTF has an invalid start or end (0 9)"),
    "end before start": (
        ROW.replace("\t1\t", "\t10\t"),
        ".gtf",
        "line 1 of the GTF has an invalid start or end (10 9)",
    ),
    "GFF3 as GTF": (
        ROW.replace('gene_id "g"; t', "ID=a;Parent=b;t"),
        ".gtf",
        "line 1 of the GTF has attributes of GFF3",
    ),
    "GTF as GFF3": (ROW, ".gff3", "line 1 of the GFF3 has attributes of GTF: name the file .gtf"),
    "no transcript": (
        ROW.replace("transcript_id", "x"),
        ".gtf",
        "line 1 of the GTF has no gene_id or no transcript_id",
    ),
    "no GenBank": (ROW, ".gbk", "line 1 of the GenBank file is not LOCUS (demo1 x exon"),
    "an empty GenBank": ("", ".gb", "the GenBank file has no features: give a complete file of genes, or none"),
}


@pytest.mark.parametrize(("text", "kind", "message"), INVALID.values(), ids=INVALID)
def test_a_file_without_genes_is_refused_with_its_reason(
    tmp_path: Path, text: str | bytes, kind: str, message: str
) -> None:
    assert refusal(tmp_path, text, kind).startswith(message)


def test_an_unknown_format_of_genes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"genes must be one of \.gtf, \.gff, \.gff3, \.gb, \.gbk, not a\.bed\.gz"):
        run.fetch_genes(workspace(tmp_path), S3Uri("bucket", "in/a.bed.gz"), {})


def to_genbank(gtf: str, contig: str, length: int) -> str:
    """Return a record with the coding sequences of a contig."""
    exons: dict[str, list[str]] = {}
    strands = {}
    for line in gtf.splitlines():
        name, _, kind, start, end, _, strand, _, attributes = line.split("\t")
        if name == contig and kind == "CDS":
            gene = attributes.split('"')[1]
            exons.setdefault(gene, []).append(f"{start}..{end}")
            strands[gene] = strand
    rows = [f"LOCUS       {contig:<16} {length} bp    DNA     linear   BCT 01-JAN-2026", f"ACCESSION   {contig}"]
    rows += [f"VERSION     {contig}", "FEATURES             Location/Qualifiers", f"     source          1..{length}"]
    for gene, spans in exons.items():
        parts = sorted(spans, key=lambda span: int(span.split(".")[0]))
        location = parts[0] if len(parts) == 1 else f"join({NEXT_LINE.join(parts)})"
        location = location if strands[gene] == "+" else f"complement({location})"
        rows += [
            f"     CDS             {location}",
            f'                     /gene="{gene}"',
            "                     /codon_start=1",
        ]
    return "\n".join([*rows, "ORIGIN", "//", ""])


@pytest.mark.parametrize(
    "names", [("c", "x", "x.1"), ("x", "c", "x.1"), ("x", "x", "c.1"), ("c", "", ""), ("x", "c", None)]
)
def test_a_genbank_record_gets_the_name_of_its_contig(tmp_path: Path, names: tuple[str, str, str | None]) -> None:
    """snpEff takes the name in VERSION, then that in ACCESSION, then that in LOCUS."""
    locus, accession, version = names
    record = f"LOCUS       {locus}   606 bp    DNA\nACCESSION   {accession}\n"
    record += f"VERSION     {version}\n" if version is not None else ""
    record += "FEATURES             Location/Qualifiers\n     CDS             1..606\n//\n"
    work = check(tmp_path, record, ".gbk", {"c": "ATG" + "GCA" * 200 + "TAA"})
    assert codes(work) in ([], ["CONTIGS_RENAMED"])
    lines = (tmp_path / "genes").read_text().splitlines()
    assert [line for line in lines if line.startswith("VERSION")] == ["VERSION     c"]
    assert lines[-3:] == record.splitlines()[-3:]


def one_further(span: re.Match[str]) -> str:
    return f"{int(span[1]) + 1}..{int(span[2]) + 1}"


def test_genes_of_a_genbank_file_are_checked(tmp_path: Path, gtf: str) -> None:
    records = [to_genbank(gtf, name, len(sequence)) for name, sequence in MADE.contigs.items()]
    work = check(tmp_path, "".join(records), ".gbk")
    assert (work.warnings, work.counts["coding_sequences"]) == ([], 12)
    assert codes(check(tmp_path, records[0], ".gbk")) == ["CONTIGS_WITHOUT_GENES"]
    assert "8 of 8 coding sequences have stop codons" in refusal(
        tmp_path, re.sub(r"(\d+)\.\.(\d+)", one_further, records[0]), ".gbk"
    )
    assert re.match(r"record demo1 in line 1 of the GenBank file has 190,000 bases, but demo1 of the FASTA has 200,000",
                    refusal(tmp_path, records[0].replace(" 200000 bp", " 190000 bp"), ".gbk"))  # fmt: skip
    assert refusal(tmp_path, records[0].removesuffix("//\n"), ".gbk").startswith(
        "record demo1 of the GenBank file has no end"
    )
