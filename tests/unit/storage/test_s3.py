"""seqdrop.storage.s3: pinned versions and verified transfers, on moto with the checksums of S3."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    FlexibleChecksumError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.response import StreamingBody
from botocore.stub import Stubber
from moto.s3.models import s3_backends
from seqdrop.storage import s3, transfers
from seqdrop.storage.uri import S3Uri
from support.function_aws import ACCOUNT, Deployed

CHECK_VALUE = base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode()  # CRC-64/NVME of b"123456789"


@pytest.fixture
def folder(bucket: str) -> S3Uri:
    return S3Uri(bucket, "folder")


def tamper(uri: S3Uri, body: bytes) -> None:
    """Change the bytes of an object without changing its checksum in S3."""
    s3_backends[ACCOUNT]["aws"].buckets[uri.bucket].keys[uri.key].value = body


def put(aws: Deployed, uri: S3Uri, body: bytes, **more: Any) -> str:
    return str(aws.s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=body, **more)["VersionId"])


def test_the_checksum_is_the_crc64nvme_of_s3(tmp_path: Path) -> None:
    (tmp_path / "check").write_bytes(b"123456789")
    assert s3.checksum(tmp_path / "check") == CHECK_VALUE


def test_an_upload_is_verified_and_described(folder: S3Uri, tmp_path: Path) -> None:
    (tmp_path / "check").write_bytes(b"123456789")
    stored = s3.store().upload(tmp_path / "check", folder / "check")
    assert (stored.uri, stored.size, stored.crc64nvme, dict(stored.metadata)) == (folder / "check", 9, CHECK_VALUE, {})
    assert stored.pin() == {
        "uri": str(folder / "check"),
        "version_id": stored.version_id,
        "etag": "25f9e794323b453885f5181f1b624d0b",
        "size": 9,
    }
    assert s3.store().head(folder / "check") == stored


def test_an_upload_has_its_tag(aws: Deployed, folder: S3Uri, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    s3.store().upload(tmp_path / "file", folder / "file", tagging="seqdrop=alignment")
    tags = aws.s3.get_object_tagging(Bucket=folder.bucket, Key=f"{folder.key}/file")["TagSet"]
    assert tags == [{"Key": "seqdrop", "Value": "alignment"}]


def test_an_archived_object_is_not_downloaded(aws: Deployed, folder: S3Uri, tmp_path: Path) -> None:
    put(aws, folder / "file", b"x", StorageClass="DEEP_ARCHIVE")
    with pytest.raises(s3.ArchivedError, match=f"{folder / 'file'} is archived: restore it"):
        s3.store().download(folder / "file", tmp_path / "file")


@pytest.mark.parametrize(("answer", "archived"), [
    ({}, ""),
    ({"StorageClass": "STANDARD_IA"}, ""),
    ({"StorageClass": "GLACIER_IR"}, ""),
    ({"StorageClass": "GLACIER"}, "GLACIER"),
    ({"StorageClass": "DEEP_ARCHIVE", "Restore": 'ongoing-request="true"'}, "DEEP_ARCHIVE"),
    ({"StorageClass": "DEEP_ARCHIVE", "Restore": 'ongoing-request="false", expiry-date="Fri, 1 May 2026"'}, ""),
    ({"StorageClass": "INTELLIGENT_TIERING"}, ""),
    ({"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "ARCHIVE_ACCESS"}, "ARCHIVE_ACCESS"),
])  # fmt: skip
def test_an_object_can_be_read_unless_it_is_archived_and_not_restored(
    credentials: None, answer: dict[str, Any], archived: str
) -> None:
    client = boto3.client("s3")
    with Stubber(client) as stub:
        stub.add_response("head_object", {"ETag": '"e"', "ContentLength": 1, "Metadata": {}, **answer})
        assert s3.Store(client).head(S3Uri("bucket", "file")).archived == archived


@pytest.mark.parametrize(("kind", "whole"), [("FULL_OBJECT", CHECK_VALUE), ("COMPOSITE", ""), (None, "")])
def test_the_checksum_of_parts_is_not_that_of_the_object(credentials: None, kind: str | None, whole: str) -> None:
    client = boto3.client("s3")
    value = CHECK_VALUE if kind == "FULL_OBJECT" else f"{CHECK_VALUE}-2"
    answer = {"ETag": '"e-2"', "ContentLength": 9, "Metadata": {}, "ChecksumCRC64NVME": value}
    with Stubber(client) as stub:
        stub.add_response("head_object", {**answer, **({"ChecksumType": kind} if kind else {})})
        assert s3.Store(client).head(S3Uri("bucket", "file")).crc64nvme == whole


@pytest.mark.parametrize(("operation", "call"), [
    ("get_object", lambda store, uri: store.read_start(uri, 9)),
    ("put_object", lambda store, uri: store.write_json_once(uri, {})),
])  # fmt: skip
def test_a_call_that_s3_refuses_raises_its_error(
    credentials: None, operation: str, call: Callable[[s3.Store, S3Uri], Any]
) -> None:
    client = boto3.client("s3")
    with Stubber(client) as stub:
        stub.add_client_error(operation, "AccessDenied", http_status_code=403)
        with pytest.raises(ClientError, match="AccessDenied"):
            call(s3.Store(client), S3Uri("bucket", "file"))


@pytest.mark.parametrize(("code", "error", "attempts"), [
    ("NoSuchKey", s3.MissingError, 1),
    ("InvalidObjectState", s3.ArchivedError, 1),
    ("BadDigest", s3.IntegrityError, 3),
])  # fmt: skip
def test_an_error_of_a_transfer_has_its_class(
    folder: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, error: type[Exception], attempts: int
) -> None:
    """The object was there a moment before."""
    s3.store().write(folder / "file", b"x")
    calls = []

    def refuse(**_: Any) -> None:
        calls.append(1)
        raise ClientError({"Error": {"Code": code}}, "GetObject")

    monkeypatch.setattr(s3.store().client, "get_object", refuse)
    with pytest.raises(error):
        s3.store().download(folder / "file", tmp_path / "file")
    assert len(calls) == attempts


def test_a_multipart_upload_has_the_checksum_of_the_whole_object(
    folder: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "PART_SIZE", 5 << 20)
    (tmp_path / "large").write_bytes(bytes(range(256)) * (11 << 12))  # 11 MiB: three parts
    stored = s3.store().upload(tmp_path / "large", folder / "large")
    assert stored.crc64nvme == s3.checksum(tmp_path / "large")
    assert "-" in stored.etag  # so it really was in parts
    s3.store().download(folder / "large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "large").read_bytes()


def test_an_upload_that_another_writer_overwrote_is_refused(
    folder: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer replaces the object after the upload."""
    (tmp_path / "ours").write_bytes(b"ours")
    whole, times = transfers.Transfers.upload, []

    def upload_and_lose(*args: Any) -> str:
        sent = whole(*args)
        times.append(s3.store().client.put_object(Bucket=folder.bucket, Key="folder/ours", Body=b"gone"))
        return sent

    monkeypatch.setattr(transfers.Transfers, "upload", upload_and_lose)
    with pytest.raises(s3.IntegrityError, match="is not the uploaded file"):
        s3.store().upload(tmp_path / "ours", folder / "ours")
    assert len(times) == 3


