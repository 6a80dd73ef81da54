"""Parse the https address of a file of a user, with the checksum that it should have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

DIGITS = {"md5": 32, "sha256": 64}  # hexadecimal, of each checksum
SCHEMES = ("https", "http")
SECRET = re.compile(r"sign|token|key|credential|secret|password", re.IGNORECASE)  # in the name of a query field
MAX_LENGTH = 2_000  # characters
VISIBLE = re.compile(r"[!-~]+")  # ASCII without blanks


@dataclass(frozen=True, slots=True)
class WebAddress:
    """An address: `https://host/path`, and after `#` the checksum of the file: `md5=...` or `sha256=...`."""

    url: str  # without the part after `#`
    algorithm: str = ""  # of the checksum; "" without one
    checksum: str = ""  # hexadecimal

    @classmethod
    def parse(cls, text: str) -> WebAddress:
        """Parse an address; raise ValueError."""
        url, _, fragment = text.partition("#")
        parts = _split(url)
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise ValueError(f"not a web address: {text[:MAX_LENGTH]!r} (expected https://host/path)")
        if parts.username or parts.password:
            raise ValueError("an address with a user name or a password is not accepted: it would be stored")
        algorithm, _, checksum = fragment.partition("=")
        if fragment and not re.fullmatch(f"[0-9a-fA-F]{{{DIGITS.get(algorithm, 0)}}}", checksum or "-"):
            raise ValueError("what follows # is not a checksum: expected md5=... or sha256=..., in hexadecimal")
        return cls(url, algorithm, checksum.lower())

    def __str__(self) -> str:
        """Return the address with its checksum, as `parse` reads it."""
        return f"{self.url}#{self.algorithm}={self.checksum}" if self.algorithm else self.url

    @property
    def scheme(self) -> str:
        """`https` or `http`."""
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        """The name or the number of the server."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port of the server."""
        return urlsplit(self.url).port or (443 if self.scheme == "https" else 80)

    @property
    def target(self) -> str:
        """What is asked of the server: path and query."""
        parts = urlsplit(self.url)
        return urlunsplit(("", "", parts.path or "/", parts.query, ""))

    @property
    def name(self) -> str:
        """The file name, by which formats are recognised."""
        return unquote(urlsplit(self.url).path).rpartition("/")[2]

    @property
    def shown(self) -> str:
        """The address as it is stored and printed: without the values of secret fields, as of a signed address."""
        parts = urlsplit(self.url)
        fields = [(name, "-" if SECRET.search(name) else value) for name, value in parse_qsl(parts.query)]
        return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(fields), ""))


def is_web(text: str) -> bool:
    """Return whether a text is meant as a web address."""
    return text.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def _split(url: str) -> SplitResult:
    if len(url) > MAX_LENGTH or not VISIBLE.fullmatch(url):
        raise ValueError(f"a web address has at most {MAX_LENGTH} characters, all of ASCII and none of them blank")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"not a web address: {error}") from None
    return parts
