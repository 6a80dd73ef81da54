"""Runs from two FASTQs in a bucket to annotated variants, a report and a manifest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from seqdrop import __version__
from seqdrop.jobs import bwa_mem3
from seqdrop.plan import steps
from seqdrop.storage.uri import S3Uri
from seqdrop_cli import reference
from seqdrop_cli.demo import truth
from seqdrop_cli.reference import Source
from seqdrop_cli.stack import Stack
from support.pipeline_parts import ROOT
from support.pipeline_runs import (
    SMALL_RUN,
    Sample,
    deploy,
    eventually,
    execution,
    fetch,
    fetch_json,
    fetch_records,
    keys,
    rows,
    run_pair,
    run_tool,
    subscribe,
    upload,
    upload_pair,
    wait_for_end,
)


def expected_keys(sample: str, alignments: str = "bam", index: str = "bai") -> set[str]:
    """Return the keys of a complete run, relative to its results folder."""
    outputs = [alignments, f"{alignments}.{index}", f"{alignments}.md5"]
    outputs += ["vcf.gz", "vcf.gz.tbi", "vcf.gz.stats", "vcf.gz.all.stats"]
    outputs += ["g.vcf.gz", "g.vcf.gz.tbi", "annotated.vcf.gz"]
    outputs += ["annotated.vcf.gz.tbi", "annotated.vcf.gz.csv", "stats.txt", "stats.txt.flagstat", "stats.txt.idxstats"]
    outputs += [f"stats.txt.mosdepth.{name}.txt" for name in ("summary", "global.dist", "region.dist")]
    outputs += ["stats.txt.regions.bed.gz", "stats.txt.thresholds.bed.gz", "report.html", "report.html.json"]
    receipts = {f"jobs/{step}.json" for step in steps.names()}
    return {f"{sample}.{output}" for output in outputs} | receipts | {"reads.json", "reference.json", "manifest.json"}


@pytest.fixture(scope="module")
def full_run(stack: Stack, sample: Sample) -> dict[str, Any]:
    """Run all simulated reads; return the row."""
    return run_pair(stack, sample.material.fastqs, "WHOLE")


def test_the_manifest_of_a_run_lists_every_output(stack: Stack, full_run: dict[str, Any]) -> None:
    assert full_run["status"] == "SUCCEEDED"
    assert keys(stack, full_run) == expected_keys("WHOLE")
    manifest = fetch_json(stack, full_run, "manifest.json")
    outputs = {output["uri"].removeprefix(full_run["results"] + "/"): output for output in manifest["outputs"]}
    assert set(outputs) == {key for key in expected_keys("WHOLE") if "json" not in key or key.endswith("html.json")}
    for name, output in outputs.items():
        bucket, key = full_run["results"].removeprefix("s3://").split("/", 1)
        head = stack.s3.head_object(Bucket=bucket, Key=f"{key}/{name}", ChecksumMode="ENABLED")
        stored = (head["ContentLength"], head["ChecksumCRC64NVME"], head["VersionId"])
        assert stored == (output["size"], output["crc64nvme"], output["version_id"]), name
    assert manifest["complete"] is True
    assert (manifest["missing"], manifest["warnings"]) == ([], [])


def test_the_manifest_of_a_run_is_enough_to_repeat_it(stack: Stack, full_run: dict[str, Any]) -> None:
    manifest = fetch_json(stack, full_run, "manifest.json")
    reference = fetch_json(stack, full_run, "reference.json")
    assert manifest["seqdrop"] == __version__
    assert manifest["choices"] == {
        "reference": full_run["reference"],
        "intervals": "",
        "lanes": 1,
        "layout": "paired",
        "aligner": full_run["aligner"],
        "caller": full_run["caller"],
        "alignment_format": "bam",
        "args": {},
    }
    assert all(len(contig["md5"]) == 32 for contig in manifest["contigs"])
    assert (manifest["contigs"], manifest["fingerprint"]) == (reference["contigs"], reference["fingerprint"])
    assert all(source["version_id"] and source["crc64nvme"] for source in manifest["sources"].values())
    assert set(manifest["sources"]) == {"fasta", "genes"}
    assert {"genome.fa", "genome.fa.fai", "genome.fa.snpeff.tar"} <= set(reference["files"])
    commands = {job["step"]: job["commands"] for job in manifest["jobs"]}
    assert list(commands) == list(steps.names())
    assert any(line.startswith("samtools fixmate -u -m - - | samtools sort -@ ") for line in commands["align"])
    assert any(" | bcftools call -m " in line for line in commands["call"])
    assert any("samtools_stats.txt" in line or "samtools stats" in line for line in commands["collect"])
    assert not [line for lines in commands.values() for line in lines if "seqdrop-" in line]  # of the scratch disk
    assert {(job["image"], job["image_digest"]) for job in manifest["jobs"]} == {("", "")}  # these are processes


def test_planted_variants_are_found_and_annotated(
    stack: Stack, sample: Sample, full_run: dict[str, Any], tmp_path: Path
) -> None:
    calls = truth.read_calls(fetch(stack, full_run, "WHOLE.annotated.vcf.gz", tmp_path))
    comparison = truth.compare(sample.material.variants, calls)  # of the calls with PASS
    assert comparison.recall >= 0.98
    assert comparison.precision >= 0.98
    passed = run_tool("bcftools", "view", "-H", "-f", "PASS", fetch(stack, full_run, "WHOLE.vcf.gz", tmp_path))
    assert full_run["variants_all"] >= full_run["variants"] == len(passed.splitlines())
    assert len(comparison.effects_disagreed) == 0


def test_the_effects_of_haplotypes_agree_with_those_of_single_variants(
    stack: Stack, full_run: dict[str, Any], tmp_path: Path
) -> None:
    """No two variants of the sample are in one codon, so that both tools find the same changes of amino acids."""
    vcf = fetch(stack, full_run, "WHOLE.annotated.vcf.gz", tmp_path)
    columns = "%ANN\t%BCSQ\n"
    for kind in ("missense", "stop_gained", "synonymous"):
        lines = run_tool("bcftools", "query", "-i", f'FILTER="PASS" && TYPE="snp" && ANN~"|{kind}"', "-f", columns, vcf)
        pairs = [line.split("\t") for line in lines.splitlines()]
        same = [effects for ann, effects in pairs if kind in effects or effects.startswith("@")]
        assert len(same) == len(pairs) > 2, pairs


def test_a_contig_that_a_ploidy_file_makes_haploid_has_no_heterozygous_calls(
    stack: Stack, sample: Sample, tmp_path: Path
) -> None:
    (tmp_path / "ploidy.tsv").write_text("demo2\t1\n")
    source = Source.of(sample.material.fasta, None, "haploid", 2, tmp_path / "ploidy.tsv")
    assert reference.prepare(stack, source)["ploidy_regions"] == [["demo2", 0, len(demo2(sample))]]
    row = run_pair(stack, sample.material.fastqs, "HAPLOID", reference="haploid")
    calls = run_tool("bcftools", "query", "-f", "%CHROM [%GT]\n", fetch(stack, row, "HAPLOID.vcf.gz", tmp_path))
    found = [line.split() for line in calls.splitlines()]
    genotypes = {name: {genotype for contig, genotype in found if contig == name} for name in ("demo1", "demo2")}
    assert genotypes["demo2"] == {"1"}
    assert genotypes["demo1"] >= {"0/1", "1/1"}


def demo2(sample: Sample) -> str:
    """Return the bases of the second contig."""
    return "".join(sample.material.fasta.read_text().split(">")[2].splitlines()[1:])


def test_every_read_is_in_the_bam_once_with_its_read_group(
    stack: Stack, full_run: dict[str, Any], tmp_path: Path
) -> None:
    bam = fetch(stack, full_run, "WHOLE.bam", tmp_path)
    manifest = fetch_json(stack, full_run, "manifest.json")
    [align] = [job for job in manifest["jobs"] if job["step"] == "align"]
    assert (
        align["counts"]["reads"]
        == align["counts"]["primary_records"]
        == int(run_tool("samtools", "view", "-c", "-F", "0x900", bam))
    )
    header = run_tool("samtools", "view", "-H", bam)
    assert "SO:coordinate" in header
    assert "@RG\tID:HSEQDROPXY.1\tSM:WHOLE\tLB:WHOLE\tPL:ILLUMINA\tPU:HSEQDROPXY.1.WHOLE" in header
    checksum = fetch(stack, full_run, "WHOLE.bam.md5", tmp_path).read_text().split()[0]
    assert run_tool("md5sum", bam).split()[0] == checksum


def test_the_report_has_figures_of_every_step(stack: Stack, full_run: dict[str, Any], tmp_path: Path) -> None:
    data = fetch_json(stack, full_run, "WHOLE.report.html.json")
    assert (data["sample"], data["verdict"], data["reasons"]) == ("WHOLE", "PASS", [])
    figures = data["figures"]
    assert {"mean_depth", "breadth_20", "mapped", "q30", "variants", "contamination"} <= figures.keys()
    assert 25 < figures["mean_depth"] < 32
    assert figures["variants"] == full_run["variants"]
    page = fetch(stack, full_run, "WHOLE.report.html", tmp_path).read_text()
    assert "Sample WHOLE" in page
    assert len(page) < 3_000_000  # IGV and the reads at 100 variants


def test_the_manifest_has_tools_times_and_memory(stack: Stack, full_run: dict[str, Any]) -> None:
    jobs = {job["step"]: job for job in fetch_json(stack, full_run, "manifest.json")["jobs"]}
    assert jobs["align"]["tools"]["bwa-mem3"] == "0.4.4"
    assert {"bcftools", "snpEff"} <= jobs["annotate"]["tools"].keys()
    assert jobs["collect"]["tools"] == {"samtools": "1.16.1", "mosdepth": "0.3.3"}
    assert jobs["compose"]["tools"].keys() == {"bcftools", "samtools"}
    assert all(job["seconds"] > 0 and job["peak_memory"] > 0 and job["bytes_in"] > 0 for job in jobs.values())


def test_the_message_contains_the_sample_and_its_results(stack: Stack, sample: Sample) -> None:
    with subscribe(stack, "messages") as receive:
        row = run_pair(stack, sample.small_pair, "MESSAGE")
        [message] = eventually(receive, "a message")
    assert message["Subject"] == f"seqdrop run {row['run']}: done, 1 warning"
    done, judged, warning, *_ = message["Message"].splitlines()
    assert done == "Sample MESSAGE is done."
    assert judged.startswith("quality control: FAIL (genome of seqdrop): Mean depth of the genome: ")
    assert warning.startswith("Warning (collect): the mean depth of the genome is ")
    assert f"{row['results']}/MESSAGE.annotated.vcf.gz" in message["Message"]


def test_the_plan_does_not_depend_on_the_order_of_the_mates(stack: Stack, sample: Sample) -> None:
    plans = []
    for name, order in (("FIRST", (1, 2)), ("SECOND", (2, 1))):
        for mate in order:
            assert rows(stack, name) == []
            upload(stack, sample.small_pair[mate - 1], f"{name}_R{mate}.fastq.gz")
        row = wait_for_end(stack, name)
        plan = execution(stack, row)["input"]
        plans.append(plan.replace(name, "NAME").replace(row["run"], "RUN"))
    assert plans[0] == plans[1]
    # The first run has left its reference on the scratch disk: the second one reads nothing of it from S3.
    jobs = {job["step"]: job for job in fetch_json(stack, row, "manifest.json")["jobs"]}
    assert jobs["align"]["bytes_in"] == sum(path.stat().st_size for path in sample.small_pair)
    files = stack.store.read_json(S3Uri.parse(row["results"]) / "reference.json")["files"]
    index = [name for name in files if name.removeprefix("genome.fa") in ("", ".fai", *bwa_mem3.INDEX)]
    folder = S3Uri(stack["ReferenceBucket"], "demo")
    assert jobs["align"]["bytes_cached"] == sum(stack.store.head(folder / name).size for name in index)


def test_the_lanes_of_one_sample_are_aligned_to_one_bam(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    for lane in ("L001", "L002"):
        for mate in (1, 2):
            upload(stack, sample.small_pair[mate - 1], f"lanes/LANES_S1_{lane}_R{mate}_001.fastq.gz", lanes="2")
    row = wait_for_end(stack, "LANES")
    assert row["status"] == "SUCCEEDED"
    header = run_tool("samtools", "view", "-H", fetch(stack, row, "LANES.bam", tmp_path))
    assert header.count("@RG\t") == 2
    assert row["reads"] == 4 * SMALL_RUN


def test_marking_of_duplicates_can_be_switched_off(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    row = run_pair(stack, sample.small_pair, "AMPLICON", args='{"align":["--no-mark-duplicates"]}')
    bam = fetch(stack, row, "AMPLICON.bam", tmp_path)
    assert run_tool("samtools", "view", "-c", "-f", "0x400", bam).strip() == "0"
    assert "markdup" not in run_tool("samtools", "view", "-H", bam)


def test_variants_are_called_only_in_the_chosen_intervals(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    bed = "demo1\t20000\t60000\n"
    stack.s3.put_object(Bucket=stack["ReferenceBucket"], Key="demo/panel.bed", Body=bed.encode())
    row = run_pair(stack, sample.small_pair, "PANEL", intervals="panel.bed")
    vcf = fetch(stack, row, "PANEL.vcf.gz", tmp_path)
    places = [line.split() for line in run_tool("bcftools", "query", "-f", "%CHROM %POS\n", vcf).splitlines()]
    assert places
    assert all(contig == "demo1" and 20_000 < int(place) <= 60_000 for contig, place in places)
    [warning] = row["warnings"]
    assert warning.startswith("collect: the mean depth of the intervals is ")


def test_two_runs_of_the_same_reads_give_the_same_records(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    first, second = (run_pair(stack, sample.small_pair, name) for name in ("ONCE", "AGAIN"))
    assert fetch_records(stack, first, tmp_path) == fetch_records(stack, second, tmp_path)


def test_bwa_and_bwa_mem3_give_the_same_variants(
    stack: Stack, bwa_stack: Stack, sample: Sample, full_run: dict[str, Any], tmp_path: Path
) -> None:
    row = run_pair(bwa_stack, sample.material.fastqs, "WHOLE")
    assert row["status"] == "SUCCEEDED"
    site = "%CHROM %POS %REF %ALT [%GT]\n"
    other = run_tool("bcftools", "query", "-f", site, fetch(bwa_stack, row, "WHOLE.vcf.gz", tmp_path))
    assert other == run_tool("bcftools", "query", "-f", site, fetch(stack, full_run, "WHOLE.vcf.gz", tmp_path))


def test_a_run_with_cram_gives_the_records_and_the_variants_of_one_with_bam(
    stack: Stack, sample: Sample, full_run: dict[str, Any], tmp_path: Path
) -> None:
    row = run_pair(stack, sample.material.fastqs, "CRAM", **{"alignment-format": "cram"})
    assert row["status"] == "SUCCEEDED", row
    assert keys(stack, row) == expected_keys("CRAM", "cram", "crai")
    manifest = fetch_json(stack, row, "manifest.json")
    assert manifest["choices"]["alignment_format"] == "cram"
    (tmp_path / "genome.fa").symlink_to(sample.material.fasta)
    cram, bam = fetch(stack, row, "CRAM.cram", tmp_path), fetch(stack, full_run, "WHOLE.bam", tmp_path)
    assert cram.stat().st_size < 0.6 * bam.stat().st_size
    found, expected = (
        [sorted(line.split("\t")) for line in run_tool("samtools", "view", *options, file).splitlines()]
        for file, options in ((cram, ["-T", tmp_path / "genome.fa"]), (bam, []))
    )
    assert len(expected) > 2 * SMALL_RUN
    assert found == expected  # tags in another order
    for name in ("vcf.gz", "g.vcf.gz", "annotated.vcf.gz"):
        files = (fetch(stack, each, f"{each['sample']}.{name}", tmp_path) for each in (row, full_run))
        one, two = (run_tool("bcftools", "view", "-H", file) for file in files)
        assert one == two
        assert one
    calls = truth.read_calls(fetch(stack, row, "CRAM.annotated.vcf.gz", tmp_path))
    comparison = truth.compare(sample.material.variants, calls)
    assert (comparison.matches, comparison.expected, comparison.extra) == (120, 120, [])
    assert {name: row[name] for name in ("reads", "reads_mapped")} == {
        name: full_run[name] for name in ("reads", "reads_mapped")
    }
    tags = stack.s3.get_object_tagging(Bucket=stack["ResultsBucket"], Key=f"CRAM/{row['run']}/CRAM.cram")["TagSet"]
    assert tags == [{"Key": "seqdrop", "Value": "alignment"}]
    pages = [fetch(stack, each, f"{each['sample']}.report.html", tmp_path).read_text() for each in (row, full_run)]
    one, two = (re.findall("All [0-9,]+ reads around this variant are shown", page) for page in pages)
    assert one == two
    assert len(one) == 100


def test_isaac_and_strelka_write_and_read_cram(original_stack: Stack, sample: Sample) -> None:
    args = '{"align":["--seed-length","12"]}'
    row = run_pair(original_stack, sample.small_pair, "CRAM", args=args, **{"alignment-format": "cram"})
    assert row["status"] == "SUCCEEDED", row
    own = {"CRAM.vcf.gz.runStats.xml", "CRAM.vcf.gz.runStats.tsv"}
    own |= {"CRAM.cram.BuildStats.xml", "CRAM.cram.DemultiplexingStats.xml"}
    assert keys(original_stack, row) == expected_keys("CRAM", "cram", "crai") | own


def test_isaac_and_strelka_give_the_same_outputs(original_stack: Stack, sample: Sample, tmp_path: Path) -> None:
    """Fake programs have the options, the errors and the output files of Isaac and Strelka."""
    args = '{"align":["--seed-length","12"]}'  # the table of the default needs 17 GB
    row = run_pair(original_stack, sample.small_pair, "ORIGINAL", args=args)
    assert row["status"] == "SUCCEEDED", row
    own = {"ORIGINAL.vcf.gz.runStats.xml", "ORIGINAL.vcf.gz.runStats.tsv"}
    own |= {"ORIGINAL.bam.BuildStats.xml", "ORIGINAL.bam.DemultiplexingStats.xml"}
    assert keys(original_stack, row) == expected_keys("ORIGINAL") | own
    header = run_tool("samtools", "view", "-H", fetch(original_stack, row, "ORIGINAL.bam", tmp_path))
    assert "@RG\tID:0\tSM:ORIGINAL\tLB:ORIGINAL\tPL:ILLUMINA\tPU:" in header


def test_a_pair_for_an_unprepared_reference_is_refused(stack: Stack, sample: Sample) -> None:
    upload_pair(stack, sample.small_pair, "NOREF", reference="hg99")
    row = wait_for_end(stack, "NOREF")
    assert (row["status"], row["class"]) == ("FAILED", "REFERENCE")
    assert "hg99 is not prepared; prepared are: demo" in row["message"]
    assert "execution" not in row


def test_a_run_before_the_first_push_of_images_is_not_ready(
    tmp_path_factory: pytest.TempPathFactory, sample: Sample
) -> None:
    with deploy(tmp_path_factory.mktemp("aws"), "ReportImageTag=none") as stack:
        row = run_pair(stack, sample.small_pair, "EARLY")
    assert (row["status"], row["class"]) == ("FAILED", "NOT_READY")
    assert "make push STACK=seqdrop" in row["message"]
    assert "execution" not in row


def test_a_run_with_high_priority_uses_the_high_priority_queue(stack: Stack, sample: Sample) -> None:
    plan = json.loads(execution(stack, run_pair(stack, sample.small_pair, "SOON", priority="high"))["input"])
    queues = {plan[step]["job_queue"].rsplit("-", 1)[-1] for step in steps.names()}
    assert queues == {"HighPriorityJobQueue"}


def test_the_hourly_repair_records_a_run_whose_end_was_lost(stack: Stack, sample: Sample) -> None:
    run = run_pair(stack, sample.small_pair, "LOST")["run"]
    stack.table.update_item(
        Key={"run": run},
        UpdateExpression="SET #status = :running",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":running": "RUNNING"},
    )
    schedule = (ROOT / "events/schedule.json").read_bytes()
    answer = stack.functions.invoke(FunctionName="seqdrop-RecordRunFunction", Payload=schedule)
    assert json.load(answer["Payload"])["repaired"] >= 1
    assert wait_for_end(stack, "LOST")["status"] == "SUCCEEDED"
