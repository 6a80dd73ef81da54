"""seqdrop.jobs.kept: files that a job with several steps does not fetch again."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from seqdrop.jobs import kept
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.workspace import Workspace
from seqdrop.storage import s3
from seqdrop.storage.s3 import MissingError, ReplacedError
from seqdrop.storage.uri import S3Uri
from support.function_aws import Deployed

BODY = b"the calls of a run"


@pytest.fixture
def published(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Uri:
    """An output that one step of a job has published."""
    for name in ("kept", "call", "annotate"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv(kept.FOLDER, str(tmp_path / "kept"))
    uri = S3Uri(bucket, "NA12878/r/NA12878.vcf.gz")
    args = argparse.Namespace(results=uri.parent, vcf=uri)
    work = Workspace("call", args, tmp_path / "call", Processes(tmp_path / "call"))
    (work / "calls.vcf.gz").write_bytes(BODY)
    work.publish(work / "calls.vcf.gz", "vcf")
    return uri


@pytest.fixture
def next_step(published: S3Uri, tmp_path: Path) -> Workspace:
    args = argparse.Namespace(results=published.parent)
    return Workspace("annotate", args, tmp_path / "annotate", Processes(tmp_path / "annotate"))


def kept_file(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "kept").iterdir()
    return path


def test_the_next_step_uses_the_file_of_the_scratch_disk(
    published: S3Uri, next_step: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(s3.Store, "fetch")  # a download would fail
    path = next_step.fetch(published)
    assert path.samefile(tmp_path / "call/calls.vcf.gz")
    assert (next_step.bytes_in, next_step.bytes_cached) == (0, len(BODY))


def test_a_file_that_was_changed_on_the_disk_is_fetched_again(
    published: S3Uri, next_step: Workspace, tmp_path: Path
) -> None:
    kept_file(tmp_path).write_bytes(BODY.replace(b"run", b"RUN"))
    assert next_step.fetch(published).read_bytes() == BODY
    assert list((tmp_path / "kept").iterdir()) == []


def test_an_object_that_was_replaced_in_s3_is_not_that_of_the_disk(
    aws: Deployed, published: S3Uri, next_step: Workspace
) -> None:
    first = s3.store().head(published)
    s3.store().write(published, BODY.replace(b"run", b"RUN"))
    with pytest.raises(ReplacedError):
        kept.link(published, next_step / "x", etag=first.etag)
    assert next_step.fetch(published).read_bytes() == BODY.replace(b"run", b"RUN")


def test_an_object_that_was_deleted_is_missing_although_the_disk_has_it(
    aws: Deployed, published: S3Uri, next_step: Workspace
) -> None:
    aws.s3.delete_object(Bucket=published.bucket, Key=published.key)
    with pytest.raises(MissingError):
        next_step.fetch(published)


def test_a_second_link_does_not_write_into_the_kept_file(
    published: S3Uri, next_step: Workspace, tmp_path: Path
) -> None:
    path = next_step.fetch(published)
    assert next_step.fetch(published) == path
    assert kept_file(tmp_path).read_bytes() == BODY


def test_a_file_that_cannot_be_kept_or_linked_is_fetched(
    published: S3Uri, next_step: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", fail)
    assert next_step.fetch(published).read_bytes() == BODY
    kept.keep(published, tmp_path / "call/calls.vcf.gz")
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_job_with_one_step_keeps_nothing(published: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(kept.FOLDER)
    assert kept.link(published, tmp_path / "x") is None
