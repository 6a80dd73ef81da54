"""Run jobs as containers, with the limits their job definitions set."""

import os
import signal
import threading
from collections import deque
from contextlib import suppress
from ipaddress import ip_network
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from embedded_aws.state_file import is_server

from .contract import STOP_GRACE, JobSpec, StartError

LABEL = "embedded-aws.server"  # its value is the pid of the server that started the container


class ContainerAttempt:
    """One container, its output followed by a thread."""

    def __init__(self, container: Any) -> None:
        self._container = container
        self._lines: deque[str] = deque()
        self._state: dict[str, Any] = {}
        self._frozen = False
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()

    def exit_code(self) -> int | None:
        if not self._state:
            try:
                self._container.reload()
            except NotFound:  # removed by someone else, or by the end of the server
                self._state = {"ExitCode": 128 + signal.SIGKILL}
                return int(self._state["ExitCode"])
            state = self._container.attrs["State"]
            if state["Status"] in ("created", "running", "restarting", "paused"):
                return None
            self._state = state
        return int(self._state["ExitCode"])

    def reason(self) -> str | None:
        if self._state.get("OOMKilled"):
            return "OutOfMemoryError: Container killed due to memory usage"
        return None

    def new_lines(self) -> list[str]:
        if self._state:
            self._follower.join(5)  # the engine closes the stream when the container ends
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def stop(self, grace: float = STOP_GRACE) -> None:
        if self._frozen:
            self.kill()
        with suppress(DockerException):  # it ended by itself meanwhile
            self._container.stop(timeout=int(grace))

    def kill(self) -> None:
        if self._frozen:  # an engine kills no paused container
            with suppress(DockerException):
                self._container.kill()
                self._container.unpause()
        with suppress(DockerException):
            self._container.kill()
        with suppress(DockerException):
            self._container.wait()

    def freeze(self) -> None:
        with suppress(DockerException):
            self._container.pause()
            self._frozen = True

    def close(self) -> None:
        _remove(self._container)

    def _follow(self) -> None:
        tail = b""
        with suppress(DockerException, requests.exceptions.RequestException):  # removed while it was read
            for chunk in self._container.logs(stream=True, follow=True):
                *lines, tail = (tail + chunk).split(b"\n")
                self._lines.extend(line.decode(errors="replace") for line in lines)
        if tail:
            self._lines.append(tail.decode(errors="replace"))


class DockerRunner:
    """Jobs reach this machine by the name Docker Desktop uses, on Linux by way of the bridge's gateway."""

    host = "host.docker.internal"

    def __init__(self) -> None:
        self._engine = docker.from_env()
        self._engine.ping()
        self._lock = threading.Lock()
        self._closed = False
        self._clear_dead()

    def _clear_dead(self) -> None:
        """Containers of a server that was killed."""
        for container in self._labelled(LABEL):
            if not is_server(int(container.labels[LABEL])):
                _remove(container)

    def missing(self, images: set[str]) -> list[str]:
        return sorted(image for image in images if not self._holds(image))

    def gateway(self) -> str | None:
        """The address by which containers on the default bridge find this machine."""
        try:
            config = self._engine.networks.get("bridge").attrs["IPAM"]["Config"]
        except NotFound:
            return None
        # The engine does not always write the gateway it chose: the first address of the network.
        return next((entry.get("Gateway") or str(ip_network(entry["Subnet"])[1]) for entry in config), None)

    def start(self, spec: JobSpec) -> ContainerAttempt:
        with self._lock:  # so that close() sees whatever was created
            if self._closed:
                raise StartError("CannotStartContainerError: the server is ending")
            container = self._create(spec)
        try:
            container.start()
        except APIError as error:
            _remove(container)
            raise StartError(f"CannotStartContainerError: {error.explanation}") from error
        return ContainerAttempt(container)

    def _create(self, spec: JobSpec) -> Any:
        try:
            # Not `run`, which pulls what is missing: images of jobs are built here, not taken from the network.
            return self._engine.containers.create(spec.image, spec.command or None, **_options(spec))
        except ImageNotFound as error:
            raise StartError(f"CannotPullContainerError: {error.explanation}") from error
        except APIError as error:
            raise StartError(f"CannotCreateContainerError: {error.explanation}") from error

    def close(self) -> None:
        with self._lock:
            self._closed = True
        for container in self._labelled(f"{LABEL}={os.getpid()}"):
            _remove(container)
        self._engine.close()

    def _labelled(self, label: str) -> list[Any]:
        """Without those that are removed meanwhile: the client asks for each of a list by itself."""
        found: list[Any] = self._engine.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        return found

    def _holds(self, image: str) -> bool:
        try:
            self._engine.images.get(image)
        except ImageNotFound:
            return False
        return True


def _remove(container: Any) -> None:
    with suppress(APIError):  # it is gone, or another thread is removing it
        container.remove(force=True)


def _options(spec: JobSpec) -> dict[str, Any]:
    properties = spec.container
    linux = properties.get("linuxParameters", {})
    return {
        "name": spec.name,
        "environment": spec.environment,
        "extra_hosts": {DockerRunner.host: "host-gateway"},
        "labels": {**spec.labels, LABEL: str(os.getpid())},
        "mem_limit": f"{spec.memory}m",
        "memswap_limit": f"{spec.memory}m",  # the same: no swap, as on a Batch host
        "nano_cpus": int(min(spec.vcpus, os.cpu_count() or 1) * 1e9),
        "init": linux.get("initProcessEnabled", False),
        "shm_size": f"{linux['sharedMemorySize']}m" if "sharedMemorySize" in linux else None,
        "tmpfs": {fs["containerPath"]: _tmpfs_options(fs) for fs in linux.get("tmpfs", [])},
        "read_only": properties.get("readonlyRootFilesystem", False),
        "user": properties.get("user"),
        "privileged": properties.get("privileged", False),
        "volumes": {
            str(mount.source): {"bind": mount.target, "mode": "ro" if mount.read_only else "rw"}
            for mount in spec.mounts
        },
    }


def _tmpfs_options(filesystem: dict[str, Any]) -> str:
    return ",".join([f"size={filesystem['size']}m", *filesystem.get("mountOptions", [])])
