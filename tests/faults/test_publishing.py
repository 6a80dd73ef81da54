"""Transfers and publishing"""

from __future__ import annotations

import json
import os

import pytest
from moto.s3.models import s3_backends
from support.catalogue import case, more
from support.function_aws import ACCOUNT, RESULTS
from support.job_runs import FOLDER, PUBLISH, Batch, Line

LARGE = os.urandom(1 << 20) * 12  # three parts
FETCH = f"work.fetch(S3Uri({RESULTS!r}, 'in.bam'))\n"
FETCH_LANES = (
    "from seqdrop.jobs import alignment\nargs.reads = args.results / 'reads.json'\nalignment.fetch_lanes(work)\n"
)
PUBLISH_LARGE = "(work / 'aligned.bam').write_bytes(bytes(12 << 20))\nwork.publish(work / 'aligned.bam', 'bam')\n"
PUBLISH_AND_DIE = PUBLISH + "os.kill(os.getpid(), signal.SIGKILL)\n"


def put_large(batch: Batch, algorithm: str = "CRC64NVME", kind: str = "FULL_OBJECT") -> None:
    """Store an object of three parts with a checksum of the whole object, or of its parts."""
    upload = {"Bucket": RESULTS, "Key": "in.bam"}
    answer = batch.s3.create_multipart_upload(**upload, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    upload["UploadId"] = answer["UploadId"]
    pieces = [LARGE[start : start + (5 << 20)] for start in range(0, len(LARGE), 5 << 20)]
    parts = []
    for number, piece in enumerate(pieces, start=1):
        part = batch.s3.upload_part(**upload, PartNumber=number, Body=piece, ChecksumAlgorithm=algorithm)
        name = f"Checksum{algorithm}"
        parts.append({"PartNumber": number, "ETag": part["ETag"], name: part[name]})
    batch.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


@case(
    happens="A job is started again after it was done.",
    see="The job ends at once.",
    does="Finds the receipt, compares every output with it, and writes nothing.",
)
def test_an_attempt_after_the_job_is_done_changes_nothing(batch: Batch) -> None:
    assert batch.run(PUBLISH)[0] == 0
    before = batch.versions()
    code, log = batch.run(PUBLISH.replace("b'bam'", "b'BAM'"), attempt="2")
    assert (code, "already done" in log, batch.versions() == before) == (0, True, True)


@case(
    happens="A job is killed after it wrote an output and before it wrote the receipt.",
    see="Another attempt of the job.",
    does="Writes all outputs again, then the receipt. Outputs without a receipt are not used.",
)
def test_an_attempt_that_died_before_its_receipt_is_repeated(batch: Batch) -> None:
    assert batch.run(PUBLISH_AND_DIE)[0] == -9
    assert batch.written() == ["NA12878.bam.bai", "NA12878.bam"]
    assert batch.run(PUBLISH, attempt="2")[0] == 0
    assert batch.written() == ["NA12878.bam.bai", "NA12878.bam", "jobs/align.json"]
    assert list(batch.scratch.iterdir()) == []


DAMAGE = case(
    happens="Bytes change or get lost between S3 and a job.",
    see="Nothing. If it happens repeatedly, another attempt of the job.",
    does="Compares the size, and whichever checksum S3 has: of the whole object, of its parts, or the MD5 in the ETag. "
    "Repeats the transfer. Reads that are streamed from S3 to the aligner are read again by another attempt.",
)


@DAMAGE
@pytest.mark.parametrize(
    ("what", "how", "body"),
    [
        (b"GET .*in.bam", "flip_down", FETCH),
        (b"GET .*in.bam", "cut", FETCH),
        (b"PUT .*NA12878.bam.*partNumber=2", "flip_up", PUBLISH_LARGE),
    ],
    ids=["a byte of a download", "half of an answer", "a byte of an upload"],
)
def test_a_damaged_transfer_is_repeated_within_the_job(
    batch: Batch, line: Line, what: bytes, how: str, body: str
) -> None:
    put_large(batch)
    line.pattern, line.fault, line.times = what, how, 1
    code, log = batch.run(body)
    assert (code, line.count > 1) == (0, True), log


@more
@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA256"])
def test_a_damaged_download_of_an_object_with_a_checksum_of_its_parts_is_repeated(
    batch: Batch, line: Line, algorithm: str
) -> None:
    put_large(batch, algorithm, "COMPOSITE")
    line.pattern, line.fault, line.times = b"GET .*in.bam", "flip_down", 1
    code, log = batch.run(FETCH)
    assert (code, "transfer damaged, repeating it" in log) == (0, True), log


@case(
    happens="A FASTQ that is not gzipped was uploaded by a client that gives S3 no checksum of it.",
    see="`SUCCEEDED, 1 warning`: `UNVERIFIED`.",
    does="Verifies its format and its size. A changed base would not be noticed.",
    do="Upload it again, gzipped or with a current client.",
)
def test_a_plain_fastq_without_any_checksum_gives_a_warning(batch: Batch) -> None:
    for mate in (1, 2):
        key = f"in_R{mate}.fastq"
        batch.s3.put_object(Bucket=RESULTS, Key=key, Body=b"@r\nA\n+\nI\n", ServerSideEncryption="aws:kms")
        s3_backends[ACCOUNT]["aws"].buckets[RESULTS].keys[key].checksum_algorithm = None
    pins = {f"fastq_{mate}": {"uri": f"s3://{RESULTS}/in_R{mate}.fastq"} for mate in (1, 2)}
    reads = {"sample": "NA12878", "lanes": [{"lane": "", "read_group": "g", **pins}]}
    batch.s3.put_object(Bucket=RESULTS, Key=f"{FOLDER}/reads.json", Body=json.dumps(reads))
    code, log = batch.run(FETCH_LANES + PUBLISH)
    assert code == 0, log
    warnings = batch.read("jobs/align.json")["warnings"]
    assert [(warning["warning"], warning["message"][:11]) for warning in warnings] == [
        ("UNVERIFIED", "in_R1.fastq"),
        ("UNVERIFIED", "in_R2.fastq"),
    ]
    assert "jobs/align.json" in batch.written()


@more
def test_no_receipt_is_written_after_a_damaged_upload(batch: Batch, line: Line) -> None:
    line.pattern, line.fault = b"PUT .*NA12878.bam.*partNumber=2", "flip_up"
    code, log = batch.run(PUBLISH_LARGE)
    assert (code, batch.verdict()["class"]) == (75, "THROTTLED"), log
    assert "jobs/align.json" not in batch.written()


@case(
    happens="An object in S3 is damaged: no download matches its checksum.",
    see="`FAILED`, `THROTTLED`, and the address of the object.",
    does="Downloads the object three times in each attempt, does not use it, and writes no receipt.",
    do="Reads: upload them again. A reference: prepare it again, then `seqdrop resume RUN`.",
)
@pytest.mark.parametrize("damage", [b"x" + LARGE[1:], LARGE[:-1]], ids=["a changed byte", "a missing byte"])
def test_a_damaged_object_is_downloaded_three_times_and_never_used(batch: Batch, damage: bytes) -> None:
    put_large(batch)
    s3_backends[ACCOUNT]["aws"].buckets[RESULTS].keys["in.bam"].value = damage
    code, log = batch.run(FETCH + PUBLISH)
    assert (code, log.count("transfer damaged, repeating it")) == (75, 2), log
    assert batch.verdict()["class"] == "THROTTLED"
    assert "jobs/align.json" not in batch.written()


@case(
    happens="S3 is overloaded or cannot be reached.",
    see="Nothing. If it lasts longer than a minute, another attempt; after all attempts, `FAILED`, `THROTTLED`.",
    does="Repeats the call for a minute, then ends the job with exit code 75. Batch starts three "
    "attempts, and the doctor submits the job once more.",
    do="Wait until S3 works again, then `seqdrop resume RUN`.",
)
@pytest.mark.parametrize("what", [b"GET .*in.bam", b"PUT .*NA12878.bam"], ids=["download", "upload"])
def test_a_job_with_an_overloaded_s3_can_be_tried_again(batch: Batch, line: Line, what: bytes) -> None:
    put_large(batch)
    batch.env["TRIES"] = "3"
    line.pattern, line.fault = what, "503"
    code, log = batch.run(FETCH + PUBLISH)
    assert (code, batch.verdict()["class"]) == (75, "THROTTLED"), log
    assert line.count >= 3
    line.fault, line.count, line.times = "503", 0, 2
    assert batch.run(FETCH + PUBLISH, attempt="2")[0] == 0


@case(
    happens="A job has no permission to read or write an object (a policy or a key was changed).",
    see="`FAILED`, `DENIED`, and the call that S3 refused.",
    does="Ends the job at once: the same call would be refused again.",
    do="Check the policies of buckets and keys, deploy again, then `seqdrop resume RUN`.",
)
@pytest.mark.parametrize(
    ("what", "call"),
    [(b"GET .*in.bam", "GetObject"), (b"PUT .*NA12878.bam", "PutObject")],
    ids=["read", "write"],
)
def test_a_call_that_s3_denies_is_not_repeated(batch: Batch, line: Line, what: bytes, call: str) -> None:
    put_large(batch)
    line.pattern, line.fault = what, "403"
    code, log = batch.run(FETCH + PUBLISH)
    verdict = batch.verdict()
    assert (code, verdict["class"]) == (70, "DENIED"), log
    assert line.count <= 3  # the parts that were being transferred
    assert verdict["message"] == f"S3 refused {call} to this job: AccessDenied."


@case(
    happens="A FASTQ is replaced or deleted after the start of its run.",
    see="Replaced: `SUCCEEDED`. Deleted with all its versions: `FAILED`, `BAD_INPUT.MISSING`, and the file.",
    does="Reads the object version that the plan names, so a newer version has no effect.",
    do="Upload the file again, and keep it until its run has ended.",
)
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_deleted_file_is_reported_with_its_own_name(batch: Batch, how: str) -> None:
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
        body = fetch.format(pinned.split(", ")[1])  # without versions in the bucket, the ETag identifies the object
    code, log = batch.run(body)
    verdict = batch.verdict()
    assert (code, verdict["class"]) == (65, "BAD_INPUT.MISSING")
    assert "Mary Ann_R1.fastq.gz" in verdict["message"]
    assert "Mary" not in log
