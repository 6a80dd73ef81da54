"""containers/reference: valid and invalid FASTA files, and the contents of reference.json."""

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


def read_contigs(genome: Path) -> list[dict[str, str | int]]:
    return list(run.read_contigs(genome))


def contigs_by_samtools(genome: Path) -> list[dict[str, str | int]]:
    done = subprocess.run(["samtools", "dict", genome], capture_output=True, text=True, check=True)
    lines = [line.split("\t")[1:] for line in done.stdout.splitlines() if line.startswith("@SQ")]
    fields = [dict(field.split(":", 1) for field in line) for line in lines]
    return [
        {key: int(values[tag]) if tag == "LN" else values[tag] for tag, key in SAMTOOLS_DICT.items()}
        for values in fields
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
def test_contigs_are_those_of_samtools_dict(tmp_path: Path, text: str) -> None:
    genome = fasta(tmp_path, text)
    assert read_contigs(genome) == contigs_by_samtools(genome)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the FASTA has no sequences, or one without bases"),
        (">chr1\n", "the FASTA has no sequences, or one without bases"),
        (">\nACGT\n", "the FASTA has a missing, repeated or invalid sequence name: empty"),
        (
            ">chr1\nACGT\n>chr1 again\nACGT\n",
            "the FASTA has a missing, repeated or invalid sequence name: chr1",
        ),
        ("ACGT\nACGT\n", "the FASTA has a missing, repeated or invalid sequence name: empty"),
        ("<html>not found</html>\n", "the FASTA has a missing, repeated or invalid sequence name"),
        (">chr1\n>chr2\nACGT\n", "the FASTA has no sequences, or one without bases"),
        (
            ">chr1;<script>\nACGT\n",
            "the FASTA has a missing, repeated or invalid sequence name: chr1;<script>",
        ),
        (">*chr1\nACGT\n", "the FASTA has a missing, repeated or invalid sequence name: *chr1"),
        (
            ">chr`touch canary`\nACGT\n",
            "the FASTA has a missing, repeated or invalid sequence name: chr`touch",
        ),
        (
            f">{'c' * 300}\nACGT\n",
            f"the FASTA has a missing, repeated or invalid sequence name: {'c' * 77}...",
        ),
        (">chr1\nACGT\nAC$(touch canary)\n", "the FASTA has characters in chr1 that are not bases"),
        (">protein\nMEEPQSDPSV\n", "the FASTA has characters in protein that are not bases"),
    ],
)
def test_an_invalid_fasta_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInputError) as raised:
        read_contigs(fasta(tmp_path, text))
    assert (raised.value.failure_class, raised.value.exit_code) == ("REFERENCE", 65)
    assert str(raised.value).startswith(message)


def test_a_fingerprint_depends_on_contigs_and_genes_only(tmp_path: Path) -> None:
    contigs = read_contigs(write_genome(tmp_path / "a.fa", {"chr1": bases(100, 1)}))
    lines = bases(100, 1).lower()
    wrapped = read_contigs(fasta(tmp_path, f">chr1 the same\n{lines[:50]}\n{lines[50:]}\n"))
    other = read_contigs(write_genome(tmp_path / "b.fa", {"chr1": bases(100, 2)}))
    renamed = read_contigs(write_genome(tmp_path / "c.fa", {"1": bases(100, 1)}))
    genes, none = tmp_path / run.GENES_SOURCE, None
    genes.write_text("chr1\tx\tgene\t1\t9\n")
    fingerprints = [run.fingerprint(contigs, none), run.fingerprint(contigs, genes)]
    fingerprints += [run.fingerprint(other, none), run.fingerprint(renamed, none)]
    assert run.fingerprint(wrapped, none) == fingerprints[0]
    assert len(set(fingerprints)) == 4
    assert all(len(fingerprint) == 20 for fingerprint in fingerprints)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hg38.fa", "input_fasta"),
        ("GRCh38.p14.genome.FASTA.GZ", "input_fasta.gz"),
        (f"-o{'x' * 400}.$(touch canary)", "input_fasta"),
    ],
)
def test_a_file_of_a_user_gets_a_safe_local_name(name: str, expected: str) -> None:
    assert run.local_name("fasta", S3Uri("bucket", f"in/{name}")) == expected


@pytest.mark.parametrize("compressed", [False, True])
def test_a_compressed_file_is_decompressed(tmp_path: Path, compressed: bool) -> None:
    source, target = tmp_path / ("source.fa.gz" if compressed else "source.fa"), tmp_path / "genome.fa"
    data = f">chr1\n{bases(99, 1)}\n".encode()
    source.write_bytes(gzip.compress(data[:50]) + gzip.compress(data[50:]) if compressed else data)
    run.decompress(source, target)
    assert (target.read_bytes(), source.exists()) == (data, False)


@pytest.mark.parametrize("kept", [-10, -8, 0], ids=["truncated", "without its checksum", "not gzip"])
def test_a_damaged_compressed_file_is_refused(tmp_path: Path, kept: int) -> None:
    compressed = gzip.compress(b">chr1\n" + bases(99, 1).encode())
    (tmp_path / "source.fa.gz").write_bytes(compressed[:kept] or b"not gzip")
    with pytest.raises(JobError) as raised:
        run.decompress(tmp_path / "source.fa.gz", tmp_path / "genome.fa")
    assert raised.value.failure_class == "REFERENCE"


def test_a_gzip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MAX_SIZE", 32 << 20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b">chr1\n" + bytes(100 << 20)))
    with pytest.raises(JobError, match=r"bomb\.gz decompresses to more than 0 GiB"):
        run.decompress(tmp_path / "bomb.gz", tmp_path / "genome.fa")
    assert (tmp_path / "genome.fa").stat().st_size <= 40 << 20


def test_every_aligner_has_its_indexes() -> None:
    assert run.INDEXES == {
        "bwa": (".amb", ".ann", ".bwt", ".pac", ".sa"),
        "bwa_mem3": (".ann", ".amb", ".pac", ".0123", ".bwt.2bit.64"),
        "isaac": (),
    }
