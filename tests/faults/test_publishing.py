"""Publishing"""

from __future__ import annotations

import os
from typing import Any

import pytest
from moto.s3.models import s3_backends
from support.catalogue import case, more
from support.function_aws import ACCOUNT, RESULTS
from support.job_runs import PUBLISH, Batch, Line

LARGE = os.urandom(1 << 20) * 12  # three parts
FETCH = f"work.fetch(S3Uri({RESULTS!r}, 'in.bam'))\n"
PUBLISH_LARGE = "(work / 'aligned.bam').write_bytes(bytes(12 << 20))\nwork.publish(work / 'aligned.bam', 'bam')\n"
DIES = PUBLISH + "os.kill(os.getpid(), signal.SIGKILL)\n"


def put_large(batch: Batch, **more: Any) -> None:
    upload = {"Bucket": RESULTS, "Key": "in.bam"}
    begun = batch.s3.create_multipart_upload(
        **upload, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT", **more
    )
    upload["UploadId"] = begun["UploadId"]
    pieces = [LARGE[start : start + (5 << 20)] for start in range(0, len(LARGE), 5 << 20)]
    parts = []
    for number, piece in enumerate(pieces, start=1):
        part = batch.s3.upload_part(**upload, PartNumber=number, Body=piece, ChecksumAlgorithm="CRC64NVME")
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC64NVME": part["ChecksumCRC64NVME"]})
    batch.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


@case(
    happens="A job is started again after it was done.",
    see="The job ends at once.",
    does="Finds its receipt and every output as listed there, and writes nothing.",
)
def test_a_second_attempt_after_a_finished_one_changes_nothing(batch: Batch) -> None:
    assert batch.run(PUBLISH)[0] == 0
    before = batch.versions()
    code, log = batch.run(PUBLISH.replace("b'bam'", "b'BAM'"), attempt="2")
    assert (code, "already done" in log, batch.versions() == before) == (0, True, True)


@case(
    happens="A job dies between an output and its receipt.",
    see="Another attempt of the job.",
    does="Writes the outputs anew, and the receipt after them. Without a receipt nothing counts.",
)
def test_an_attempt_that_died_before_its_receipt_is_done_again(batch: Batch) -> None:
    assert batch.run(DIES)[0] == -9
    assert batch.written() == ["NA12878.bam.bai", "NA12878.bam"]
    assert batch.run(PUBLISH, attempt="2")[0] == 0
    assert batch.written() == ["NA12878.bam.bai", "NA12878.bam", "jobs/align.json"]
    assert list(batch.scratch.iterdir()) == []


DAMAGE = case(
    happens="Bytes change or get lost between S3 and a job.",
    see="Nothing; if it happens again and again, another attempt of the job.",
    does="Compares size and checksum of the whole object, and fetches or stores it again.",
)


@DAMAGE
@pytest.mark.parametrize(
    ("what", "how", "body"),
    [
        (b"GET .*in.bam", "flip_down", FETCH),
        (b"GET .*in.bam", "cut", FETCH),
        (b"PUT .*NA12878.bam.*partNumber=2", "flip_up", PUBLISH_LARGE),
    ],
    ids=["a byte on the way in", "half an answer", "a byte on the way out"],
)
def test_damage_on_the_way_is_made_good_within_the_job(
    batch: Batch, line: Line, what: bytes, how: str, body: str
) -> None:
    put_large(batch)
    line.pattern, line.fault, line.times = what, how, 1
    code, log = batch.run(body)
    assert (code, line.count > 1) == (0, True), log
    assert "jobs/align.json" in batch.written()


@more
def test_an_output_that_s3_holds_otherwise_is_followed_by_no_receipt(batch: Batch, line: Line) -> None:
    line.pattern, line.fault = b"PUT .*NA12878.bam.*partNumber=2", "flip_up"
    code, log = batch.run(PUBLISH_LARGE)
    assert (code, batch.verdict()["class"]) == (75, "THROTTLED"), log
    assert "jobs/align.json" not in batch.written()


