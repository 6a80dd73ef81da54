"""seqdrop.runs.manifest: the row, the manifest and the message at the end of a run."""

from __future__ import annotations

from typing import Any

import pytest
from seqdrop import __version__
from seqdrop.runs import cost, manifest
from seqdrop.runs.outcome import RunEnding
from seqdrop.runs.prices import Prices, Rates
from seqdrop.runs.receipts import ResultsFolder
from support.function_aws import FINGERPRINT, SOURCES, event

RUN = event("execution_input")["run"]
FOLDER = f"s3://seqdrop-resultsbucket/NA12878/{RUN}"
EXECUTION = event("record_run_succeeded")["execution"]


def succeeded() -> dict[str, Any]:
    plan: dict[str, Any] = event("record_run_succeeded")["plan"]
    return plan


def receipt(step: str, **counts: int) -> dict[str, Any]:
    output = {"name": step, "uri": f"{FOLDER}/{step}", "version_id": "v", "etag": "e", "size": 7, "crc64nvme": "c"}
    used = {"seconds": 1800.0, "vcpus": 2, "memory": 4096}
    return {
        "version": 1,
        "run": RUN,
        "step": step,
        "tools": {"t": "1.0"},
        **used,
        "counts": counts,
        "outputs": [output],
    }


RECEIPTS = {
    "align": receipt("align", reads=400, primary_records=400),
    "call": receipt("call", variants=12, variants_all=15),
    "annotate": receipt("annotate", alleles=16),
    "collect": receipt("collect", reads=400, reads_mapped=398, reads_duplicated=3),
    "compose": receipt("compose", sources=5),
}
OBJECTS = {f"{FOLDER}/{step}": ("e", 7) for step in RECEIPTS}


PRICES = Prices(Rates(0.017, 0.0009), Rates(0.017, 0.0009))
ATTEMPT = {"number": 1, "queue": "q", "vcpus": 2, "memory": 4096, "seconds": 1800, "status": "SUCCEEDED"}


def folder() -> ResultsFolder:
    return ResultsFolder(OBJECTS, RECEIPTS)


COST = cost.of_run([cost.priced({**ATTEMPT, "step": step}, PRICES) for step in RECEIPTS], PRICES)


def test_a_complete_manifest() -> None:
    receipts = {"align": RECEIPTS["align"], "call": RECEIPTS["call"]}
    contigs = [{"name": "demo1", "length": 300_000, "md5": "0" * 32}]
    found = ResultsFolder(OBJECTS, receipts, reference={"contigs": contigs, "files": {}})
    plan = succeeded()
    plan["call"]["args"] = '["--ploidy","1"]'
    used = {"tools": {"t": "1.0"}, "seconds": 1800.0, "vcpus": 2, "memory": 4096}
    assert manifest.manifest(plan, EXECUTION, RunEnding("INCOMPLETE"), found, COST) == {
        "version": 1,
        "seqdrop": __version__,
        "run": RUN,
        "sample": "NA12878",
        "execution": EXECUTION,
        "complete": False,
        "missing": ["annotate", "collect", "compose"],
        "supersedes": "",
        "choices": {
            "reference": "demo",
            "intervals": "",
            "lanes": 1,
            "layout": "paired",
            "aligner": "bwa_mem3",
            "caller": "bcftools",
            "alignment_format": "bam",
            "args": {"call": ["--ploidy", "1"]},
        },
        "reference": "s3://seqdrop-referencebucket/demo/genome.fa",
        "fingerprint": FINGERPRINT,
        "sources": SOURCES,
        "contigs": contigs,
        "intervals": "all",
        "intervals_name": "",
        "intervals_sha256": "",
        "reads": f"{FOLDER}/reads.json",
        "cost": COST,
        "outputs": [*RECEIPTS["align"]["outputs"], *RECEIPTS["call"]["outputs"]],
        "warnings": [],
        "jobs": [
            {"version": 1, "step": "align", **used, "counts": RECEIPTS["align"]["counts"]},
            {"version": 1, "step": "call", **used, "counts": {"variants": 12, "variants_all": 15}},
        ],
    }
    assert manifest.manifest(plan, EXECUTION, RunEnding("SUCCEEDED"), folder(), COST)["complete"] is True


def test_the_manifest_of_an_earlier_plan_lacks_what_that_plan_lacks() -> None:
    plan = {name: value for name, value in succeeded().items() if name not in {"sources", "aligner", "caller"}}
    found = manifest.manifest(plan, EXECUTION, RunEnding("SUCCEEDED"), folder(), COST)
    assert (found["sources"], found["contigs"], found["choices"]["aligner"]) == ({}, [], "")


def test_the_row_has_the_figures_of_the_receipts() -> None:
    assert manifest.figures(RECEIPTS) == {"reads": 400, "reads_mapped": 398, "variants": 12, "variants_all": 15}
    assert manifest.figures({}) == {}


