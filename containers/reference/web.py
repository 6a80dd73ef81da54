"""Download a file of a user from a web server: complete, verified, and from public addresses alone."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from seqdrop.failure.verdict import RETRY_EXIT, BadInputError, JobError
from seqdrop.log import logger
from seqdrop.storage.web_address import WebAddress
from seqdrop.text import plain_line

# Tests set it to "yes": then http is allowed, to this machine alone.
LOCAL_HTTP = "SEQDROP_TEST_LOCAL_HTTP"
TRIES = 6  # of a download that breaks off; each goes on where the last one ended
PAUSE = 2.0  # seconds before the second try; doubled before each other one
TIMEOUT = 60  # seconds without a byte
MAX_REDIRECTS = 5
MAX_BYTES = 64 << 30  # of a file: dbSNP has 28 GB
BLOCK = 1 << 20
TEMPORARY = {408, 425, 429, 500, 502, 503, 504}
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # of the internet, which has the address of IPv4 in its last 32 bits
ADVICE_BY_HAND = "download the file with a browser and give it to `seqdrop reference` as a file"


class BrokenError(Exception):
    """The download broke off, or the server is overloaded: the same request can succeed later."""


class DownloadError(JobError):
    """Report a server that cannot be reached, after all tries. Batch tries again."""

    exit_code = RETRY_EXIT

    def __init__(self, message: str) -> None:
        """Set the failure class DOWNLOAD and the message."""
        super().__init__("DOWNLOAD", message)


def refused(message: str) -> BadInputError:
    """Return the error for an address that cannot be used."""
    return BadInputError("DOWNLOAD", message)


@dataclass
class Download:
    """What has arrived of a file so far."""

    address: WebAddress
    size: int = 0  # bytes that have arrived
    total: int | None = None  # bytes of the file
    etag: str = ""
    modified: str = ""
    url: str = ""  # after redirects
    digests: dict[str, Any] = field(default_factory=dict)

    def start(self, response: http.client.HTTPResponse) -> None:
        """Begin with the first byte; raise BadInputError unless the server says how many there are."""
        length = response.getheader("Content-Length", "")
        if not length.isdigit():
            raise refused(f"{self.address.shown}: the server does not say how long the file is, so that a part of it "
                          f"could be taken for the whole: {ADVICE_BY_HAND}")  # fmt: skip
        self.size, self.total = 0, int(length)
        if self.total > MAX_BYTES:
            raise refused(f"{self.address.shown} has more than {MAX_BYTES >> 30} GiB")
        self.etag, self.modified = response.getheader("ETag", ""), response.getheader("Last-Modified", "")
        self.digests = {name: hashlib.new(name, usedforsecurity=False) for name in ("md5", "sha256")}

    def check_same(self, response: http.client.HTTPResponse) -> None:
        """Raise BadInputError if the server now has another file than the one whose beginning has arrived."""
        total = response.getheader("Content-Range", "").rpartition("/")[2] or response.getheader("Content-Length", "")
        now = (response.getheader("ETag", ""), response.getheader("Last-Modified", ""), total)
        if now != (self.etag, self.modified, str(self.total)):
            raise refused(f"{self.address.shown} was changed on the server while it was downloaded: prepare the "
                          "reference again")  # fmt: skip

    def source(self) -> dict[str, Any]:
        """Return what reference.json has about the file."""
        sums = {name: digest.hexdigest() for name, digest in self.digests.items()}
        final = {} if self.url == self.address.shown else {"redirected_to": self.url}
        return {"uri": self.address.shown, **final, "etag": self.etag.strip('"'), "modified": self.modified,
                "size": self.size, **sums}  # fmt: skip


def download(address: WebAddress, path: Path) -> dict[str, Any]:
    """Download a file; return its address, version, size and checksums. Raise BadInputError, DownloadError.

    Certificates are verified. A redirection is followed to any host, but never from https to http: each address is
    checked as the first one was. No proxy is used, since it would hide the address of the server.
    """
    found = Download(address)
    for number in range(1, TRIES + 1):
        try:
            _fetch(found, path)
            break
        except BrokenError as error:
            if number == TRIES:
                raise DownloadError(f"{address.shown} could not be downloaded in {TRIES} tries: {error}") from None
            logger.info("download broke off", bytes=found.size, attempt=number)
            time.sleep(PAUSE * 2 ** (number - 1))
    source = found.source()
    if address.algorithm and source[address.algorithm] != address.checksum:
        raise refused(f"{address.shown} has the {address.algorithm} {source[address.algorithm]}, not "
                      f"{address.checksum}: it is another version, or damaged on the server")  # fmt: skip
    return source


def _fetch(found: Download, path: Path) -> None:
    """Download what is missing of a file; raise BrokenError if it breaks off."""
    with _open(found) as response:
        if response.status == http.client.PARTIAL_CONTENT:
            found.check_same(response)
        else:
            if found.size:
                found.check_same(response)  # a server that knows no ranges: from the beginning
            found.start(response)
        with path.open("r+b" if found.size else "wb") as out:
            out.seek(found.size)
            for block in _blocks(response):
                if not found.size:
                    check_first_bytes(found.address, block)
                out.write(block)
                found.size += len(block)
                for digest in found.digests.values():
                    digest.update(block)
    if found.size != found.total:
        raise BrokenError(f"the connection ended after {found.size:,} of {found.total:,} bytes")


def check_first_bytes(address: WebAddress, block: bytes) -> None:
    """Raise BadInputError for a page instead of a file: no format of a genome, of genes or variants begins with `<`."""
    if block.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        raise refused(f"{address.shown} is a web page, not a file: give the address of the file itself, as the link of "
                      "the download has it")  # fmt: skip


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while block := response.read(BLOCK):
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise BrokenError(_describe(error)) from None


@contextlib.contextmanager
def _open(found: Download) -> Iterator[http.client.HTTPResponse]:
    """Send the request for what is missing, and follow redirections; raise BadInputError, BrokenError."""
    address = found.address
    for _ in range(MAX_REDIRECTS + 1):
        with contextlib.closing(_connect(address)) as connection:
            response = _ask(connection, address, found)
            if location := response.getheader("Location") if response.status in {301, 302, 303, 307, 308} else None:
                address = _redirected(address, location)
                continue
            _check_status(found.address, response.status)
            found.url = address.shown
            yield response
            return
    raise refused(f"{found.address.shown} is redirected more than {MAX_REDIRECTS} times")


def _ask(connection: http.client.HTTPConnection, address: WebAddress, found: Download) -> http.client.HTTPResponse:
    headers = {"User-Agent": "seqdrop", "Accept-Encoding": "identity"}
    if found.size:
        headers["Range"] = f"bytes={found.size}-"
        if validator := found.etag or found.modified:
            headers["If-Range"] = validator
    try:
        connection.request("GET", address.target, headers=headers)
        return connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise BrokenError(_describe(error)) from None


def _redirected(address: WebAddress, location: str) -> WebAddress:
    try:
        target = WebAddress.parse(urljoin(address.url, location).partition("#")[0])
    except ValueError as error:
        raise refused(f"{address.shown} is redirected to an address that cannot be used: {error}") from None
    if address.scheme == "https" and target.scheme != "https":
        raise refused(f"{address.shown} is redirected to {target.shown}, which is not encrypted: {ADVICE_BY_HAND}")
    return target


def _check_status(address: WebAddress, status: int) -> None:
    if status in TEMPORARY:
        raise BrokenError(f"the server answered {status}")
    if status in {404, 410}:
        raise refused(f"{address.shown} does not exist ({status}): check the address")
    if status in {401, 403}:
        raise refused(f"{address.shown} is not public ({status}): {ADVICE_BY_HAND}")
    if status not in {200, 206}:
        raise refused(f"{address.shown}: the server answered {status}: {ADVICE_BY_HAND}")


def _connect(address: WebAddress) -> http.client.HTTPConnection:
    """Return a connection to an address that was checked: a second look-up of its name could give another one."""
    local = os.environ.get(LOCAL_HTTP) == "yes"
    if address.scheme != "https" and not local:
        raise refused(f"{address.shown} is not encrypted: give an address that begins with https")
    number = _resolve(address, local=local)
    if address.scheme == "http":
        return http.client.HTTPConnection(number, address.port, timeout=TIMEOUT)
    connection = http.client.HTTPSConnection(address.host, address.port, timeout=TIMEOUT, context=_tls())
    connection._create_connection = lambda *_: _open_socket(number, address.port)  # type: ignore[attr-defined]  # no public way
    try:
        connection.connect()
    except ssl.SSLCertVerificationError as error:
        raise refused(f"the certificate of {address.host} is not valid: {error.verify_message}") from None
    except OSError as error:
        raise BrokenError(_describe(error)) from None
    return connection


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _open_socket(number: str, port: int) -> socket.socket:
    return socket.create_connection((number, port), TIMEOUT)


def _resolve(address: WebAddress, *, local: bool) -> str:
    """Return the number of a server; raise BadInputError unless all that its name has are public."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BrokenError(f"the name {address.host} could not be looked up: {error.strerror}") from None
    numbers = [str(entry[4][0]) for entry in found]
    if not all(is_public(number) or (local and ipaddress.ip_address(number).is_loopback) for number in numbers):
        raise refused(f"{address.host} is in a private network: only public servers are read. {ADVICE_BY_HAND}")
    if address.scheme == "http" and not all(ipaddress.ip_address(number).is_loopback for number in numbers):
        raise refused(f"{address.shown} is not encrypted: give an address that begins with https")
    return numbers[0]


def is_public(number: str) -> bool:
    """Return whether an IP address is on the internet: not of this host, a private network or the metadata of AWS."""
    ip = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner:
            return inner.is_global and not inner.is_multicast
    return ip.is_global and not ip.is_multicast


def _describe(error: Exception) -> str:
    return plain_line(f"{type(error).__name__}: {error}", 200)
