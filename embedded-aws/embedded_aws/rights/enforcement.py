"""Check each request that is signed with the key of a role."""

from collections.abc import Callable, Iterable
from typing import Any

from embedded_aws.faults.error_responses import deny
from embedded_aws.signatures import RefusedError, Signer

from .needs import needs_of
from .objects import address, arn
from .roles import roles
from .statements import Need

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class DeniedError(RefusedError):
    """A role does not allow a call."""

    def __init__(self, service: str, message: str) -> None:
        """Create the error of a service, by its name in signatures."""
        super().__init__("AccessDenied", message)
        self.service = service


def check_rights(environ: dict[str, Any], signer: Signer) -> None:
    """Raise DeniedError unless the role of the signer allows every call of a request."""
    if denial := roles().denial(signer.key.role, needs_of(signer.service, environ)):
        raise DeniedError(signer.service, denial)


def hide_missing(application: Wsgi, role: str) -> Wsgi:
    """Return an application that answers 403 for a missing object, as S3 does, to a role that may not list the bucket.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html#API_GetObject_RequestSyntax, Permissions
    """

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if "/s3/aws4_request" not in environ.get("HTTP_AUTHORIZATION", "") or environ["REQUEST_METHOD"] not in (
            "GET",
            "HEAD",
        ):
            return application(environ, start)
        bucket, key = address(environ)
        denials: list[str] = []

        def begin(status: str, *rest: Any) -> Any:
            if key and status.startswith("404"):
                denials.append(roles().denial(role, [Need("s3:ListBucket", arn(bucket))]))
            return None if any(denials) else start(status, *rest)

        body = application(environ, begin)
        return deny("s3", environ, denials[0], start) if any(denials) else body

    return answer