def test_the_message_of_a_succeeded_run() -> None:
    subject, lines = manifest.message(succeeded(), RunEnding("SUCCEEDED"), folder(), COST)
    assert subject == f"seqdrop run {RUN}: done"
    assert lines == [
        "Sample NA12878 is done.",
        "reads: 400",
        "reads mapped: 398 (99.5%)",
        "variants (PASS): 12",
        "variants (all): 15",
        "estimated cost of the jobs: $0.09",
        f"annotated vcf: {FOLDER}/NA12878.annotated.vcf.gz",
        f"aligned reads: {FOLDER}/NA12878.bam",
        f"report: {FOLDER}/NA12878.report.html",
        f"manifest: {FOLDER}/manifest.json",
    ]


WARNED = {"warning": "DUPLICATE_NAMES", "message": "12 names come twice in NA12878_R1.fastq.gz."}


def test_warnings_of_all_steps_are_in_manifest_and_message() -> None:
    receipts = {**RECEIPTS, "align": {**RECEIPTS["align"], "warnings": [WARNED]}}
    written = manifest.manifest(succeeded(), EXECUTION, RunEnding("SUCCEEDED"), ResultsFolder(OBJECTS, receipts), COST)
    assert written["warnings"] == [{"step": "align", **WARNED}]
    assert "warnings" not in written["jobs"][0]
    subject, lines = manifest.message(succeeded(), RunEnding("SUCCEEDED"), ResultsFolder(receipts=receipts), COST)
    assert subject == f"seqdrop run {RUN}: done, 1 warning"
    assert lines[1] == "Warning (align): 12 names come twice in NA12878_R1.fastq.gz."


def test_the_message_says_what_failed_attempts_cost() -> None:
    cost = {**COST, "usd": 2.5, "failed_attempts": 2, "usd_failed": 0.75}
    _, lines = manifest.message(succeeded(), RunEnding("SUCCEEDED"), folder(), cost)
    assert "estimated cost of the jobs: $2.50, $0.75 of it for 2 failed attempts" in lines


def test_the_row_has_the_first_warnings() -> None:
    many = {**RECEIPTS, "align": {**RECEIPTS["align"], "warnings": [WARNED] * (manifest.MAX_WARNINGS + 1)}}
    record = manifest.record(succeeded(), EXECUTION, RunEnding("SUCCEEDED"), ResultsFolder(OBJECTS, many), COST)
    assert record.row["warnings"] == [f"align: {WARNED['message']}"] * manifest.MAX_WARNINGS
    assert record.subject.endswith(f": done, {manifest.MAX_WARNINGS + 1} warnings")
    assert record.manifest
    assert len(record.manifest["warnings"]) == manifest.MAX_WARNINGS + 1
    record = manifest.record(succeeded(), EXECUTION, RunEnding("SUCCEEDED"), folder(), COST)
    assert "warnings" not in record.row


def test_the_message_of_a_succeeded_run_names_retries() -> None:
    ending = RunEnding("SUCCEEDED", tried=("align, try 1: SPOT_RECLAIMED",))
    _, lines = manifest.message(succeeded(), ending, ResultsFolder(), COST)
    assert lines[:3] == ["Sample NA12878 is done.", "Tried:", "  align, try 1: SPOT_RECLAIMED"]


def test_the_message_of_an_incomplete_run_names_the_missing_step() -> None:
    ending = RunEnding("INCOMPLETE", "TOOL_FAILED", "samtools ended with exit code 1", "collect", ("[E::x]",), "g s")
    subject, lines = manifest.message(succeeded(), ending, ResultsFolder(), COST)
    assert subject == f"seqdrop run {RUN}: done"
    assert lines[:7] == [
        "Sample NA12878 is done.",
        "One step is missing (collect): samtools ended with exit code 1",
        "Class: TOOL_FAILED in collect",
        "What to do: Check the tool's last lines and its log, correct the cause, then run `seqdrop resume RUN`.",
        "The tool's last lines:",
        "  [E::x]",
        "Log: g s",
    ]


def held_folder(*, hold: bool) -> ResultsFolder:
    """Return the folder of a run that has failed its policy, with outputs as the steps name them."""
    names = {"align": "bam", "call": "vcf.tbi", "annotate": "annotated_vcf", "collect": "stats", "compose": "report"}
    outputs = {step: [{**RECEIPTS[step]["outputs"][0], "name": name}] for step, name in names.items()}
    qc = {"result": "FAIL", "policy": "p", "reasons": ["r"], "enforced": True, "hold": hold}
    receipts = {step: {**RECEIPTS[step], "outputs": outputs[step]} for step in RECEIPTS}
    return ResultsFolder(OBJECTS, {**receipts, "compose": {**receipts["compose"], "qc": qc}})


