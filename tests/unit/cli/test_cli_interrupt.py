"""Ctrl-C during an upload ends with one sentence and leaves nothing in the bucket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from moto.s3.models import S3Backend
from moto.server import ThreadedMotoServer
from support.waiting import eventually

PATIENCE = 300.0  # seconds; an idle machine needs one
SIZE = 200 << 20  # bytes, in seven parts
PART_TIME = 3.0  # seconds for a part, so that parts are in progress when the signal comes
# The upload of `seqdrop run`, in a command that is interrupted like it.
COMMAND = """
import sys
from contextlib import contextmanager
from pathlib import Path
from seqdrop import aws
from seqdrop.storage.uri import S3Uri
from seqdrop_cli import app, run_table, stack, upload
endpoint, fastq = sys.argv[1:]
session = aws.new_session()
session.set_credentials("a", "b")
session.set_config_variable("region", "us-east-1")
opened = stack.Stack("seqdrop", {"FastqBucket": "fastq"}, session, endpoint)
stack.open_stack = lambda *_: opened
run_table.select = lambda *_, **__: upload.upload_files(opened, [(Path(fastq), S3Uri("fastq", "S_R1.fastq.gz"))], {})
sys.argv = ["seqdrop", "status"]
app.main()
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An S3 with one empty bucket, which needs seconds for each part of an upload."""
    upload_part = S3Backend.upload_part

    def slow(*args: Any, **options: Any) -> Any:
        time.sleep(PART_TIME)
        return upload_part(*args, **options)

    monkeypatch.setattr(S3Backend, "upload_part", slow)
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    requests.post(f"http://{host}:{port}/moto-api/reset", timeout=PATIENCE).raise_for_status()
    session = boto3.Session("a", "b", region_name="us-east-1")
    s3 = session.client("s3", endpoint_url=f"http://{host}:{port}")
    s3.create_bucket(Bucket="fastq")
    yield s3
    running.stop()


@pytest.mark.parametrize("delay", [0, 0.1, 0.3])
def test_ctrl_c_during_an_upload_is_one_sentence_and_leaves_nothing(server: Any, tmp_path: Path, delay: float) -> None:
    fastq = tmp_path / "S_R1.fastq.gz"
    with fastq.open("wb") as file:
        file.truncate(SIZE)
    arguments = [sys.executable, "-c", COMMAND, server.meta.endpoint_url, str(fastq)]
    command = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    eventually(lambda: server.list_multipart_uploads(Bucket="fastq").get("Uploads"), "half an upload")
    time.sleep(delay)
    command.send_signal(signal.SIGINT)
    printed, _ = command.communicate(timeout=PATIENCE)
    assert (command.returncode, printed) == (130, "Interrupted. Nothing was left running.\n")
    assert server.list_multipart_uploads(Bucket="fastq").get("Uploads", []) == []
    assert server.list_objects_v2(Bucket="fastq")["KeyCount"] == 0


def test_ctrl_c_while_modules_load_prints_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "loading"
    (tmp_path / "typer.py").write_text(
        f"import pathlib, time\npathlib.Path({str(marker)!r}).touch()\ntime.sleep(600)\n"
    )
    command = subprocess.Popen(
        [sys.executable, "-m", "seqdrop_cli", "status"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    eventually(marker.exists, "the first module")
    command.send_signal(signal.SIGINT)
    printed, _ = command.communicate(timeout=PATIENCE)
    assert (command.returncode, printed) == (-signal.SIGINT, b"")


def test_an_upload_that_s3_refuses_is_one_sentence(server: Any, tmp_path: Path) -> None:
    server.delete_bucket(Bucket="fastq")
    (tmp_path / "S_R1.fastq.gz").write_bytes(b"reads")
    arguments = [sys.executable, "-c", COMMAND, server.meta.endpoint_url, str(tmp_path / "S_R1.fastq.gz")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    refusal = "AWS refused PutObject: NoSuchBucket: The specified bucket does not exist"
    address = "s3://fastq/S_R1.fastq.gz"
    assert done.stderr == f"{tmp_path / 'S_R1.fastq.gz'} could not be uploaded to {address}. {refusal}\n"
