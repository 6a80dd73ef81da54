"""seqdrop.storage.digests: the digest of a file, which the metadata of its object have."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from seqdrop.storage import digests, s3
from seqdrop.storage.uri import S3Uri

PART = 5  # bytes


@pytest.mark.parametrize("size", [0, 4, 5, 23])
def test_a_digest_is_that_of_the_digests_of_all_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(digests, "PART_SIZE", PART)
    monkeypatch.setattr(digests, "BLOCK_SIZE", 2)
    body = bytes(range(size))
    (tmp_path / "genome.fa").write_bytes(body)
    parts = b"".join(hashlib.sha256(body[start : start + PART]).digest() for start in range(0, size, PART))
    assert digests.compute(tmp_path / "genome.fa") == f"sha256-64mib:{hashlib.sha256(parts).hexdigest()}"


def test_a_digest_is_stored_with_the_object_and_others_are_ignored(bucket: str, tmp_path: Path) -> None:
    path, uri = tmp_path / "genome.fa", S3Uri(bucket, "hg/genome.fa")
    path.write_bytes(b">chr1")
    assert digests.of(s3.store().upload(path, uri, digests.as_metadata(path))) == digests.compute(path)
    for metadata in ({}, {digests.METADATA: "sha512:00"}):
        assert digests.of(s3.store().upload(path, uri, metadata)) == ""
