"""Fixtures that several unit tests share; each is explained in the module it comes from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from seqdrop.storage import s3
from support import function_aws
from support.aligner_runs import aligner_genome, aligner_run  # noqa: F401
from support.job_stacks import batch, line, s3_server  # noqa: F401


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nobody, so that no test reaches a real account."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", function_aws.REGION)


@pytest.fixture
def aws(credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[function_aws.Deployed]:
    """The stack of the template on moto, in this process."""
    with function_aws.deployed(monkeypatch) as stack:
        yield stack


@pytest.fixture
def checked_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto's S3 with the checksums that S3 keeps."""
    function_aws.keep_checksums(monkeypatch)


@pytest.fixture
def bucket(checked_s3: None, aws: function_aws.Deployed) -> str:
    """An empty versioned bucket that seqdrop.storage.s3 reads and writes."""
    s3.store.cache_clear()
    return function_aws.RESULTS
