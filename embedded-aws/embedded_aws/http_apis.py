"""Answer the requests to HTTP APIs: call the function of the API, as API Gateway does with payload version 2.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import json
import re
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

from moto.apigatewayv2.models import apigatewayv2_backends

from . import aws
from .request_body import read_body

PREFIX = "/_apis/"  # no bucket begins with an underscore
DEFAULT = "$default"
TEXT = re.compile(r"text/|application/(json|javascript|xml|[\w.-]+\+(json|xml))")  # other bodies are base64
MAX_BODY = 10 << 20  # bytes, a limit of API Gateway
FAILED = {"statusCode": 500, "body": json.dumps({"message": "Internal Server Error"})}
Environ = dict[str, Any]
Start = Callable[..., Any]
Wsgi = Callable[[Environ, Start], Iterable[bytes]]


def address(api_id: str) -> str:
    """Return the endpoint of an API."""
    return f"{aws.endpoint()}{PREFIX}{api_id}"


@dataclass
class HttpApis:
    """A WSGI application in front of another one: it answers for all HTTP APIs, and passes on all other requests."""

    application: Wsgi

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer a request, or pass it on. Who may send it was checked before: the owner of this server alone."""
        if not environ["PATH_INFO"].startswith(PREFIX):
            return self.application(environ, start)
        api_id, _, rest = environ["RAW_URI"].partition("?")[0].removeprefix(PREFIX).partition("/")
        function = _function_of(api_id)
        if function is None:
            return _respond({"statusCode": 404, "body": json.dumps({"message": "Not Found"})}, start)
        if len(read_body(environ)) > MAX_BODY:
            return _respond({"statusCode": 413, "body": json.dumps({"message": "Request Too Long"})}, start)
        return _respond(_call(function, _event(api_id, f"/{rest}", environ)), start)


def _function_of(api_id: str) -> str | None:
    """Return the ARN of the function that the default route of an API calls; None if either is missing."""
    api = apigatewayv2_backends[aws.ACCOUNT][aws.REGION].apis.get(api_id)
    routes = [route for route in api.routes.values() if route.route_key == DEFAULT] if api else []
    if not routes:
        return None
    integration = api.integrations[routes[0].target.rpartition("/")[2]]
    return str(integration.integration_uri)


def _call(function: str, event: dict[str, Any]) -> dict[str, Any]:
    answer = aws.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    payload = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        return FAILED
    if isinstance(payload, dict) and "statusCode" in payload:
        return payload
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(payload)}


def _event(api_id: str, path: str, environ: Environ) -> dict[str, Any]:
    query = environ.get("QUERY_STRING", "")
    headers = _headers(environ)
    body, is_text = read_body(environ), TEXT.match(headers.get("content-type", "text/"))
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": DEFAULT,
        "rawPath": unquote(path),
        "rawQueryString": query,
        "headers": headers,
        "requestContext": _context(api_id, unquote(path), headers, environ),
        "isBase64Encoded": bool(body) and not is_text,
    }
    if query:
        event["queryStringParameters"] = _joined(parse_qsl(query, keep_blank_values=True))
    if body:
        event["body"] = body.decode(errors="replace") if is_text else base64.b64encode(body).decode()
    return event


def _headers(environ: Environ) -> dict[str, str]:
    names = {name: name.removeprefix("HTTP_") for name in environ if name.startswith("HTTP_")}
    names |= {name: name for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)}
    return {new.replace("_", "-").lower(): str(environ[old]) for old, new in names.items()}


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return parameters; the values of one that is there twice are joined with a comma."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _context(api_id: str, path: str, headers: dict[str, str], environ: Environ) -> dict[str, Any]:
    http = {
        "method": environ["REQUEST_METHOD"],
        "path": path,
        "protocol": environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
        "sourceIp": environ.get("REMOTE_ADDR", ""),
        "userAgent": headers.get("user-agent", ""),
    }
    owner = {"accountId": aws.ACCOUNT, "userArn": f"arn:{aws.PARTITION}:iam::{aws.ACCOUNT}:root"}
    return {
        "accountId": aws.ACCOUNT,
        "apiId": api_id,
        "authorizer": {"iam": owner},
        "domainName": headers.get("host", ""),
        "domainPrefix": api_id,
        "http": http,
        "requestId": str(uuid.uuid4()),
        "routeKey": DEFAULT,
        "stage": DEFAULT,
        "time": datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(time.time() * 1000),
    }


def _respond(answer: dict[str, Any], start: Start) -> Iterable[bytes]:
    text = answer.get("body") or ""
    body = base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()
    status = HTTPStatus(int(answer["statusCode"]))
    headers = {
        "Content-Type": "text/plain;charset=UTF-8",
        **{k.title(): str(v) for k, v in answer.get("headers", {}).items()},
    }
    cookies = [("Set-Cookie", cookie) for cookie in answer.get("cookies", [])]
    start(f"{status.value} {status.phrase}", [*headers.items(), *cookies, ("Content-Length", str(len(body)))])
    return [body]
