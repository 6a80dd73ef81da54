"""References that cannot be used as they are"""

from __future__ import annotations

import gzip
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from seqdrop.failure import advice
from seqdrop.failure.verdict import JobError
from seqdrop.jobs import csq, snpeff
from seqdrop.storage.web_address import WebAddress
from seqdrop_cli import reference
from seqdrop_cli.errors import CliError
from seqdrop_cli.reference import Source
from seqdrop_cli.reference_files import Extra
from seqdrop_cli.stack import Stack
from support.catalogue import case, more
from support.pipeline_runs import Sample, download_file, fetch, fetch_json, refused_reference, run_pair, run_tool
from support.web_site import Answer, Site

from containers.reference import web


def prepared(stack: Stack, capsys: pytest.CaptureFixture[str], source: Source) -> str:
    """Prepare a reference; return what `seqdrop reference` prints at the end."""
    summary = reference.prepare(stack, source)
    capsys.readouterr()
    reference.show(source.name, summary)
    return capsys.readouterr().out


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


@dataclass(frozen=True)
class Odd:
    """A haploid genome in lower case, with ambiguity codes and without genes, and a run on it."""

    ready: str  # printed at the end of the preparation
    row: dict[str, Any]


@pytest.fixture(scope="module")
def odd(stack: Stack, sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Odd:
    lines = sample.material.fasta.read_text().splitlines(keepends=True)
    text = [line if line.startswith(">") else line.lower() for line in lines]
    text[10:2000:10] = [line[:-2] + "ryk"[number % 3] + "\n" for number, line in enumerate(text[10:2000:10])]
    fasta = write(tmp_path_factory.mktemp("odd"), "odd.fa", "".join(text))
    output = StringIO()
    with redirect_stdout(output):
        reference.show("odd", reference.prepare(stack, Source.of(fasta, None, "odd", 1)))
    return Odd(output.getvalue(), run_pair(stack, sample.small_pair, "ODD", reference="odd"))


@case(
    happens="The FASTA of a genome is soft-masked: some or all of its bases are in lower case.",
    see="`SUCCEEDED`; REF and ALT in upper case.",
    does="Writes the genome in upper case when it prepares the reference.",
)
def test_calls_on_a_soft_masked_genome_are_in_upper_case(stack: Stack, odd: Odd, tmp_path: Path) -> None:
    assert odd.row["status"] == "SUCCEEDED"
    called = run_tool("bcftools", "query", "-f", "%REF%ALT\n", fetch(stack, odd.row, "ODD.vcf.gz", tmp_path))
    assert len(called.splitlines()) > 10
    assert called == called.upper()


@case(
    happens="The FASTA of a genome has ambiguity codes (R, Y, S, ...).",
    see="`seqdrop reference` prints the warning `AMBIGUITY_CODES` with their number on each contig. Runs succeed.",
    does="Writes N for each. No variants are called there.",
    do="Nothing, or prepare a genome without these codes under another name.",
)
def test_ambiguity_codes_of_a_genome_are_reported_and_harmless(odd: Odd) -> None:
    assert re.search(
        r"odd is ready with 1 warning: 2 contigs, [\d,]+ bases, ploidy 1, indexed for bwa_mem3\.", odd.ready
    )
    assert "AMBIGUITY_CODES: ambiguity codes of the FASTA were written as N, 199 in all: 199 in demo1" in odd.ready
    assert odd.row["status"] == "SUCCEEDED"


@case(
    happens="The FASTA is damaged or has names that tools cannot use: repeated, missing, with a byte order mark, ...",
    see="`seqdrop reference` prints the line, the sequence and the correction.",
    does="Checks the whole file before anything is built.",
    do="Correct the FASTA, then `seqdrop reference` again.",
)
def test_a_fasta_with_a_repeated_name_is_refused(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = write(tmp_path, "twice.fa", ">chr1\nACGT\n>chr1\nACGT\n")
    assert "the sequence name chr1 in line 3 of the FASTA repeats an earlier one" in refused_reference(
        stack, capsys, Source.of(genome, None, None)
    )


@case(
    happens="The file of genes is empty, binary, or in another format than its name says.",
    see="`seqdrop reference` prints the line and the correction, without the stack of Java.",
    does="Reads all genes before it starts snpEff.",
    do="Give a complete GTF, GFF3 or GenBank file.",
)
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("empty.gtf", "", "the GTF has no features: give a complete file of genes, or none"),
        (
            "text.gtf",
            "404: Not Found\n",
            "line 1 of the GTF has 1 column instead of 9 separated by tabs (404",
        ),
        ("binary.gff3", "\0\1\2\n", "the GFF3 is not text"),
    ],
    ids=["empty", "text", "binary"],
)
def test_a_file_without_genes_is_refused(
    stack: Stack, sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, message: str
) -> None:
    genes = write(tmp_path, name, text)
    assert message in refused_reference(
        stack, capsys, Source.of(sample.material.fasta, genes, name.split(".", maxsplit=1)[0])
    )