def test_bytes_with_another_checksum_than_the_pinned_one_are_refused(folder: S3Uri, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"first")
    pinned = s3.store().upload(file, folder / "file").crc64nvme
    assert s3.store().download(folder / "file", file, crc64nvme=pinned).crc64nvme == pinned
    file.write_bytes(b"other")
    s3.store().upload(file, folder / "file")
    with pytest.raises(s3.IntegrityError, match="was damaged in transfer"):
        s3.store().download(folder / "file", file, crc64nvme=pinned)


def test_an_object_with_another_etag_than_the_pinned_one_is_refused(
    aws: Deployed, folder: S3Uri, tmp_path: Path
) -> None:
    put(aws, folder / "file", b"first")
    pinned = s3.store().head(folder / "file").etag
    assert s3.store().download(folder / "file", tmp_path / "file", etag=pinned).etag == pinned
    put(aws, folder / "file", b"second")
    (tmp_path / "file").unlink()
    with pytest.raises(s3.ReplacedError):
        s3.store().download(folder / "file", tmp_path / "file", etag=pinned)
    assert not (tmp_path / "file").exists()


def refusal(status: int, code: str) -> ClientError:
    answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "PutObject")  # type: ignore[arg-type]


PASSING = {
    "overloaded": refusal(503, "SlowDown"),
    "too many": refusal(429, "TooManyRequests"),
    "a fault of S3": refusal(500, "InternalError"),
    "an error in an answer of success": refusal(200, "InternalError"),
    "slow": refusal(400, "RequestTimeout"),
    "bytes that came to harm": refusal(400, "BadDigest"),
    "an upload that somebody aborted": refusal(404, "NoSuchUpload"),
    "an old credential": refusal(400, "ExpiredToken"),
    "no answer": ReadTimeoutError(endpoint_url="http://s3"),
    "nobody there": EndpointConnectionError(endpoint_url="http://s3"),
    "a checksum": FlexibleChecksumError(error_msg="no"),
    "other bytes": s3.IntegrityError("no"),
}
LASTING = {
    "forbidden": refusal(403, "AccessDenied"),
    "no bucket": refusal(404, "NoSuchBucket"),
    "a wrong call": refusal(400, "InvalidArgument"),
    "no credentials": NoCredentialsError(),
    "a wrong parameter": ParamValidationError(report="no"),
    "a bug": KeyError("no"),
}


