"""Error responses as AWS writes them: status, code and body in the protocol of each service."""

import json
from collections.abc import Callable, Iterable
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from .faults_file import service_model

MESSAGES = {
    "403": "Access Denied",
    "429": "Too Many Requests",
    "500": "Internal error",
    "503": "Please reduce your rate",
}
CODES = {
    "403": "AccessDeniedException",
    "429": "TooManyRequestsException",
    "500": "InternalServerError",
    "503": "ServiceUnavailable",
}
SERVICE_CODES = {
    ("s3", "403"): "AccessDenied",
    ("s3", "429"): "TooManyRequests",
    ("s3", "500"): "InternalError",
    ("s3", "503"): "SlowDown",
    ("batch", "500"): "ServerException",
    ("lambda", "500"): "ServiceException",
}
# Status and code with which each service throttles.
THROTTLING = {
    "s3": (503, "SlowDown"),
    "batch": (429, "TooManyRequestsException"),
    "lambda": (429, "TooManyRequestsException"),
    "dynamodb": (400, "ProvisionedThroughputExceededException"),
    "sns": (400, "Throttling"),
}

# Codes of a denied call that are not those of the protocol.
DENIALS = {"s3": "AccessDenied", "sns": "AuthorizationError"}


def error_response(service: str, fault: str, head: bool, start: Callable[..., Any]) -> Iterable[bytes]:
    """Respond with the error of a fault; without a body to a HEAD request, as HTTP requires."""
    if fault == "throttled":
        status, code = THROTTLING.get(service, (400, "ThrottlingException"))
        message = "Rate exceeded"
    else:
        status, code, message = int(fault), SERVICE_CODES.get((service, fault), CODES[fault]), MESSAGES[fault]
    return _respond(service_model(service).protocol, f"{status} {code}", message, head, start)


def deny(service: str, environ: dict[str, Any], message: str, start: Callable[..., Any]) -> Iterable[bytes]:
    """Respond as a service does to a caller without the right; `service` is the name in signatures."""
    protocol = _protocol(service, environ)
    code = DENIALS.get(service, "AccessDenied" if protocol == "query" else "AccessDeniedException")
    status = 400 if "HTTP_X_AMZ_TARGET" in environ else 403
    return _respond(protocol, f"{status} {code}", message, environ["REQUEST_METHOD"] == "HEAD", start)


def refuse(environ: dict[str, Any], status: int, code: str, message: str, start: Callable[..., Any]) -> Iterable[bytes]:
    """Respond with an error in the protocol that the request seems to be in."""
    service = "s3" if "/s3/aws4_request" in environ.get("HTTP_AUTHORIZATION", "/s3/aws4_request") else ""
    head = environ["REQUEST_METHOD"] == "HEAD"
    return _respond(_protocol(service, environ), f"{status} {code}", message, head, start)


def _protocol(service: str, environ: dict[str, Any]) -> str:
    if service == "s3":
        return "rest-xml"
    return "query" if "form" in environ.get("CONTENT_TYPE", "") else "json"


def _respond(protocol: str, status: str, message: str, head: bool, start: Callable[..., Any]) -> Iterable[bytes]:
    code = status.partition(" ")[2]
    content_type, body = _xml(protocol, code, message) if protocol in ("rest-xml", "query") else _json(code, message)
    headers = [("Content-Type", content_type), ("x-amzn-ErrorType", code), ("x-amzn-RequestId", "fault")]
    start(status, [*headers, ("Content-Length", "0" if head else str(len(body)))])
    return [] if head else [body]


def _json(code: str, message: str) -> tuple[str, bytes]:
    return "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message}).encode()


def _xml(protocol: str, code: str, message: str) -> tuple[str, bytes]:
    root = Element("Error" if protocol == "rest-xml" else "ErrorResponse")
    error = root if protocol == "rest-xml" else SubElement(root, "Error")
    for name, value in (("Code", code), ("Message", message), ("RequestId", "fault")):
        SubElement(error, name).text = value
    return "application/xml", tostring(root)
