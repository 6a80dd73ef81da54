"""A web server of this machine, which breaks off, lies and redirects."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DATA = b">chr1\n" + b"ACGT" * 20_000 + b"\n"


@dataclass
class Answer:
    """What the server does with one request."""

    status: int = 200
    body: bytes = DATA
    sent: int = 1 << 30  # bytes of the body after which it ends the connection
    headers: dict[str, str] = field(default_factory=dict)
    etag: str = '"v1"'
    ranges: bool = True
    length: bool = True


class Site:
    """A web server; each request takes the next of `answers`, and the last one is repeated."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [Answer()]
        self.ranges: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = site.answers.pop(0) if len(site.answers) > 1 else site.answers[0]
                asked = self.headers.get("Range", "")
                site.ranges.append(asked)
                first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
                partial = (
                    answer.status == 200 and answer.ranges and first and self.headers.get("If-Range") == answer.etag
                )
                body = answer.body[first:] if partial else answer.body
                self.send_response(206 if partial else answer.status)
                if answer.etag:
                    self.send_header("ETag", answer.etag)
                if partial:
                    total = len(answer.body)
                    self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
                if answer.length:
                    self.send_header("Content-Length", str(len(body)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body[: answer.sent])
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/genomes/hg.fa"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
