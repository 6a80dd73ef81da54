"""seqdrop.jobs.image: the image of a job, from the agent of ECS."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from seqdrop.jobs.image import AGENT, running_image

DIGEST = "sha256:1f6bbd7a2e5b3a1d5bb4c9b0a1f6c3a2f0d9f3bb34d5a2f4e2b1c0d9e8f7a6b5"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/seqdrop/bwa:0123456789ab"
UNKNOWN = {"image": "bwa:0123456789ab", "image_digest": ""}


@pytest.fixture(autouse=True)
def _job_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQDROP_IMAGE", "bwa:0123456789ab")


class Agent(HTTPServer):
    """An HTTP server that answers as the ECS agent does."""

    status, body = 200, json.dumps({"DockerId": "ea32192c8553", "Image": IMAGE, "ImageID": DIGEST}).encode()


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


def test_the_image_and_its_digest_come_from_the_ecs_agent(agent: Agent) -> None:
    assert running_image() == {"image": IMAGE, "image_digest": DIGEST}


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"{}"), (200, b"no JSON"), (500, b'{"ImageID": "sha256:0"}')],
    ids=["no digest", "no JSON", "an error"],
)
def test_without_a_valid_answer_of_the_agent_the_image_is_that_of_the_job_definition(
    agent: Agent, status: int, body: bytes
) -> None:
    agent.status, agent.body = status, body
    assert running_image() == UNKNOWN


def test_without_an_agent_the_image_is_that_of_the_job_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # without listen(): connections are refused, and nobody else gets the port
        monkeypatch.setenv(AGENT, f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert running_image() == UNKNOWN


def test_a_job_that_runs_as_a_process_has_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(AGENT, raising=False)
    assert running_image() == {"image": "", "image_digest": ""}
