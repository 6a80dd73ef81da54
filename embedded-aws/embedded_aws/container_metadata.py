"""The metadata of containers, as the agent of ECS answers at the URL in ECS_CONTAINER_METADATA_URI_V4."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"
PREFIX = "/_ecs/v4/"  # no bucket begins with an underscore
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_containers: dict[str, dict[str, str]] = {}  # name -> answer


def add(name: str, image: str, image_id: str) -> str:
    """Answer for a container from now on; return the path of its URL."""
    _containers[quote(name)] = {"DockerName": name, "Image": image, "ImageID": image_id}
    return PREFIX + quote(name)


def remove(name: str) -> None:
    """Forget a container."""
    _containers.pop(quote(name), None)


@dataclass
class ContainerMetadata:
    """A WSGI application in front of another one: it answers as the agent, and passes on all other requests."""

    application: Wsgi

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, or pass it on."""
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return self.application(environ, start)
        answer = _containers.get(quote(path.removeprefix(PREFIX)))
        body = json.dumps(answer or {}).encode()
        status = "200 OK" if answer else "404 Not Found"
        start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]
