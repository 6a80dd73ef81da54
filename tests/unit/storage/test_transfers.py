"""seqdrop.storage.transfers: the progress of a transfer, and uploads in progress when a job is stopped."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from seqdrop.storage import s3, transfers
from seqdrop.storage.transfers import Uploads
from seqdrop.storage.uri import S3Uri

MIB = 1 << 20
LONG = 30.0  # seconds: longer than any step of these tests takes


@pytest.fixture
def uri(bucket: str) -> S3Uri:
    return S3Uri(bucket, "NA12878/r/NA12878.bam")


@pytest.fixture
def client(bucket: str) -> Any:
    return boto3.client("s3", config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def uploads(client: Any) -> Uploads:
    uploads = Uploads()
    uploads.watch(client)
    return uploads


def start(client: Any, uri: S3Uri) -> str:
    return str(client.create_multipart_upload(Bucket=uri.bucket, Key=uri.key)["UploadId"])


def start_without_answer(client: Any, uri: S3Uri) -> tuple[threading.Thread, threading.Event]:
    """Start an upload in a thread. S3 answers when the event is set."""
    sent, answer = threading.Event(), threading.Event()

    def wait_for_answer(**_: Any) -> None:
        sent.set()
        answer.wait(LONG)

    client.meta.events.register("before-send.s3.CreateMultipartUpload", wait_for_answer)
    thread = threading.Thread(target=start, args=(client, uri))
    thread.start()
    assert sent.wait(LONG)
    return thread, answer


def in_progress(uri: S3Uri) -> list[str]:
    answer = s3.store().client.list_multipart_uploads(Bucket=uri.bucket)
    return [upload["UploadId"] for upload in answer.get("Uploads", [])]


class EndsAtTimeout(Future[Any]):
    """A call that ends between the timeout of a wait for it and the next look at it."""

    def result(self, timeout: float | None = None) -> Any:
        value = super().result(LONG)
        if timeout is not None:
            raise TimeoutError
        return value


def test_a_call_that_ends_when_the_wait_for_it_times_out_has_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "Future", EndsAtTimeout)
    assert list(transfers.Threads(2).map(str, range(3), 2)) == ["0", "1", "2"]


def test_the_progress_of_an_upload_adds_up_to_its_size(
    uri: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "PART_SIZE", 5 * MIB)
    (tmp_path / "large").write_bytes(bytes(11 * MIB))
    steps: list[int] = []
    s3.store().upload(tmp_path / "large", uri, progress=steps.append)
    assert len(steps) > 1
    assert sum(steps) == 11 * MIB


def test_an_upload_whose_completion_s3_refused_is_aborted(client: Any, uploads: Uploads, uri: S3Uri) -> None:
    upload_id = start(client, uri)
    parts = {"Parts": [{"PartNumber": 1, "ETag": "0" * 32}]}
    with pytest.raises(ClientError, match="InvalidPart"):
        client.complete_multipart_upload(Bucket=uri.bucket, Key=uri.key, UploadId=upload_id, MultipartUpload=parts)
    assert in_progress(uri) == [upload_id]
    uploads.abort(client)
    assert in_progress(uri) == []


def test_an_upload_that_s3_has_just_started_is_aborted_too(
    client: Any, uploads: Uploads, uri: S3Uri, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "START_TIMEOUT", LONG)
    starting, answer = start_without_answer(client, uri)
    aborting = threading.Thread(target=uploads.abort, args=(client,))
    aborting.start()
    aborting.join(0.2)
    assert aborting.is_alive()  # it waits for the answer
    answer.set()
    aborting.join(LONG)
    starting.join(LONG)
    assert in_progress(uri) == []


def failed_start(client: Any, uri: S3Uri, name: str) -> None:
    if name == "refused":
        with pytest.raises(ClientError, match="NoSuchBucket"):
            start(client, S3Uri("no-such-bucket", uri.key))
        return

    def disconnect(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="http://s3")

    client.meta.events.register("before-send.s3.CreateMultipartUpload", disconnect)
    with pytest.raises(EndpointConnectionError):
        start(client, uri)


@pytest.mark.parametrize("failure", ["refused", "disconnected"])
def test_a_failed_start_does_not_delay_the_end_of_a_job(
    client: Any, uploads: Uploads, uri: S3Uri, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    failed_start(client, uri, failure)
    monkeypatch.setattr(transfers, "START_TIMEOUT", LONG)
    begin = time.monotonic()
    uploads.abort(client)
    assert time.monotonic() - begin < LONG


def test_a_start_without_an_answer_delays_the_end_of_a_job_by_the_timeout_only(
    client: Any, uploads: Uploads, uri: S3Uri, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "START_TIMEOUT", 0.1)
    starting, answer = start_without_answer(client, uri)
    uploads.abort(client)
    assert starting.is_alive()
    answer.set()
    starting.join(LONG)


def test_uploads_are_aborted_even_if_one_of_them_cannot_be(client: Any, uploads: Uploads, uri: S3Uri) -> None:
    first, second = start(client, uri), start(client, uri)
    s3.store().client.abort_multipart_upload(Bucket=uri.bucket, Key=uri.key, UploadId=first)
    uploads.abort(client)
    assert second not in in_progress(uri)
    with pytest.raises(RuntimeError, match="the job is ending"):
        start(client, uri)


def grow(uri: S3Uri, path: Path, data: bytes) -> s3.StoredObject:
    """Write a file and upload it meanwhile, 1 MiB at a time."""
    with s3.store().grow(uri, "seqdrop=alignment") as growing, path.open("wb") as file:
        for start in range(0, len(data), MIB):
            file.write(data[start : start + MIB])
            growing.write(data[start : start + MIB])
        file.close()
        return s3.store().upload(path, uri, tagging="seqdrop=alignment", growing=growing)


def refuse_whole_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def upload(*_: Any) -> str:
        raise AssertionError("the file is read again")

    monkeypatch.setattr(transfers.Transfers, "upload", upload)


@pytest.mark.parametrize("size", [10 * MIB, 12 * MIB + 7])
def test_a_file_that_was_sent_while_it_was_written_is_not_read_again(
    uri: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(transfers, "PART_SIZE", 5 * MIB)
    refuse_whole_files(monkeypatch)
    data = os.urandom(size)
    stored = grow(uri, tmp_path / "file", data)
    client = s3.store().client
    assert client.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read() == data
    assert (stored.size, stored.crc64nvme) == (size, s3.checksum(tmp_path / "file"))
    tags = client.get_object_tagging(Bucket=uri.bucket, Key=uri.key)["TagSet"]
    assert tags == [{"Key": "seqdrop", "Value": "alignment"}]
    assert in_progress(uri) == []


def test_a_small_file_is_uploaded_when_it_is_complete(uri: S3Uri, tmp_path: Path) -> None:
    assert grow(uri, tmp_path / "file", b"small").size == 5


@pytest.mark.parametrize("call", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
def test_a_file_that_could_not_be_sent_while_it_was_written_is_uploaded_later(
    uri: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(transfers, "PART_SIZE", 5 * MIB)
    refused = []

    def refuse_once(**_: Any) -> None:
        if not refused:
            refused.append(call)
            raise ClientError({"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, call)  # type: ignore[arg-type,typeddict-item]  # as little of an answer as is read

    event = f"before-call.s3.{call}"
    s3.store().client.meta.events.register(event, refuse_once)
    data = os.urandom(12 * MIB)
    assert grow(uri, tmp_path / "file", data).size == len(data)
    assert (refused, in_progress(uri)) == ([call], [])


@pytest.mark.parametrize("end", ["an error", "no upload", "other bytes"])
def test_nothing_is_left_of_a_file_that_is_not_published(
    uri: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(transfers, "PART_SIZE", 5 * MIB)
    with contextlib.suppress(KeyError), s3.store().grow(uri) as growing:
        growing.write(bytes(11 * MIB))
        if end == "an error":
            raise KeyError
        if end == "other bytes":
            assert growing.complete(11 * MIB - 1) == ""
    assert in_progress(uri) == []
    assert s3.store().find(uri) is None