@pytest.mark.parametrize("hold", [True, False])
def test_a_run_that_failed_its_policy_is_no_success_and_may_hold_its_variants(hold: bool) -> None:
    record = manifest.record(succeeded(), EXECUTION, RunEnding("SUCCEEDED"), held_folder(hold=hold), COST)
    assert (record.row["status"], record.row["class"], record.row["qc"]) == ("QC_FAILED", "QC", "FAIL")
    assert record.manifest
    assert (record.manifest["complete"], record.manifest["qc"]["result"]) == (False, "FAIL")
    names = [output["name"] for output in record.manifest["outputs"]]
    assert names == (["bam", "stats", "report"] if hold else ["bam", "vcf.tbi", "annotated_vcf", "stats", "report"])
    assert record.subject == f"seqdrop run {RUN}: quality control failed"
    assert record.lines[0] == (
        "Sample NA12878 has failed its quality control: "
        "The figures of this run are beyond the limits of its QC policy (p): r."
    )
    assert any(line.startswith("annotated vcf: ") for line in record.lines) is not hold


@pytest.mark.parametrize("missing", [("compose",), ("collect", "compose")])
@pytest.mark.parametrize("args", ['["--hold"]', '["--policy","exome","--hold"]', '["--policy","exome"]'])
def test_a_run_that_chose_to_hold_and_has_no_report_names_no_variants(missing: tuple[str, ...], args: str) -> None:
    plan, hold = succeeded(), "--hold" in args
    plan["compose"]["args"] = args
    found = held_folder(hold=True)
    unjudged = ResultsFolder(OBJECTS, {step: found.receipts[step] for step in RECEIPTS if step not in missing})
    reported = RunEnding("INCOMPLETE", "TOOL_FAILED", "The tool failed.", missing[0])
    record = manifest.record(plan, EXECUTION, reported, unjudged, COST)
    assert (record.ending.status, record.ending.failure_class) == ("INCOMPLETE", "TOOL_FAILED")
    assert record.manifest
    names = {output["name"] for output in record.manifest["outputs"]}
    assert names.isdisjoint({"vcf.tbi", "annotated_vcf"}) is hold
    assert "bam" in names
    sentence = f" `seqdrop resume {RUN}` builds the report."
    assert record.row["message"].startswith("The tool failed.")
    assert record.row["message"].endswith(sentence) is hold
    assert any(line.startswith("annotated vcf: ") for line in record.lines) is not hold
    assert any(line.endswith(sentence) for line in record.lines) is hold


def test_the_message_of_a_failed_run() -> None:
    ending = RunEnding("TIMED_OUT", "TIMEOUT", "The run took longer than the state machine allows.")
    assert manifest.message(succeeded(), ending, ResultsFolder(), COST) == (
        f"seqdrop run {RUN}: timed out",
        [
            "Sample NA12878 has no results: The run took longer than the state machine allows.",
            "Class: TIMEOUT",
            "What to do: Check the job's log; if the job was still working, raise its limit in the template, then run"
            " `seqdrop resume RUN`.",
            "estimated cost of the jobs: $0.09",
            "More: `seqdrop why RUN`",
        ],
    )


def test_the_message_of_a_resumed_run_that_fails_says_that_earlier_results_remain() -> None:
    ending = RunEnding("ABORTED", "STOPPED", "The run was stopped.")
    earlier = ResultsFolder({f"{FOLDER}/manifest.json": ("e", 7)})
    _, lines = manifest.message(succeeded(), ending, earlier, COST)
    assert lines[0] == "Sample NA12878 has no new results; the earlier ones remain: The run was stopped."


def test_the_row_is_enough_for_the_message_of_a_failed_run() -> None:
    ending = RunEnding("FAILED", "NOT_STARTED", "It never began.")
    row = {"run": RUN, "sample": "S", "results": FOLDER}
    subject, lines = manifest.message(row, ending, ResultsFolder(), {})
    assert (subject, lines[0]) == (f"seqdrop run {RUN}: failed", "Sample S has no results: It never began.")


def test_a_record_has_the_ending_that_the_folder_proves() -> None:
    record = manifest.record(succeeded(), EXECUTION, RunEnding("SUCCEEDED"), folder(), COST)
    counts = {"reads": 400, "reads_mapped": 398, "variants": 12, "variants_all": 15}
    assert record.row == {"status": "SUCCEEDED", **counts, "cost": str(COST["usd"])}
    assert record.manifest == manifest.manifest(succeeded(), EXECUTION, RunEnding("SUCCEEDED"), folder(), COST)
    assert record.subject == f"seqdrop run {RUN}: done"


def test_a_record_of_changed_results_publishes_no_manifest() -> None:
    changed = {**OBJECTS, f"{FOLDER}/call": ("other", 7)}
    record = manifest.record(succeeded(), EXECUTION, RunEnding("SUCCEEDED"), ResultsFolder(changed, RECEIPTS), COST)
    assert (record.row["status"], record.row["class"], record.manifest) == ("FAILED", "RESULTS_CHANGED", None)
