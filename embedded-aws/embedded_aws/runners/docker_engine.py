"""Run jobs as containers, with the limits of their job definitions."""

import os
import signal
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_network
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from embedded_aws import aws, container_metadata
from embedded_aws.state_file import is_server

from .interface import STOP_GRACE, JobSpec, StartError

REMOVED_AT_ONCE = 16  # containers
LABEL = "embedded-aws.server"  # value: process id of the server that started the container


class ContainerAttempt:
    """One container, and a thread that reads its output."""

    def __init__(self, container: Any) -> None:
        """Take over a container that was started."""
        self._container = container
        self._lines: deque[str] = deque()
        self._state: dict[str, Any] = {}
        self._frozen = False
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()

    def exit_code(self) -> int | None:
        """Return None while it runs, and 128 + n if signal n ended it."""
        if not self._state:
            try:
                self._container.reload()
            except NotFound:  # another program has removed it, or the server is ending
                self._state = {"ExitCode": 128 + signal.SIGKILL}
                return int(self._state["ExitCode"])
            state = self._container.attrs["State"]
            if state["Status"] in ("created", "running", "restarting", "paused"):
                return None
            self._state = state
        return int(self._state["ExitCode"])

    def reason(self) -> str | None:
        """Return the reason that ECS reports for a container that was killed for its memory."""
        if self._state.get("OOMKilled"):
            return "OutOfMemoryError: Container killed due to memory usage"
        return None

    def new_lines(self) -> list[str]:
        """Return the output since the last call; after the end, all the rest."""
        if self._state:
            self._follower.join(5)  # the engine closes the stream when the container ends
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def stop(self, grace: float = STOP_GRACE) -> None:
        """Send SIGTERM, and SIGKILL after `grace` seconds; return when the container has ended."""
        if self._frozen:
            self.kill()
        with suppress(DockerException):  # it has ended by itself
            self._container.stop(timeout=int(grace))

    def kill(self) -> None:
        """End the container at once; return when it has ended."""
        if self._frozen:  # an engine does not kill a paused container
            with suppress(DockerException):
                self._container.kill()
                self._container.unpause()
        with suppress(DockerException):
            self._container.kill()
        with suppress(DockerException):
            self._container.wait()

    def freeze(self) -> None:
        """Pause the container for good."""
        with suppress(DockerException):
            self._container.pause()
            self._frozen = True

    def close(self) -> None:
        """Remove the container."""
        _remove(self._container)
        container_metadata.remove(str(self._container.name))

    def _follow(self) -> None:
        tail = b""
        with suppress(DockerException, requests.exceptions.RequestException):  # removed while this thread reads
            for chunk in self._container.logs(stream=True, follow=True):
                *lines, tail = (tail + chunk).split(b"\n")
                self._lines.extend(line.decode(errors="replace") for line in lines)
        if tail:
            self._lines.append(tail.decode(errors="replace"))


class DockerRunner:
    """Runs jobs as containers; they reach this machine by Docker Desktop's name, on Linux through the bridge."""

    host = "host.docker.internal"

    def __init__(self) -> None:
        """Connect to the engine; raise DockerException or a requests exception if none answers."""
        self._engine = docker.from_env()
        self._engine.ping()
        self._lock = threading.Lock()
        self._closed = False
        self._remove_stale()

    def _remove_stale(self) -> None:
        """Remove the containers of servers that were killed."""
        for container in self._with_label(LABEL):
            if not is_server(int(container.labels[LABEL])):
                _remove(container)

    def missing(self, images: set[str]) -> list[str]:
        """Return the images that the engine does not hold."""
        return sorted(image for image in images if not self._holds(image))

    def gateway(self) -> str | None:
        """Return the address of this machine on the default bridge, if there is one."""
        try:
            config = self._engine.networks.get("bridge").attrs["IPAM"]["Config"]
        except NotFound:
            return None
        # Without an explicit gateway the engine uses the first address of the network.
        return next((entry.get("Gateway") or str(ip_network(entry["Subnet"])[1]) for entry in config), None)

    def start(self, spec: JobSpec) -> ContainerAttempt:
        """Start a job; raise StartError."""
        with self._lock:  # so that close() sees every container
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
            # Not `run`, which pulls a missing image: images of jobs are built locally.
            image_id = str(self._engine.images.get(spec.image).id)
            metadata = container_metadata.add(spec.name, spec.image, image_id)
            options = _options(spec, {container_metadata.VARIABLE: aws.endpoint(self.host) + metadata})
            return self._engine.containers.create(spec.image, spec.command or None, **options)
        except ImageNotFound as error:
            raise StartError(f"CannotPullContainerError: {error.explanation}") from error
        except APIError as error:
            raise StartError(f"CannotCreateContainerError: {error.explanation}") from error

    def close(self) -> None:
        """Remove all containers of this server."""
        with self._lock:
            self._closed = True
        containers = self._with_label(f"{LABEL}={os.getpid()}")
        with ThreadPoolExecutor(REMOVED_AT_ONCE) as threads:  # the engine needs most of a second for each
            list(threads.map(_remove, containers))
        self._engine.close()

    def _with_label(self, label: str) -> list[Any]:
        """List containers; ignore_removed, because the client requests the details of each one separately."""
        containers: list[Any] = self._engine.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        return containers

    def _holds(self, image: str) -> bool:
        try:
            self._engine.images.get(image)
        except ImageNotFound:
            return False
        return True


def _remove(container: Any) -> None:
    with suppress(APIError):  # it was removed, or another thread is removing it
        container.remove(force=True)


def _options(spec: JobSpec, variables: dict[str, str]) -> dict[str, Any]:
    properties = spec.container
    linux = properties.get("linuxParameters", {})
    return {
        "name": spec.name,
        "environment": {**spec.environment, **variables},
        "extra_hosts": {DockerRunner.host: "host-gateway"},
        "labels": {**spec.labels, LABEL: str(os.getpid())},
        "mem_limit": f"{spec.memory}m",
        "memswap_limit": f"{spec.memory}m",  # equal, so that there is no swap, as on a Batch host
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
