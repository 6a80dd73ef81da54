"""Downloads are compared with whichever checksum S3 has: of the object, of its parts, or the ETag."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.response import StreamingBody
from moto.s3.models import s3_backends
from seqdrop.storage import checksums, s3, transfers
from seqdrop.storage.checksums import Checksum
from seqdrop.storage.s3 import StoredObject
from seqdrop.storage.uri import S3Uri
from support.function_aws import ACCOUNT, Deployed

PART = 5 << 20  # bytes: the smallest part of S3
READS = 340_000
BODY = b"".join(b"@r%d\nACGTACGTAC\n+\nIIIIIIIIII\n" % number for number in range(READS))  # 3 parts
EQUAL, RAGGED = (PART, PART), (PART, PART + 1000)  # sizes of the parts before the last one
ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")


@pytest.fixture
def uri(bucket: str) -> S3Uri:
    return S3Uri(bucket, "S_R1.fastq")


def put_in_parts(aws: Deployed, uri: S3Uri, sizes: tuple[int, ...] = EQUAL, **checksum: str) -> None:
    """Upload BODY in parts, as a client with this checksum does."""
    where = {"Bucket": uri.bucket, "Key": uri.key}
    upload = aws.s3.create_multipart_upload(**where, **checksum)["UploadId"]
    algorithm = {name: value for name, value in checksum.items() if name == "ChecksumAlgorithm"}
    parts, start = [], 0
    for number, size in enumerate((*sizes, len(BODY)), start=1):
        body = BODY[start : start + size]
        part = aws.s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body, **algorithm)
        digest = {name: value for name, value in part.items() if name.startswith("Checksum")}
        parts.append({"PartNumber": number, "ETag": part["ETag"], **digest})
        start += size
    kind = {name: value for name, value in checksum.items() if name == "ChecksumType"}
    aws.s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts}, **kind)


def put_whole(aws: Deployed, uri: S3Uri, **more: Any) -> None:
    aws.s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=BODY, **more)


def forget_checksum(uri: S3Uri) -> None:
    """Make an object one that was uploaded before 2025: S3 has kept no checksum of it."""
    s3_backends[ACCOUNT]["aws"].buckets[uri.bucket].keys[uri.key].checksum_algorithm = None


Upload = Callable[[Deployed, S3Uri], None]
UPLOADS: dict[str, tuple[Upload, str, int]] = {  # -> the algorithm that is compared, and the number of parts
    **{
        f"{algorithm} of one put": (
            lambda aws, uri, algorithm=algorithm: put_whole(aws, uri, ChecksumAlgorithm=algorithm),  # type: ignore[misc]  # mypy gives it no default
            algorithm,
            0,
        )
        for algorithm in ALGORITHMS
    },
    **{
        f"composite {algorithm}, {name} parts": (
            lambda aws, uri, algorithm=algorithm, sizes=sizes: put_in_parts(  # type: ignore[misc]  # as above
                aws, uri, sizes, ChecksumAlgorithm=algorithm, ChecksumType="COMPOSITE"
            ),
            algorithm,
            3,
        )
        for algorithm in ("CRC32", "CRC32C", "SHA1", "SHA256")
        for name, sizes in (("equal", EQUAL), ("ragged", RAGGED))
    },
    **{
        f"full {algorithm} of parts": (
            lambda aws, uri, algorithm=algorithm: put_in_parts(  # type: ignore[misc]  # as above
                aws, uri, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT"
            ),
            algorithm,
            0,
        )
        for algorithm in ("CRC32", "CRC32C", "CRC64NVME")
    },
}


def download(uri: S3Uri, path: Path) -> StoredObject:
    return s3.store().download(uri, path / "file")


def change_a_base(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let every transfer change a base of one read: the size is right, and it is a valid FASTQ."""
    monkeypatch.setattr(transfers, "PART_SIZE", PART)  # S3 sends no checksum with a range
    read, head = StreamingBody.read, b"@r%d\n" % number

    def read_damaged(self: StreamingBody, amt: int | None = None) -> bytes:
        return read(self, amt).replace(head + b"A", head + b"T")

    monkeypatch.setattr(StreamingBody, "read", read_damaged)


@pytest.mark.parametrize("kind", UPLOADS)
def test_a_changed_base_is_noticed_with_every_checksum_of_s3(
    aws: Deployed, uri: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    upload, algorithm, parts = UPLOADS[kind]
    upload(aws, uri)
    stored = download(uri, tmp_path)
    assert stored.checksum
    assert (stored.checksum.algorithm, stored.checksum.parts) == (algorithm, parts)
    assert (tmp_path / "file").read_bytes() == BODY
    change_a_base(monkeypatch, READS - 50)
    with pytest.raises(s3.IntegrityError, match=rf"was damaged in transfer: its {algorithm} is not"):
        download(uri, tmp_path)


def test_the_etag_of_one_put_is_the_md5_of_the_file(
    aws: Deployed, uri: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_whole(aws, uri)
    forget_checksum(uri)
    stored = download(uri, tmp_path)
    assert stored.checksum
    assert stored.checksum.algorithm == "MD5"
    change_a_base(monkeypatch, 50)
    with pytest.raises(s3.IntegrityError, match="its MD5 is not"):
        download(uri, tmp_path)


@pytest.mark.parametrize("kind", ["parts", "KMS"])
def test_an_etag_that_is_no_md5_is_not_compared(aws: Deployed, uri: S3Uri, tmp_path: Path, kind: str) -> None:
    if kind == "parts":
        put_in_parts(aws, uri)
    else:
        put_whole(aws, uri, ServerSideEncryption="aws:kms")
    forget_checksum(uri)
    assert download(uri, tmp_path).checksum is None


def test_a_pinned_checksum_comes_before_the_one_of_the_object(aws: Deployed, uri: S3Uri, tmp_path: Path) -> None:
    put_whole(aws, uri, ChecksumAlgorithm="SHA256")
    pin = checksums.compute(write(tmp_path / "source", BODY), "CRC64NVME")
    stored = s3.store().download(uri, tmp_path / "file", crc64nvme=pin)
    assert stored.checksum == Checksum("CRC64NVME", pin)
    with pytest.raises(s3.IntegrityError, match="its CRC64NVME is not AAAAAAAAAAA="):
        s3.store().download(uri, tmp_path / "file", crc64nvme="AAAAAAAAAAA=")


def write(path: Path, body: bytes) -> Path:
    path.write_bytes(body)
    return path


CHECK_VALUES = {  # of b"123456789", from the catalogue of CRC algorithms and from coreutils
    "CRC32": "y/Q5Jg==",
    "CRC32C": "4waSgw==",
    "CRC64NVME": "rosUhgp5mIg=",
    "SHA1": "98O8HYCOBHMq32eZZczDTKeuNEE=",
}


@pytest.mark.parametrize(("algorithm", "value"), CHECK_VALUES.items(), ids=CHECK_VALUES)
def test_a_checksum_is_written_as_s3_writes_it(tmp_path: Path, algorithm: str, value: str) -> None:
    assert checksums.compute(write(tmp_path / "file", b"123456789"), algorithm) == value


def test_a_composite_checksum_is_that_of_the_checksums_of_the_parts(tmp_path: Path) -> None:
    parts = b"".join(zlib.crc32(part).to_bytes(4, "big") for part in (b"1234", b"56789"))
    expected = base64.b64encode(zlib.crc32(parts).to_bytes(4, "big")).decode()
    assert checksums.compute(write(tmp_path / "file", b"123456789"), "CRC32", [4, 5]) == f"{expected}-2"
