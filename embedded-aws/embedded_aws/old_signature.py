"""Version 2 of the signature in a presigned URL of S3, which boto3 still makes by default."""

from typing import Any
from urllib.parse import urlsplit

from botocore.auth import HmacV1Auth
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from .keys import AccessKey


def compute(environ: dict[str, Any], key: AccessKey, expires: str) -> str:
    """Return the signature of a request by `key`; `expires` is the time in the URL."""
    headers: Any = HTTPHeaders()  # Any: botocore's types have a mapping, and its code needs this class
    for name, value in environ.items():
        if name.startswith("HTTP_X_AMZ_") or name in ("CONTENT_TYPE", "HTTP_CONTENT_MD5"):
            headers[name.removeprefix("HTTP_").replace("_", "-").lower()] = value
    auth = _UrlAuth(Credentials(key.id, key.secret), expires)
    return str(auth.get_signature(environ["REQUEST_METHOD"], urlsplit(environ["RAW_URI"]), headers))


class _UrlAuth(HmacV1Auth):
    """The signature with the time of expiry in the place of the date."""

    def __init__(self, credentials: Credentials, expires: str) -> None:
        super().__init__(credentials)
        self._expires = expires

    def _get_date(self) -> str:
        return self._expires
