"""Fixtures that a step needs to run: an S3 server, a scratch disk, and the network between them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from moto.server import ThreadedMotoServer

from support import function_aws
from support.function_aws import RESULTS
from support.job_runs import FOLDER, JOB_ID, Batch, Line


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """Run an S3 server that keeps checksums as S3 does."""
    with pytest.MonkeyPatch.context() as patch:
        function_aws.keep_checksums(patch)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture
def batch(s3_server: str, tmp_path: Path) -> Batch:
    """Create an empty scratch disk and an empty bucket."""
    urlopen(Request(f"{s3_server}/moto-api/reset", method="POST")).close()  # noqa: S310  our own server
    s3 = function_aws.client("s3", s3_server)
    s3.create_bucket(Bucket=RESULTS)
    s3.put_bucket_versioning(Bucket=RESULTS, VersioningConfiguration={"Status": "Enabled"})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    container = {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",  # pragma: allowlist secret: moto takes any
        "AWS_DEFAULT_REGION": "us-east-1",
        "SEQDROP_SCRATCH": str(scratch),
        "SEQDROP_IMAGE": "bwa:0.1.0",
        "AWS_BATCH_JOB_ID": JOB_ID,
        "AWS_BATCH_JOB_ATTEMPT": "2",
        "POWERTOOLS_SERVICE_NAME": "bwa",
    }
    folder = f"s3://{RESULTS}/{FOLDER}"
    arguments = {"sample": "NA12878", "bam": f"{folder}/NA12878.bam", "results": folder, "run": "r", "attempt": "1"}
    arguments |= {"vcpus": "2", "memory": "400", "args": "[]"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return Batch(scratch, s3, {**inherited, **container}, arguments)


@pytest.fixture
def line(batch: Batch) -> Iterator[Line]:
    """Route all requests of the job to S3 through a network that can fail."""
    network = Line(int(batch.env["AWS_ENDPOINT_URL"].rpartition(":")[2]))
    batch.env["AWS_ENDPOINT_URL"] = network.endpoint
    yield network
    network.close()
