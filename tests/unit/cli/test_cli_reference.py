from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli import known_references, reference, reference_files
from seqdrop_cli.errors import CliError
from seqdrop_cli.reference import Source
from seqdrop_cli.reference_files import Extra
from seqdrop_cli.stack import Stack
from support import cli_aws

SUMMARY = {"contigs": [{"name": "chr1", "length": 1200}], "indexes": ["bwa"], "fingerprint": "5f0c"}


@pytest.fixture
def stack() -> Iterator[Stack]:
    with cli_aws.stack() as stack:
        cli_aws.write_json(stack, "references", "hg/reference.json", SUMMARY)
        stack.s3.put_object(Bucket="references", Key="half/source/half.fa", Body=b">c")
        yield stack


def test_the_default_reference_of_the_stack_is_used_if_none_is_chosen(stack: Stack) -> None:
    assert reference.resolve(stack, None, "bwa") == "hg"


def test_an_unknown_reference_is_refused_with_the_names_of_the_prepared_ones(stack: Stack) -> None:
    with pytest.raises(CliError, match=r"Reference 'mm' is not prepared \(prepared: hg\)"):
        reference.resolve(stack, "mm", "bwa")


def test_a_reference_without_the_index_of_the_aligner_is_refused_with_the_command_that_adds_it(stack: Stack) -> None:
    haploid = {**SUMMARY, "sources": {"fasta": {}, "genes": {}}, "ploidy": 1, "ploidy_regions": [["chr1", 0, 9, 2, 2]]}
    cli_aws.write_json(stack, "references", "virus/reference.json", haploid)
    for name, options in (("hg", ""), ("virus", " --genes GENES --ploidy 1 --ploidy-file FILE")):
        with pytest.raises(CliError) as raised:
            reference.resolve(stack, name, "bwa_mem3")
        assert str(raised.value) == (
            f"Reference {name} has no index for bwa_mem3 (it has: bwa): `seqdrop reference GENOME.fa{options} --name "
            f"{name} --aligner bwa_mem3 --stack seqdrop`, with the files that the reference was prepared from, adds "
            "the index."
        )


@pytest.fixture
def started(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The inputs of the preparations that a test starts, by name; all succeed. The genome is hg.fa."""
    found: dict[str, str] = {}
    (tmp_path / "hg.fa").write_text(">chr1\nACGT\n")
    monkeypatch.setattr(
        stack.stepfunctions, "start_execution", lambda **request: found.update({request["name"]: request["input"]})
    )
    monkeypatch.setattr(reference, "follow", lambda *_: ("SUCCEEDED", []))
    object.__setattr__(stack, "outputs", {**stack.outputs, "PrepareReferenceAlias": "arn"})
    return found


def test_another_aligner_is_another_preparation(stack: Stack, tmp_path: Path, started: dict[str, str]) -> None:
    for aligner in ("bwa", "bwa_mem3"):
        reference.prepare(stack, Source.of(tmp_path / "hg.fa", None, None), aligner)
    assert [json.loads(plan)["aligner"] for plan in started.values()] == ["bwa", "bwa_mem3"]


def test_the_fingerprint_is_that_in_reference_json(stack: Stack) -> None:
    assert [reference.fingerprint(stack, name) for name in ("hg", "mm")] == ["5f0c", ""]


def test_a_reference_has_the_name_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "GRCh38.p14.fa.gz").touch()
    assert Source.of(tmp_path / "GRCh38.p14.fa.gz", None, None).name == "GRCh38.p14"


@pytest.mark.parametrize(
    ("fasta", "genes", "name", "message"),
    [
        ("reads.bam", None, None, r"reads\.bam is not named like a FASTA file: expected \.fa"),
        ("hg.fa", "genes.bed", None, r"genes\.bed is not named like a GTF, GFF3 or GenBank file"),
        ("hg.fa", None, "no/slash", "'no/slash' is not a valid name of a reference"),
        ("absent.fa", None, None, r"absent\.fa: no such file, or it is a directory"),
    ],
)
def test_files_that_cannot_be_a_reference_are_refused(
    tmp_path: Path, fasta: str, genes: str | None, name: str | None, message: str
) -> None:
    for file in {fasta, genes} - {None, "absent.fa"}:
        (tmp_path / str(file)).touch()
    with pytest.raises(CliError, match=message):
        Source.of(tmp_path / fasta, tmp_path / genes if genes else None, name)


def test_the_same_files_are_prepared_once(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[str] = []

    def start(**request: Any) -> None:
        started.append(request["name"])
        plan = json.loads(request["input"])
        assert plan["aligner"] == "bwa"
        assert plan["fasta"] == "s3://references/hg/source/hg.fa"
        head = stack.s3.head_object(Bucket="references", Key="hg/source/hg.fa", ChecksumMode="ENABLED")
        assert json.loads(plan["sources"]) == {
            "fasta": {
                "uri": plan["fasta"],
                "version_id": head["VersionId"],
                "etag": head["ETag"].strip('"'),
                "size": 11,
                "crc64nvme": head["ChecksumCRC64NVME"],
            }
        }

    (tmp_path / "hg.fa").write_text(">chr1\nACGT\n")
    monkeypatch.setattr(stack.stepfunctions, "start_execution", start)
    monkeypatch.setattr(reference, "follow", lambda *_: ("SUCCEEDED", []))
    object.__setattr__(stack, "outputs", {**stack.outputs, "PrepareReferenceAlias": "arn"})
    source = Source.of(tmp_path / "hg.fa", None, None)
    assert reference.prepare(stack, source, "bwa") == SUMMARY
    monkeypatch.setattr(Stack, "status_of", lambda *_: "SUCCEEDED")
    assert reference.prepare(stack, source, "bwa") == SUMMARY
    assert len(started) == 1
    assert len(stack.s3.list_object_versions(Bucket="references", Prefix="hg/source/")["Versions"]) == 1
    reference.show("hg", SUMMARY)
    assert capsys.readouterr().out == "Reference hg is ready: 1 contig, 1,200 bases, ploidy 2, indexed for bwa.\n"


@pytest.mark.parametrize(("etag", "number"), [("", 1), ("other", 2)])
def test_files_are_prepared_again_if_the_reference_was_made_of_others_since(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, etag: str, number: int
) -> None:
    started: list[str] = []
    (tmp_path / "hg.fa").write_text(">chr1\nACGT\n")
    monkeypatch.setattr(stack.stepfunctions, "start_execution", lambda **request: started.append(request["name"]))
    monkeypatch.setattr(reference, "follow", lambda *_: ("SUCCEEDED", []))
    monkeypatch.setattr(Stack, "status_of", lambda _, arn: "SUCCEEDED" if arn.split(":")[-1] in started else None)
    object.__setattr__(stack, "outputs", {**stack.outputs, "PrepareReferenceAlias": "arn"})
    source = Source.of(tmp_path / "hg.fa", None, None)
    reference.prepare(stack, source, "bwa")
    stored = stack.s3.head_object(Bucket="references", Key="hg/source/hg.fa")["ETag"].strip('"')
    summary = {**SUMMARY, "sources": {"fasta": {"etag": etag or stored}}}
    cli_aws.write_json(stack, "references", "hg/reference.json", summary)
    reference.prepare(stack, source, "bwa")
    assert len(started) == number


def test_another_ploidy_is_another_preparation(stack: Stack, tmp_path: Path, started: dict[str, str]) -> None:
    for ploidy in (1, 2):
        reference.prepare(stack, Source.of(tmp_path / "hg.fa", None, None, ploidy), "bwa")
    assert [json.loads(plan)["args"] for plan in started.values()] == ['["--ploidy","1"]', "[]"]


GENOME = b">chr1 the first\nACGT\nACG\n>chrM\nAC\n"


@pytest.mark.parametrize("genome", [GENOME, gzip.compress(GENOME)], ids=["plain", "gzipped"])
def test_the_regions_of_a_ploidy_file_are_options_of_the_preparation(tmp_path: Path, genome: bytes) -> None:
    (tmp_path / "hg.fa").write_bytes(genome)
    (tmp_path / "sex.tsv").write_text("# of a man\nchr1\t0\t7\t2\nchrM\t1\n")
    source = Source.of(tmp_path / "hg.fa", None, None, 1, tmp_path / "sex.tsv")
    assert source.args == ["--ploidy", "1", "--ploidy-regions", '[["chr1",0,7,2,2],["chrM",0,null,1,3]]']
    assert Source.of(tmp_path / "hg.fa", None, None).args == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chrX\t1\n", r"sex\.tsv: line 1 of the ploidy file: the reference has no contig chrX; it has chr1, chrM\."),
        ("chr1\t0\t8\t1\n", r"line 1 of the ploidy file: 8 is past the end of chr1, which has 7 bases\."),
        ("chr1\t3\n", r"line 1 of the ploidy file: the ploidy is 3, but callers know 1 and 2"),
        (None, r"No such file or directory at .*sex\.tsv"),
    ],
)
def test_a_ploidy_file_that_does_not_fit_is_refused_before_any_upload(
    tmp_path: Path, text: str | None, message: str
) -> None:
    (tmp_path / "hg.fa").write_bytes(GENOME)
    if text is not None:
        (tmp_path / "sex.tsv").write_text(text)
    with pytest.raises(CliError, match=message):
        Source.of(tmp_path / "hg.fa", None, None, 2, tmp_path / "sex.tsv")


def test_a_ploidy_file_for_a_truncated_genome_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hg.fa.gz").write_bytes(gzip.compress(GENOME)[:-9])
    (tmp_path / "sex.tsv").write_text("chrM\t1\n")
    with pytest.raises(CliError, match=r"hg\.fa\.gz is truncated or damaged"):
        Source.of(tmp_path / "hg.fa.gz", None, None, 2, tmp_path / "sex.tsv")


def test_the_warnings_of_a_preparation_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    warnings = [{"warning": "GENES_WITHOUT_CONTIG", "message": "4 of 12 lines are left out"}]
    reference.show("hg", {**SUMMARY, "ploidy": 1, "warnings": warnings})
    assert capsys.readouterr().out.splitlines() == [
        "Reference hg is ready with 1 warning: 1 contig, 1,200 bases, ploidy 1, indexed for bwa.",
        "  GENES_WITHOUT_CONTIG: 4 of 12 lines are left out.",
    ]
    reference.show("hg", {**SUMMARY, "warnings": warnings * 2})
    assert capsys.readouterr().out.startswith("Reference hg is ready with 2 warnings: ")


def options(**texts: list[str]) -> dict[str, dict[str, Extra]]:
    """Return the panels and known variants of a command line."""
    return reference_files.parse_extras(texts.get("panel", []), 20, texts.get("known", []), texts.get("fields", []))


def test_panels_and_known_variants_are_added_to_a_prepared_reference(
    stack: Stack, tmp_path: Path, started: dict[str, str]
) -> None:
    (tmp_path / "kit.bed").write_text("chr1\t1\t9\n")
    (tmp_path / "c.vcf.gz").write_bytes(b"vcf")
    panel, known = f"exome={tmp_path / 'kit.bed'}", f"clinvar={tmp_path / 'c.vcf.gz'}"
    extra = options(panel=[panel], known=[known], fields=["clinvar=ID,CLNSIG"])
    assert reference.prepare(stack, reference.only_extras("hg", extra, others=False), "bwa") == SUMMARY
    [plan] = map(json.loads, started.values())
    assert (plan["fasta"], plan["genes"], plan["reference"]) == ("none", "none", "s3://references/hg/genome.fa")
    sources = json.loads(plan["sources"])
    assert {kind: list(files) for kind, files in sources.items()} == {"panels": ["exome"], "known": ["clinvar"]}
    assert sources["panels"]["exome"].items() >= {"uri": "s3://references/hg/source/kit.bed", "padding": 20}.items()
    assert sources["known"]["clinvar"]["fields"] == ["ID", "CLNSIG"]
    assert sources["known"]["clinvar"]["version_id"]
    with pytest.raises(CliError, match=r"^Reference mm is not prepared: give its GENOME\.fa too\.$"):
        reference.prepare(stack, reference.only_extras("mm", extra, others=False), "bwa")
    (tmp_path / "kit.bed").write_text("chr1\t1\t1201\n")
    with pytest.raises(CliError, match=r"--panel exome: line 1 of kit\.bed: 1201 is past the end of chr1"):
        reference.prepare(stack, reference.only_extras("hg", extra, others=False), "bwa")


def test_what_was_added_is_not_added_again_unless_its_address_can_have_other_bytes(
    stack: Stack, started: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def status_of(_: Stack, execution: str) -> str | None:
        return "SUCCEEDED" if execution.rsplit(":", maxsplit=1)[-1] in started else None

    monkeypatch.setattr(Stack, "status_of", status_of)
    checksum = f"#md5={'0' * 32}"
    for address, number in (("https://x.org/c.vcf.gz", 2), (f"https://x.org/c.vcf.gz{checksum}", 1)):
        source = reference.only_extras("hg", options(known=[f"clinvar={address}"]), others=False)
        cli_aws.write_json(stack, "references", "hg/reference.json", SUMMARY)
        reference.prepare(stack, source, "bwa")
        known = {"clinvar": {"source": {"uri": "https://x.org/c.vcf.gz"}, "fields": ["ID"], "records": 1}}
        cli_aws.write_json(stack, "references", "hg/reference.json", {**SUMMARY, "known": known})
        reference.prepare(stack, source, "bwa")
        assert len(started) == number
        started.clear()


def test_genome_and_genes_can_be_in_s3_and_on_the_web(stack: Stack, started: dict[str, str]) -> None:
    stack.s3.create_bucket(Bucket="lab")
    stack.s3.put_object(Bucket="lab", Key="mm.gtf.gz", Body=b"genes")
    source = Source.of("https://genomes.example/mm.fa.gz?id=1", "s3://lab/mm.gtf.gz", None)
    assert source.name == "mm"
    cli_aws.write_json(stack, "references", "mm/reference.json", SUMMARY)
    with pytest.raises(CliError, match=r"^s3://lab/mm\.gtf\.gz cannot be read by the job: its bucket is not in InputB"):
        reference.prepare(stack, source, "bwa")
    object.__setattr__(stack, "parameters", {"InputBucketArns": "arn:aws:s3:::lab"})
    reference.prepare(stack, source, "bwa")
    [plan] = map(json.loads, started.values())
    assert plan["fasta"] == "https://genomes.example/mm.fa.gz?id=1"
    assert plan["genes"] == "s3://lab/mm.gtf.gz"
    sources = json.loads(plan["sources"])
    assert sources["fasta"] == {"uri": plan["fasta"]}
    assert sources["genes"]["etag"]
    with pytest.raises(CliError, match=r"^s3://lab/mm\.gff does not exist\.$"):
        reference.prepare(stack, Source.of("https://x.org/mm.fa", "s3://lab/mm.gff", None), "bwa")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://x.org/hg.fa", "http://x.org/hg.fa is not encrypted: give an address that begins with https."),
        (
            "https://me:secret@x.org/hg.fa",  # pragma: allowlist secret  an address to refuse
            "an address with a user name or a password is not accepted: it would be stored.",
        ),
        ("https:///hg.fa", "not a web address: 'https:///hg.fa' (expected https://host/path)."),
        ("https://x.org/hg.fa#md5=12", "what follows # is not a checksum: expected md5=... or sha256=..., in hex"),
        ("https://x.org/hg.bam", "hg.bam is not named like a FASTA file: expected .fa, .fasta, .fna"),
        ("s3://x", "not an S3 address: 's3://x' (expected s3://bucket/key)."),
    ],
)
def test_addresses_that_cannot_be_used_are_refused(address: str, message: str) -> None:
    with pytest.raises(CliError) as raised:
        Source.of(address, None, None)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"panel": ["kit.bed"]}, "--panel 'kit.bed': expected NAME=FILE.bed."),
        ({"panel": ["none=kit.bed"]}, "--panel none=...: use at most 64 letters"),
        ({"panel": ["a=kit.bed", "a=b.bed"]}, "--panel a is given twice."),
        ({"panel": ["a=kit.vcf"]}, "kit.vcf: no such file, or it is a directory."),
        ({"known": ["my_db=x.vcf"]}, "--known my_db=...: the name must be at most 32 letters and digits"),
        ({"fields": ["clinvar=ID"]}, "--known-fields clinvar=...: it needs --known clinvar=FILE."),
    ],
)
def test_extras_that_cannot_be_used_are_refused(texts: dict[str, list[str]], message: str) -> None:
    with pytest.raises(CliError) as raised:
        options(**texts)
    assert str(raised.value).startswith(message)


def test_public_references_are_found_by_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert {known_references.find(name).name for name in ("hg38", "grch38")} == {"GRCh38"}
    assert [row.ploidy for row in known_references.table().values()] == [2, 2, 2, 1]
    for row in known_references.table().values():
        assert {row.fasta.scheme, row.genes.scheme, row.source_page.partition(":")[0]} == {"https"}
        Source.of(str(row.fasta), str(row.genes), row.name)
        known_references.show(row)
        shown = capsys.readouterr().out
        assert row.fasta.url in "".join(shown.split())
        assert ("no checksum is known: that of the download is pinned" in shown) is not bool(row.genes.checksum)
    with pytest.raises(CliError, match=r"No public reference 'mm10' in the table: it has GRCh38, hs37d5, CHM1"):
        known_references.find("mm10")


def test_fetch_shows_a_public_reference_without_a_stack() -> None:
    code, output = cli_aws.seqdrop("reference", "--fetch", "hg38", "--dry-run", "--json")
    row = json.loads(output[output.index("{") :])
    assert (code, row["name"]) == (0, "GRCh38")
    assert row["fasta"]["checksum"] == "md5:a08035b6a6e31780e96a34008ff21bd6"
    assert row["genes"]["checksum"] == ""


def test_panels_and_known_variants_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    warnings = [{"warning": "KNOWN_OTHER_REF", "message": "1 of 9 is left out"}]
    known = {"records": 1234, "fields": ["ID", "AF"], "warnings": warnings}
    reference.show(
        "hg", {**SUMMARY, "panels": {"exome": {"padding": 9, "targets": 2, "bases": 70}}, "known": {"b": known}}
    )
    assert capsys.readouterr().out.splitlines() == [
        "Reference hg is ready with 1 warning: 1 contig, 1,200 bases, ploidy 2, indexed for bwa.",
        "  Panel exome: 2 targets, 70 bases, called with 9 more on each side.",
        "  Known variants b: 1,234 alleles; fields: ID, AF.",
        "  KNOWN_OTHER_REF: 1 of 9 is left out.",
    ]
