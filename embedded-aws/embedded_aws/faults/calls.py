"""Faults of service calls, injected by a WSGI application in front of all others.

GET /_faults returns the faults that are due and those that were injected. PUT /_faults replaces the faults that are due
by those of a faults file.
"""

import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from embedded_aws.request_body import read_body, set_body

from . import error_responses
from .faults_file import CallFault, FaultsError, parse
from .injector import FaultInjector
from .operations import Call, identify

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
CONTROL_PATH = "/_faults"  # not a valid name of a bucket


class FaultyCalls:
    """Injects faults into matching calls, and passes on all others."""

    def __init__(self, application: Wsgi, injector: FaultInjector) -> None:
        """Wrap an application."""
        self._application, self._injector = application, injector

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, with the first fault that matches it."""
        if environ["PATH_INFO"] == CONTROL_PATH:
            return self._control(environ, start)
        for fault in self._injector.calls():
            call = identify(fault.service, environ, lambda: read_body(environ))
            if call and fnmatchcase(call.operation, fault.operation) and fnmatchcase(call.key, fault.key):
                return self._inject(fault, call, environ, start)
        return self._application(environ, start)

    def _inject(
        self, fault: CallFault, call: Call, environ: dict[str, Any], start: Callable[..., Any]
    ) -> Iterable[bytes]:
        def take() -> bool:
            return self._injector.take(fault, service=fault.service, operation=call.operation, key=call.key)

        if fault.fault == "short" or (fault.fault == "flip" and not call.sends_payload):
            return _CorruptResponse(self._application, fault.fault, take)(environ, start)
        if fault.fault == "flip" and not read_body(environ):
            return self._application(environ, start)
        return self._respond(fault, environ, start) if take() else self(environ, start)

    def _respond(self, fault: CallFault, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = read_body(environ)  # read it all first: a client that still sends does not read a response
        if fault.fault == "reset":
            _close_connection(environ)
        if fault.fault == "flip":
            set_body(environ, flip_bit(body, len(body) // 2))
        elif fault.fault != "delay":
            head = environ["REQUEST_METHOD"] == "HEAD"
            return error_responses.error_response(fault.service, fault.fault, head, start)
        response = self._application(environ, start)
        if fault.fault == "delay":  # the call takes effect at once, the response comes late
            time.sleep(fault.seconds)
        return response

    def _control(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        status = "200 OK"
        answer = self._injector.describe()
        if environ["REQUEST_METHOD"] == "PUT":
            try:
                faults = parse(read_body(environ), f"PUT {CONTROL_PATH}")
                if faults.scratch_mib:
                    raise FaultsError("scratch_mib: the scratch disk is made at the start; use --inject")
                self._injector.load(faults)
                answer = self._injector.describe()
            except FaultsError as error:
                status, answer = "400 Bad Request", {"error": str(error)}
        start(status, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]


class _CorruptResponse:
    """Changes one bit of a response, or cuts it in the middle. A response without a body does not change."""

    def __init__(self, application: Wsgi, fault: str, take: Callable[[], bool]) -> None:
        self._application, self._fault, self._take = application, fault, take

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        response: list[Any] = []
        body = self._application(environ, lambda *args: response.extend(args))
        status, headers = response[:2]
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        corrupt = length > 0 and status.startswith("2") and environ["REQUEST_METHOD"] != "HEAD" and self._take()
        start(status, headers)
        if not corrupt:
            return body
        middle = length // 2
        return _flip(body, middle) if self._fault == "flip" else _cut(body, middle, environ)


def _flip(body: Iterable[bytes], offset: int) -> Iterator[bytes]:
    for chunk in body:
        yield flip_bit(chunk, offset) if 0 <= offset < len(chunk) else chunk
        offset -= len(chunk)


def flip_bit(data: bytes, offset: int) -> bytes:
    """Change the lowest bit of the byte at `offset`."""
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


def _cut(body: Iterable[bytes], length: int, environ: dict[str, Any]) -> Iterator[bytes]:
    for chunk in body:
        yield chunk[:length]
        length -= len(chunk)
        if length <= 0:
            break
    _close_connection(environ)


def _close_connection(environ: dict[str, Any]) -> NoReturn:
    """Close the connection; the server handles the error as that of a client that has disconnected."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("injected fault")
