"""containers/reference: what a FASTA must be, and what is written down of it."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pytest
from seqdrop.failure.verdict import BadInputError, JobError
from seqdrop.plan.names import GENOME
from seqdrop.storage.uri import S3Uri
from support.made_reads import bases, write_genome

from containers.reference import run

SAMTOOLS_DICT = {"SN": "name", "LN": "length", "M5": "md5"}


def fasta(folder: Path, text: str) -> Path:
    (folder / GENOME).write_bytes(text.encode())
    return folder / GENOME


def contigs_of(genome: Path) -> list[dict[str, str | int]]:
    return list(run.read_contigs(genome))


def by_samtools(genome: Path) -> list[dict[str, str | int]]:
    done = subprocess.run(["samtools", "dict", genome], capture_output=True, text=True, check=True)
    lines = [line.split("\t")[1:] for line in done.stdout.splitlines() if line.startswith("@SQ")]
    fields = [dict(field.split(":", 1) for field in line) for line in lines]
    return [
        {word: int(found[tag]) if tag == "LN" else found[tag] for tag, word in SAMTOOLS_DICT.items()}
        for found in fields
    ]


FASTAS = {
    "one line each": f">chr1 the first\n{bases(500, 1)}\n>chr2\n{bases(300, 2)}\n",
    "lines of 60": ">chr1\n" + "".join(f"{bases(60, seed)}\n" for seed in range(5)) + bases(7, 9) + "\n",
    "lower case and N": f">chr1\nnnnnACGTacgtN{bases(100, 3).lower()}\n",
    "no final newline": f">chr1\n{bases(100, 4)}",
    "CRLF": f">chr1\r\n{bases(60, 5)}\r\n{bases(30, 6)}\r\n",
    "a colon in the name": f">HLA-A*01:01:01:01\n{bases(90, 7)}\n",
}


@pytest.mark.parametrize("text", FASTAS.values(), ids=FASTAS)
def test_contigs_are_written_down_as_samtools_has_them(tmp_path: Path, text: str) -> None:
    genome = fasta(tmp_path, text)
    assert contigs_of(genome) == by_samtools(genome)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the FASTA holds no sequence, or one without bases"),
        (">chr1\n", "the FASTA holds no sequence, or one without bases"),
        (">\nACGT\n", "the FASTA has a sequence with no name of its own: empty"),
        (">chr1\nACGT\n>chr1 again\nACGT\n", "the FASTA has a sequence with no name of its own: chr1"),
        ("ACGT\nACGT\n", "the FASTA has a sequence with no name of its own: empty"),
        ("<html>not found</html>\n", "the FASTA has a sequence with no name"),
        (">chr1\n>chr2\nACGT\n", "the FASTA holds no sequence, or one without bases"),
        (">chr1;<script>\nACGT\n", "the FASTA has a sequence with no name of its own: chr1;<script>"),
        (">*chr1\nACGT\n", "the FASTA has a sequence with no name of its own: *chr1"),
        (">chr`touch canary`\nACGT\n", "the FASTA has a sequence with no name of its own: chr`touch"),
        (f">{'c' * 300}\nACGT\n", f"the FASTA has a sequence with no name of its own: {'c' * 77}..."),
        (">chr1\nACGT\nAC$(touch canary)\n", "the FASTA has signs in chr1 that are no bases"),
        (">protein\nMEEPQSDPSV\n", "the FASTA has signs in protein that are no bases"),
    ],
)
def test_a_fasta_that_is_none_is_refused_as_a_reference(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadInputError) as raised:
        contigs_of(fasta(tmp_path, text))
    assert (raised.value.failure_class, raised.value.exit_code) == ("REFERENCE", 65)
    assert str(raised.value).startswith(sentence)


def test_a_fingerprint_tells_genomes_and_genes_apart_and_nothing_else(tmp_path: Path) -> None:
    contigs = contigs_of(write_genome(tmp_path / "a.fa", {"chr1": bases(100, 1)}))
    lines = bases(100, 1).lower()
    wrapped = contigs_of(fasta(tmp_path, f">chr1 the same\n{lines[:50]}\n{lines[50:]}\n"))
    other = contigs_of(write_genome(tmp_path / "b.fa", {"chr1": bases(100, 2)}))
    renamed = contigs_of(write_genome(tmp_path / "c.fa", {"1": bases(100, 1)}))
    genes, none = tmp_path / run.GENES_SOURCE, None
    genes.write_text("chr1\tx\tgene\t1\t9\n")
    found = [run.fingerprint(contigs, none), run.fingerprint(contigs, genes)]
    found += [run.fingerprint(other, none), run.fingerprint(renamed, none)]
    assert run.fingerprint(wrapped, none) == found[0]
    assert len(set(found)) == 4
    assert all(len(fingerprint) == 20 for fingerprint in found)


@pytest.mark.parametrize(
    ("name", "staged"),
    [
        ("hg38.fa", "given_fasta"),
        ("GRCh38.p14.genome.FASTA.GZ", "given_fasta.gz"),
        (f"-o{'x' * 400}.$(touch canary)", "given_fasta"),
    ],
)
def test_a_given_file_is_staged_under_a_name_of_ours(name: str, staged: str) -> None:
    assert run.staged("fasta", S3Uri("bucket", f"in/{name}")) == staged


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_unpacked_where_it_is_packed(tmp_path: Path, packed: bool) -> None:
    source, target = tmp_path / ("source.fa.gz" if packed else "source.fa"), tmp_path / "genome.fa"
    data = f">chr1\n{bases(99, 1)}\n".encode()
    source.write_bytes(gzip.compress(data[:50]) + gzip.compress(data[50:]) if packed else data)
    run.unpack(source, target)
    assert (target.read_bytes(), source.exists()) == (data, False)


@pytest.mark.parametrize("kept", [-10, -8, 0], ids=["cut", "without its checksum", "nothing of a gzip"])
def test_a_packed_file_that_is_damaged_is_refused_as_a_reference(tmp_path: Path, kept: int) -> None:
    packed = gzip.compress(b">chr1\n" + bases(99, 1).encode())
    (tmp_path / "source.fa.gz").write_bytes(packed[:kept] or b"no gzip")
    with pytest.raises(JobError) as raised:
        run.unpack(tmp_path / "source.fa.gz", tmp_path / "genome.fa")
    assert raised.value.failure_class == "REFERENCE"


def test_a_packed_file_that_would_fill_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LARGEST", 32 << 20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b">chr1\n" + bytes(100 << 20)))
    with pytest.raises(JobError, match=r"bomb\.gz unpacks to more than 0 GiB"):
        run.unpack(tmp_path / "bomb.gz", tmp_path / "genome.fa")
    assert (tmp_path / "genome.fa").stat().st_size <= 40 << 20


def test_every_aligner_of_the_template_has_its_index() -> None:
    assert run.INDEXES == {
        "bwa": (".amb", ".ann", ".bwt", ".pac", ".sa"),
        "bwa_mem3": (".ann", ".amb", ".pac", ".0123", ".bwt.2bit.64"),
        "isaac": (),
    }
