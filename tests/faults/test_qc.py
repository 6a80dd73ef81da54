"""Quality control"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from seqdrop_cli.demo import reads
from seqdrop_cli.demo.files import SEED
from seqdrop_cli.demo.genome import Genome, make_genome
from seqdrop_cli.download import download_results
from seqdrop_cli.errors import CliError
from seqdrop_cli.resume import resume
from seqdrop_cli.run import QC_EXIT
from seqdrop_cli.stack import Stack
from support.catalogue import case, more
from support.function_aws import RESULTS
from support.job_runs import FOLDER, Batch
from support.pipeline_runs import Sample, fetch_json, keys, prepare_files, run_pair, wait_for_row

STATS = "SN\traw total sequences:\t1000\nSN\treads mapped:\t300\nSN\treads properly paired:\t300\n"
STATS += "SN\treads duplicated:\t0\nSN\taverage quality:\t36\nSN\terror rate:\t0.001\n"
STATS += "FTC\t1\t1\t1\t1\t0\nFFQ\t1\t0\t9\n"
STRICT = "version: 1\nassay: genome\npublish: hold\nchecks: {mean_depth: {fail_below: 100}}\n"


@case(
    happens="The figures of a run are beyond the limits of the default QC policy for its kind of assay: nobody has "
    "chosen another one.",
    see="`SUCCEEDED`, and the warning `QC_FAIL` with the first reason, unless the run has other warnings. The report "
    "says FAIL.",
    does="Continues the run. A default policy only warns.",
    do="Read the report. To end such runs as `QC_FAILED`, choose a policy: docs/tools.md.",
)
def test_a_failed_verdict_without_a_chosen_policy_is_a_warning(batch: Batch) -> None:
    folder = f"s3://{RESULTS}/{FOLDER}"
    batch.s3.put_object(Bucket=RESULTS, Key=f"{FOLDER}/NA12878.stats.txt", Body=STATS.encode())
    outputs = {"stats": "stats.txt", "vcf": "vcf.gz", "annotated_vcf": "annotated.vcf.gz", "report": "report.html"}
    values = {word: f"{folder}/NA12878.{ending}" for word, ending in outputs.items()}
    values |= {"sample": "NA12878", "reference": f"s3://{RESULTS}/demo/genome.fa", "intervals": "all"}
    values |= {"results": folder, "run": "r", "attempt": "1", "vcpus": "2", "memory": "400", "args": "[]"}
    code, log = batch.wrapper("report", values)
    assert code == 0, log
    receipt = json.loads(batch.s3.get_object(Bucket=RESULTS, Key=f"{FOLDER}/jobs/compose.json")["Body"].read())
    assert [warning["warning"] for warning in receipt["warnings"]] == ["QC_FAIL"]
    assert "Mapped reads: 30%, under 70%" in receipt["warnings"][0]["message"]


def put_policy(stack: Stack, reference: str, text: str) -> None:
    stack.s3.put_object(Bucket=stack["ReferenceBucket"], Key=f"{reference}/qc.yaml", Body=text.encode())


@pytest.fixture(scope="module")
def judged(stack: Stack, sample: Sample) -> dict[str, Any]:
    """Run a small sample on a reference whose QC policy is not valid; return the row."""
    prepare_files(stack, sample.material.fasta, None, "judged")
    put_policy(stack, "judged", "version: 1\nassay: ship\npublish: hold\nchecks: {}\n")
    return run_pair(stack, sample.small_pair, "JUDGED", reference="judged")


@case(
    happens="The file `qc.yaml` beside a reference is not a QC policy.",
    see="`INCOMPLETE`, `BAD_INPUT.QC`, with the place in the file and the reason.",
    does="Keeps all results, and builds no report, since the limits are unknown. If the file has `publish: hold`, the "
    "VCFs are held.",
    do="`seqdrop qc check FILE --reference NAME` checks the corrected file and uploads it; then `seqdrop resume RUN`.",
)
def test_a_file_that_is_no_policy_leaves_the_run_without_a_report(stack: Stack, judged: dict[str, Any]) -> None:
    assert (judged["status"], judged["class"], judged["step"]) == ("INCOMPLETE", "BAD_INPUT.QC", "compose")
    assert "/judged/qc.yaml is not a valid QC policy: assay: 'ship' is not one of" in judged["message"]
    assert "JUDGED.report.html" not in keys(stack, judged)
    assert "the VCFs wait for it" in judged["message"]
    assert not [one for one in fetch_json(stack, judged, "manifest.json")["outputs"] if "vcf" in one["name"]]


@case(
    happens="A run chose `--hold` for its report, without `--policy`, and its reference has no `qc.yaml`; or the "
    "report of a run with `--hold` fails for another reason.",
    see="`INCOMPLETE`, with the class of the failure (without a policy: `BAD_INPUT.QC`). The message says that the "
    "VCFs are held.",
    does="Keeps every file. No policy was evaluated: the manifest names no VCF, and `seqdrop fetch` downloads none.",
    do="Without a policy: `seqdrop qc check FILE --reference NAME` uploads one. Then `seqdrop resume RUN` builds the "
    "report.",
)
def test_a_run_that_holds_without_a_verdict_names_no_variants(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    prepare_files(stack, sample.material.fasta, None, "unjudged")
    row = run_pair(stack, sample.small_pair, "HELD", reference="unjudged", args='{"compose":["--hold"]}')
    assert (row["status"], row["class"], row["step"]) == ("INCOMPLETE", "BAD_INPUT.QC", "compose")
    assert "they are kept, but not named in the manifest" in row["message"]
    assert {"HELD.vcf.gz", "HELD.annotated.vcf.gz"} <= set(keys(stack, row))
    names = {output["name"] for output in fetch_json(stack, row, "manifest.json")["outputs"]}
    assert not [name for name in names if "vcf" in name]
    assert not [file for file in download_results(stack, row, tmp_path) if ".vcf" in file.name]
    put_policy(stack, "unjudged", STRICT.replace("100", "1"))
    resume(stack, row)
    row = wait_for_row(stack, "HELD")
    assert row["status"] == "SUCCEEDED"
    names = {output["name"] for output in fetch_json(stack, row, "manifest.json")["outputs"]}
    assert {"vcf", "annotated_vcf", "gvcf"} <= names


@case(
    happens="The figures of a run are beyond the limits of the QC policy that was chosen for it, or for its reference.",
    see="`QC_FAILED`, `QC`, with each figure and its limit. `seqdrop run` and `resume` end with exit code 3. The "
    "execution of the state machine has failed.",
    does="Keeps every file. With `publish: hold`, the manifest names no VCF.",
    do="Read the report. Sequence the sample again; or correct the policy, then `seqdrop resume RUN`.",
)
def test_a_run_beyond_the_limits_of_its_policy_has_failed(stack: Stack, judged: dict[str, Any]) -> None:
    put_policy(stack, "judged", STRICT)
    with pytest.raises(CliError) as raised:
        resume(stack, judged)
    assert raised.value.code == QC_EXIT
    row = wait_for_row(stack, "JUDGED")
    assert (row["status"], row["class"], row["step"], row["qc"]) == ("QC_FAILED", "QC", "compose", "FAIL")
    assert "Mean depth of the genome: " in row["message"]
    assert ", under 100x; " in row["message"]
    manifest = fetch_json(stack, row, "manifest.json")
    assert (manifest["complete"], manifest["missing"], manifest["qc"]["result"]) == (False, [], "FAIL")
    names = {output["name"] for output in manifest["outputs"]}
    assert {"bam", "stats", "report"} <= names
    assert not [name for name in names if "vcf" in name]
    assert {"JUDGED.vcf.gz", "JUDGED.annotated.vcf.gz", "JUDGED.report.html"} <= set(keys(stack, row))
    execution = stack.stepfunctions.describe_execution(executionArn=row["execution"])
    assert (execution["status"], execution["error"]) == ("FAILED", "QC")


@more
def test_a_corrected_policy_judges_the_run_again(stack: Stack, judged: dict[str, Any]) -> None:
    put_policy(stack, "judged", STRICT.replace("100", "1"))
    resume(stack, wait_for_row(stack, "JUDGED"))
    row = wait_for_row(stack, "JUDGED")
    assert (row["status"], row["qc"]) == ("SUCCEEDED", "WARN")  # it has the warning LOW_DEPTH
    names = {output["name"] for output in fetch_json(stack, row, "manifest.json")["outputs"]}
    assert {"vcf", "annotated_vcf", "gvcf"} <= names


@more
def test_a_run_may_choose_its_policy(stack: Stack, sample: Sample) -> None:
    row = run_pair(stack, sample.small_pair, "CHOSEN", args='{"compose":["--policy","exome"]}')
    assert (row["status"], row["class"]) == ("QC_FAILED", "QC")
    names = {output["name"] for output in fetch_json(stack, row, "manifest.json")["outputs"]}
    assert {"vcf", "report"} <= names  # without --hold


@more
def test_a_tenth_of_another_person_fails_the_policy_of_genomes(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    """The other person has the bases of the reference at the homozygous variants of the sample."""
    other = tmp_path / "other_R1.fastq.gz", tmp_path / "other_R2.fastq.gz"
    number = reads.simulate(make_genome(SEED), [], SEED + 1, *other)
    mixed = tmp_path / "MIXED_R1.fastq.gz", tmp_path / "MIXED_R2.fastq.gz"
    own = number * 9 // 10
    for target, mine, theirs in zip(mixed, sample.material.fastqs, other, strict=True):
        lines = [gzip.decompress(path.read_bytes()).splitlines(keepends=True) for path in (mine, theirs)]
        target.write_bytes(gzip.compress(b"".join(lines[0][: 4 * own] + lines[1][4 * own :]), 1))
    row = run_pair(stack, mixed, "MIXED", args='{"compose":["--policy","genome"]}')
    assert (row["status"], row["class"]) == ("QC_FAILED", "QC")
    assert "(genome of seqdrop): Other reads at homozygous SNPs: " in row["message"]
    figures = fetch_json(stack, row, "MIXED.report.html.json")["figures"]
    assert 5 < figures["contamination"] < 15


@more
def test_swapped_sex_and_a_depth_of_3_are_the_reasons_of_a_failed_verdict(stack: Stack, tmp_path: Path) -> None:
    """A made genome with X and Y, a sample with one of each, and a run that expects XX."""
    random = Random(3)  # noqa: S311  data, not secrets
    lengths = dict.fromkeys(("chr1", "chr2", "chr3", "chr4", "chr5", "chrX", "chrY"), 20_000)
    contigs = {name: "".join(random.choices("ACGT", k=length)) for name, length in lengths.items()}
    (tmp_path / "sexes.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in contigs.items()))
    prepare_files(stack, tmp_path / "sexes.fa", None, "sexes")
    lines: tuple[list[bytes], list[bytes]] = [], []
    for lane, of_sex in enumerate((False, True), start=1):
        part = {name: bases for name, bases in contigs.items() if (name[3:] in "XY") == of_sex}
        files = tmp_path / f"{lane}_R1.fastq.gz", tmp_path / f"{lane}_R2.fastq.gz"
        number = reads.simulate(Genome(part, ()), [], lane, *files)
        kept = number * 3 // reads.COVERAGE // lane  # half of the depth for X and Y
        for mate, file in zip(lines, files, strict=True):
            records = gzip.decompress(file.read_bytes()).replace(b"XY:1:", b"XY:%d:" % lane)
            mate.extend(records.splitlines(keepends=True)[: 4 * kept])
    pair = tmp_path / "SWAPPED_R1.fastq.gz", tmp_path / "SWAPPED_R2.fastq.gz"
    for mate, file in zip(lines, pair, strict=True):
        file.write_bytes(gzip.compress(b"".join(mate), 1))
    row = run_pair(stack, pair, "SWAPPED", reference="sexes", args='{"compose":["--sex","XX"]}')
    assert (row["status"], row["qc"]) == ("SUCCEEDED", "FAIL")
    document = fetch_json(stack, row, "SWAPPED.report.html.json")
    assert (document["verdict"], document["sex"]) == ("FAIL", {"expected": "XX", "found": "XY"})
    reasons = [reason.split(";")[0] for reason in document["reasons"]]
    assert reasons[0] == "Sex chromosomes: XY, expected XX"
    assert [reason for reason in reasons if reason.endswith(", under 10x")]
    assert document["figures"]["mean_depth"] < 4
