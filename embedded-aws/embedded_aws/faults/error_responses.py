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


def error_response(service: str, fault: str, head: bool, start: Callable[..., Any]) -> Iterable[bytes]:
    """Respond with the error of a fault; without a body to a HEAD request, as HTTP requires."""
    if fault == "throttled":
        status, code = THROTTLING.get(service, (400, "ThrottlingException"))
        message = "Rate exceeded"
    else:
        status, code, message = int(fault), SERVICE_CODES.get((service, fault), CODES[fault]), MESSAGES[fault]
    return _respond(service_model(service).protocol, f"{status} {code}", message, head, start)


def refuse(environ: dict[str, Any], status: int, code: str, message: str, start: Callable[..., Any]) -> Iterable[bytes]:
    """Respond with an error in the protocol that the request seems to be in."""
    if "/s3/aws4_request" in environ.get("HTTP_AUTHORIZATION", "/s3/aws4_request"):
        protocol = "rest-xml"
    else:
        protocol = "query" if "form" in environ.get("CONTENT_TYPE", "") else "json"
    return _respond(protocol, f"{status} {code}", message, environ["REQUEST_METHOD"] == "HEAD", start)


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
