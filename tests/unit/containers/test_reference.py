"""containers/reference: valid and invalid FASTA files, and the contents of reference.json."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from seqdrop.failure.verdict import BadInputError, JobError
from seqdrop.plan.names import GENOME, REFERENCE_JSON
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from support import made_reads
from support.job_runs import in_this_process
from support.made_reads import bases

from containers.reference import identity, run, source_files
from containers.reference.fasta import write_genome

SAMTOOLS_DICT = {"SN": "name", "LN": "length", "M5": "md5"}


def fasta(folder: Path, text: str | bytes) -> Path:
    (folder / "source.fa").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / "source.fa"


def read_contigs(source: Path) -> list[dict[str, Any]]:
    return write_genome(source, source.parent / GENOME).contigs


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
    "blank lines at the end of a sequence": f"\n>chr1\n{bases(60, 8)}\n\n>chr2\n{bases(60, 9)}\n\n\n",
}


@pytest.mark.parametrize("text", FASTAS.values(), ids=FASTAS)
def test_contigs_are_those_of_samtools_dict(tmp_path: Path, text: str) -> None:
    source = fasta(tmp_path, text)
    assert read_contigs(source) == contigs_by_samtools(source)
    assert contigs_by_samtools(source) == contigs_by_samtools(tmp_path / GENOME)
    subprocess.run(["samtools", "faidx", tmp_path / GENOME], check=True)


def test_a_genome_is_written_in_upper_case(tmp_path: Path) -> None:
    genome = write_genome(fasta(tmp_path, ">chr1  soft masked\r\nACgtnN\r\nac\r\n> chr2\ngg\n"), tmp_path / GENOME)
    assert (tmp_path / GENOME).read_text() == ">chr1 soft masked\nACGTNN\nAC\n>chr2\nGG\n"
    assert genome.ambiguous == {}


def test_ambiguity_codes_become_n_and_are_counted(tmp_path: Path) -> None:
    source = fasta(tmp_path, ">chr1\nACRyN\nwA\n>chr2\nACGT\n>chr3\nXBDHVKMS\n")
    genome = write_genome(source, tmp_path / GENOME)
    assert (tmp_path / GENOME).read_text() == ">chr1\nACNNN\nNA\n>chr2\nACGT\n>chr3\nNNNNNNNN\n"
    assert genome.ambiguous == {"chr1": 3, "chr3": 8}
    assert genome.contigs == contigs_by_samtools(tmp_path / GENOME)


INVALID = {
    "nothing": ("", "the FASTA is empty: give the complete file"),
    "blank lines alone": ("\n\n", "the FASTA is empty: give the complete file"),
    "no bases": (">chr1\n", "sequence chr1 in line 1 of the FASTA has no bases"),
    "no bases in the first": (">chr1\n>chr2\nACGT\n", "sequence chr1 in line 1 of the FASTA has no bases"),
    "no name": (">chr1\nACGT\n>\nACGT\n", "a sequence in line 3 of the FASTA has no name"),
    "a blank as name": ("> \nACGT\n", "a sequence in line 1 of the FASTA has no name"),
    "a repeated name": (
        ">chr1\nACGT\n>chr1 again\nACGT\n",
        "the sequence name chr1 in line 3 of the FASTA repeats an earlier one: rename one of the two",
    ),
    "bases first": ("ACGT\nACGT\n", "line 1 of the FASTA has bases before the first name"),
    "a web page": ("<html>not found</html>\n", "line 1 of the FASTA does not begin with '>': give a FASTA file"),
    "binary data": (b"PK\x03\x04\0\0", "line 1 of the FASTA does not begin with '>': give a FASTA file"),
    "UTF-8 with BOM": (b"\xef\xbb\xbf>chr1\nACGT\n", "line 1 of the FASTA begins with a byte order mark (BOM)"),
    "UTF-16": (">chr1\nACGT\n".encode("utf-16"), "line 1 of the FASTA begins with a byte order mark (BOM)"),
    "BOM of a second file": (
        b">chr1\nACGT\n\xef\xbb\xbf>chr2\nACGT\n",
        "line 3 of the FASTA begins with a byte order mark (BOM)",
    ),
    "line ends of a classic Mac": (">chr1\rACGT\r>chr2\rACGT\r", "line 1 of the FASTA ends with CR alone"),
    "a hostile name": (">chr1;<script>\nACGT\n", "the sequence name chr1;<script> in line 1 of the FASTA is invalid"),
    "a leading *": (">*chr1\nACGT\n", "the sequence name *chr1 in line 1 of the FASTA begins with *, which SAM does"),
    "a leading =": (">=chr1\nACGT\n", "the sequence name =chr1 in line 1 of the FASTA begins with =, which SAM does"),
    "a command": (">chr`touch canary`\nACGT\n", "the sequence name chr`touch in line 1 of the FASTA is invalid"),
    "a long name": (f">{'c' * 300}\nACGT\n", f"the sequence name {'c' * 77}... in line 1 of the FASTA is invalid"),
    "no letter of DNA": (">chr1\nACGT\nAC$(touch canary)\n", "line 3 of the FASTA has $ in chr1, which is not a base"),
    "a gap": (">chr1\nACGT\nAC-T\n", "line 3 of the FASTA has - in chr1, which is not a base"),
    "a byte": (b">chr1\nAC\0T\n", "line 2 of the FASTA has byte 0x00 in chr1, which is not a base"),
    "a protein": (">protein\nMEEPQSDPSV\n", "line 2 of the FASTA has E in protein, which is not a base"),
    "RNA": (">mRNA\nacgu\n", "line 2 of the FASTA has U in mRNA: it is RNA; replace U by T"),
    "a shorter line": (">chr1\nACGT\nAC\nACGT\n", "line 3 of the FASTA has 2 bases, but the first line of chr1 has 4"),
    "a blank line inside": (
        ">chr1\nACGT\n\nACGT\n",
        "line 3 of the FASTA has 0 bases, but the first line of chr1 has 4",
    ),
    "a longer line": (
        ">c\nA\n>chr1\nACGT\nACGTA\n",
        "line 5 of the FASTA has 5 bases, but the first line of chr1 has 4",
    ),
}


@pytest.mark.parametrize(("text", "message"), INVALID.values(), ids=INVALID)
def test_an_invalid_fasta_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(BadInputError) as raised:
        read_contigs(fasta(tmp_path, text))
    assert (raised.value.failure_class, raised.value.exit_code) == ("REFERENCE", 65)
    assert str(raised.value).startswith(message)
    assert ": " in str(raised.value)


def test_a_fingerprint_depends_on_contigs_and_genes_only(tmp_path: Path) -> None:
    contigs = read_contigs(made_reads.write_genome(tmp_path / "a.fa", {"chr1": bases(100, 1)}))
    lines = bases(100, 1).lower()
    wrapped = read_contigs(fasta(tmp_path, f">chr1 the same\n{lines[:50]}\n{lines[50:]}\n"))
    other = read_contigs(made_reads.write_genome(tmp_path / "b.fa", {"chr1": bases(100, 2)}))
    renamed = read_contigs(made_reads.write_genome(tmp_path / "c.fa", {"1": bases(100, 1)}))
    genes, none = tmp_path / run.GENES_SOURCE, None
    genes.write_text("chr1\tx\tgene\t1\t9\n")
    fingerprints = [identity.fingerprint(contigs, none), identity.fingerprint(contigs, genes)]
    fingerprints += [identity.fingerprint(other, none), identity.fingerprint(renamed, none)]
    assert identity.fingerprint(wrapped, none) == fingerprints[0]
    fingerprints += [identity.fingerprint(contigs, none, 1), identity.fingerprint(contigs, genes, 1)]
    assert identity.fingerprint(contigs, genes, 2) == fingerprints[1]
    assert len(set(fingerprints)) == 6
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
    assert source_files.local_name("fasta", S3Uri("bucket", f"in/{name}")) == expected


@pytest.mark.parametrize("compressed", [False, True])
def test_a_compressed_file_is_decompressed(tmp_path: Path, compressed: bool) -> None:
    source, target = tmp_path / ("source.fa.gz" if compressed else "source.fa"), tmp_path / "genome.fa"
    data = f">chr1\n{bases(99, 1)}\n".encode()
    source.write_bytes(gzip.compress(data[:50]) + gzip.compress(data[50:]) if compressed else data)
    source_files.decompress(source, target)
    assert (target.read_bytes(), source.exists()) == (data, False)


@pytest.mark.parametrize("kept", [-10, -8, 0], ids=["truncated", "without its checksum", "not gzip"])
def test_a_damaged_compressed_file_is_refused(tmp_path: Path, kept: int) -> None:
    compressed = gzip.compress(b">chr1\n" + bases(99, 1).encode())
    (tmp_path / "source.fa.gz").write_bytes(compressed[:kept] or b"not gzip")
    with pytest.raises(JobError) as raised:
        source_files.decompress(tmp_path / "source.fa.gz", tmp_path / "genome.fa")
    assert raised.value.failure_class == "REFERENCE"


def test_a_gzip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_files, "MAX_SIZE", 32 << 20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b">chr1\n" + bytes(100 << 20)))
    with pytest.raises(JobError, match=r"bomb\.gz decompresses to more than 0 GiB"):
        source_files.decompress(tmp_path / "bomb.gz", tmp_path / "genome.fa")
    assert (tmp_path / "genome.fa").stat().st_size <= 40 << 20


def test_every_aligner_has_its_indexes() -> None:
    assert run.INDEXES == {
        "bwa": (".amb", ".ann", ".bwt", ".pac", ".sa"),
        "bwa_mem3": (".ann", ".amb", ".pac", ".0123", ".bwt.2bit.64"),
        "isaac": (),
    }


class Preparation:
    """Prepare references for bwa in a bucket, in this process."""

    def __init__(self, bucket: str, folder: Path) -> None:
        self.bucket, self.folder, self.number = bucket, folder, 0

    def prepare(
        self, text: str, *args: str, name: str = "demo", upload: Callable[[S3Uri], None] | None = None
    ) -> dict[str, Any]:
        """Prepare a FASTA without genes; return reference.json. `upload` replaces it after it was pinned."""
        self.number += 1
        uri = S3Uri(self.bucket, f"in/{self.number}.fa")
        sources = {"fasta": s3.store().upload(fasta(self.folder, text), uri).source()}
        if upload:
            upload(uri)
        values = {"fasta": uri, "genes": "none", "aligner": "bwa", "reference": S3Uri(self.bucket, f"{name}/genome.fa")}
        values |= {"results": S3Uri(self.bucket, f"{name}/preparation/r{self.number}"), "run": f"r{self.number}"}
        values |= {"sources": json.dumps(sources), "attempt": 1, "vcpus": 1, "memory": 1000, "args": json.dumps(args)}
        run.main([arg for word, value in values.items() for arg in (f"--{word}", str(value))])
        summary: dict[str, Any] = s3.store().read_json(S3Uri(self.bucket, f"{name}/{REFERENCE_JSON}"))
        return summary

    def refusal(self, text: str, *args: str, upload: Callable[[S3Uri], None] | None = None) -> tuple[str, str]:
        """Return class and message of a preparation that fails."""
        with pytest.raises(SystemExit):
            self.prepare(text, *args, upload=upload)
        verdict = s3.store().read_json(S3Uri(self.bucket, f"demo/preparation/r{self.number}/failures/prepare.1.1.json"))
        return verdict["class"], verdict["message"]


@pytest.fixture
def preparation(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Preparation:
    in_this_process(monkeypatch, tmp_path)
    return Preparation(bucket, tmp_path)


def test_reference_json_has_contigs_ploidy_warnings_and_sources(preparation: Preparation) -> None:
    summary = preparation.prepare(">chr1\nacgtr\n", "--ploidy", "1")
    assert {**summary, "sources": list(summary["sources"]), "tools": list(summary["tools"])} == {
        "name": "demo",
        "contigs": [{"name": "chr1", "length": 5, "md5": hashlib.md5(b"ACGTN", usedforsecurity=False).hexdigest()}],
        "ploidy": 1,
        "ploidy_regions": [],
        "fingerprint": identity.fingerprint(summary["contigs"], None, 1),
        "indexes": ["bwa"],
        "genetic_codes": {},
        "sources": ["fasta"],
        "tools": ["samtools"],
        "warnings": [
            {
                "warning": "AMBIGUITY_CODES",
                "message": "ambiguity codes of the FASTA were written as N, 1 in all: 1 in chr1; "
                "no variants are called at these positions",
            }
        ],
    }
    source = summary["sources"]["fasta"]
    assert source["uri"].endswith("in/1.fa")
    assert all(source[word] for word in ("version_id", "etag", "size", "crc64nvme"))
    receipt = s3.store().read_json(S3Uri(preparation.bucket, "demo/preparation/r1/jobs/prepare.json"))
    assert receipt["warnings"] == summary["warnings"]
    assert (
        s3.store().client.get_object(Bucket=preparation.bucket, Key="demo/genome.fa")["Body"].read()
        == b">chr1\nACGTN\n"
    )


def test_a_prepared_reference_keeps_its_genome_and_its_ploidy(preparation: Preparation) -> None:
    first = preparation.prepare(">chr1\nACGT\n")
    second = preparation.prepare(">chr1\nacgt\n")
    assert second == {**first, "sources": second["sources"]}
    assert preparation.refusal(">chr1\nACGA\n") == (
        "REFERENCE",
        "demo is prepared already from another genome: choose another --name",
    )
    assert preparation.refusal(">chr1\nACGT\n", "--ploidy", "1") == (
        "REFERENCE",
        "demo is prepared already with ploidy 2: give --ploidy 2, or choose another --name",
    )
    assert preparation.refusal(">chr1\nACGT\n", "--ploidy", "3")[0] == "BAD_INPUT.ARGS"


def test_regions_with_another_ploidy_are_a_property_of_the_reference(preparation: Preparation) -> None:
    text = ">chr1\nACGT\n>chrM\nACGTACGT\n"
    haploid = ["--ploidy-regions", '[["chrM",0,null,1,1]]']
    first = preparation.prepare(text, *haploid)
    assert (first["ploidy"], first["ploidy_regions"]) == (2, [["chrM", 0, 8]])
    whole = preparation.prepare(text, "--ploidy-regions", '[["chrM",4,8,1,7],["chr1",0,4,2,8],["chrM",0,4,1,9]]')
    assert whole["fingerprint"] == first["fingerprint"] != identity.fingerprint(first["contigs"], None)
    assert preparation.prepare(text, name="other")["fingerprint"] == identity.fingerprint(first["contigs"], None)
    with pytest.raises(SystemExit):
        preparation.prepare(text, *haploid, name="other")
    verdict = s3.store().read_json(S3Uri(preparation.bucket, "other/preparation/r4/failures/prepare.1.1.json"))
    assert verdict["message"].endswith("with ploidy 2: leave out --ploidy-file, or choose another --name")
    assert preparation.refusal(text) == (
        "REFERENCE",
        "demo is prepared already with ploidy 2, but 1 in regions of chrM: give the same --ploidy-file, "
        "or choose another --name",
    )


@pytest.mark.parametrize(
    ("regions", "failure"),
    [
        ('[["chrY",0,null,1,3]]', ("REFERENCE", "line 3 of the ploidy file: the reference has no contig chrY; it has")),
        ('[["chr1",0,5,1,2]]', ("REFERENCE", "line 2 of the ploidy file: 5 is past the end of chr1, which has 4")),
        ('[["chr1",0,4,3,2]]', ("BAD_INPUT.ARGS", "argument --ploidy-regions: ")),
    ],
)
def test_regions_that_the_genome_does_not_have_are_refused(
    preparation: Preparation, regions: str, failure: tuple[str, str]
) -> None:
    failure_class, message = preparation.refusal(">chr1\nACGT\n", "--ploidy-regions", regions)
    assert (failure_class, message[: len(failure[1])]) == failure


def test_a_fasta_that_is_replaced_before_the_job_reads_it_is_not_used(preparation: Preparation) -> None:
    summary = preparation.prepare(">chr1\nACGT\n", upload=lambda uri: s3.store().write(uri, b">chr1\nTTTT\n"))
    assert summary["contigs"][0]["md5"] == hashlib.md5(b"ACGT", usedforsecurity=False).hexdigest()
    pinned = summary["sources"]["fasta"]
    assert s3.store().head(S3Uri.parse(pinned["uri"])).version_id != pinned["version_id"]


def test_a_preparation_whose_pinned_fasta_is_gone_is_refused(preparation: Preparation) -> None:
    def replace(uri: S3Uri) -> None:
        client, version = s3.store().client, s3.store().head(uri).version_id
        s3.store().write(uri, b">chr1\nTTTT\n")
        client.delete_object(Bucket=uri.bucket, Key=uri.key, VersionId=version)

    failure_class, message = preparation.refusal(">chr1\nACGT\n", upload=replace)
    assert (failure_class, "does not exist: it was deleted after" in message) == ("BAD_INPUT.MISSING", True)


def test_a_reference_that_was_prepared_before_ploidy_is_diploid(preparation: Preparation) -> None:
    first = preparation.prepare(">chr1\nACGT\n")
    old = {word: first[word] for word in ("name", "contigs", "fingerprint", "indexes", "tools")}
    s3.store().write_json(S3Uri(preparation.bucket, f"demo/{REFERENCE_JSON}"), old)
    assert preparation.prepare(">chr1\nACGT\n")["fingerprint"] == old["fingerprint"]
    s3.store().write_json(S3Uri(preparation.bucket, f"demo/{REFERENCE_JSON}"), old)
    assert "with ploidy 2" in preparation.refusal(">chr1\nACGT\n", "--ploidy", "1")[1]