@pytest.mark.parametrize("error", PASSING.values(), ids=PASSING)
def test_temporary_errors_are_transient(error: Exception) -> None:
    assert s3.is_transient(error)


@pytest.mark.parametrize("error", LASTING.values(), ids=LASTING)
def test_permanent_errors_are_not_transient(error: Exception) -> None:
    assert not s3.is_transient(error)


def test_an_upload_in_progress_is_known_until_it_is_completed_or_aborted(aws: Deployed, folder: S3Uri) -> None:
    uploads, client = transfers.Uploads(), boto3.client("s3")
    uploads.watch(client)
    where = [{"Bucket": folder.bucket, "Key": key} for key in ("done", "aborted", "open")]
    ids = [client.create_multipart_upload(**each)["UploadId"] for each in where]  # type: ignore[arg-type]
    part = client.upload_part(**where[0], UploadId=ids[0], PartNumber=1, Body=b"x")  # type: ignore[arg-type]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(**where[0], UploadId=ids[0], MultipartUpload=parts)  # type: ignore[arg-type]
    client.abort_multipart_upload(**where[1], UploadId=ids[1])  # type: ignore[arg-type]
    uploads.abort(client)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=folder.bucket)
    assert s3.store().head(S3Uri(folder.bucket, "done")).size == 1
    with pytest.raises(RuntimeError, match="the job is ending"):
        client.create_multipart_upload(**where[2])  # type: ignore[arg-type]