@case(
    happens="An object lies damaged in S3 itself: however often it is fetched, it is not what was stored.",
    see="`FAILED`, `THROTTLED`: S3 did not answer as it should, and for which object.",
    does="Fetches it three times in each attempt, uses none of it, and publishes no receipt.",
    do="Reads: drop them again. A reference: prepare it anew, then resume the run.",
)
@pytest.mark.parametrize("damage", [b"x" + LARGE[1:], LARGE[:-1]], ids=["another byte", "a byte less"])
def test_an_object_that_stays_damaged_is_tried_thrice_and_never_used(batch: Batch, damage: bytes) -> None:
    put_large(batch)
    s3_backends[ACCOUNT]["aws"].buckets[RESULTS].keys["in.bam"].value = damage
    code, log = batch.run(FETCH + PUBLISH)
    assert (code, log.count("once more")) == (75, 2), log
    assert batch.verdict()["class"] == "THROTTLED"
    assert "jobs/align.json" not in batch.written()


@case(
    happens="S3 is overloaded, or out of reach for longer than a call is worth.",
    see="Nothing; if it lasts, another attempt of the job; if it outlasts them all, `FAILED`, `THROTTLED`.",
    does="Calls again for a minute, then ends the job with 75, which Batch tries three times and the doctor once more.",
    do="When S3 is well again, resume the run.",
)
@pytest.mark.parametrize("what", [b"GET .*in.bam", b"PUT .*NA12878.bam"], ids=["fetching", "publishing"])
def test_a_storage_that_is_overloaded_is_worth_another_attempt(batch: Batch, line: Line, what: bytes) -> None:
    put_large(batch)
    batch.env["TRIES"] = "3"
    line.pattern, line.fault = what, "503"
    code, log = batch.run(FETCH + PUBLISH)
    assert (code, batch.verdict()["class"]) == (75, "THROTTLED"), log
    assert line.count >= 3
    line.fault, line.count, line.times = "503", 0, 2
    assert batch.run(FETCH + PUBLISH, attempt="2")[0] == 0


@case(
    happens="A job may not read or write what it needs (a policy or a key was changed).",
    see="`FAILED`, `DENIED`, and the call that S3 refused.",
    does="Ends at once: the same call would be refused again.",
    do="Look at the policies of buckets and keys; deploy again.",
)
@pytest.mark.parametrize(
    ("what", "call"),
    [(b"GET .*in.bam", "GetObject"), (b"PUT .*NA12878.bam", "PutObject")],
    ids=["reading", "writing"],
)
def test_a_refusal_is_no_reason_to_try_again(batch: Batch, line: Line, what: bytes, call: str) -> None:
    put_large(batch)
    line.pattern, line.fault = what, "403"
    code, log = batch.run(FETCH + PUBLISH)
    verdict = batch.verdict()
    assert (code, verdict["class"]) == (70, "DENIED"), log
    assert line.count <= 3  # the parts that were under way
    assert verdict["message"] == f"S3 refused {call} to this job: AccessDenied."


@case(
    happens="A FASTQ is deleted or replaced after its run began.",
    see="`FAILED`, `BAD_INPUT.MISSING`, and the file.",
    does="Reads the version that was pinned, so a new one does no harm; without it, ends the run.",
    do="Upload the file again, and keep it until its run has ended.",
)
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_file_that_is_gone_is_named_as_its_owner_named_it(batch: Batch, how: str) -> None:
    key = "inbox/Mary Ann_R1.fastq.gz"
    stored = batch.s3.put_object(Bucket=RESULTS, Key=key, Body=b"first")
    pinned = f"version_id={stored['VersionId']!r}, etag={stored['ETag']!r}.strip('\"')"
    fetch = f"work.fetch(S3Uri({RESULTS!r}, {key!r}), name='lane1_R1.fastq.gz', {{}})"
    if how == "deleted":
        batch.s3.delete_object(Bucket=RESULTS, Key=key, VersionId=stored["VersionId"])
        body = fetch.format(pinned)
    else:
        batch.s3.put_object(Bucket=RESULTS, Key=key, Body=b"second")
        assert (
            batch.run(fetch.format(pinned) + "\nassert (work / 'lane1_R1.fastq.gz').read_bytes() == b'first'")[0] == 0
        )
        batch.s3.delete_object(Bucket=RESULTS, Key="NA12878/r/jobs/align.json")
        body = fetch.format(pinned.split(", ")[1])  # a bucket that keeps no versions has the ETag alone
    code, log = batch.run(body)
    verdict = batch.verdict()
    assert (code, verdict["class"]) == (65, "BAD_INPUT.MISSING")
    assert "Mary Ann_R1.fastq.gz" in verdict["message"]
    assert "Mary" not in log
