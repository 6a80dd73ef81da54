"""seqdrop.jobs.workspace: the inputs of a step, and the figures of its receipt."""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from seqdrop.jobs import workspace
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.workspace import Workspace
from seqdrop.storage.uri import S3Uri
from support.function_aws import Deployed

BAM, BAI = b"the reads of a run", b"their index"
AGENT = "ECS_CONTAINER_METADATA_URI_V4"
DIGEST = "sha256:1f6bbd7a2e5b3a1d5bb4c9b0a1f6c3a2f0d9f3bb34d5a2f4e2b1c0d9e8f7a6b5"


@pytest.fixture
def work(bucket: str, tmp_path: Path) -> Workspace:
    args = argparse.Namespace(results=S3Uri(bucket, "NA12878/r"))
    return Workspace("call", args, tmp_path, Processes(tmp_path))


def test_the_bytes_of_an_object_and_of_its_index_are_counted(aws: Deployed, work: Workspace) -> None:
    uri = work.args.results / "NA12878.bam"
    for address, body in ((uri, BAM), (uri.companion(".bai"), BAI)):
        aws.s3.put_object(Bucket=address.bucket, Key=address.key, Body=body)
    path = work.fetch(uri, ".bai")
    assert path.read_bytes() == BAM
    assert (work / "NA12878.bam.bai").read_bytes() == BAI
    assert work.bytes_in == len(BAM) + len(BAI)
    work.fetch(uri, name="again.bam")
    assert work.bytes_in == 2 * len(BAM) + len(BAI)


class Agent(HTTPServer):
    """An HTTP server that answers as the ECS agent does."""

    status, body = 200, json.dumps({"DockerId": "ea32192c8553", "Image": "bwa:0.1.0", "ImageID": DIGEST}).encode()


class AgentHandler(BaseHTTPRequestHandler):
    server: Agent

    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/v4/ea32192c8553-1" else 404)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Write no access log."""


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Agent(("127.0.0.1", 0), AgentHandler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv(AGENT, f"http://127.0.0.1:{server.server_port}/v4/ea32192c8553-1")
        yield server
        server.shutdown()


def test_the_image_digest_comes_from_the_ecs_agent(agent: Agent) -> None:
    assert workspace.image_digest() == DIGEST


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"{}"), (200, b"no JSON"), (500, b'{"ImageID": "sha256:0"}')],
    ids=["no digest", "no JSON", "an error"],
)
def test_an_agent_without_a_valid_answer_gives_no_image_digest(agent: Agent, status: int, body: bytes) -> None:
    agent.status, agent.body = status, body
    assert workspace.image_digest() == ""


def test_an_agent_that_cannot_be_reached_gives_no_image_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # without listen(): connections are refused, and nobody else gets the port
        monkeypatch.setenv(AGENT, f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert workspace.image_digest() == ""


def test_outside_of_ecs_there_is_no_image_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(AGENT, raising=False)
    assert workspace.image_digest() == ""


def test_the_peak_memory_is_that_of_the_container_in_mib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "PEAK_MEMORY", tmp_path / "memory.peak")
    (tmp_path / "memory.peak").write_text(f"{5 << 20}\n")
    assert workspace.peak_memory() == 5


@pytest.mark.parametrize("text", [None, "max\n"], ids=["no file", "no number"])
def test_without_a_cgroup_the_peak_memory_is_that_of_the_largest_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    monkeypatch.setattr(workspace, "PEAK_MEMORY", tmp_path / "memory.peak")
    if text is not None:
        (tmp_path / "memory.peak").write_text(text)
    subprocess.run([sys.executable, "-c", "b'x' * (64 << 20)"], check=True)
    assert 64 <= workspace.peak_memory() < 64 << 10  # MiB: other tests of this process may have run larger programs
