"""moto's HTTP server, quiet, on this machine's loopback and, for containers, on Docker's bridge."""

import logging
import os
import resource
import socket
import threading
from typing import Any

from moto.core.config import default_user_config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from .faults import Armed
from .faults.calls import FaultyCalls
from .stack_record import StackRecord

MANY = 65_536


class BusyPortError(Exception):
    """Another program listens there."""


class Server:
    """One application on one port of one or two addresses."""

    def __init__(self, port: int, armed: Armed) -> None:
        self.port = port or _free_port()
        os.environ["MOTO_PORT"] = str(self.port)  # where moto's own clients look
        default_user_config["stepfunctions"] = {"execute_state_machine": True}
        self.record = StackRecord(DomainDispatcherApplication(create_backend_app))
        self._application = FaultyCalls(self.record, armed)
        self._servers: list[BaseWSGIServer] = []
        if not self.listen("127.0.0.1"):
            raise BusyPortError(f"port {self.port} of 127.0.0.1 is taken by another program")

    def listen(self, address: str) -> bool:
        """False where the port is taken, or the address is not this machine's."""
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, self.port))
        except OSError:
            return False
        # werkzeug answers a busy port by printing and sys.exit: hence the probe.
        server = make_server(address, self.port, self._application, threaded=True, request_handler=_QuietHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._servers.append(server)
        return True

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


class _QuietHandler(MotoRequestHandler):  # type: ignore[misc]  # moto is untyped
    protocol_version = "HTTP/1.1"  # keep connections: a client makes dozens of calls

    def log_request(self, *_: Any) -> None:
        pass


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def allow_many_files() -> None:
    """Each large object is an open file."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (MANY if most == resource.RLIM_INFINITY else min(MANY, most), most))


def quiet() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
