"""The metadata of containers, as the agent of ECS answers at the URL in ECS_CONTAINER_METADATA_URI_V4."""

import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"
PREFIX = "/_ecs/v4/"  # no bucket begins with an underscore
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_containers: dict[str, dict[str, str]] = {}  # path -> answer


def add(name: str, image: str, image_id: str) -> str:
    """Answer for a container from now on; return the path of its URL.

    The request is not signed: nobody else knows the path.
    """
    path = PREFIX + secrets.token_urlsafe()
    _containers[path] = {"DockerName": name, "Image": image, "ImageID": image_id}
    return path


def remove(name: str) -> None:
    """Forget a container."""
    for path, answer in list(_containers.items()):
        if answer["DockerName"] == name:
            _containers.pop(path, None)


@dataclass
class ContainerMetadata:
    """A WSGI application in front of another one: it answers as the agent, and passes on all other requests.

    It is in front of the bridge alone, which containers reach.
    """

    application: Wsgi

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, or pass it on."""
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return self.application(environ, start)
        answer = _containers.get(path)
        body = json.dumps(answer or {}).encode()
        status = "200 OK" if answer else "404 Not Found"
        start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]
