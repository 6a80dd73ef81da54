"""Answer requests over connections that stay open.

A run makes hundreds of small requests, and a new connection for each of them costs as much as many of the answers.
werkzeug closes a connection after each answer, whatever the version of HTTP (WSGIRequestHandler.run_wsgi).
"""

import io
import threading
import traceback
from collections.abc import Iterable
from contextlib import suppress
from socket import SHUT_RDWR, socket
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.exceptions import InternalServerError

PIECE = 1 << 16  # bytes: a first piece of a body up to this size is sent together with the headers
WITHOUT_BODY = ("1", "204", "304")  # the beginnings of their status


class Connections:
    """The open connections of one server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[socket] = set()

    def add(self, connection: socket) -> None:
        """Keep a connection until `remove`."""
        with self._lock:
            self._open.add(connection)

    def remove(self, connection: socket) -> None:
        """Forget a connection that is about to be closed."""
        with self._lock:
            self._open.discard(connection)

    def shut_down(self) -> None:
        """End all: a server that has stopped listening answers no more requests."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # the client has closed it
                    connection.shutdown(SHUT_RDWR)


class Handler(MotoRequestHandler):  # type: ignore[misc]  # moto is untyped
    """Answers the requests of one connection until the client closes it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the second packet of an answer waits for the client to confirm the first one

    def setup(self) -> None:
        """Begin with a connection."""
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        """End a connection."""
        self.server.connections.remove(self.connection)
        super().finish()

    def run_wsgi(self) -> None:
        """Answer one request."""
        self.environ = environ = self.make_environ()
        body = None
        if "wsgi.input_terminated" in environ:  # sent in chunks: whether all were read is not known
            self.close_connection = True
        else:
            body = environ["wsgi.input"] = _Body(self.rfile, int(environ.get("CONTENT_LENGTH") or 0))
        response = _Response(self)
        try:
            response.send(self.server.app)
            if body:
                body.skip()  # the next request follows it
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception:  # noqa: BLE001  whatever a service raises is its failure, not the end of the server
            self.close_connection = True
            self.server.log("error", f"Error on request:\n{traceback.format_exc()}")
            if not response.started:
                with suppress(OSError):
                    _Response(self).send(InternalServerError())

    def log_request(self, *_: Any) -> None:
        """Log nothing."""


class _Body(io.RawIOBase):
    """The body of a request, and not a byte of the request behind it."""

    def __init__(self, stream: Any, length: int) -> None:
        self._stream, self._left = stream, length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self._left]
        size: int = self._stream.readinto(view) if view else 0
        self._left -= size
        return size

    def skip(self) -> None:
        """Read the rest; raise ConnectionError if the client has gone."""
        while self._left:
            if not self.read(PIECE):
                raise ConnectionResetError("the client has gone before the end of its request")


class _Response:
    """One answer of an application, as bytes of HTTP/1.1."""

    def __init__(self, handler: Handler) -> None:
        self.started = False
        self._handler = handler
        self._status, self._headers = "", list[tuple[str, str]]()
        self._left: int | None = None  # bytes of the body still to send; None: sent in chunks

    def send(self, application: Any) -> None:
        """Send the answer of an application; end the connection if it has another length than its headers say."""
        pieces: Iterable[bytes] = application(self._handler.environ, self._start)
        try:
            for piece in pieces:
                self._write(piece)
            if not self.started:
                self._write(b"")
            if self._left is None:
                self._handler.wfile.write(b"0\r\n\r\n")
        finally:
            if hasattr(pieces, "close"):
                pieces.close()
        if self._left:
            self._handler.close_connection = True

    def _start(self, status: str, headers: list[tuple[str, str]], _error: Any = None) -> Any:
        self._status, self._headers = status, headers
        return self._write

    def _write(self, data: bytes) -> None:
        head = b"" if self.started else self._head()
        if not self._has_body():
            data = b""
        elif self._left is None:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        else:
            self._left -= len(data)
        if len(data) <= PIECE:
            head, data = head + data, b""
        for packet in filter(None, (head, data)):
            self._handler.wfile.write(packet)

    def _has_body(self) -> bool:
        return self._handler.command != "HEAD" and not self._status.startswith(WITHOUT_BODY)

    def _head(self) -> bytes:
        """Return the first lines of the answer, and note how its body ends."""
        self.started = True
        handler, names = self._handler, {name.lower(): value for name, value in self._headers}
        more = [("Server", handler.version_string()), ("Date", handler.date_time_string())]
        self._left = int(names.get("content-length", 0))
        if self._has_body() and "content-length" not in names:
            self._left = None
            more.append(("Transfer-Encoding", "chunked"))
        elif not self._has_body():
            self._left = 0
        if handler.close_connection or names.get("connection", "").lower() == "close":
            handler.close_connection = True
            more.append(("Connection", "close"))
        lines = [f"{handler.protocol_version} {self._status}", *(f"{n}: {v}" for n, v in [*self._headers, *more])]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
