"""seqdrop.runs.receipts: the results folder of a run."""

from __future__ import annotations

from seqdrop.failure.verdict import Verdict
from seqdrop.runs import receipts
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from support import function_aws


def test_the_files_of_a_sample_named_failures_are_not_read_as_verdicts(aws: function_aws.Deployed) -> None:
    folder = S3Uri(function_aws.RESULTS, "failures/r")
    verdict = Verdict("TOOL_FAILED", "no", job_id="j")
    aws.write(f"{folder}/failures/call.1.1.json", verdict.to_json())
    aws.s3.put_object(Bucket=folder.bucket, Key=f"{folder.key}/failures.bam", Body=b"BAM\1")
    s3.store.cache_clear()
    assert receipts.read_folder(folder, ()).verdicts == {"call": verdict}


def test_the_last_verdict_of_a_step_counts_and_unreadable_ones_are_ignored(aws: function_aws.Deployed) -> None:
    folder = S3Uri(function_aws.RESULTS, "s/r")
    for attempt in ("1.1", "1.2", "2.1"):
        aws.write(f"{folder}/failures/align.{attempt}.json", Verdict("TOOL_FAILED", attempt).to_json())
    aws.write(f"{folder}/failures/call.1.1.json", {"class": "?"})
    s3.store.cache_clear()
    verdicts = receipts.read_folder(folder, ()).verdicts
    assert {step: verdict.message for step, verdict in verdicts.items()} == {"align": "2.1"}


def test_a_receipt_of_an_unknown_version_is_ignored(aws: function_aws.Deployed) -> None:
    folder = S3Uri(function_aws.RESULTS, "s/r")
    aws.write(f"{folder}/jobs/align.json", {"version": 1, "outputs": []})
    aws.write(f"{folder}/jobs/call.json", {"version": 2, "outputs": []})
    s3.store.cache_clear()
    assert list(receipts.read_folder(folder, ("align", "call")).receipts) == ["align"]


def test_an_array_job_is_done_when_each_child_has_its_receipt(aws: function_aws.Deployed) -> None:
    folder = S3Uri(function_aws.RESULTS, "s/r")
    receipt = {"version": 1, "step": "merge", "seconds": 2.5, "warnings": [], "outputs": [{"uri": f"{folder}/x"}]}
    receipt |= {"counts": {}, "part": {"index": 0}}  # the first part has no pieces, and no records
    aws.write(f"{folder}/jobs/merge.0.json", {**receipt, "job_id": "j:0", "started": "2026-03-01T10:00:00Z"})
    aws.write(f"{folder}/failures/merge.1.1.2.json", Verdict("TOOL_FAILED", "no").to_json())
    s3.store.cache_clear()
    found = receipts.read_folder(folder, ("merge",), parts=2)
    assert (dict(found.receipts), list(found.verdicts)) == ({}, ["merge"])
    times = {"started": "2026-03-01T10:00:01Z", "seconds": 2.5, "counts": {"records": 5}, "part": {"index": 1}}
    doubts = [{"warning": "W", "message": "m"}]
    aws.write(f"{folder}/jobs/merge.1.json", {**receipt, **times, "job_id": "j:1", "warnings": doubts})
    [combined] = receipts.read_folder(folder, ("merge",), parts=2).complete.values()
    assert (combined["seconds"], combined["children"], combined["outputs"]) == (5.0, 2, [])
    assert combined["job_ids"] == ["j:0", "j:1"]
    assert (combined["counts"], "part" in combined) == ({"records": 5}, False)
    assert (combined["started"], combined["ended"]) == ("2026-03-01T10:00:00Z", "2026-03-01T10:00:03+00:00")
    assert combined["warnings"] == [{"warning": "W", "message": "m"}]