def test_the_pinned_version_is_downloaded_not_the_latest(aws: Deployed, folder: S3Uri, tmp_path: Path) -> None:
    first = put(aws, folder / "file", b"first")
    put(aws, folder / "file", b"second, longer")
    assert s3.store().download(folder / "file", tmp_path / "file", first).version_id == first
    assert (tmp_path / "file").read_bytes() == b"first"
    s3.store().download(folder / "file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"second, longer"


@pytest.mark.parametrize("body", [b"123456780", b"12345678"], ids=["another byte", "a byte less"])
def test_a_damaged_object_is_refused(aws: Deployed, folder: S3Uri, tmp_path: Path, body: bytes) -> None:
    put(aws, folder / "file", b"123456789", ChecksumAlgorithm="CRC64NVME")
    tamper(folder / "file", body)
    with pytest.raises((s3.IntegrityError, BotoCoreError)):
        s3.store().download(folder / "file", tmp_path / "file")


def test_an_object_with_another_checksum_has_no_crc64nvme(aws: Deployed, folder: S3Uri, tmp_path: Path) -> None:
    put(aws, folder / "file", b"123456789", ChecksumAlgorithm="SHA256")
    assert s3.store().download(folder / "file", tmp_path / "file").crc64nvme == ""


def test_a_missing_object_or_version_raises_missing_error(aws: Deployed, folder: S3Uri, tmp_path: Path) -> None:
    version = put(aws, folder / "file", b"x")
    aws.s3.delete_object(Bucket=folder.bucket, Key="folder/file")
    for look in (
        lambda: s3.store().head(folder / "other"),
        lambda: s3.store().head(folder / "file"),
        lambda: s3.store().head(folder / "file", "no-such-version"),
        lambda: s3.store().read_json(folder / "file.json"),
        lambda: s3.store().download(folder / "other", tmp_path / "other"),
    ):
        with pytest.raises(s3.MissingError, match="does not exist"):
            look()
    assert s3.store().head(folder / "file", version).size == 1


def test_a_bucket_without_versioning_has_no_version_ids(aws: Deployed, folder: S3Uri) -> None:
    aws.s3.create_bucket(Bucket="plain-bucket")
    aws.s3.put_object(Bucket="plain-bucket", Key="file", Body=b"x")
    assert s3.store().head(S3Uri("plain-bucket", "file")).version_id == ""


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        ("null", ""),
        ("3.nullXq7Zt", "3.nullXq7Zt"),
    ],
)
def test_the_version_null_becomes_empty_and_others_are_kept(folder: S3Uri, answered: str, expected: str) -> None:
    with Stubber(s3.store().client) as answers:  # moto chooses its version ids itself
        answers.add_response("head_object", {"VersionId": answered, "ETag": '"e"', "ContentLength": 1, "Metadata": {}})
        assert s3.store().head(folder / "file").version_id == expected


@pytest.mark.parametrize(("size", "found"), [(4, b"1234"), (9, b"123456789"), (100, b"123456789")])
def test_read_start_returns_fewer_bytes_of_a_shorter_object(
    aws: Deployed, folder: S3Uri, size: int, found: bytes
) -> None:
    version = put(aws, folder / "file", b"123456789")
    put(aws, folder / "file", b"another version")
    assert s3.store().read_start(folder / "file", size, version) == found


def test_read_start_of_an_empty_object_is_empty(aws: Deployed, folder: S3Uri) -> None:
    put(aws, folder / "file", b"")
    assert s3.store().read_start(folder / "file", 16) == b""


def test_json_is_read_as_it_was_written(folder: S3Uri) -> None:
    value = {"b": [1, None, "ü"], "a": {}}
    s3.store().write_json(folder / "value.json", value)
    assert s3.store().read_json(folder / "value.json") == value


@pytest.mark.parametrize("broken", [1, 2])
def test_a_body_that_breaks_off_is_requested_again(folder: S3Uri, broken: int) -> None:
    with Stubber(s3.store().client) as answers:
        for _ in range(broken):
            answers.add_response("get_object", {"Body": body(b'{"half":', 100)})
        answers.add_response("get_object", {"Body": body(b'{"whole": 1}', 12)})
        assert s3.store().read_json(folder / "value.json") == {"whole": 1}


def test_a_body_that_breaks_off_every_time_is_an_error(folder: S3Uri) -> None:
    with Stubber(s3.store().client) as answers:
        for _ in range(3):
            answers.add_response("get_object", {"Body": body(b"@r", 100)})
        with pytest.raises(IncompleteReadError):
            s3.store().read_start(folder / "reads.fastq.gz", 100)


