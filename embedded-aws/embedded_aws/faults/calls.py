"""Faults of service calls: a WSGI application in front of all others, and the door by which faults come and are seen.

GET /_faults tells what is to come and what struck; PUT /_faults takes a faults file in place of what is to come.
"""

import io
import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from . import answers
from .armed import Armed
from .document import CallFault, FaultsError, parse
from .recognition import Call, recognized

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
DOOR = "/_faults"  # no bucket can be called so


class FaultyCalls:
    """Passes on what no fault is meant for."""

    def __init__(self, application: Wsgi, armed: Armed) -> None:
        self._application, self._armed = application, armed

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == DOOR:
            return self._door(environ, start)
        for fault in self._armed.calls():
            call = recognized(fault.service, environ, lambda: _body(environ))
            if call and fnmatchcase(call.operation, fault.operation) and fnmatchcase(call.key, fault.key):
                return self._faulty(fault, call, environ, start)
        return self._application(environ, start)

    def _faulty(
        self, fault: CallFault, call: Call, environ: dict[str, Any], start: Callable[..., Any]
    ) -> Iterable[bytes]:
        def strikes() -> bool:
            return self._armed.strike(fault, service=fault.service, operation=call.operation, key=call.key)

        if fault.fault == "short" or (fault.fault == "flip" and not call.sends_payload):
            return _Spoiled(self._application, fault.fault, strikes)(environ, start)
        if fault.fault == "flip" and not _body(environ):
            return self._application(environ, start)
        return self._struck(fault, environ, start) if strikes() else self(environ, start)

    def _struck(self, fault: CallFault, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        sent = _body(environ)  # all of it first: a client that still sends does not hear an answer
        if fault.fault == "reset":
            _hang_up(environ)
        if fault.fault == "flip":
            _put_body(environ, flipped(sent, len(sent) // 2))
        elif fault.fault != "delay":
            return answers.refusal(fault.service, fault.fault, environ["REQUEST_METHOD"] == "HEAD", start)
        answer = self._application(environ, start)
        if fault.fault == "delay":  # what was asked for is done at once, and told late
            time.sleep(fault.seconds)
        return answer

    def _door(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        status = "200 OK"
        answer = self._armed.described()
        if environ["REQUEST_METHOD"] == "PUT":
            try:
                document = parse(_body(environ), f"PUT {DOOR}")
                if document.scratch_mib:
                    raise FaultsError("scratch_mib: the scratch disk is made at the start; use --inject")
                self._armed.arm(document)
                answer = self._armed.described()
            except FaultsError as error:
                status, answer = "400 Bad Request", {"error": str(error)}
        start(status, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]


class _Spoiled:
    """An answer with one byte changed, or cut off in the middle. An answer without a body is left as it is."""

    def __init__(self, application: Wsgi, how: str, strikes: Callable[[], bool]) -> None:
        self._application, self._how, self._strikes = application, how, strikes

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        told: list[Any] = []
        body = self._application(environ, lambda *answer: told.extend(answer))
        status, headers = told[:2]
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        spoils = length > 0 and status.startswith("2") and environ["REQUEST_METHOD"] != "HEAD" and self._strikes()
        start(status, headers)
        if not spoils:
            return body
        middle = length // 2
        return _flipped(body, middle) if self._how == "flip" else _cut(body, middle, environ)


def _flipped(body: Iterable[bytes], place: int) -> Iterator[bytes]:
    for chunk in body:
        yield flipped(chunk, place) if 0 <= place < len(chunk) else chunk
        place -= len(chunk)


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def _cut(body: Iterable[bytes], length: int, environ: dict[str, Any]) -> Iterator[bytes]:
    for chunk in body:
        yield chunk[:length]
        length -= len(chunk)
        if length <= 0:
            break
    _hang_up(environ)


def _hang_up(environ: dict[str, Any]) -> NoReturn:
    """Close the connection under the answer; the server takes the error for a client that went away."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("a fault on order")


def _body(environ: dict[str, Any]) -> bytes:
    """All the request sends, kept for whoever reads it next."""
    if "embedded_aws.body" not in environ:
        stream = environ["wsgi.input"]
        chunked = environ.get("wsgi.input_terminated")
        data = stream.read() if chunked else stream.read(int(environ.get("CONTENT_LENGTH") or 0))
        _put_body(environ, data)
    body: bytes = environ["embedded_aws.body"]
    return body


def _put_body(environ: dict[str, Any], data: bytes) -> None:
    environ["embedded_aws.body"] = data
    environ["wsgi.input"] = io.BytesIO(data)
    environ["CONTENT_LENGTH"] = str(len(data))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
