"""Steps as Batch runs them: a program of its own, against an S3 server, and a line to it on which things go wrong."""

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

from support.function_aws import ACCOUNT, RESULTS
from support.warm_python import WarmProcess

# A wrapper whose body is a test's own: what stands between `step` and its receipt.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from botocore.config import Config
from seqdrop.failure import verdict as failure
from seqdrop.jobs import arguments
from seqdrop.jobs.step import step
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
s3.RETRIES = Config(retries={"mode": "standard", "max_attempts": int(os.environ.get("TRIES", 10))})
s3.TRANSFER.multipart_threshold = s3.TRANSFER.multipart_chunksize = 5 << 20
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
HEAD = 4096  # bytes; what is longer is more than the head of a message
PATIENCE = 300.0  # seconds; a step takes one


@dataclass
class Batch:
    """What runs a step: a scratch disk, the words of its command, the environment of its container."""

    scratch: Path
    s3: Any
    env: dict[str, str]
    words: dict[str, str] = field(default_factory=dict)

    def start(self, body: str, **words: str) -> WarmProcess:
        return self._start(["-c", PROGRAM, body], {**self.words, **words})

    def run(self, body: str, **words: str) -> tuple[int, str]:
        """The exit code and the log of a step."""
        return finish(self.start(body, **words))

    def wrapper(self, name: str, words: dict[str, str]) -> tuple[int, str]:
        """The same of a wrapper of ours."""
        return finish(self._start(["-m", f"containers.{name}.run"], words))

    def _start(self, command: list[str], words: dict[str, str]) -> WarmProcess:
        line = [word for name, value in words.items() for word in (f"--{name}", value)]
        return WarmProcess([*command, *line], self.env)

    def read(self, key: str) -> Any:
        return json.loads(self.s3.get_object(Bucket=RESULTS, Key=f"{FOLDER}/{key}")["Body"].read())

    def written(self) -> list[str]:
        """The keys in the run's folder, the one written last at the end."""
        stored = s3_backends[ACCOUNT]["aws"].buckets[RESULTS].keys
        found = sorted((stored[key].last_modified, key.removeprefix(f"{FOLDER}/")) for key in stored)
        return [key for _, key in found]

    def versions(self) -> set[tuple[str, str]]:
        """Key and version of everything that was ever written."""
        found = self.s3.list_object_versions(Bucket=RESULTS).get("Versions", [])
        return {(item["Key"], item["VersionId"]) for item in found}

    def verdict(self) -> dict[str, Any]:
        (key,) = [key for key in self.written() if key.startswith("failures/")]
        found: dict[str, Any] = self.read(key)
        return found


def in_this_process(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a step run in this process, and put back what it changes there.

    A job ends all that runs below it; here that would be the servers of other tests.
    """

    def processes(*given: Any, **_: bool) -> Processes:
        return Processes(*given)

    monkeypatch.setattr(step, "Processes", processes)
    formatter: Any = logger.registered_formatter  # what a step hides, it hides there
    monkeypatch.setattr(formatter, "json_serializer", formatter.json_serializer)
    for name in ("SEQDROP_SCRATCH", "HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(folder))


def finish(process: WarmProcess) -> tuple[int, str]:
    log, _ = process.communicate(timeout=PATIENCE)
    return process.wait(), log


@dataclass
class Line:
    """The network between a job and S3. What goes over it is looked at; once `what` is seen, `how` happens."""

    port: int
    what: bytes = b"(?!)"  # pattern of a request
    how: str = ""  # hang: no answer ever; 403, 503: that answer; cut: no more bytes; flip_up, flip_down: another byte
    times: int = 1 << 30
    seen: threading.Event = field(default_factory=threading.Event)
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
                fault: list[str] = []
                for source, target, way in ((client, server, "up"), (server, client, "down")):
                    threading.Thread(target=self._carry, args=(source, target, way, fault), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, way: str, fault: list[str]) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if way == "up" and re.search(self.what, data):
                    fault[:] = [self.how] if self.count < self.times else []
                    self.count += 1
                    self.seen.set()
                how = fault[0] if fault else ""
                if how == "hang":
                    continue
                if how in {"403", "503"}:
                    if way == "up":
                        source.sendall(answer(int(how)))
                    continue
                if how == f"flip_{way}" and len(data) > HEAD:
                    data = data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]
                    fault.clear()
                if how == "cut" and way == "down" and len(data) > HEAD:
                    target.sendall(data[: len(data) // 2])
                    break
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def answer(status: int) -> bytes:
    code = {403: "AccessDenied", 503: "SlowDown"}[status]
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    return b"HTTP/1.1 %d no\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )
