"""Serve a small part of S3 as fast as one machine can, so that a benchmark measures the client.

    python bench/s3_server.py FOLDER [KEPT [RATE]]

prints its port. GET sends a file of FOLDER with sendfile. PUT and multipart uploads are received, their CRC64NVME is
computed, and their bytes are dropped: HEAD reports the size and the checksum of what arrived. Signatures are ignored.
Objects whose key ends with KEPT are written to FOLDER, all with `*`. RATE: bytes a second that all answers share.
"""

from __future__ import annotations

import base64
import os
import re
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from awscrt import checksums

BLOCK = 1 << 20  # bytes
RANGE = re.compile(r"bytes=(\d+)-(\d*)")
XML = '<?xml version="1.0" encoding="UTF-8"?>'


class Objects:
    """What was uploaded: the size and the CRC64NVME of each key, and the parts of uploads in progress."""

    def __init__(self, folder: Path, kept: str, rate: float) -> None:
        self.folder, self.kept, self.rate = folder, kept, rate
        self.free = 0.0  # when the link is free
        self.done: dict[str, tuple[int, int]] = {}
        self.parts: dict[str, dict[int, tuple[int, int]]] = {}
        self.lock = threading.Lock()

    def find(self, key: str) -> tuple[int, int] | None:
        """Return the size and the checksum of an object; those of a file are computed once."""
        if key not in self.done and (self.folder / key).is_file():
            data, crc = (self.folder / key).open("rb"), 0
            with data:
                while block := data.read(BLOCK):
                    crc = checksums.crc64nvme(block, crc)
            self.done[key] = (self.folder / key).stat().st_size, crc
        return self.done.get(key)

    def complete(self, upload: str, key: str) -> None:
        """Make an object of the parts of an upload."""
        size = crc = 0
        numbers = sorted(parts := self.parts.pop(upload))
        for number in numbers:
            length, part = parts[number]
            crc = checksums.combine_crc64nvme(crc, part, length)
            size += length
        self.done[key] = size, crc
        if self.is_kept(key):
            with (self.folder / key).open("wb") as whole:
                for number in numbers:
                    path = self.folder / f"{upload}.{number}"
                    whole.write(path.read_bytes())
                    path.unlink()

    def pass_link(self, size: int) -> None:
        """Wait as long as a link takes for so many bytes, after those that others have sent."""
        if self.rate:
            with self.lock:
                self.free = max(self.free, time.monotonic()) + size / self.rate
                end = self.free
            time.sleep(max(0.0, end - time.monotonic()))

    def is_kept(self, key: str) -> bool:
        """Return whether the bytes of an object are written to the folder."""
        return self.kept == "*" or (bool(self.kept) and key.endswith(self.kept))


class Handler(BaseHTTPRequestHandler):
    """Answer HEAD, GET, PUT, POST and DELETE of objects."""

    protocol_version = "HTTP/1.1"
    objects: Objects

    def setup(self) -> None:
        """Send small answers at once."""
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, *_: object) -> None:  # type: ignore[override]  # of any arguments: nothing is logged
        """Log nothing."""

    def do_HEAD(self) -> None:
        """Answer with the size and the checksum."""
        self._send_object(body=False)

    def do_GET(self) -> None:
        """Answer with a file, or a range of it."""
        self._send_object(body=True)

    def _send_object(self, *, body: bool) -> None:
        key, _ = self._address()
        found = self.objects.find(key)
        if found is None or (body and not (self.objects.folder / key).is_file()):  # its bytes were dropped
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>" if body else b"")
            return
        size, crc = found
        first, last = 0, size - 1
        match = RANGE.match(self.headers.get("Range", ""))
        if match:
            first, last = int(match[1]), min(int(match[2] or last), last)
        more = {"Content-Range": f"bytes {first}-{last}/{size}"} if match else {}
        more |= {"x-amz-checksum-crc64nvme": _text(crc), "x-amz-checksum-type": "FULL_OBJECT"} if not match else {}
        more |= {"ETag": '"0123456789abcdef0123456789abcdef-9"', "x-amz-version-id": "v1", "Accept-Ranges": "bytes"}
        self._head(206 if match else 200, last - first + 1, {**more, "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"})
        if body:
            with (self.objects.folder / key).open("rb") as file:
                while first <= last:
                    size = last - first + 1 if not self.objects.rate else min(last - first + 1, BLOCK)
                    sent = os.sendfile(self.connection.fileno(), file.fileno(), first, size)
                    self.objects.pass_link(sent)
                    first += sent

    def do_PUT(self) -> None:
        """Receive an object or a part of one."""
        key, query = self._address()
        upload = query.get("uploadId", [""])[0]
        target = self.objects.folder / (f"{upload}.{query['partNumber'][0]}" if upload else key)
        target.parent.mkdir(parents=True, exist_ok=True)
        received = self._receive(target if self.objects.is_kept(key) else Path(os.devnull))
        if "uploadId" in query:
            self.objects.parts[query["uploadId"][0]][int(query["partNumber"][0])] = received
        else:
            self.objects.done[key] = received
        head = {"ETag": '"0123456789abcdef0123456789abcdef"', "x-amz-checksum-crc64nvme": _text(received[1])}
        self._head(200, 0, {**head, "x-amz-version-id": "v1"})

    def do_POST(self) -> None:
        """Begin or complete a multipart upload."""
        key, query = self._address()
        self._receive()
        if "uploads" in query:
            with self.objects.lock:
                upload = f"u{len(self.objects.parts)}-{os.urandom(4).hex()}"
                self.objects.parts[upload] = {}
            name = "InitiateMultipartUploadResult"
            self._answer(200, f"{XML}<{name}><Bucket>b</Bucket><Key>{key}</Key><UploadId>{upload}</UploadId></{name}>")
            return
        self.objects.complete(query["uploadId"][0], key)
        name = "CompleteMultipartUploadResult"
        self._answer(200, f'{XML}<{name}><Bucket>b</Bucket><Key>{key}</Key><ETag>"e-1"</ETag></{name}>')

    def do_DELETE(self) -> None:
        """Abort a multipart upload."""
        self._address()
        self._head(204, 0)

    def _address(self) -> tuple[str, dict[str, list[str]]]:
        """Return the key, without the bucket, and the query."""
        url = urlsplit(self.path)
        return unquote(url.path).lstrip("/").partition("/")[2], parse_qs(url.query, keep_blank_values=True)

    def _receive(self, target: Path = Path(os.devnull)) -> tuple[int, int]:
        """Read the body into a file; return its size and its CRC64NVME."""
        left = size = int(self.headers.get("Content-Length", 0))
        crc, buffer = 0, memoryview(bytearray(BLOCK))
        with target.open("wb", buffering=0) as file:
            while left:
                count = self.rfile.readinto(buffer[: min(left, BLOCK)])  # type: ignore[attr-defined]  # BufferedReader has it
                if not count:
                    raise ConnectionError("the body ended early")
                self.objects.pass_link(count)
                crc = checksums.crc64nvme(buffer[:count], crc)  # type: ignore[arg-type]  # any buffer
                file.write(buffer[:count])
                left -= count
        return size, crc

    def _head(self, status: int, length: int, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(more or {}), "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()

    def _answer(self, status: int, body: str | bytes) -> None:
        data = body.encode() if isinstance(body, str) else body
        self._head(status, len(data), {"Content-Type": "application/xml"})
        self.wfile.write(data)


def _text(crc: int) -> str:
    return base64.b64encode(crc.to_bytes(8, "big")).decode()


def main(folder: Path, kept: str = "", rate: str = "0") -> None:
    """Serve until the process is ended."""
    Handler.objects = Objects(folder, kept, float(rate))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
