"""containers/reference: panels and known variants of a reference, by the real bcftools."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from seqdrop.plan import bed, extras
from seqdrop.plan.names import REFERENCE_JSON
from seqdrop.runs import reference
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from support.job_runs import in_this_process
from support.made_reads import bases
from support.web_site import Answer, Site

from containers.reference import known, run, web

CHR1 = bases(99, 3) + "C" + "A" * 8 + "G" + bases(391, 4)
GENOME = f">chr1\n{CHR1}\n>chr2\n{bases(200, 5)}\n"
FIELDS = ("AF,Number=A,Type=Float", "CLNSIG,Number=.,Type=String", "DP,Number=1,Type=Integer")
HEADER = "##fileformat=VCFv4.2\n" + "".join(f'##INFO=<ID={field},Description="d">\n' for field in FIELDS)
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def ref(position: int) -> str:
    return str(CHR1[position - 1])


def others(position: int) -> list[str]:
    return [base for base in "ACGT" if base != ref(position)]


def vcf(*records: tuple[Any, ...], header: str = HEADER) -> str:
    return header + COLUMNS + "".join("\t".join(map(str, record)) + "\n" for record in records)


def snp(position: int, name: str = "rs1", contig: str = "chr1") -> tuple[Any, ...]:
    return contig, position, name, ref(position), others(position)[0], ".", ".", "AF=0.5;CLNSIG=Benign"


class Preparation:
    """Prepare a reference, or add files to it, in this process."""

    def __init__(self, bucket: str, folder: Path) -> None:
        self.bucket, self.folder, self.number = bucket, folder, 0

    def put(self, data: str | bytes, name: str) -> dict[str, Any]:
        uri = S3Uri(self.bucket, f"hg/source/{name}")
        s3.store().write(uri, data if isinstance(data, bytes) else data.encode())
        return s3.store().head(uri).source()

    def prepare(self, *, genome: bool = False, fasta: str = "none", **kinds: Any) -> dict[str, Any]:
        self.number += 1
        sources = {"fasta": self.put(GENOME, "hg.fa")} if genome else {}
        values = {"fasta": sources["fasta"]["uri"] if genome else fasta, "genes": "none", "aligner": "isaac",
                  "reference": f"s3://{self.bucket}/hg/genome.fa", "run": f"r{self.number}", "attempt": "1",
                  "results": f"s3://{self.bucket}/hg/preparation/r{self.number}", "vcpus": "1", "memory": "1000",
                  "args": "[]", "sources": json.dumps({**sources, **kinds})}  # fmt: skip
        run.main([arg for word, value in values.items() for arg in (f"--{word}", value)])
        return self.summary()

    def summary(self) -> dict[str, Any]:
        return dict(s3.store().read_json(S3Uri(self.bucket, f"hg/{REFERENCE_JSON}")))

    def known(self, data: str | bytes, *fields: str, name: str = "clinvar") -> dict[str, Any]:
        """Add known variants; return their entry in reference.json."""
        pin = {**self.put(data, f"{name}.vcf"), **({"fields": fields} if fields else {})}
        return dict(self.prepare(known={name: pin})["known"][name])

    def refusal(self, **kinds: dict[str, Any]) -> str:
        """Return the message of a preparation that refuses its files."""
        with pytest.raises(SystemExit):
            self.prepare(**kinds)
        name = f"hg/preparation/r{self.number}/failures/prepare.1.1.json"
        verdict = s3.store().read_json(S3Uri(self.bucket, name))
        assert (verdict["class"], verdict["exit_code"]) == ("REFERENCE", 65)
        return str(verdict["message"])

    def refused_known(self, data: str | bytes, *fields: str, name: str = "clinvar") -> str:
        return self.refusal(known={name: {**self.put(data, "x.vcf"), **({"fields": fields} if fields else {})}})

    def query(self, columns: str, name: str = "clinvar") -> list[str]:
        """Return columns of the known variants of the reference; they have an index."""
        path = self.folder / "known.vcf.gz"
        for suffix in ("", ".tbi"):
            uri = S3Uri(self.bucket, f"hg/genome.fa{extras.known_suffix(name)}{suffix}")
            s3.store().download(uri, Path(f"{path}{suffix}"))
        command = ["bcftools", "query", "-r", "chr1,chr2", "-f", columns, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.fixture
def preparation(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Preparation:
    in_this_process(monkeypatch, tmp_path)
    made = Preparation(bucket, tmp_path)
    made.prepare(genome=True)
    return made


def test_known_variants_are_sorted_split_left_aligned_and_renamed(preparation: Preparation) -> None:
    one, two = others(300)[:2]
    text = vcf(
        ("chr1", 300, "rs3", ref(300), f"{one},{two}", 9, "q", "AF=0.1,0.2;DP=7;CLNSIG=Benign,x"),
        ("chr1", 107, "rs2", "AA", "A", ".", ".", "AF=0.3"),
        ("chr1", 50, "rs0", ref(50), ".", ".", ".", "."),
        snp(20),
        header=HEADER + '##FILTER=<ID=q,Description="q">\n',
    )
    entry = preparation.known(text)
    names = "%INFO/clinvar_AF\t%INFO/clinvar_CLNSIG\t%INFO/clinvar_DP"
    assert preparation.query(f"%POS\t%ID\t%REF\t%ALT\t%QUAL\t%FILTER\t{names}\n") == [
        f"20\trs1\t{ref(20)}\t{others(20)[0]}\t.\t.\t0.5\tBenign\t.",
        "100\trs2\tCA\tC\t.\t.\t0.3\t.\t.",
        f"300\trs3\t{ref(300)}\t{one}\t.\t.\t0.1\tBenign,x\t7",
        f"300\trs3\t{ref(300)}\t{two}\t.\t.\t0.2\tBenign,x\t7",
    ]
    assert (entry["records"], entry["fields"], entry["warnings"]) == (4, ["ID", "AF", "CLNSIG", "DP"], [])
    assert entry["source"]["uri"].endswith("/hg/source/clinvar.vcf")
    assert all(entry["source"][word] for word in ("version_id", "etag", "sha256", "size"))


@pytest.mark.parametrize("compress", [gzip.compress, lambda text: text], ids=["gzip", "plain"])
def test_the_fields_that_a_user_chooses_are_copied(preparation: Preparation, compress: Any) -> None:
    entry = preparation.known(compress(vcf(snp(20)).encode()), "CLNSIG")
    assert preparation.query("%ID\t%INFO\n") == [".\tclinvar_CLNSIG=Benign"]
    assert entry["fields"] == ["CLNSIG"]
    preparation.known(vcf(snp(20)), "ID", name="dbsnp")
    assert preparation.query("%ID\t%INFO\n", "dbsnp") == ["rs1\t."]


def test_a_reference_keeps_what_was_added_and_its_own_fingerprint(preparation: Preparation) -> None:
    before = preparation.summary()
    first = preparation.known(vcf(snp(20)))
    same, other = preparation.known(vcf(snp(20)), name="b"), preparation.known(vcf(snp(21)), name="c")
    fewer = preparation.known(vcf(snp(20)), "ID", name="d")
    assert first["fingerprint"] == same["fingerprint"]
    assert len({one["fingerprint"] for one in (first, other, fewer)}) == 3
    after = preparation.prepare(genome=True)
    assert list(after["known"]) == ["clinvar", "b", "c", "d"]
    assert {**after, "sources": 0} == {**before, "sources": 0, "known": after["known"]}
    replaced = preparation.known(vcf(snp(21)))
    assert replaced["fingerprint"] == other["fingerprint"]
    genome = S3Uri(preparation.bucket, "hg/genome.fa")
    vcf_uri = genome.companion(extras.known_suffix("clinvar"))
    assert reference.pin_files(s3.store(), genome, preparation.summary())[vcf_uri.name]["version_id"]
    for suffix in ("", ".tbi"):
        mixed = {**replaced, "files": {**replaced["files"], suffix: "of another file"}}
        with pytest.raises(reference.UnpreparedError, match="known variants clinvar of reference hg are being"):
            reference.pin_files(s3.store(), genome, {"known": {"clinvar": mixed}})
    assert extras.fingerprint(before) == before["fingerprint"] != extras.fingerprint(after)
    assert extras.fingerprint(after) != extras.fingerprint(preparation.summary())


def test_records_that_do_not_fit_the_genome_are_left_out_with_a_warning(preparation: Preparation) -> None:
    good = [snp(position) for position in range(110, 310)]
    wrong = ("chr1", 20, "rs9", others(20)[0], ref(20), ".", ".", ".")
    entry = preparation.known(vcf(*good, wrong, ("chrUn", 7, ".", "A", "C", ".", ".", ".")))
    assert entry["records"] == 200
    assert entry["warnings"] == [
        {
            "warning": "KNOWN_WITHOUT_CONTIG",
            "message": "1 of 202 known variants of clinvar are left out: the genome has no chrUn",
        },
        {
            "warning": "KNOWN_OTHER_REF",
            "message": "1 of 201 known variants of clinvar are left out: the genome has other bases there than their "
            "REF, or an ambiguity code",
        },
    ]


WRONG = {
    "no chr": (
        vcf(snp(20, contig="1")),
        "known variants clinvar have other names of contigs than the genome (1 for chr1): rename them with `bcftools "
        "annotate --rename-chrs NAMES.txt`, where each line of NAMES.txt has the old and the new name",
    ),
    "other contigs": (
        vcf(("NC_000001.11", 7, ".", "A", "C", ".", ".", ".")),
        "known variants clinvar are on contigs that the genome does not have (NC_000001.11); it has chr1, chr2",
    ),
    "another version": (
        vcf(("chr1", 20, ".", others(20)[0], ref(20), ".", ".", "."), *map(snp, range(110, 160))),
        "1 of 51 known variants of clinvar have another REF than the genome: they are of another version of the genome",
    ),
    "nothing": (vcf(), "known variants clinvar have no records with an alternate allele"),
    "a page": ("<html>404</html>", "known variants clinvar: bcftools cannot read or normalise the VCF ("),
    "damaged": (gzip.compress(vcf(*map(snp, range(110, 490))).encode())[:-99], "known variants clinvar: bcftools"),
    "past the end": (
        vcf(("chr2", 250, ".", "A", "C", ".", ".", ".")),
        "1 of 1 known variants of clinvar have another REF than the genome",
    ),
}


@pytest.mark.parametrize(("data", "message"), WRONG.values(), ids=WRONG)
def test_known_variants_of_another_genome_are_refused(
    preparation: Preparation, data: str | bytes, message: str
) -> None:
    before = preparation.summary()
    assert preparation.refused_known(data).startswith(message)
    assert preparation.summary() == before


def test_fields_that_the_vcf_does_not_have_are_refused(preparation: Preparation) -> None:
    message = preparation.refused_known(vcf(snp(20)), "CLNSIG", "MAF")
    assert message == "known variants clinvar have no field MAF: choose ID or some of AF, CLNSIG, DP"
    assert preparation.refused_known(vcf(snp(20)), name="my_db").startswith("the name of known variants must be")
    many = [f"F{number}" for number in range(known.MAX_DEFAULT_FIELDS + 1)]
    with pytest.raises(Exception, match=r"have 41 fields in INFO: choose some of them with `--known-fields gnomad=ID"):
        known.choose_fields("gnomad", [], many)
    assert known.choose_fields("gnomad", ["F1", "ID", "F1"], many) == ["F1", "ID"]


def test_a_panel_is_written_sorted_with_its_padding(preparation: Preparation) -> None:
    text = "track name=x\nchr2\t10\t20\nchr1\t100\t200\tgene\nchr1\t150\t250\n"
    summary = preparation.prepare(panels={"exome": {**preparation.put(text, "exome.bed"), "padding": 30}})
    written = b"chr1\t100\t200\nchr1\t150\t250\nchr2\t10\t20\n"
    uri = S3Uri(preparation.bucket, "hg/genome.fa.panel.exome.bed")
    with s3.store().open(uri) as file:
        assert file.read() == written
    entry = summary["panels"]["exome"]
    assert {word: entry[word] for word in ("padding", "targets", "bases", "sha256")} == {
        "padding": 30,
        "targets": 3,
        "bases": 160,
        "sha256": bed.checksum(written),
    }
    assert entry["source"]["uri"].endswith("exome.bed")
    assert extras.fingerprint(summary) == summary["fingerprint"]


def test_a_panel_that_does_not_fit_is_refused(preparation: Preparation) -> None:
    for text, message in (
        ("1\t10\t20\n", "panel exome: line 1 of exome.bed: the reference has no contig 1; it has chr1, chr2"),
        ("chr2\t10\t201\n", "panel exome: line 1 of exome.bed: 201 is past the end of chr2, which has 200 bases"),
    ):
        assert preparation.refusal(panels={"exome": preparation.put(text, "exome.bed")}) == message
    pin = {**preparation.put("chr1\t1\t9\n", "exome.bed"), "padding": 10_001}
    assert preparation.refusal(panels={"exome": pin}).startswith("the padding of panel exome must be a number of bases")


def test_files_cannot_be_added_to_a_reference_that_is_not_prepared(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_this_process(monkeypatch, tmp_path)
    made = Preparation(bucket, tmp_path)
    message = made.refusal(panels={"exome": made.put("chr1\t1\t9\n", "exome.bed")})
    assert message.startswith("reference hg is not prepared: give its genome too")


def test_genome_and_known_variants_are_downloaded_from_the_web_and_pinned(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_this_process(monkeypatch, tmp_path)
    monkeypatch.setenv(web.LOCAL_HTTP, "yes")
    site, made = Site(), Preparation(bucket, tmp_path)
    site.answers = [Answer(body=GENOME.encode()), Answer(body=gzip.compress(vcf(snp(20)).encode()), etag="")]
    try:
        known = {"clinvar": {"uri": site.url.replace("hg.fa", "c.vcf.gz"), "fields": ["ID"]}}
        summary = made.prepare(fasta=site.url, known=known)
    finally:
        site.close()
    assert [contig["name"] for contig in summary["contigs"]] == ["chr1", "chr2"]
    source = summary["sources"]["fasta"]
    assert (source["uri"], source["etag"], source["size"]) == (site.url, "v1", len(GENOME))
    assert source["sha256"] == hashlib.sha256(GENOME.encode()).hexdigest()
    assert summary["known"]["clinvar"]["source"]["uri"] == known["clinvar"]["uri"]
    assert made.query("%POS\t%ID\n") == ["20\trs1"]
