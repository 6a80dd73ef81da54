"""Connections: many requests over one, whatever becomes of the bodies of requests and answers."""

import base64
import http.client
import json
import socket
from collections.abc import Iterator

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from embedded_aws.connections import Connections
from embedded_server import PATIENCE, Server

BODY = b"x" * (1 << 20)
Connection = http.client.HTTPConnection


@pytest.fixture
def connection(aws: Server) -> Iterator[Connection]:
    """Yield a connection that is not opened again."""
    opened = connect(aws)
    yield opened
    opened.close()


def connect(server: Server) -> Connection:
    opened = http.client.HTTPConnection("127.0.0.1", server.state["port"], timeout=PATIENCE)
    opened.connect()
    opened.auto_open = 0
    return opened


def send(
    server: Server, connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b""
) -> tuple[int, bytes]:
    request = AWSRequest(method, f"{server.state['endpoint']}{path}", data=body)
    S3SigV4Auth(Credentials(*server.password), "s3", server.state["region"]).add_auth(request)
    connection.request(method, path, body or None, dict(request.headers.items()))
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_one_connection_serves_many_requests(aws: Server, connection: Connection) -> None:
    key = f"/{aws.output('Bridge')}/many-requests"
    assert send(aws, connection, "PUT", key, BODY)[0] == 200
    assert send(aws, connection, "HEAD", key) == (200, b"")
    assert send(aws, connection, "GET", key) == (200, BODY)
    assert send(aws, connection, "HEAD", f"{key}/none") == (404, b"")
    assert b"NoSuchKey" in send(aws, connection, "GET", f"{key}/none")[1]
    assert send(aws, connection, "DELETE", key) == (204, b"")
    assert b"<ListBucketResult" in send(aws, connection, "GET", f"/{aws.output('Bridge')}")[1]


def test_the_request_after_a_refused_upload_is_answered(aws: Server, connection: Connection) -> None:
    connection.request("PUT", "/bucket/key", BODY)
    refused = connection.getresponse()
    assert b"not signed" in refused.read()
    assert send(aws, connection, "GET", f"/{aws.output('Bridge')}")[0] == 200


def test_a_request_in_chunks_is_the_last_one_of_its_connection(aws: Server, connection: Connection) -> None:
    password = base64.b64encode(":".join(aws.password).encode()).decode()
    headers = {"Authorization": f"Basic {password}"}
    connection.request("PUT", "/_faults", iter([b"{", b"}"]), headers, encode_chunked=True)
    answer = connection.getresponse()
    assert (answer.status, list(json.loads(answer.read()))) == (200, ["armed", "hits"])
    assert answer.getheader("Connection") == "close"


def test_the_connections_of_a_server_that_ends_are_shut_down() -> None:
    connections = Connections()
    pairs = [socket.socketpair() for _ in range(3)]
    for here, _ in pairs:
        connections.add(here)
    connections.remove(pairs[0][0])
    pairs[1][0].close()
    connections.shut_down()
    assert pairs[2][1].recv(1) == b""
    pairs[0][0].send(b"open")
    assert pairs[0][1].recv(4) == b"open"
