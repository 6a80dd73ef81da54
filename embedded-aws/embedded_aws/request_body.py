"""Read and replace the body of a request before the application that answers it."""

import io
from typing import Any

BODY = "embedded_aws.body"


def read_body(environ: dict[str, Any]) -> bytes:
    """Read the body of a request, and keep it for the next reader."""
    if BODY not in environ:
        stream = environ["wsgi.input"]
        chunked = environ.get("wsgi.input_terminated")
        set_body(environ, stream.read() if chunked else stream.read(int(environ.get("CONTENT_LENGTH") or 0)))
    body: bytes = environ[BODY]
    return body


def set_body(environ: dict[str, Any], data: bytes) -> None:
    """Replace the body of a request."""
    environ[BODY] = data
    environ["wsgi.input"] = io.BytesIO(data)
    environ["CONTENT_LENGTH"] = str(len(data))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
