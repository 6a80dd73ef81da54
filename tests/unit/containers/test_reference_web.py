"""containers/reference/web: downloads from a web server of this machine, which breaks off, lies and redirects."""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from seqdrop.failure.verdict import JobError
from seqdrop.storage.web_address import WebAddress
from support.web_site import DATA, Answer, Site

from containers.reference import web

MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv(web.LOCAL_HTTP, "yes")
    monkeypatch.setattr(web, "PAUSE", 0.0)
    monkeypatch.setattr(web, "BLOCK", 1_000)
    site = Site()
    yield site
    site.close()


def fetch(url: str, path: Path) -> dict[str, Any]:
    return web.download(WebAddress.parse(url), path)


def failure(url: str, path: Path) -> tuple[str, int, str]:
    """Return class, exit code and message of a download that fails."""
    with pytest.raises(JobError) as raised:
        fetch(url, path)
    return raised.value.failure_class, raised.value.exit_code, str(raised.value)


def test_a_file_is_downloaded_with_its_checksums(site: Site, tmp_path: Path) -> None:
    site.answers = [Answer(headers={"Last-Modified": "Tue, 01 Mar 2022 10:00:00 GMT"})]
    source = fetch(f"{site.url}?X-Amz-Signature=s3cr3t&download=1#md5={MD5}", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == DATA
    assert source == {
        "uri": f"{site.url}?X-Amz-Signature=-&download=1",
        "etag": "v1",
        "modified": "Tue, 01 Mar 2022 10:00:00 GMT",
        "size": len(DATA),
        "md5": MD5,
        "sha256": SHA256,
    }


def test_a_download_that_breaks_off_goes_on_where_it_ended(site: Site, tmp_path: Path) -> None:
    site.answers = [Answer(sent=5_000), Answer(status=503, body=b"busy"), Answer(sent=3_000), Answer()]
    assert fetch(site.url, tmp_path / "f")["sha256"] == SHA256
    assert (tmp_path / "f").read_bytes() == DATA
    assert site.ranges == ["", "bytes=5000-", "bytes=5000-", "bytes=8000-"]


def test_a_server_without_ranges_sends_the_file_from_its_beginning_again(site: Site, tmp_path: Path) -> None:
    site.answers = [Answer(sent=5_000, ranges=False), Answer(ranges=False)]
    assert fetch(site.url, tmp_path / "f")["sha256"] == SHA256
    assert (tmp_path / "f").read_bytes() == DATA


@pytest.mark.parametrize("answer", [Answer(sent=5_000, ranges=False), Answer(status=503, body=b"")], ids=["cut", "503"])
def test_a_download_that_never_ends_is_worth_another_attempt(site: Site, tmp_path: Path, answer: Answer) -> None:
    site.answers = [answer]
    failure_class, code, message = failure(site.url, tmp_path / "f")
    assert (failure_class, code) == ("DOWNLOAD", 75)
    assert message.startswith(f"{site.url} could not be downloaded in 6 tries: ")
    assert message.endswith(("the connection ended after 5,000 of 80,007 bytes", "the server answered 503"))
    assert len(site.ranges) == 6


OTHER = b">chr1\n" + b"TTTT" * 20_000 + b"\n"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_changes_between_two_tries_is_refused(site: Site, tmp_path: Path, ranges: bool) -> None:
    site.answers = [Answer(sent=5_000), Answer(body=OTHER, etag='"v2"', ranges=ranges)]
    assert failure(site.url, tmp_path / "f")[::2] == (
        "BAD_INPUT.DOWNLOAD",
        f"{site.url} was changed on the server while it was downloaded: prepare the reference again",
    )


PAGE = b"\n<!DOCTYPE html><title>Not here</title>"
REFUSED = {
    "404": (Answer(status=404, body=PAGE), " does not exist (404): check the address"),
    "403": (Answer(status=403, body=b""), " is not public (403): download the file with a browser"),
    "400": (Answer(status=400, body=b""), ": the server answered 400"),
    "a page": (Answer(body=PAGE), " is a web page, not a file: give the address of the file itself"),
    "no length": (Answer(length=False), ": the server does not say how long the file is"),
    "endless redirection": (Answer(status=302, headers={"Location": "again"}), " is redirected more than 5 times"),
    "another scheme": (Answer(status=302, headers={"Location": "file:///etc/passwd"}), " is redirected to an address"),
    "a private host": (
        Answer(status=302, headers={"Location": "https://169.254.169.254/latest/meta-data"}),
        "169.254.169.254 is in a private network: only public servers are read",
    ),
    "another host without encryption": (
        Answer(status=302, headers={"Location": "http://93.184.216.34/x"}),
        "http://93.184.216.34/x is not encrypted: give an address that begins with https",
    ),
}


@pytest.mark.parametrize(("answer", "message"), REFUSED.values(), ids=REFUSED)
def test_an_answer_that_is_not_the_file_is_refused(site: Site, tmp_path: Path, answer: Answer, message: str) -> None:
    site.answers = [answer]
    failure_class, code, found = failure(site.url, tmp_path / "f")
    assert (failure_class, code) == ("BAD_INPUT.DOWNLOAD", 65)
    assert found.removeprefix(site.url).startswith(message)


def test_a_redirection_is_followed_and_recorded(site: Site, tmp_path: Path) -> None:
    site.answers = [Answer(status=302, headers={"Location": "/mirror/hg.fa"}), Answer()]
    source = fetch(site.url, tmp_path / "f")
    assert (source["sha256"], source["redirected_to"]) == (SHA256, site.url.replace("genomes", "mirror"))


def test_another_checksum_than_the_expected_one_is_refused(site: Site, tmp_path: Path) -> None:
    expected = "0" * 64
    assert failure(f"{site.url}#sha256={expected}", tmp_path / "f")[::2] == (
        "BAD_INPUT.DOWNLOAD",
        f"{site.url} has the sha256 {SHA256}, not {expected}: it is another version, or damaged on the server",
    )


def test_http_and_this_machine_are_refused_without_the_switch_of_tests(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(web.LOCAL_HTTP)
    assert failure(site.url, tmp_path / "f")[::2] == (
        "BAD_INPUT.DOWNLOAD",
        f"{site.url} is not encrypted: give an address that begins with https",
    )
    assert "localhost is in a private network" in failure("https://localhost/x", tmp_path / "f")[2]
    assert site.ranges == []


PRIVATE = (
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "169.254.170.2", "100.64.0.1", "0.0.0.0",  # noqa: S104  an address to refuse
    "224.0.0.1", "::1", "fe80::1%eth0", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1", "ff02::1", "::",
)  # fmt: skip


def test_only_addresses_of_the_internet_are_public() -> None:
    assert [number for number in PRIVATE if web.is_public(number)] == []
    assert all(map(web.is_public, ("93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822")))


def test_a_name_with_one_private_address_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(0, 0, 0, "", (number, 443)) for number in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert "genomes.example is in a private network" in failure("https://genomes.example/x", tmp_path / "f")[2]


def look_up_here(_host: str, port: int, *_: Any, **__: Any) -> list[Any]:
    """Say that every name is of this machine."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


def test_certificates_are_verified(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    site.server.socket = context.wrap_socket(site.server.socket, server_side=True)
    url = site.url.replace("http:", "https:").replace("127.0.0.1", "localhost")
    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)
    assert failure(url, tmp_path / "f")[::2] == (
        "BAD_INPUT.DOWNLOAD",
        "the certificate of localhost is not valid: self-signed certificate",
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert fetch(url, tmp_path / "f")["sha256"] == SHA256
    other = url.replace("localhost", "genomes.example")
    assert failure(other, tmp_path / "f")[2].startswith("the certificate of genomes.example is not valid: Hostname")
