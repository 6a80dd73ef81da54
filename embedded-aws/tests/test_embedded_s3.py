"""S3 of the embedded AWS: events, notifications, metadata, checksums, ranges."""

import base64
import os
import uuid
from typing import Any

import pytest
from awscrt import checksums
from botocore.exceptions import ClientError
from embedded_server import Server, eventually

PART = 5 * 1024 * 1024  # the least S3 takes


def put(aws: Server, bucket: str, key: str, body: bytes = b"reads", **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = aws.s3.put_object(Bucket=aws.output(bucket), Key=key, Body=body, **more)
    return answer


def multipart(aws: Server, key: str, parts: list[bytes], **more: Any) -> dict[str, Any]:
    where = {"Bucket": aws.output("Bridge"), "Key": key}
    upload = {**where, "UploadId": aws.s3.create_multipart_upload(**where, **more)["UploadId"]}
    completed = []
    for number, body in enumerate(parts, 1):
        part = aws.s3.upload_part(**upload, PartNumber=number, Body=body)
        completed.append({"PartNumber": number, "ETag": part["ETag"]})
    answer: dict[str, Any] = aws.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": completed})
    return answer


def arrivals(aws: Server, key: str, count: int = 1) -> list[Any]:
    return aws.messages("Arrivals", lambda body: body["detail"]["object"]["key"] == key, count)


def crc64(body: bytes) -> str:
    return base64.b64encode(checksums.crc64nvme(body).to_bytes(8, "big")).decode()


def test_an_upload_is_an_event_with_the_version_and_the_unencoded_key(aws: Server) -> None:
    key = f"a b+c/{uuid.uuid4().hex}_R1.fastq.gz"
    response = put(aws, "Bridge", key)
    (event,) = arrivals(aws, key)
    assert (event["source"], event["detail-type"], event["detail"]["reason"]) == (
        "aws.s3",
        "Object Created",
        "PutObject",
    )
    s3_object = event["detail"]["object"]
    assert (s3_object["version-id"], s3_object["size"]) == (response["VersionId"], 5)
    assert f'"{s3_object["etag"]}"' == response["ETag"]
    assert event["resources"] == [f"arn:aws:s3:::{aws.output('Bridge')}"]


def test_a_multipart_upload_is_one_event(aws: Server) -> None:
    key = f"{uuid.uuid4().hex}.fastq.gz"
    response = multipart(aws, key, [os.urandom(PART), b"tail"])
    (event,) = arrivals(aws, key)
    assert event["detail"]["reason"] == "CompleteMultipartUpload"
    assert event["detail"]["object"]["version-id"] == response["VersionId"]
    put(aws, "Bridge", marker := f"{uuid.uuid4().hex}.fastq.gz")
    seen = aws.messages("Arrivals", lambda body: body["detail"]["object"]["key"] in (key, marker))
    assert [event["detail"]["object"]["key"] for event in seen] == [marker]


def test_a_rule_transforms_an_event(aws: Server) -> None:
    key = f"{uuid.uuid4().hex}.fastq.gz"
    put(aws, "Bridge", key)
    (body,) = aws.messages("Transformed", lambda body: body["key"] == key)
    assert body == {"text": key, "key": key, "size": 5}


def test_a_rule_publishes_to_a_topic(aws: Server) -> None:
    key = f"{uuid.uuid4().hex}.fastq.gz"
    put(aws, "Bridge", key)
    assert aws.messages("TopicMessages", lambda body: key in body["Message"])


def test_an_undelivered_event_goes_to_the_dead_letter_queue(aws: Server) -> None:
    key = f"{uuid.uuid4().hex}.fastq.gz"
    put(aws, "Bridge", key)
    (event,) = aws.messages("DeadLetters", lambda body: body["detail"]["object"]["key"] == key)
    assert event["source"] == "aws.s3"


def test_a_bucket_notification_has_the_encoded_key(aws: Server) -> None:
    name = uuid.uuid4().hex
    put(aws, "Direct", f"a/{name} x+y.txt")
    put(aws, "Direct", f"a/{name} x+y.fastq.gz")
    table = aws.client("dynamodb")

    def seen() -> list[Any]:
        items = table.scan(TableName=aws.output("Seen"))["Items"]
        return [item for item in items if name in item.get("event", {}).get("S", "")]

    (item,) = eventually(seen, "the function's note")
    assert f"a/{name}+x%2By.fastq.gz" in item["event"]["S"]
    assert "ObjectCreated:Put" in item["event"]["S"]


def test_metadata_and_versions_stay_with_their_object(aws: Server) -> None:
    where = {"Bucket": aws.output("Bridge"), "Key": uuid.uuid4().hex}
    first = aws.s3.put_object(**where, Body=b"first", Metadata={"reference": "hg38"})["VersionId"]
    aws.s3.put_object(**where, Body=b"second")
    assert aws.s3.get_object(**where, VersionId=first)["Body"].read() == b"first"
    head = aws.s3.head_object(**where, VersionId=first)
    assert (head["Metadata"], head["VersionId"]) == ({"reference": "hg38"}, first)
    assert aws.s3.head_object(**where)["Metadata"] == {}


def test_a_multipart_upload_without_a_checksum_gets_one_of_the_full_object(aws: Server) -> None:
    key, parts = uuid.uuid4().hex, [os.urandom(PART), b"tail"]
    multipart(aws, key, parts, ChecksumAlgorithm="CRC64NVME", Metadata={"a": "b"})
    head = aws.s3.head_object(Bucket=aws.output("Bridge"), Key=key, ChecksumMode="ENABLED")
    assert (head["ChecksumCRC64NVME"], head["ChecksumType"]) == (crc64(b"".join(parts)), "FULL_OBJECT")
    assert head["Metadata"] == {"a": "b"}


def test_a_single_put_has_its_checksum(aws: Server) -> None:
    key = uuid.uuid4().hex
    put(aws, "Bridge", key, b"whole", ChecksumAlgorithm="CRC64NVME")
    head = aws.s3.head_object(Bucket=aws.output("Bridge"), Key=key, ChecksumMode="ENABLED")
    assert (head["ChecksumCRC64NVME"], head["ChecksumType"]) == (crc64(b"whole"), "FULL_OBJECT")


@pytest.mark.parametrize("name", ["ChecksumCRC64NVME", "ChecksumCRC32", "ChecksumSHA256"])
def test_a_body_that_does_not_match_its_checksum_is_refused(aws: Server, name: str) -> None:
    wrong = base64.b64encode(bytes({"ChecksumCRC64NVME": 8, "ChecksumCRC32": 4, "ChecksumSHA256": 32}[name])).decode()
    key = uuid.uuid4().hex
    with pytest.raises(ClientError, match="BadDigest"):
        put(aws, "Bridge", key, b"damaged on the way", **{name: wrong})
    with pytest.raises(ClientError, match="404"):
        aws.s3.head_object(Bucket=aws.output("Bridge"), Key=key)


def test_a_part_that_does_not_match_its_checksum_is_refused(aws: Server) -> None:
    where = {"Bucket": aws.output("Bridge"), "Key": uuid.uuid4().hex}
    upload = aws.s3.create_multipart_upload(**where, ChecksumAlgorithm="CRC64NVME")["UploadId"]
    with pytest.raises(ClientError, match="BadDigest"):
        aws.s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"x", ChecksumCRC64NVME="AAAAAAAAAAA=")


