"""Identify the operation of an HTTP request with the service models of botocore."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.model import OperationModel

from .faults_file import service_model

SCOPE = re.compile(r"Credential=[^/]*/\d{8}/[^/]*/([^/]+)/aws4_request")
URI_PARAMETER = re.compile(r"\{(\w+)(\+?)\}")


@dataclass(frozen=True)
class Route:
    """The requests of one operation of a REST service."""

    name: str
    method: str
    path: re.Pattern[str]
    query: frozenset[str]  # required parameters
    values: tuple[tuple[str, str], ...]  # parameters that the model fixes
    headers: frozenset[str]
    sends_payload: bool

    def matches(self, method: str, path: str, query: dict[str, list[str]], environ: dict[str, Any]) -> bool:
        """Return whether a request may be one of this operation."""
        return (
            method == self.method
            and self.path.fullmatch(path) is not None
            and self.query <= query.keys()
            and all(query[name] == [value] for name, value in self.values)
            and all(f"HTTP_{header.upper().replace('-', '_')}" in environ for header in self.headers)
        )

    @property
    def specificity(self) -> int:
        """Number of required parameters: of several routes that match, the most specific one is right."""
        return len(self.query) + len(self.headers)


@dataclass(frozen=True)
class Call:
    """The operation of a request."""

    operation: str
    key: str = ""  # of an S3 object
    sends_payload: bool = False  # the body is the content of an object


def signing_name(environ: dict[str, Any]) -> str:
    """Return the service in the signature of a request, or "" for an unsigned request."""
    text = environ.get("HTTP_AUTHORIZATION") or "Credential=" + unquote(
        environ.get("QUERY_STRING", "").partition("X-Amz-Credential=")[2]
    )
    match = SCOPE.search(text)
    return match[1] if match else ""


def identify(service: str, environ: dict[str, Any], body: Callable[[], bytes]) -> Call | None:
    """Return the operation of a request, or None if it is for another service.

    `body` reads the request's body; it is called only where the body names the operation.
    """
    model = service_model(service)
    if signing_name(environ) != model.signing_name:
        return None
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return Call(target.rpartition(".")[2])
    if "/operation/" in environ["PATH_INFO"]:  # the RPC protocol of CloudWatch
        return Call(environ["PATH_INFO"].rpartition("/")[2])
    if model.protocol == "query":
        return Call(parse_qs(body().decode()).get("Action", [""])[0])
    return _by_route(service, environ)


def _by_route(service: str, environ: dict[str, Any]) -> Call | None:
    url = urlsplit(environ.get("RAW_URI") or environ["PATH_INFO"])
    query = parse_qs(url.query, keep_blank_values=True)
    matching = [
        route for route in routes(service) if route.matches(environ["REQUEST_METHOD"], url.path, query, environ)
    ]
    if not matching:
        return None
    route = max(matching, key=lambda route: route.specificity)
    match = route.path.fullmatch(url.path)
    key = match.groupdict().get("Key", "") if match else ""
    return Call(route.name, unquote(key or ""), route.sends_payload)


@cache
def routes(service: str) -> list[Route]:
    """Return the routes of all operations of a service."""
    model = service_model(service)
    return [_route(model.operation_model(name)) for name in model.operation_names]


def _route(operation: OperationModel) -> Route:
    path, _, query = operation.http["requestUri"].partition("?")
    fixed = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
    shape = operation.input_shape
    members = [shape.members[name].serialization for name in shape.required_members] if shape else []
    payload = shape.members[shape.serialization["payload"]] if shape and "payload" in shape.serialization else None
    return Route(
        operation.name,
        operation.http["method"],
        re.compile(URI_PARAMETER.sub(lambda match: f"(?P<{match[1]}>{'.+' if match[2] else '[^/]+'})", path) + "/?"),
        frozenset(fixed.keys() | _names(members, "querystring")),
        tuple((name, value) for name, value in fixed.items() if value),
        frozenset(_names(members, "header")),
        payload is not None and payload.type_name == "blob",
    )


def _names(members: list[dict[str, Any]], location: str) -> set[str]:
    return {str(member["name"]) for member in members if member.get("location") == location}
