"""seqdrop.runs.receipts: what lies in the folder of a run."""

from __future__ import annotations

from seqdrop.failure.verdict import Verdict
from seqdrop.runs import receipts
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from support import function_aws


def test_of_a_sample_that_is_called_failures_only_verdicts_are_read(aws: function_aws.Deployed) -> None:
    folder = S3Uri(function_aws.RESULTS, "failures/r")
    said = Verdict("TOOL_FAILED", "no", job_id="j")
    aws.write(f"{folder}/failures/call.1.1.json", said.to_json())
    aws.s3.put_object(Bucket=folder.bucket, Key=f"{folder.key}/failures.bam", Body=b"BAM\1")
    s3.client.cache_clear()
    assert receipts.verdicts(folder, receipts.published(folder)) == {"call": said}


def test_the_last_verdict_of_a_step_counts_and_what_cannot_be_read_is_none(aws: function_aws.Deployed) -> None:
    folder = S3Uri(function_aws.RESULTS, "s/r")
    for attempt in ("1.1", "1.2", "2.1"):
        aws.write(f"{folder}/failures/align.{attempt}.json", Verdict("TOOL_FAILED", attempt).to_json())
    aws.write(f"{folder}/failures/call.1.1.json", {"class": "?"})
    s3.client.cache_clear()
    assert {step: found.message for step, found in receipts.verdicts(folder, receipts.published(folder)).items()} == {
        "align": "2.1"
    }