def test_a_multipart_upload_is_compared_with_the_checksum_of_the_full_object(aws: Server) -> None:
    where = {"Bucket": aws.output("Bridge"), "Key": uuid.uuid4().hex}
    upload = {**where, "UploadId": aws.s3.create_multipart_upload(**where, ChecksumAlgorithm="CRC64NVME")["UploadId"]}
    part = aws.s3.upload_part(**upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    claimed = {"ChecksumType": "FULL_OBJECT", "ChecksumCRC64NVME": "AAAAAAAAAAA="}
    with pytest.raises(ClientError, match="BadDigest"):
        aws.s3.complete_multipart_upload(**upload, MultipartUpload=parts, **claimed)


def test_a_range_returns_only_its_bytes(aws: Server) -> None:
    key, body = uuid.uuid4().hex, os.urandom(3_000_000)
    put(aws, "Bridge", key, body)
    where = {"Bucket": aws.output("Bridge"), "Key": key}
    assert aws.s3.get_object(**where, Range="bytes=1000000-1000009")["Body"].read() == body[1_000_000:1_000_010]
    assert aws.s3.get_object(**where, Range="bytes=-7")["Body"].read() == body[-7:]
    assert aws.s3.get_object(**where)["Body"].read() == body


def test_a_bucket_says_that_its_events_are_sent_to_eventbridge(aws: Server) -> None:
    configuration = aws.s3.get_bucket_notification_configuration(Bucket=aws.output("Bridge"))
    assert configuration["EventBridgeConfiguration"] == {}


@pytest.mark.parametrize("page", [{}, {"MaxKeys": 1}])
def test_a_list_with_a_prefix_has_the_objects_and_folders_below_it(aws: Server, page: dict[str, int]) -> None:
    bucket = f"list-{len(page)}"
    aws.s3.create_bucket(Bucket=bucket)
    for key in ("a/1", "a/2", "a/b/3", "a/gone", "ab", "b/a/4"):
        aws.s3.put_object(Bucket=bucket, Key=key, Body=b"")
    aws.s3.delete_object(Bucket=bucket, Key="a/gone")
    assert listed(aws, Bucket=bucket, Prefix="a/", **page) == ["a/1", "a/2", "a/b/3"]
    assert listed(aws, Bucket=bucket, Prefix="a/", Delimiter="/", **page) == ["a/1", "a/2", "a/b/"]
    assert listed(aws, Bucket=bucket, Prefix="c/", **page) == []


def listed(aws: Server, **parameters: Any) -> list[str]:
    """Return the keys and the folders of all pages of a list."""
    found: list[str] = []
    while True:
        answer = aws.s3.list_objects_v2(**parameters)
        found += [entry["Key"] for entry in answer.get("Contents", [])]
        found += [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])]
        if not answer["IsTruncated"]:
            return found
        parameters["ContinuationToken"] = answer["NextContinuationToken"]
