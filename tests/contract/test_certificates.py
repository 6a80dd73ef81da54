"""`make` trusts the certificates of the system: those of a company whose proxy inspects TLS are not built into uv."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")
NAME = "company-package"
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not SYSTEM.is_file(), reason="needs root and Debian's file of certificates, to replace it"
)


class Index(BaseHTTPRequestHandler):
    """A package index with one package, which has no files."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]  # a list of the fixture
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html></html>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificate of a company, and one of 127.0.0.1 that it has signed."""
    folder = tmp_path_factory.mktemp("certificates")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    for words in (
        ["req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Company"],
        ["req", *key[:-2], "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=index"],
        ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
         "-extfile", "names", "-out", "server.pem"],
    ):  # fmt: skip
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def index(authority: Path) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    server.asked = []  # type: ignore[attr-defined]  # read by the tests
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem", authority / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_packages_are_installed_with_the_certificates_of_the_system(
    index: ThreadingHTTPServer, authority: Path, tmp_path: Path, installer: str
) -> None:
    url = f"https://127.0.0.1:{index.server_port}/simple"
    command = {
        "uv": f"$(UV) pip install --no-config --target {tmp_path} --index-url {url} {NAME}",
        "pip": f"{sys._base_executable} -m pip download --dest {tmp_path} --index-url {url} {NAME}",  # type: ignore[attr-defined]  # not in typeshed
    }[installer]
    # In a mount namespace of its own, with the certificate of the company alone in the place of the file of the system.
    words = ["make", "--silent", "-C", str(ROOT), f"--eval=probe:;{command}", "probe"]
    script = f'mount --bind {authority}/ca.pem {SYSTEM} && mount -t tmpfs none /root/.cache 2>/dev/null; exec "$@"'
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("UV_", "PIP_", "SSL_", "MAKE", "REQUESTS_", "CURL_"))
    }
    kept["PIP_CONFIG_FILE"] = os.devnull
    process = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script, "bash", *words],
        env=kept, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert process.returncode != 0  # the package has no files
    assert index.asked, process.stderr  # type: ignore[attr-defined]  # a list of the fixture
