"""Run steps as Batch does, in a process of their own, with an S3 server and a network that can fail."""

from __future__ import annotations

import json
import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from moto.s3.models import s3_backends
from seqdrop.jobs import step
from seqdrop.jobs.processes import Processes
from seqdrop.log import logger
from warm_python import WarmProcess

from support.function_aws import ACCOUNT, RESULTS

# A wrapper whose body is the code of a test.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from seqdrop import aws
from seqdrop.failure import verdict as failure
from seqdrop.jobs import arguments
from seqdrop.jobs.step import step
from seqdrop.storage import s3, transfers
from seqdrop.storage.uri import S3Uri
aws.RETRIES["max_attempts"] = int(os.environ.get("TRIES", 10))
transfers.PART_SIZE = 5 << 20
args = arguments.parse(sys.argv[2:], None, "sample", "bam")
with step("align", args) as work:
    exec(sys.argv[1])
"""
PUBLISH = """
(work / "aligned.bam").write_bytes(b"bam")
(work / "aligned.bam.bai").write_bytes(b"index")
work.counts["reads"] = 2
work.tools["bwa"] = "0.7.17"
work.publish(work / "aligned.bam", "bam", ".bai")
"""
FOLDER = "NA12878/r"
JOB_ID = "7c1f5a64-3c0e-4f5e-9a55-0f1d3c8a2b11"
HEAD = 4096  # bytes: longer data is not only the head of an HTTP message
PATIENCE = 300.0  # seconds; a step takes about one


@dataclass
class Batch:
    """Run a step with a scratch disk, the arguments of its command and the environment of its container."""

    scratch: Path
    s3: Any
    env: dict[str, str]
    arguments: dict[str, str] = field(default_factory=dict)

    def start(self, body: str, **arguments: str) -> WarmProcess:
        """Start a step whose body is the code of a test."""
        return self._start(["-c", PROGRAM, body], {**self.arguments, **arguments})

    def run(self, body: str, **arguments: str) -> tuple[int, str]:
        """Run a step until it ends; return its exit code and its log."""
        return finish(self.start(body, **arguments))

    def wrapper(self, name: str, arguments: dict[str, str]) -> tuple[int, str]:
        """Run a wrapper until it ends; return its exit code and its log."""
        return finish(self.start_wrapper(name, arguments))

    def start_wrapper(self, name: str, arguments: dict[str, str]) -> WarmProcess:
        """Start a wrapper."""
        return self._start(["-m", f"containers.{name}.run"], arguments)

    def _start(self, command: list[str], arguments: dict[str, str]) -> WarmProcess:
        flags = [argument for name, value in arguments.items() for argument in (f"--{name}", value)]
        return WarmProcess([*command, *flags], self.env)

    def read(self, key: str) -> Any:
        return json.loads(self.s3.get_object(Bucket=RESULTS, Key=f"{FOLDER}/{key}")["Body"].read())

    def written(self) -> list[str]:
        """Return the keys in the folder of the run, in the order in which they were written."""
        stored = s3_backends[ACCOUNT]["aws"].buckets[RESULTS].keys
        by_time = sorted((stored[key].last_modified, key.removeprefix(f"{FOLDER}/")) for key in stored)
        return [key for _, key in by_time]

    def versions(self) -> set[tuple[str, str]]:
        """Return key and version of every object that was written."""
        versions = self.s3.list_object_versions(Bucket=RESULTS).get("Versions", [])
        return {(version["Key"], version["VersionId"]) for version in versions}

    def verdict(self) -> dict[str, Any]:
        """Return the only verdict."""
        (key,) = [key for key in self.written() if key.startswith("failures/")]
        verdict: dict[str, Any] = self.read(key)
        return verdict


def in_this_process(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a step run in this process, and undo its changes afterwards.

    A job stops all descendants of its process; in this process, these are the servers of other tests.
    """

    def processes(*args: Any, **_: bool) -> Processes:
        return Processes(*args)

    monkeypatch.setattr(step, "Processes", processes)
    formatter: Any = logger.registered_formatter  # a step installs its redactor here
    monkeypatch.setattr(formatter, "json_serializer", formatter.json_serializer)
    for name in ("SEQDROP_SCRATCH", "HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(folder))


def finish(process: WarmProcess) -> tuple[int, str]:
    log, _ = process.communicate(timeout=PATIENCE)
    return process.wait(), log


@dataclass
class Line:
    """The network between a job and S3. From the first request that matches `pattern` on, `fault` happens."""

    port: int
    pattern: bytes = b"(?!)"  # regular expression of a request
    # hang: no response; 403, 503: that status; cut: a part of the response; flip_up, flip_down: a changed byte
    fault: str = ""
    times: int = 1 << 30
    matched: threading.Event = field(default_factory=threading.Event)
    count: int = 0
    _sockets: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        for each in [self._listener, *self._sockets]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port))
                self._sockets += [client, server]
                faults: list[str] = []
                for source, target, way in ((client, server, "up"), (server, client, "down")):
                    threading.Thread(target=self._carry, args=(source, target, way, faults), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, way: str, faults: list[str]) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if way == "up" and re.search(self.pattern, data):
                    faults[:] = [self.fault] if self.count < self.times else []
                    self.count += 1
                    self.matched.set()
                fault = faults[0] if faults else ""
                if fault == "hang":
                    continue
                if fault in {"403", "503"}:
                    if way == "up":
                        source.sendall(error_response(int(fault)))
                    continue
                if fault == f"flip_{way}" and len(data) > HEAD:
                    data = data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]
                    faults.clear()
                if fault == "cut" and way == "down" and len(data) > HEAD:
                    target.sendall(data[: len(data) // 2])
                    break
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def error_response(status: int) -> bytes:
    code = {403: "AccessDenied", 503: "SlowDown"}[status]
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    return b"HTTP/1.1 %d no\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )
