"""Which operation of which service an HTTP request is, by the models that boto3 itself is made of."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.model import OperationModel

from .document import service_model

SCOPE = re.compile(r"Credential=[^/]*/\d{8}/[^/]*/([^/]+)/aws4_request")
BLANK = re.compile(r"\{(\w+)(\+?)\}")


@dataclass(frozen=True)
class Route:
    """What a request of one operation of a REST service looks like."""

    name: str
    method: str
    path: re.Pattern[str]
    query: frozenset[str]  # names that must be there
    values: tuple[tuple[str, str], ...]  # and what some of them must be
    headers: frozenset[str]
    sends_payload: bool

    def fits(self, method: str, path: str, query: dict[str, list[str]], environ: dict[str, Any]) -> bool:
        return (
            method == self.method
            and self.path.fullmatch(path) is not None
            and self.query <= query.keys()
            and all(query[name] == [value] for name, value in self.values)
            and all(f"HTTP_{header.upper().replace('-', '_')}" in environ for header in self.headers)
        )

    @property
    def strictness(self) -> int:
        return len(self.query) + len(self.headers)


@dataclass(frozen=True)
class Call:
    """A request, recognized."""

    operation: str
    key: str = ""  # of S3's objects
    sends_payload: bool = False  # an object's bytes, not words about it


def signing_name(environ: dict[str, Any]) -> str:
    """What the caller signed for; "" for an unsigned request."""
    text = environ.get("HTTP_AUTHORIZATION") or "Credential=" + unquote(
        environ.get("QUERY_STRING", "").partition("X-Amz-Credential=")[2]
    )
    found = SCOPE.search(text)
    return found[1] if found else ""


def recognized(service: str, environ: dict[str, Any], body: Any) -> Call | None:
    """None for what is not a call of `service`. `body` gives the request's bytes, asked for only where they tell."""
    model = service_model(service)
    if signing_name(environ) != model.signing_name:
        return None
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return Call(target.rpartition(".")[2])
    if "/operation/" in environ["PATH_INFO"]:  # CloudWatch's RPC
        return Call(environ["PATH_INFO"].rpartition("/")[2])
    if model.protocol == "query":
        return Call(parse_qs(body().decode()).get("Action", [""])[0])
    return _by_route(service, environ)


def _by_route(service: str, environ: dict[str, Any]) -> Call | None:
    asked = urlsplit(environ.get("RAW_URI") or environ["PATH_INFO"])
    query = parse_qs(asked.query, keep_blank_values=True)
    fitting = [r for r in routes(service) if r.fits(environ["REQUEST_METHOD"], asked.path, query, environ)]
    if not fitting:
        return None
    route = max(fitting, key=lambda route: route.strictness)
    hit = route.path.fullmatch(asked.path)
    key = hit.groupdict().get("Key", "") if hit else ""
    return Call(route.name, unquote(key or ""), route.sends_payload)


@cache
def routes(service: str) -> list[Route]:
    model = service_model(service)
    return [_route(model.operation_model(name)) for name in model.operation_names]


def _route(operation: OperationModel) -> Route:
    path, _, query = operation.http["requestUri"].partition("?")
    fixed = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
    shape = operation.input_shape
    members = [shape.members[name].serialization for name in shape.required_members] if shape else []
    asked = {place: {m["name"] for m in members if m.get("location") == place} for place in ("querystring", "header")}
    payload = shape.members[shape.serialization["payload"]] if shape and "payload" in shape.serialization else None
    return Route(
        operation.name,
        operation.http["method"],
        re.compile(BLANK.sub(lambda blank: f"(?P<{blank[1]}>{'.+' if blank[2] else '[^/]+'})", path) + "/?"),
        frozenset(fixed.keys() | asked["querystring"]),
        tuple((name, value) for name, value in fixed.items() if value),
        frozenset(asked["header"]),
        payload is not None and payload.type_name == "blob",
    )