@case(
    happens="The genes are of another genome or version, or all their positions are shifted.",
    see="`seqdrop reference` prints how many coding sequences have stop codons inside or no start codon.",
    does="Compares contigs, positions and coding sequences with the genome before it starts snpEff.",
    do="Give genome and genes of one release.",
)
def test_shifted_genes_are_refused(
    stack: Stack, sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [line.split("\t") for line in sample.material.genes.read_text().splitlines()]
    for row in rows:
        row[3:5] = [str(int(position) + 1) for position in row[3:5]]
    genes = write(tmp_path, "shifted.gtf", "".join("\t".join(row) + "\n" for row in rows))
    output = refused_reference(stack, capsys, Source.of(sample.material.fasta, genes, "shifted"))
    assert "the genes are of another genome or version, or shifted: 12 of 12 coding sequences have stop" in output


@case(
    happens="Some genes are on contigs that the genome does not have, or large contigs have no genes.",
    see="`seqdrop reference` prints the warnings `GENES_WITHOUT_CONTIG` and `CONTIGS_WITHOUT_GENES` with their names.",
    does="Leaves these genes out. A name that differs by a version (`.1`) or by `chr` is corrected and reported.",
    do="If the names should be the same, correct them, and prepare the reference under another name.",
)
def test_genes_on_other_contigs_are_reported(
    stack: Stack, sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = sample.material.genes.read_text().replace("demo2\t", "NC_000002.12\t").replace("demo1\t", "demo1.1\t")
    output = prepared(stack, capsys, Source.of(sample.material.fasta, write(tmp_path, "half.gtf", text), "half"))
    assert output.startswith("Reference half is ready with 3 warnings: ")
    codes = ["CONTIGS_RENAMED", "GENES_WITHOUT_CONTIG", "CONTIGS_WITHOUT_GENES"]
    assert re.findall(r"^  ([A-Z_]+):", output, re.MULTILINE) == codes
    assert all(name in output for name in ("demo1.1 is demo1", "NC_000002.12", "no genes are on demo2"))


@case(
    happens="A name of a reference is used again for another genome, other genes or another ploidy.",
    see="`seqdrop reference` prints which of them differs.",
    does="Keeps the prepared reference: runs may be reading it.",
    do="Choose another `--name`, or give the same files and options.",
)
def test_a_prepared_reference_is_not_replaced(
    stack: Stack, sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fasta, genes = sample.material.fasta, sample.material.genes
    other = write(tmp_path, "other.fa", ">chr1\nACGTACGTAC\n")
    fewer = write(tmp_path, "fewer.gtf", "".join(genes.read_text().splitlines(keepends=True)[:6]))
    assert "demo is prepared already from another genome" in refused_reference(
        stack, capsys, Source.of(other, None, "demo")
    )
    assert "from this genome with other genes" in refused_reference(stack, capsys, Source.of(fasta, fewer, "demo"))
    assert "from this genome with genes: give the same" in refused_reference(
        stack, capsys, Source.of(fasta, None, "demo")
    )
    assert "demo is prepared already with ploidy 2" in refused_reference(
        stack, capsys, Source.of(fasta, genes, "demo", 1)
    )


@case(
    happens="The file of `seqdrop reference --ploidy-file` does not fit the genome, or has another ploidy than 1 or 2.",
    see="`seqdrop reference` prints the line and what is wrong, before it uploads a file.",
    does="Checks the regions before the upload, and again when it prepares the reference.",
    do="Correct the file, then `seqdrop reference` again.",
)
def test_a_ploidy_file_of_another_genome_is_refused(sample: Sample, tmp_path: Path) -> None:
    regions = write(tmp_path, "male.tsv", "demo1\t2\nchrX\t1\n")
    with pytest.raises(CliError, match="line 2 of the ploidy file: the reference has no contig chrX; it has demo1,"):
        Source.of(sample.material.fasta, None, "male", 2, regions)


@case(
    happens="A reference was prepared without genes.",
    see="`SUCCEEDED`, and the warning `NO_GENES` in `manifest.json` and in the message.",
    does="Publishes the variants without genes and effects.",
    do="To annotate, prepare the genome with `--genes` under another name, and run the sample with it.",
)
def test_a_run_without_genes_is_reported(stack: Stack, odd: Odd) -> None:
    assert odd.row["status"] == "SUCCEEDED"
    warnings = fetch_json(stack, odd.row, "manifest.json")["warnings"]
    assert ("annotate", "NO_GENES") in {(warning["step"], warning["warning"]) for warning in warnings}


@case(
    happens="`bcftools csq` cannot read the genes of a reference.",
    see="`SUCCEEDED`, and the warning `NO_HAPLOTYPE_EFFECTS` in `manifest.json`, in the report and in the message.",
    does="Annotates the variants with `ANN` alone, without `BCSQ`.",
    do="Check by hand the effects of variants that are in one codon.",
)
def test_genes_that_csq_cannot_read_are_reported(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    fasta, genes = sample.material.fasta, sample.material.genes
    reference.prepare(stack, Source.of(fasta, genes, "odd_genes"))
    damaged = gzip.compress(b"demo1\tno columns\n")
    stack.s3.put_object(Bucket=stack["ReferenceBucket"], Key=f"odd_genes/genome.fa{csq.GENES}", Body=damaged)
    row = run_pair(stack, sample.small_pair, "ODDGENES", reference="odd_genes")
    assert row["status"] == "SUCCEEDED"
    [warning] = fetch_json(stack, row, "jobs/annotate.json")["warnings"]
    assert warning["warning"] == "NO_HAPLOTYPE_EFFECTS"
    assert f"annotate: {warning['message']}" in row["warnings"]
    annotated = run_tool("bcftools", "view", fetch(stack, row, "ODDGENES.annotated.vcf.gz", tmp_path))
    assert "BCSQ" not in annotated
    assert "ANN=" in annotated


@more
def test_genes_from_gff3_of_ensembl_have_clean_names(
    stack: Stack, sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for line in sample.material.genes.read_text().splitlines():
        *columns, attributes = line.split("\t")
        gene = attributes.split('"')[1]
        ids = {
            "gene": f"ID=gene:{gene};Name=NAME_{gene};biotype=protein_coding",
            "transcript": f"ID=transcript:{gene}.1;Parent=gene:{gene};biotype=protein_coding",
            "exon": f"Parent=transcript:{gene}.1;Name=EXON_{gene};exon_id=EXON_{gene}",
            "CDS": f"ID=CDS:{gene}.P;Parent=transcript:{gene}.1",
        }
        if columns[2] in ids:
            kind = {"transcript": "mRNA"}.get(columns[2], columns[2])
            rows.append("\t".join([*columns[:2], kind, *columns[3:], ids[columns[2]]]))
    genes = write(tmp_path, "ensembl.gff3", "##gff-version 3\n" + "\n".join(rows) + "\n")
    assert "Reference ensembl is ready: " in prepared(stack, capsys, Source.of(sample.material.fasta, genes, "ensembl"))
    row = run_pair(stack, sample.small_pair, "ENSEMBL", reference="ensembl")
    records = run_tool("bcftools", "query", "-f", "%ANN\n", fetch(stack, row, "ENSEMBL.annotated.vcf.gz", tmp_path))
    names = {tuple(effect.split("|")[3:7]) for line in records.splitlines() for effect in line.split(",")}
    coding = {name for name in names if name[2] == "transcript"}
    assert coding
    for gene, gene_id, _, transcript in coding:
        assert (gene, transcript) == (f"NAME_{gene_id}", f"{gene_id}.1")
    assert "EXON_" not in records


@more
def test_genes_of_vertebrate_mitochondria_are_read_with_their_own_code(stack: Stack, tmp_path: Path) -> None:
    gene = "ATG" + "GCATGAATA" * 30 + "TAA"  # TGA is W and ATA is M; with the standard code a stop and I
    rows = "".join(
        f'MT\tx\t{kind}\t{at * len(gene) + 1}\t{(at + 1) * len(gene)}\t.\t+\t0\tgene_id "G{at}"; transcript_id "T{at}";'
        ' gene_biotype "protein_coding"; transcript_biotype "protein_coding";\n'
        for at in range(13)
        for kind in ("transcript", "exon", "CDS")
    )
    fasta, genes = write(tmp_path, "mt.fa", f">MT\n{gene * 13}\n"), write(tmp_path, "mt.gtf", rows)
    assert reference.prepare(stack, Source.of(fasta, genes, "mt"))["genetic_codes"] == {
        "MT": "Vertebrate_Mitochondrial"
    }
    database = tmp_path / "snpeff.tar"
    download_file(stack, stack["ReferenceBucket"], f"mt/genome.fa{snpeff.DATABASE}", database)
    run_tool("tar", "-C", tmp_path, "-xf", database)
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    vcf = write(tmp_path, "calls.vcf", f"{header}MT\t9\t.\tA\tG\t50\tPASS\t.\nMT\t12\t.\tA\tG\t50\tPASS\t.\n")
    annotated = run_tool(*map(str, snpeff.command("ann", 1000, tmp_path)), "-noStats", snpeff.NAME, vcf)
    effects = [line.split("ANN=")[1].split("|") for line in annotated.splitlines() if line.startswith("MT")]
    assert [(effect[1], effect[10]) for effect in effects] == [
        ("synonymous_variant", "p.Trp3Trp"),
        ("synonymous_variant", "p.Met4Met"),
    ]


def failed_download(folder: Path, monkeypatch: pytest.MonkeyPatch, *answers: Answer) -> JobError:
    """Return the failure of a download from a server with these answers."""
    monkeypatch.setenv(web.LOCAL_HTTP, "yes")
    monkeypatch.setattr(web, "PAUSE", 0.0)
    site = Site()
    site.answers = [*answers]
    try:
        with pytest.raises(JobError) as raised:
            web.download(WebAddress.parse(site.url), folder / "genome")
    finally:
        site.close()
    return raised.value


@case(
    happens="The server of a genome, of genes or of known variants cannot be reached, or breaks off again and again.",
    see="`seqdrop reference` prints `DOWNLOAD`, the address and the reason.",
    does="Continues the download up to six times; then Batch repeats the job, twice.",
    do="`seqdrop reference` again later, or download the file and give that.",
)
def test_a_server_that_breaks_off_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = failed_download(tmp_path, monkeypatch, Answer(sent=5_000, ranges=False))
    assert (error.failure_class, error.exit_code) == ("DOWNLOAD", 75)
    assert "could not be downloaded in 6 tries: the connection ended after 5,000 of 80,007 bytes" in str(error)
    assert "run `seqdrop reference` later" in advice.get(error.failure_class, "prepare")


@case(
    happens="A web address has no such file (404), a page instead of the file, another checksum, a bad certificate, or "
    "is in a private network; or the file changes while it is downloaded.",
    see="`seqdrop reference` prints `BAD_INPUT.DOWNLOAD` and what to correct.",
    does="Verifies certificate, length, checksum and the first bytes; reads only public https addresses.",
    do="Correct the address, or download the file and give that.",
)
@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([Answer(status=404, body=b"")], "does not exist (404): check the address"),
        ([Answer(body=b"<html>")], "is a web page, not a file"),
        ([Answer(sent=9), Answer(etag='"v2"')], "was changed on the server while it was downloaded"),
    ],
    ids=["404", "page", "changed"],
)
def test_what_is_not_the_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[Answer], message: str
) -> None:
    error = failed_download(tmp_path, monkeypatch, *answers)
    assert (error.failure_class, error.exit_code) == ("BAD_INPUT.DOWNLOAD", 65)
    assert message in str(error)
    assert advice.get(error.failure_class, "prepare").startswith("Correct the address as the message says")


@case(
    happens="Known variants (`--known`) have other names of contigs than the genome (1 for chr1), or are of another "
    "version of it; a panel has a target past the end of its contig.",
    see="`seqdrop reference` prints the names, the number of the records, or the line.",
    does="Compares contigs and the REF of every record with the genome before the reference is changed.",
    do="Rename the contigs as the message says, or give the file for this genome.",
)
def test_known_variants_and_panels_of_another_genome_are_refused(
    stack: Stack, sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    known = write(tmp_path, "known.vcf", f"{columns}chrdemo1\t7\trs1\tA\tC\t.\t.\t.\n")
    name = sample.material.fasta.stem
    before = reference.fingerprint(stack, name)
    added = Source(name, None, None, extras={"known": {"dbsnp": Extra(known)}})
    assert "other names of contigs than the genome (chrdemo1 for demo1)" in refused_reference(stack, capsys, added)
    panel = write(tmp_path, "kit.bed", "demo1\t1\t99999999\n")
    with pytest.raises(CliError, match=r"^--panel kit: line 1 of kit\.bed: 99999999 is past the end of demo1"):
        reference.prepare(stack, Source(name, None, None, extras={"panels": {"kit": Extra(panel, {"padding": 9})}}))
    assert reference.fingerprint(stack, name) == before != ""
