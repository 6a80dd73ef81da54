"""Refuse every request that is not from the owner of this server, in front of all other applications.

A request must name this server in `Host`, come from no web page, and be signed with an access key of this server. The
key of a role has the rights of the role, the key of the owner has all.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from .faults.error_responses import deny, refuse
from .keys import AccessKey, Keys
from .request_body import read_body
from .rights.enforcement import DeniedError, check_rights, hide_missing
from .signatures import RefusedError, Signer, verify

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
CONTROL_PATHS = ("/_faults", "/moto-api")  # signed, or with the access key as user and password
# Paths that moto serves whatever service the signature names.
SERVED_FIRST = (*CONTROL_PATHS, "/favicon.ico", "/latest/", "/v20180820/")

# What a container may do: read, list and write objects. Another parameter is refused: it may name another operation.
OBJECT_PARAMETERS = re.compile("attributes|partNumber|tagging|uploadId|uploads|versionId|x-id")
LIST_PARAMETERS = re.compile(
    "continuation-token|delimiter|encoding-type|fetch-owner|list-type|location|marker|max-keys|prefix|start-after|x-id"
)
# And what a function needs besides.
FUNCTION_OPERATIONS = {
    "batch": re.compile("ListJobs|DescribeJobs"),
    "dynamodb": re.compile("(Batch|Transact)(Get|Write)Items?|(Get|Put|Update|Delete)Item|Query|Scan|DescribeTable"),
    "ec2": re.compile("DescribeSpotPriceHistory"),
    "events": re.compile("PutEvents"),
    "sns": re.compile("Publish"),
    "sqs": re.compile("GetQueueUrl|SendMessage"),
    "states": re.compile("(Start|Stop|Describe)Execution|GetExecutionHistory|SendTask(Success|Failure|Heartbeat)"),
    "sts": re.compile("GetCallerIdentity"),
}
# Those that the path of a request names.
PATHS = {"/v1/listjobs": "ListJobs", "/v1/describejobs": "DescribeJobs"}


@dataclass(frozen=True)
class AccessControl:
    """The checks of one listener: the loopback address, or the bridge of a Docker engine.

    Every container reaches the bridge. There a request may do only what jobs and functions do, whatever its key allows.
    """

    application: Wsgi
    keys: Keys
    hosts: frozenset[str]
    is_bridge: bool = False

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Pass the request on, or answer 403."""
        try:
            role = self._check(environ)
        except DeniedError as error:
            return deny(error.service, environ, str(error), start)
        except RefusedError as error:
            return refuse(environ, 403, error.code, str(error), start)
        application = hide_missing(self.application, role) if role else self.application
        return application(environ, start)

    def _check(self, environ: dict[str, Any]) -> str:
        """Return the role that sent the request, "" for the owner; raise RefusedError."""
        if host_name(environ.get("HTTP_HOST", "")) not in self.hosts:
            raise RefusedError("AccessDenied", f"Host must be one of {', '.join(sorted(self.hosts))}.")
        if "HTTP_ORIGIN" in environ:
            raise RefusedError("AccessDenied", "Web pages are not served: the request has the header Origin.")
        if not self.is_bridge and _has_password(environ, self.keys.server):
            return ""
        signer = verify(environ, lambda: read_body(environ), self.keys.find)
        if self.is_bridge:
            _allow_only(environ, signer, FUNCTION_OPERATIONS)
        if signer.key.role:
            if environ["PATH_INFO"].startswith(SERVED_FIRST) or _is_other_link(environ, signer):
                raise RefusedError("AccessDenied", "The access key of a role may not do that here.")
            check_rights(environ, signer)
        return signer.key.role


def _is_other_link(environ: dict[str, Any], signer: Signer) -> bool:
    """Return whether a request is a presigned URL that does more than read an object.

    A function may give away a link to an object that its role can read.
    """
    return signer.is_presigned and not (signer.service == "s3" and environ["REQUEST_METHOD"] in ("GET", "HEAD"))


def host_name(host: str) -> str:
    """Return the name in the header Host, without the port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _has_password(environ: dict[str, Any], key: AccessKey) -> bool:
    """Return whether a request for a control path has the access key as user and password, as `curl --user` sends."""
    scheme, _, encoded = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme != "Basic" or not environ["PATH_INFO"].startswith(CONTROL_PATHS):
        return False
    try:
        return hmac.compare_digest(base64.b64decode(encoded, validate=True), f"{key.id}:{key.secret}".encode())
    except binascii.Error:
        return False


def _allow_only(environ: dict[str, Any], signer: Signer, operations: dict[str, re.Pattern[str]]) -> None:
    """Raise RefusedError unless the request reads, lists or writes objects, or is one of these operations."""
    if signer.is_presigned or environ["PATH_INFO"].startswith(SERVED_FIRST):
        allowed = False
    elif signer.service == "s3":
        allowed = _is_for_objects(environ)
    else:
        pattern = operations.get(signer.service)
        allowed = bool(pattern and pattern.fullmatch(_operation(environ)))
    if not allowed:
        raise RefusedError("AccessDenied", f"This access key may not do that in {signer.service} from here.")


def _is_for_objects(environ: dict[str, Any]) -> bool:
    method, path = environ["REQUEST_METHOD"], environ["RAW_URI"].partition("?")[0]
    if "HTTP_X_AMZ_TARGET" in environ or not path.startswith("/") or path.startswith("//"):
        return False
    names = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True).keys()
    if not path.strip("/").partition("/")[2]:  # a bucket, or the list of all
        return method in ("GET", "HEAD") and all(map(LIST_PARAMETERS.fullmatch, names))
    is_upload = not names.isdisjoint({"uploadId", "uploads"})
    methods = ("GET", "HEAD", "PUT", "POST", "DELETE") if is_upload else ("GET", "HEAD", "PUT")
    return method in methods and all(map(OBJECT_PARAMETERS.fullmatch, names))


def _operation(environ: dict[str, Any]) -> str:
    """Return the operation of a request to a service other than S3, or "" for a form that jobs do not use."""
    if environ.get("QUERY_STRING"):
        return ""
    if environ["PATH_INFO"] != "/":
        return PATHS.get(environ["PATH_INFO"], "")
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rpartition(".")[2]
    actions = parse_qs(read_body(environ).decode(errors="replace")).get("Action", [])
    return actions[0] if len(actions) == 1 else ""