def test_a_call_without_an_answer_is_repeated_by_botocore_only(folder: S3Uri, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def unanswered(**given: Any) -> Any:
        asked.append(given)
        raise ReadTimeoutError(endpoint_url="s3")

    monkeypatch.setattr(s3.store().client, "get_object", unanswered)
    with pytest.raises(ReadTimeoutError):
        s3.store().read_json(folder / "value.json")
    assert len(asked) == 1


def body(sent: bytes, promised: int) -> StreamingBody:
    return StreamingBody(BytesIO(sent), promised)


def test_list_names_returns_every_key_of_the_folder_and_no_other(aws: Deployed, folder: S3Uri) -> None:
    for name in ("folder/b", "folder/a/c", "folder2/d", "other"):
        put(aws, S3Uri(folder.bucket, name), b"")
    assert s3.store().list_names(folder) == ["a/c", "b"]
    assert s3.store().list_keys(folder.bucket, "folder") == ["folder/a/c", "folder/b", "folder2/d"]


def test_list_names_reads_all_pages(aws: Deployed, folder: S3Uri, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    for name in "abcde":
        put(aws, folder / name, b"")
    assert s3.store().list_names(folder) == list("abcde")
    assert s3.store().list_keys(folder.bucket, "folder/") == [f"folder/{name}" for name in "abcde"]


def test_an_object_without_a_checksum_is_downloaded_completely(
    aws: Deployed, folder: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(aws, folder / "file", b"123456789", ChecksumAlgorithm="SHA256")
    whole = transfers.Transfers.download

    def download_and_lose(*args: Any) -> int:
        crc = whole(*args)
        (tmp_path / "file").write_bytes(b"12345678")
        return crc

    monkeypatch.setattr(transfers.Transfers, "download", download_and_lose)
    with pytest.raises(s3.IntegrityError, match="8 of 9 bytes arrived"):
        s3.store().download(folder / "file", tmp_path / "file")


@pytest.mark.parametrize("size", [0, 1, 11 << 20])
def test_a_stream_has_the_bytes_of_the_pinned_version(
    aws: Deployed, folder: S3Uri, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(transfers, "READ_SIZE", 1 << 20)
    data = os.urandom(size)
    version = put(aws, folder / "file", data, ChecksumAlgorithm="CRC64NVME")
    put(aws, folder / "file", b"a later version")
    stream = s3.store().stream(folder / "file", "R1.fastq.gz", version)
    assert stream
    assert b"".join(iter(lambda: stream.read(300_000), b"")) == data
    assert (stream.name, stream.size, stream.tell()) == ("R1.fastq.gz", size, size)
    stream.verify()


def test_a_stream_of_damaged_bytes_ends_with_an_error(aws: Deployed, folder: S3Uri) -> None:
    put(aws, folder / "file", b"123456789", ChecksumAlgorithm="CRC64NVME")
    pin = s3.store().head(folder / "file").crc64nvme
    put(aws, folder / "other", b"123456780", ChecksumAlgorithm="CRC64NVME")
    stream = s3.store().stream(folder / "other", "R1.fastq.gz", crc64nvme=pin)
    assert stream
    assert stream.read(5) == b"12345"
    with pytest.raises(s3.IntegrityError, match="was damaged in transfer: its CRC64NVME is not"):
        stream.verify()


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA1"])
def test_an_object_with_a_checksum_that_needs_a_file_has_no_stream(
    aws: Deployed, folder: S3Uri, algorithm: str
) -> None:
    put(aws, folder / "file", b"123456789", ChecksumAlgorithm=algorithm)
    assert s3.store().stream(folder / "file", "R1.fastq.gz") is None


def test_a_stream_of_a_missing_or_replaced_object_is_refused(aws: Deployed, folder: S3Uri) -> None:
    with pytest.raises(s3.MissingError):
        s3.store().stream(folder / "file", "R1.fastq.gz")
    put(aws, folder / "file", b"1")
    with pytest.raises(s3.ReplacedError):
        s3.store().stream(folder / "file", "R1.fastq.gz", etag="of another one")
