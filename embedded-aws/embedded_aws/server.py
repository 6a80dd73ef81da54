"""moto's HTTP server on the loopback address and, for containers, on Docker's bridge."""

import logging
import os
import resource
import socket
import threading

from moto.core.config import default_user_config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from .access import AccessControl, Wsgi
from .connections import Connections, Handler
from .container_metadata import ContainerMetadata
from .faults import FaultInjector
from .faults.calls import FaultyCalls
from .full_disk import report_full_disk
from .http_apis import HttpApis
from .keys import keys
from .stack_record import StackRecord

OPEN_FILES = 65_536
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost"})


class PortInUseError(Exception):
    """Another program listens on the port."""


class Server:
    """One application on one port of one or two addresses."""

    def __init__(self, port: int, injector: FaultInjector) -> None:
        """Listen on the loopback address; raise PortInUseError."""
        self.port = port or _free_port()
        os.environ["MOTO_PORT"] = str(self.port)  # moto's own clients read it
        default_user_config["stepfunctions"] = {"execute_state_machine": True}
        self.record = StackRecord(DomainDispatcherApplication(create_backend_app))
        self._application = HttpApis(report_full_disk(FaultyCalls(self.record, injector)))
        self._servers: list[BaseWSGIServer] = []
        self._connections = Connections()
        if not self._listen("127.0.0.1", AccessControl(self._application, keys(), LOOPBACK_NAMES)):
            raise PortInUseError(f"port {self.port} of 127.0.0.1 is taken by another program")

    def listen_on_bridge(self, gateway: str, name: str) -> bool:
        """Listen on the bridge of a Docker engine, whose containers call this machine `name`; return False if not."""
        names = frozenset({gateway, name})
        application = AccessControl(self._application, keys(), names, is_bridge=True)
        return self._listen(gateway, ContainerMetadata(application))

    def _listen(self, address: str, application: Wsgi) -> bool:
        """Listen on an address; return False if the port is in use, or this machine has no such address."""
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, self.port))
        except OSError:
            return False
        # On a port in use werkzeug prints a message and calls sys.exit: hence the probe.
        server = make_server(address, self.port, application, threaded=True, request_handler=Handler)
        server.connections = self._connections  # type: ignore[attr-defined]  # for Handler
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._servers.append(server)
        return True

    def close(self) -> None:
        """Stop listening."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._connections.shut_down()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def raise_file_limit() -> None:
    """Raise the limit of open files: moto keeps one for each large object."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard), hard)
    )


def reduce_logging() -> None:
    """Log warnings, and only errors of the HTTP server."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
