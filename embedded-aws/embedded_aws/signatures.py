"""Verify the signature of a request, in a header or in a presigned URL.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import calendar
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, quote, unquote, unquote_to_bytes

from . import old_signature
from .keys import AccessKey

Environ = dict[str, Any]
FindKey = Callable[[str], AccessKey | None]

SCOPE = r"(?P<key>[^/,\s]+)/(?P<day>\d{8})/(?P<region>[\w-]+)/(?P<service>[\w.-]+)/aws4_request"
CREDENTIAL = re.compile(SCOPE)
# In this form and order, so that moto cannot read another service from it.
AUTHORIZATION = re.compile(
    rf"AWS4-HMAC-SHA256 Credential={SCOPE}, ?SignedHeaders=(?P<headers>[\w;.-]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
MAX_AGE = 900  # seconds between signature and arrival, as on AWS
UNRESERVED = "-_.~"


class RefusedError(Exception):
    """The request is refused with this error code of AWS."""

    def __init__(self, code: str, message: str) -> None:
        """Create the error with the code and the message of the response."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Signer:
    """The key that signed a request, and the signing name of the service that the request is for."""

    key: AccessKey
    service: str
    is_presigned: bool


def verify(environ: Environ, body: Callable[[], bytes], find: FindKey) -> Signer:
    """Return the signer of a request; raise RefusedError. `body` reads the body, if the signature covers it."""
    if authorization := environ.get("HTTP_AUTHORIZATION"):
        return _verify_header(authorization, environ, body, find)
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    if "X-Amz-Signature" in query:
        return _verify_url(environ, query, body, find)
    if "AWSAccessKeyId" in query:
        return _verify_old_url(environ, query, find)
    raise RefusedError("AccessDenied", "The request is not signed: use the access key of this server.")


def _verify_header(authorization: str, environ: Environ, body: Callable[[], bytes], find: FindKey) -> Signer:
    match = AUTHORIZATION.fullmatch(authorization)
    if not match:
        raise RefusedError("AccessDenied", "The header Authorization has no signature of version 4.")
    headers = match["headers"].split(";")
    date = environ.get("HTTP_X_AMZ_DATE", "")
    _check_age(date, MAX_AGE)
    payload = environ.get("HTTP_X_AMZ_CONTENT_SHA256") if "x-amz-content-sha256" in headers else None
    request = _canonical_request(environ, match["service"], headers, payload or sha256(body()).hexdigest())
    return _signer(match, date, request, match["signature"], find, is_presigned=False)


def _verify_url(environ: Environ, query: dict[str, list[str]], body: Callable[[], bytes], find: FindKey) -> Signer:
    match = CREDENTIAL.fullmatch(query.get("X-Amz-Credential", [""])[0])
    date, expires = query.get("X-Amz-Date", [""])[0], query.get("X-Amz-Expires", [""])[0]
    if not match or not expires.isdecimal():
        raise RefusedError("AccessDenied", "The presigned URL has no valid X-Amz-Credential or X-Amz-Expires.")
    _check_age(date, int(expires))
    headers = query.get("X-Amz-SignedHeaders", [""])[0].split(";")
    # S3 does not ask for the hash of the body, all other services do.
    unnamed = "UNSIGNED-PAYLOAD" if match["service"] == "s3" else sha256(body()).hexdigest()
    payload = query.get("X-Amz-Content-Sha256", [unnamed])[0]
    request = _canonical_request(environ, match["service"], headers, payload)
    return _signer(match, date, request, query["X-Amz-Signature"][0], find, is_presigned=True)


def _signer(
    match: re.Match[str], date: str, request: bytes, signature: str, find: FindKey, *, is_presigned: bool
) -> Signer:
    key = _known(match["key"], find)
    scope = f"{match['day']}/{match['region']}/{match['service']}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{sha256(request).hexdigest()}"
    signing_key = _signing_key(key.secret, match["day"], match["region"], match["service"])
    _compare(_hmac(signing_key, text).hex(), signature)
    return Signer(key, match["service"], is_presigned)


def _verify_old_url(environ: Environ, query: dict[str, list[str]], find: FindKey) -> Signer:
    key, expires = _known(query["AWSAccessKeyId"][0], find), query.get("Expires", [""])[0]
    if not expires.isdecimal() or int(expires) < time.time():
        raise RefusedError("AccessDenied", "The presigned URL has expired.")
    computed = old_signature.compute(environ, key, expires)
    _compare(computed, query.get("Signature", [""])[0])
    return Signer(key, "s3", is_presigned=True)


def _canonical_request(environ: Environ, service: str, headers: list[str], payload: str) -> bytes:
    path, _, query = environ["RAW_URI"].partition("?")
    if service == "s3":
        path = quote(unquote_to_bytes(path.encode("latin-1")), safe="/" + UNRESERVED)
    else:  # every other service signs the path encoded twice
        path = quote(path, safe="/" + UNRESERVED)
    values = "".join(f"{name}:{' '.join(_header(environ, name).split())}\n" for name in headers)
    lines = [environ["REQUEST_METHOD"], path or "/", _canonical_query(query), values, ";".join(headers), payload]
    return "\n".join(lines).encode("latin-1", "replace")


def _canonical_query(query: str) -> str:
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    encoded = sorted((_encode(name), _encode(value)) for name, value in pairs if name != "X-Amz-Signature")
    return "&".join(f"{name}={value}" for name, value in encoded)


def _encode(text: str) -> str:
    return quote(unquote(text), safe=UNRESERVED)


def _header(environ: Environ, name: str) -> str:
    variable = name.upper().replace("-", "_")
    value = environ.get(variable if variable in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{variable}", "")
    return str(value)


@lru_cache(maxsize=256)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _known(access_key_id: str, find: FindKey) -> AccessKey:
    if key := find(access_key_id):
        return key
    raise RefusedError("InvalidAccessKeyId", "The access key is not one of this server.")


def _check_age(date: str, limit: int) -> None:
    try:
        age = time.time() - calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise RefusedError("AccessDenied", "The signature has no valid X-Amz-Date.") from None
    if not -MAX_AGE <= age <= limit:
        raise RefusedError("AccessDenied", f"The signature has expired: it is from {date}.")


def _compare(expected: str, signature: str) -> None:
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise RefusedError("SignatureDoesNotMatch", "The signature does not match: check the secret access key.")
