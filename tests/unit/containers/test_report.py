"""The report: its figures, its verdict and its page, from small files as the tools write them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from seqdrop.failure.verdict import BAD_DATA_EXIT
from seqdrop.plan import steps
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from support.job_runs import in_this_process

from containers.report import calls, charts, depth, describe, evidence, policy, reads, run
from containers.report.figures import UNITS, Figure, show
from containers.report.sources import MOSDEPTH

HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}"
VCF = """##fileformat=VCFv4.2
##contig=<ID=chr1,length=2000>
##INFO=<ID=ANN,Number=.,Type=String,Description="Effects">
##INFO=<ID=SITE,Number=1,Type=String,Description="Site">
##FILTER=<ID=LowQual,Description="low">
##FORMAT=<ID=GT,Number=1,Type=String,Description="g">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="d">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="a">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS
"""
STATS = """SN\traw total sequences:\t1000\t# excluding
SN\treads mapped:\t990
SN\treads properly paired:\t980
SN\treads duplicated:\t99
SN\taverage quality:\t36.1
SN\terror rate:\t1.5e-03\t# mismatches
FFQ\t1\t0\t0\t2\t8
FFQ\t2\t0\t0\t0\t10
LFQ\t1\t0\t0\t0\t0
IS\t0\t0\t0\t0\t0
IS\t300\t4\t4\t0\t0
IS\t310\t5\t5\t0\t0
IS\t9000\t1\t1\t0\t0
FTC\t30\t20\t30\t20\t0
LTC\t30\t20\t30\t20\t0
"""
ENDINGS = {"stats": "stats.txt", "vcf": "vcf.gz", "annotated_vcf": "annotated.vcf.gz", "report": "report.html"}


def call(at: int, genotype: str, reads: tuple[int, int], *, filters: str = "PASS", info: str = ".", **more: str) -> str:
    """Return a line of a VCF."""
    ref, alt, contig = more.get("ref", "A"), more.get("alt", "G"), more.get("contig", "chr1")
    sample = f"{genotype}:{sum(reads)}:{reads[0]},{reads[1]}"
    return f"{contig}\t{at}\t.\t{ref}\t{alt}\t50\t{filters}\t{info}\tGT:DP:AD\t{sample}\n"


def line(at: int, genotype: str, reads: tuple[int, int], filters: str = "PASS", ann: str = ".", **more: str) -> str:
    """Return a line as `bcftools query` writes it."""
    ref, alt, site = more.get("ref", "A"), more.get("alt", "G"), more.get("site", ".")
    counts = f"{sum(reads)}\t{reads[0]},{reads[1]}\t{more.get('vaf', '.')}"
    fields = ["chr1", str(at), ref, alt, "50", filters, site, ann, more.get("bcsq", "."), genotype, counts]
    return "\t".join(fields) + "\n"


def values(figures: list[Figure]) -> dict[str, float | None]:
    return {figure.name: figure.value for figure in figures}


# --- figures ----------------------------------------------------------------------------------------------------------


def test_figures_of_the_reads(tmp_path: Path) -> None:
    (tmp_path / "stats").write_text(STATS)
    found = values(reads.read(tmp_path / "stats").figures())
    assert found == {
        "reads": 1000,
        "mapped": 99,
        "properly_paired": 98,
        "duplicates": 10,
        "insert_size": 310,
        "base_quality": 36.1,
        "q30": 0,
        "gc": 50,
        "error_rate": 0.15,
    }


def test_a_run_without_reads_has_figures_without_values(tmp_path: Path) -> None:
    text = re.sub(r"^(SN\t.*:\t)[\d.e-]+", r"\g<1>0", STATS, flags=re.MULTILINE)
    (tmp_path / "stats").write_text("".join(row for row in text.splitlines(keepends=True) if row.startswith("SN")))
    found = values(reads.read(tmp_path / "stats").figures())
    assert (found["reads"], found["mapped"], found["duplicates"], found["q30"], found["gc"]) == (
        0,
        None,
        None,
        None,
        None,
    )


def write_mosdepth(folder: Path, regions: list[tuple[str, int, int, float, tuple[int, ...]]]) -> None:
    """Write the files of mosdepth for these regions."""
    with gzip.open(folder / "s.regions.bed.gz", "wt") as file:
        file.writelines(f"{name}\t{start}\t{end}\t{mean}\n" for name, start, end, mean, _ in regions)
    with gzip.open(folder / "s.thresholds.bed.gz", "wt") as file:
        file.write("#chrom\tstart\tend\tregion\t1X\t10X\t20X\t30X\n")
        for name, start, end, _, covered in regions:
            file.write("\t".join([name, str(start), str(end), "unknown", *map(str, covered)]) + "\n")
    for scope in ("global", "region"):
        (folder / f"s.mosdepth.{scope}.dist.txt").write_text("c\t20\t0.5\nc\t0\t1\ntotal\t20\t0.5\ntotal\t0\t1.0\n")


def test_contigs_without_reads_count_in_the_depth_of_a_genome(tmp_path: Path) -> None:
    """mosdepth leaves them out: the mean of this genome would be 10, and half of it would have a depth of 20."""
    write_mosdepth(tmp_path, [("c", 0, 100, 10.0, (50, 50, 50, 0))])
    found = depth.read(tmp_path, "s", {"c": 100, "empty": 300}, targets=False)
    assert values(found.figures()) == {"mean_depth": 2.5, "breadth_1": 12.5, "breadth_10": 12.5, "breadth_20": 12.5,
                                       "breadth_30": 0}  # fmt: skip
    assert {name: one.mean for name, one in found.contigs.items()} == {"c": 10, "empty": 0}
    assert found.histogram == [(0, 87.5), (20, 12.5)]


def test_the_depth_of_targets_is_of_the_targets_alone_and_the_worst_are_first(tmp_path: Path) -> None:
    regions = [("c", 0, 10, 30.0, (10, 10, 10, 10)), ("c", 50, 60, 2.0, (10, 0, 0, 0)), ("d", 0, 20, 0.0, (0, 0, 0, 0))]
    write_mosdepth(tmp_path, regions)
    found = depth.read(tmp_path, "s", {"c": 100, "d": 300}, targets=True)
    assert values(found.figures()) == {"mean_depth": 8, "breadth_1": 50, "breadth_10": 25, "breadth_20": 25,
                                       "breadth_30": 25}  # fmt: skip
    assert [(region.contig, region.start) for region in found.worst] == [("d", 0), ("c", 50), ("c", 0)]


def genome(x: float, y: float, *, autosomes: int = 22) -> depth.Depth:
    """Return the depth of a genome with this depth of X and Y."""
    means = {**{f"chr{number}": 30.0 for number in range(1, autosomes + 1)}, "chrX": x, "chrY": y, "chrM": 2000.0}
    contigs = {name: depth.Sum(100, 100 * mean) for name, mean in means.items()}
    return depth.Depth(False, depth.Sum(), contigs, [], [], {}, [])


@pytest.mark.parametrize(
    ("x", "y", "start"),
    [(29.5, 0.1, "As of two X"), (15.2, 12.0, "As of one X"), (29.0, 14.0, "Unclear"), (15.0, 0.0, "Unclear")],
)
def test_the_sex_follows_from_the_depth_of_x_and_y(x: float, y: float, start: str) -> None:
    shares = depth.sexes(genome(x, y))
    assert describe.SEX[depth.karyotype(shares)].startswith(start)


def test_a_genome_without_autosomes_has_no_sex() -> None:
    assert depth.sexes(genome(30, 0, autosomes=1)) == {}


def test_reads_of_another_sample_show_at_homozygous_snps() -> None:
    """Of 10 % from another person, about half have the other allele at a homozygous SNP."""
    clean = calls.read(line(at, "1/1", (0, 30)) for at in range(1, 101))
    mixed = calls.read(line(at, "1/1", (3 * (at % 2), 27)) for at in range(1, 101))
    assert values(clean.figures())["contamination"] == 0
    assert values(mixed.figures())["contamination"] == pytest.approx(5)
    called_het = calls.read(line(at, "0/1", (3, 27)) for at in range(1, 101))
    assert values(called_het.figures())["contamination"] == pytest.approx(10)
    few = calls.read(line(at, "1/1", (3, 27)) for at in range(1, 10))
    assert values(few.figures())["contamination"] is None


def test_heterozygous_snps_with_a_low_share_count_whatever_their_filter() -> None:
    lines = [line(at, "0/1", (15, 15)) for at in range(30)]
    lines += [line(100 + at, "0/1", (27, 3), "LowShare") for at in range(10)]
    lines += [line(200 + at, "0/1", (2, 1)) for at in range(50)]  # too few reads
    found = calls.read(lines)
    assert values(found.figures())["low_share"] == 25
    assert (found.all, found.passed) == (90, 80)


def test_calls_are_listed_by_filter_impact_and_quality() -> None:
    ann = "G|missense_variant&splice_region_variant|{}|GENE|id|transcript|T1|coding||c.1A>G|p.Lys1Arg|"
    lines = [
        line(1, "0/1", (5, 5)),
        line(2, "0/1", (5, 5), "LowQual", ann.format("HIGH")),
        line(3, "0/1", (5, 5), ann=ann.format("MODERATE")),
        line(4, "1/1", (0, 9), ann=ann.format("HIGH"), ref="AT", alt="A", bcsq="stop|GENE|T1|coding|+|9K>9*|4A>G+5C>T"),
    ]
    found = calls.read(lines)
    assert [(one.position, one.impact, one.change) for one in found.listed] == [
        (4, "HIGH", "T1:c.1A>G p.Lys1Arg with its neighbours 9K>9*"),
        (3, "MODERATE", "T1:c.1A>G p.Lys1Arg"),
        (1, "", ""),
        (2, "HIGH", "T1:c.1A>G p.Lys1Arg"),
    ]
    between = calls.parse(
        line(5, "0/1", (5, 5), ann="G|intergenic_region|MODIFIER|A-B|A-B|intergenic_region|A-B|||n.5A>G||")
    )
    assert between.change == "n.5A>G"
    assert found.listed[1].effect == "missense variant, splice region variant"
    assert (found.kinds["SNV"], found.kinds["deletion"], found.zygosity["het"], found.zygosity["hom"]) == (2, 1, 2, 1)


def test_only_the_first_variants_are_listed_and_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MAX_VARIANTS", 5)
    monkeypatch.setattr(describe, "MAX_VARIANTS", 5)
    found = calls.read(line(at, "0/1", (5, 5)) for at in range(8))
    assert len(found.listed) == 5
    assert describe.list_of(found).endswith("first 5 by PASS, impact and quality; 3 are left out: they are in the VCF.")


@pytest.mark.parametrize(
    ("genotype", "kind"), [("0/1", "het"), ("1|0", "het"), ("1/1", "hom"), ("1", "hom"), ("./1", ""), ("0/0", "")]
)
def test_the_zygosity_of_a_genotype(genotype: str, kind: str) -> None:
    assert calls.parse(line(1, genotype, (5, 5))).zygosity == kind


def test_an_allele_of_a_split_site_has_no_zygosity() -> None:
    assert calls.parse(line(1, "1/0", (0, 5), site="chr1|1|A|G,T|1")).zygosity == ""


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("mean_depth", 29.56, "29.6x"),
        ("breadth_20", 99.99, "99.9%"),
        ("breadth_20", 100.0, "100%"),
        ("mapped", 0.004, "<0.01%"),
        ("mapped", 0.0, "0%"),
        ("contamination", 1.5, "1.5%"),
        ("reads", 1234567.0, "1,234,567"),
        ("insert_size", 349.0, "349 bp"),
    ],
)
def test_a_share_is_never_rounded_up_to_all(name: str, value: float, text: str) -> None:
    assert show(name, value) == text


# --- verdict ----------------------------------------------------------------------------------------------------------

GOOD = {"mean_depth": 31.0, "breadth_10": 98.0, "mapped": 99.5, "properly_paired": 98.0, "duplicates": 8.0, "q30": 92.0,
        "error_rate": 0.4, "contamination": 0.2, "low_share": 3.0, "ti_tv": 2.05, "het_hom": 1.6}  # fmt: skip


def judge(
    assay: str = "genome", *, warned: bool = False, chosen: bool = False, **changed: float | None
) -> policy.Verdict:
    figures = [Figure(name, name, value) for name, value in {**GOOD, **changed}.items()]
    return policy.judge(policy.default(assay), figures, assay, warned=warned, chosen=chosen)


def test_a_good_genome_passes() -> None:
    verdict = judge()
    assert (verdict.result, verdict.reasons, verdict.missing) == ("PASS", [], [])


@pytest.mark.parametrize(
    ("name", "value", "result", "limit"),
    [
        ("mean_depth", 3.0, "FAIL", "under 10x"),
        ("mean_depth", 20.0, "WARN", "under 25x"),
        ("contamination", 5.0, "FAIL", "over 3%"),
        ("contamination", 2.0, "WARN", "over 1.5%"),
        ("mapped", 40.0, "FAIL", "under 70%"),
        ("error_rate", 7.0, "FAIL", "over 6%"),
        ("ti_tv", 1.2, "WARN", "under 1.8"),
    ],
)
def test_a_figure_beyond_its_limit_decides_and_is_named(name: str, value: float, result: str, limit: str) -> None:
    verdict = judge(**{name: value})
    assert verdict.result == result
    [reason] = verdict.reasons
    assert reason.startswith(f"{name}: {show(name, value)}, {limit}; ")


def test_failures_are_named_before_warnings() -> None:
    assert [reason.split(":")[0] for reason in judge(mean_depth=20.0, contamination=9.0).reasons] == [
        "contamination",
        "mean_depth",
    ]


def test_a_figure_of_too_few_data_is_not_judged_and_a_missing_one_is_a_warning() -> None:
    assert judge(ti_tv=None).result == "PASS"
    figures = [Figure(name, name, value) for name, value in GOOD.items() if name != "mean_depth"]
    verdict = policy.judge(policy.default("genome"), figures, "genome", warned=False, chosen=False)
    assert (verdict.result, verdict.reasons) == ("WARN", ["mean_depth was not measured"])


def test_a_figure_of_too_few_data_is_a_warning_by_a_policy_that_somebody_chose() -> None:
    verdict = judge(chosen=True, ti_tv=None)
    assert (verdict.result, verdict.reasons) == ("WARN", ["ti_tv: not judged, too few data"])
    failed = judge(chosen=True, ti_tv=None, mapped=40.0)
    assert (failed.result, failed.reasons[1]) == ("FAIL", "ti_tv: not judged, too few data")
    assert judge(chosen=True).result == "PASS"


def test_no_policy_judges_the_figures_of_pairs_in_single_end_reads(tmp_path: Path) -> None:
    path, names = tmp_path / "stats.txt", ("raw total sequences", "reads mapped", "reads duplicated", "average quality")
    rows = dict.fromkeys(names, 100) | {"reads paired": 0, "reads properly paired": 0, "error rate": 0}
    path.write_text("".join(f"SN\t{name}:\t{value}\n" for name, value in rows.items()))
    single = {figure.name: figure for figure in reads.read(path).figures()}
    assert [single[name].text for name in ("properly_paired", "insert_size", "mapped")] == ["does not apply"] * 2 + [
        "100%"
    ]
    figures = [single.get(name, Figure(name, name, value)) for name, value in GOOD.items() if name != "mapped"]
    rules = {"checks": {"properly_paired": {"fail_below": 99}, "insert_size": {"warn_below": 9_999}}}
    figures.append(single["insert_size"])
    assert policy.judge(rules, figures, "mine", warned=False, chosen=True).result == "PASS"


def test_a_run_with_warnings_does_not_pass() -> None:
    assert (judge(warned=True).result, judge(warned=True, mean_depth=1.0).result) == ("WARN", "FAIL")


@pytest.mark.parametrize("assay", steps.ASSAYS)
def test_the_policies_of_seqdrop_are_valid(assay: str) -> None:
    text = (policy.FOLDER / f"{assay}.yaml").read_text()
    assert policy.parse(text) == policy.default(assay)
    assert policy.default(assay)["assay"] == assay


def test_a_policy_may_limit_every_figure() -> None:
    for name in UNITS:
        policy.parse(json.dumps({"version": 1, "assay": "exome", "checks": {name: {"fail_below": 1}}}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 1\nassay: genome\nchecks: {depth: {fail_below: 1}}", "checks: 'depth' does not match"),
        ("version: 1\nassay: ship\nchecks: {q30: {fail_below: 1}}", "assay: 'ship' is not one of"),
        (
            "version: 1\nassay: genome\nchecks: {q30: {fail_below: often}}",
            "checks.q30.fail_below: 'often' is not of type",
        ),
        (
            "version: 1\nassay: genome\nchecks: {q30: {fail_below: 9, warn_below: 3}}",
            "checks.q30: fail_below 9 is over",
        ),
        (
            "version: 1\nassay: genome\nchecks: {q30: {fail_above: 3, warn_above: 9}}",
            "checks.q30: fail_above 3 is under",
        ),
        ("version: 1\nassay: genome\nchecks: {q30: {fail_below: .nan}}", "checks.q30: a limit is not a finite number"),
        ("!!python/object/apply:os.system ['touch canary']", "not YAML"),
        ("a: [", "not YAML"),
        ("[" * 2000, "not YAML"),
        ("x", "the file: 'x' is not of type 'object'"),
        ("#" * 20_001, "a QC policy has at most"),
    ],
)
def test_a_file_that_is_no_policy_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(policy.PolicyError) as raised:
        policy.parse(text)
    assert str(raised.value).startswith(message)


# --- page -------------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


class Run:
    """The folder of a run in a bucket, and the job of its report."""

    def __init__(self, bucket: str, folder: Path, sample: str = "S") -> None:
        self.results, self.folder, self.sample = S3Uri(bucket, f"{sample}/r"), folder, sample
        self.reference = S3Uri(bucket, "hg/genome.fa")
        self.outputs = {output: self.results / f"{sample}.{ending}" for output, ending in ENDINGS.items()}

    def put(self, uri: S3Uri, content: bytes | str) -> None:
        s3.store().write(uri, content.encode() if isinstance(content, str) else content)

    def put_calls(self, lines: str) -> None:
        """Store annotated calls, and the statistics that the step call has left."""
        vcf = self.folder / "calls.vcf"
        vcf.write_text(VCF + lines)
        compressed = subprocess.run(["bgzip", "-c", vcf], check=True, capture_output=True).stdout
        self.put(self.outputs["annotated_vcf"], compressed)
        statistics = subprocess.run(["bcftools", "stats", "-f", "PASS", vcf], check=True, capture_output=True).stdout
        self.put(self.outputs["vcf"].companion(".stats"), statistics)

    def build(self, intervals: str = "all", args: str = "[]") -> tuple[str, dict[str, Any]]:
        """Build the report; return the page and the document for programs."""
        words = {"sample": self.sample, "reference": self.reference, "intervals": intervals, **self.outputs}
        words |= {"results": self.results, "run": "r", "attempt": "1", "vcpus": 1, "memory": 1000, "args": args}
        run.main([word for name, value in words.items() for word in (f"--{name}", str(value))])
        text = s3.store().read_start(self.outputs["report"], 64 << 20).decode()
        return text, s3.store().read_json(self.outputs["report"].companion(".json"))


@pytest.fixture
def report(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    in_this_process(monkeypatch, tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    return Run(bucket, tmp_path)


def test_a_run_without_any_result_has_a_page_that_says_what_is_missing(report: Run) -> None:
    text, document = report.build()
    assert document["verdict"] == "WARN"
    assert "mean_depth was not measured" in document["reasons"]
    assert text.count("Not measured: ") == 3


@pytest.mark.parametrize("sample", ["HG002.trimmed-10-reads.v2", "S1_R1_001.fastq.gz.flagstat"])
def test_the_page_has_the_whole_name_of_the_sample_the_warnings_and_the_links(
    bucket: str, report: Run, tmp_path: Path, sample: str
) -> None:
    report = Run(bucket, tmp_path, sample)
    report.put(report.outputs["stats"], STATS)
    report.put_calls(call(5, "0/1", (10, 12)))
    warning = {"warning": "FEW_MAPPED", "message": "only 1 of <b>20</b> reads align"}
    outputs = [{"name": "bam", "uri": str(report.results / f"{sample}.cram"), "size": 2_000_000}]
    receipt = {
        "version": 1,
        "step": "collect",
        "warnings": [warning],
        "outputs": outputs,
        "tools": {"samtools": "1.16"},
    }
    s3.store().write_json(report.results / "jobs/collect.json", receipt)
    text, document = report.build()
    assert (document["sample"], document["verdict"]) == (sample, "WARN")
    assert f"Sample {sample}" in text
    assert "Warning of the step collect: only 1 of &lt;b&gt;20&lt;/b&gt; reads align." in text
    links = [attributes["href"] for tag, attributes in Page(text).elements if tag == "a"]
    assert {f"{sample}.cram", "manifest.json"} <= set(links)
    assert f"Open <code>{sample}.cram</code>" in text
    assert all(link and (link.startswith("#") or "/" not in link) for link in links)


def test_hostile_values_are_text_in_the_page(report: Run) -> None:
    """Names of contigs and genes, filters and messages of tools come from files of strangers."""
    ann = f"G|{HOSTILE}|HIGH|{HOSTILE}|i|transcript|t|c||c.1A>G|{HOSTILE}|".replace(";", "").replace("=", "")
    report.put_calls(call(5, "0/1", (10, 12), info=f"ANN={ann}"))
    report.put(report.outputs["stats"], STATS)
    receipt = {
        "version": 1,
        "step": HOSTILE,
        "tools": {HOSTILE: HOSTILE},
        "commands": [HOSTILE],
        "outputs": [{"name": "x", "uri": f"s3://b/k/{HOSTILE.replace('/', '')}", "size": 1}],
        "warnings": [{"warning": "X", "message": HOSTILE}],
    }
    s3.store().write_json(report.results / "jobs/align.json", receipt)
    contigs = [{"name": HOSTILE, "length": 10}]
    s3.store().write_json(report.results / "reference.json", {"contigs": contigs, "fingerprint": HOSTILE})
    text, _ = report.build()
    elements = Page(text).elements
    assert [tag for tag, _ in elements].count("script") == 1
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on")]
    assert "<script>alert" not in text
    assert "49" not in re.findall(r"&#39;&amp;(\d*)", text)  # {{7*7}} was not evaluated
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_the_page_needs_no_network_and_allows_its_own_script_alone(report: Run) -> None:
    text, _ = report.build()
    elements = Page(text).elements
    [rules] = [attributes["content"] for _, attributes in elements if "http-equiv" in attributes]
    for tag in ("style", "script"):
        content = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in content]
        assert [f"{tag}-src 'sha256-{digest}'" in str(rules) for digest in digests] == [True]
    assert str(rules).startswith("default-src 'none';")
    assert not [attributes for _, attributes in elements if "style" in attributes or "src" in attributes]
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))


def test_the_policy_follows_from_the_reference_and_the_regions(report: Run) -> None:
    assert report.build()[1]["policy"] == "genome of seqdrop"
    assert run.guess_assay({"ploidy": 2}, targets=True)[0] == "exome"
    assert run.guess_assay({"ploidy": 1}, targets=False)[0] == "virus"


def test_a_chart_has_a_title_and_a_description_and_stays_within_its_drawing() -> None:
    points = [(float(number), float(number % 7)) for number in range(100)]
    for chart in (
        charts.line("a", "T", "D", ("x", "y"), {"R1": points, "R2": points}),
        charts.bars("b", "T", "D", ("x", "y"), points),
        charts.classes("c", "T", "D", "y", {"SNV": 5, "other": 0}),
        charts.along(points, {"c1": 0, "c2": 60}, 3.0, targets=False),
    ):
        places = [x for x, _ in chart.x_ticks] + [x + width for x, _, width, _, _ in chart.bars]
        assert all(0 <= x <= chart.width for x in places)
        assert all(0 <= y <= chart.height for y, _ in chart.y_ticks)
        assert (chart.title, chart.description != "") == (chart.title, True)


def test_the_names_of_many_contigs_do_not_overlap() -> None:
    starts = {f"contig{number}": number * 10 for number in range(1_000)}
    curve = [(float(10 * number), 5.0) for number in range(1_000)]
    chart = charts.along(curve, starts, 5.0, targets=False)
    places = [x for x, _ in chart.x_ticks]
    assert all(after - before >= charts.MIN_NAME for before, after in itertools.pairwise(places))
    assert len(chart.borders) <= charts.MAX_BORDERS


def put_reads(report: Run, form: str = "bam") -> None:
    """Store the genome, and 20 aligned reads over chr1:100, of which 5 have G there; the receipt of the step align."""
    genome = "ACGTTGCAAC" * 200
    genome = genome[:99] + "A" + genome[100:]
    report.put(report.reference, f">chr1\n{genome[:1200]}\n{genome[1200:]}\n")
    report.put(report.reference.companion(".fai"), "chr1\t2000\t6\t1200\t1201\n")
    rows = ["@SQ\tSN:chr1\tLN:2000"]
    for number in range(20):
        bases = genome[79:129] if number % 4 else genome[79:99] + "G" + genome[100:129]
        rows.append(f"r{number}\t{16 * (number % 2)}\tchr1\t80\t60\t50M\t*\t0\t0\t{bases}\t{'I' * 50}")
    sam, path, fasta = report.folder / "r.sam", report.folder / f"r.{form}", report.folder / "r.fa"
    sam.write_text("\n".join(rows) + "\n")
    fasta.write_text(f">chr1\n{genome}\n")
    subprocess.run(["samtools", "view", "-O", form, "-T", fasta, "-o", path, sam], check=True)
    subprocess.run(["samtools", "index", path], check=True)
    uri = report.results / f"{report.sample}.{form}"
    outputs = []
    for suffix in ("", ".bai" if form == "bam" else ".crai"):
        report.put(uri.companion(suffix), Path(f"{path}{suffix}").read_bytes())
        outputs.append({"name": f"bam{suffix}", **s3.store().head(uri.companion(suffix)).pin()})
    receipt = {"step": "align", "outputs": outputs, "warnings": [], "counts": {}}
    report.put(report.results / "jobs/align.json", json.dumps(receipt))


def igv_of(text: str) -> dict[str, Any]:
    """Return what the page gives to IGV."""
    [data] = re.findall(r'<script type="application/json" id="igv-data">(.*?)</script>', text)
    found: dict[str, Any] = json.loads(data)
    return found


@pytest.mark.parametrize("form", ["bam", "cram"])
def test_the_reads_at_the_first_variants_are_in_the_page(report: Run, form: str) -> None:
    put_reads(report, form)
    report.put_calls(call(100, "0/1", (15, 5)))
    text = report.build()[0]
    found = igv_of(text)
    command = ["samtools", "view", "-"]
    sam = subprocess.run(command, check=True, capture_output=True, input=base64.b64decode(found["bam"])).stdout
    rows = [row.split("\t") for row in sam.decode().splitlines()]
    assert len(rows) == 20
    assert [row[9][20] for row in rows].count("G") == 5
    assert found["fasta"].startswith(">chr1:1-400 @len=2000\nACGTTGCAAC")
    [script] = re.findall(r'id="igv-script">(.*?)</script>', text)
    assert "Permission is hereby granted" in gzip.decompress(base64.b64decode(script)).decode()[:2_000]
    assert found["sites"] == [
        {
            "locus": "chr1:60-140",
            "contig": "chr1",
            "position": 100,
            "title": "chr1:100 A>G",
            "note": "All 20 reads around this variant are shown.",
        }
    ]


def test_a_variant_with_too_many_reads_is_not_shown_and_the_page_says_so(
    report: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "MAX_BYTES", 10)
    put_reads(report)
    report.put_calls(call(100, "0/1", (15, 5)))
    text = report.build()[0]
    [site] = igv_of(text)["sites"]
    assert (site["locus"], site["note"]) == ("", evidence.TOO_DEEP)
    assert "igv-script" not in text
    assert "'unsafe-inline'" not in text
    assert len(text) < 100_000
    assert "The positions of the first 1 say why their reads are not in the page." in text


def test_reads_are_not_shown_on_other_bases_than_those_of_the_variant(report: Run) -> None:
    """Nothing else verifies the bases that are copied: a FASTA has no checksums."""
    put_reads(report)
    deleted = "C" + "ACGTTGCAAC" * 9  # longer than the list shows it
    report.put_calls(call(100, "0/1", (15, 5)) + call(110, "0/1", (15, 5), ref=deleted, alt="C"))
    genome = s3.store().read_start(report.reference, 1 << 20).decode()

    def notes(genome: str) -> list[str]:
        """Return why each variant is not shown."""
        report.put(report.reference, genome)
        s3.store().client.delete_object(Bucket=report.results.bucket, Key=(report.results / "jobs/compose.json").key)
        return ["" if site["locus"] else site["note"] for site in igv_of(report.build()[0])["sites"]]

    assert notes(genome) == notes(genome.lower()) == ["", ""]
    start = len(">chr1\n") + 110
    for other in ("G", "\0", "ä"):
        assert notes(f"{genome[:start]}{other}{genome[start + 1 :]}") == ["", evidence.OTHER_BASES]
    assert notes(genome.replace("A", "N")) == [evidence.OTHER_BASES] * 2


def test_reads_that_cannot_be_read_leave_a_page_that_says_so(report: Run) -> None:
    put_reads(report, "cram")
    report.put_calls(call(100, "0/1", (15, 5)))
    report.put(report.reference, f">chr1\n{'A' * 1200}\n{'A' * 800}\n")  # not the genome of the CRAM
    assert "The aligned reads could not be read: samtools" in report.build()[0]
    put_reads(report)
    s3.store().client.delete_object(Bucket=report.results.bucket, Key=(report.results / "S.bam.bai").key)
    assert "The aligned reads could not be read: s3://" in report.build()[0]
    put_reads(report)
    receipt = s3.store().read_json(report.results / "jobs/align.json")
    receipt["outputs"][0]["etag"] = "of other reads"
    report.put(report.results / "jobs/align.json", json.dumps(receipt))
    assert re.search("could not be read: s3://.*S.bam was replaced", report.build()[0])
    put_reads(report)
    report.put(report.results / "reference.json", json.dumps({"files": {"genome.fa.fai": {"version_id": "replaced"}}}))
    assert re.search("could not be read: s3://.*the reference was replaced", report.build()[0])


# --- the QC policy of a run -------------------------------------------------------------------------------------------

STRICT = "version: 1\nassay: exome\npublish: hold\nchecks: {mapped: {fail_below: 99.5}}\n"


def qc_of(report: Run) -> dict[str, Any]:
    found: dict[str, Any] = s3.store().read_json(report.results / "jobs/compose.json")["qc"]
    return found


def put_policy(report: Run, text: str) -> None:
    report.put(report.reference.parent / "qc.yaml", text)


def test_the_policy_beside_the_reference_is_enforced(report: Run) -> None:
    report.put(report.outputs["stats"], STATS)
    put_policy(report, STRICT)
    text, document = report.build()
    found = qc_of(report)
    assert re.fullmatch(r"qc.yaml of hg, [0-9a-f]{12}", found.pop("policy"))
    reason = (
        "Mapped reads: 99%, under 99.5%; check that the reference is the right one, and look for DNA of other species"
    )
    assert found == {"result": "FAIL", "reasons": [reason], "enforced": True, "hold": True}
    assert document["verdict"] == "FAIL"
    assert "Do not use the variants" in text


def test_another_policy_judges_a_resumed_run_again(report: Run) -> None:
    report.put(report.outputs["stats"], STATS)
    put_policy(report, STRICT)
    report.build()
    put_policy(report, STRICT.replace("99.5", "50"))
    assert report.build()[1]["verdict"] == "PASS"


def test_the_policy_that_a_run_chose_is_before_that_of_the_reference(report: Run) -> None:
    report.put(report.outputs["stats"], STATS)
    put_policy(report, STRICT)
    report.build(args='["--policy", "amplicon", "--hold"]')
    assert qc_of(report).items() >= {"policy": "amplicon of seqdrop", "enforced": True, "hold": True}.items()


def test_a_limit_that_somebody_chose_and_that_cannot_be_judged_is_on_the_page(report: Run) -> None:
    report.put(report.outputs["stats"], STATS)
    report.put_calls("")
    put_policy(report, "version: 1\nassay: exome\nchecks: {het_hom: {fail_above: 3}}\n")
    text, document = report.build()
    reason = "Heterozygous by homozygous: not judged, too few data (0 and 0 with PASS)"
    assert (document["verdict"], document["reasons"]) == ("WARN", [reason])
    assert f"<li>{reason}.</li>" in text
    assert "too few data</td>" in text
    assert qc_of(report)["result"] == "WARN"


def test_the_policy_of_the_stack_is_enforced_after_that_of_the_reference(report: Run) -> None:
    report.put(report.results / "reference.json", json.dumps({"qc_policy": "amplicon"}))
    report.build(args='["--hold"]')
    assert qc_of(report).items() >= {"policy": "amplicon of seqdrop", "enforced": True, "hold": True}.items()
    put_policy(report, STRICT)
    report.build()
    assert qc_of(report)["policy"].startswith("qc.yaml of hg, ")


def put_depth(report: Run, x: float, y: float) -> None:
    """Store the depths of six autosomes of depth 30, of X and of Y."""
    means = {**{str(number): 30.0 for number in range(1, 7)}, "X": x, "Y": y}
    write_mosdepth(report.folder, [(name, 0, 100, mean, (99, 90, 60, 30)) for name, mean in means.items()])
    stats = report.outputs["stats"]
    report.put(stats.companion(".idxstats"), "".join(f"{name}\t100\t9\t0\n" for name in means))
    for suffix in MOSDEPTH:
        file = report.folder / f"s{suffix}"
        report.put(stats.companion(suffix), file.read_bytes() if file.exists() else "")


def test_swapped_sex_fails_the_run_and_says_so_first(report: Run) -> None:
    """A samplesheet says XX; the reads are of X and Y."""
    put_depth(report, 15, 14)
    report.put(report.outputs["stats"], STATS)
    report.put(report.results / "reads.json", json.dumps({"sheet": {"sex": "XX"}}))
    text, document = report.build(args='["--policy", "virus"]')
    reason = "Sex chromosomes: XY, expected XX; check that tubes or names were not swapped"
    assert (document["verdict"], document["reasons"][0]) == ("FAIL", reason)
    assert document["sex"] == {"expected": "XX", "found": "XY"}
    assert "As of one X and one Y (male). XX is expected." in text
    assert qc_of(report).items() >= {"result": "FAIL", "enforced": True}.items()
    report.put(report.results / "reads.json", json.dumps({"sheet": {"sex": "XX"}, "lanes": []}))  # a new version
    assert report.build(args='["--sex", "XY"]')[1]["sex"] == {"expected": "XY", "found": "XY"}


@pytest.mark.parametrize(("sheet", "args", "reasons"), [
    ("XX", "[]", []), ("NA", "[]", []), ("", '["--sex", "XX"]', ["Sex chromosomes: not known, expected XX"]),
])  # fmt: skip
def test_a_sex_that_cannot_be_checked_warns_a_run_that_asked(
    report: Run, sheet: str, args: str, reasons: list[str]
) -> None:
    report.put(report.results / "reads.json", json.dumps({"sheet": {"sex": sheet}}))
    found = [reason for reason in report.build(args=args)[1]["reasons"] if "Sex" in reason]
    assert [reason.split(";")[0] for reason in found] == reasons


def test_the_sex_of_a_mixture_is_unclear() -> None:
    check = policy.SexCheck("XX", "unclear")
    assert (check.result, policy.SexCheck("XX", "XX").result) == ("WARN", "PASS")


def test_a_run_may_hold_by_the_policy_beside_the_reference(report: Run) -> None:
    put_policy(report, STRICT.replace("publish: hold\n", ""))
    report.build(args='["--hold"]')
    assert qc_of(report).items() >= {"enforced": True, "hold": True}.items()


def test_a_run_that_holds_without_any_policy_has_no_report(report: Run) -> None:
    with pytest.raises(SystemExit) as raised:
        report.build(args='["--hold"]')
    assert raised.value.code == BAD_DATA_EXIT
    verdict = s3.store().read_json(report.results / "failures/compose.1.1.json")
    assert verdict["class"] == "BAD_INPUT.QC"
    assert verdict["message"].startswith("--hold needs a QC policy to evaluate, and nobody chose one: ")
    assert "/hg/qc.yaml" in verdict["message"]


def test_without_a_chosen_policy_a_failed_verdict_is_a_warning_of_the_run(report: Run) -> None:
    report.put(report.outputs["stats"], STATS.replace("mapped:\t990", "mapped:\t300"))
    report.build()
    receipt = s3.store().read_json(report.results / "jobs/compose.json")
    assert (receipt["qc"]["result"], receipt["qc"]["enforced"], receipt["qc"]["hold"]) == ("FAIL", False, False)
    [warning] = receipt["warnings"]
    assert warning["warning"] == "QC_FAIL"
    assert warning["message"].startswith(
        "the figures are beyond the limits of genome of seqdrop: Mapped reads: 30%, under"
    )


def test_a_file_that_is_no_policy_fails_the_report_with_its_own_class(report: Run) -> None:
    put_policy(report, "version: 1\nassay: ship\nchecks: {q30: {fail_below: 1}}")
    with pytest.raises(SystemExit) as raised:
        report.build()
    assert raised.value.code == BAD_DATA_EXIT
    verdict = s3.store().read_json(report.results / "failures/compose.1.1.json")
    assert verdict["class"] == "BAD_INPUT.QC"
    assert "qc.yaml is not a valid QC policy: assay: 'ship' is not one of" in verdict["message"]
