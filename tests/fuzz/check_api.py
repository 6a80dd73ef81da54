"""Send requests that schemathesis derives from the OpenAPI description to the API of an embedded AWS; `make fuzz-api`.

It exits with 1 if an answer is not as described, or if the API fails.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from seqdrop_cli import api, embedded
from seqdrop_cli.stack import Stack, local

# schemathesis imports it. It signs each request; `+` in a query is a space, which a signature has as %20.
HOOKS = """
import os
import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from requests.auth import AuthBase

class Sign(AuthBase):
    def __call__(self, request):
        request.url = request.url.replace("+", "%20")
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        signed = AWSRequest(request.method, request.url, data=body)
        credentials = Credentials(os.environ["ACCESS_KEY"], os.environ["SECRET_KEY"])
        SigV4Auth(credentials, "execute-api", os.environ["REGION"]).add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        return request

schemathesis.auth.set_from_requests(Sign())
"""
# A form field of WES is JSON in a string, which no schema can describe: WES wants 400 for another string.
CONFIG = """
[[operations]]
include-path = "/ga4gh/wes/v1/runs"
checks.positive_data_acceptance.enabled = false
"""


def check(stack: Stack, folder: Path) -> int:
    """Run schemathesis; return its exit code."""
    _, description = api.call(stack, "GET", "/openapi?format=json")
    (folder / "openapi.json").write_text(description)
    (folder / "hooks.py").write_text(HOOKS)
    (folder / "schemathesis.toml").write_text(CONFIG)
    credentials = stack.session.get_credentials()
    assert credentials
    command = ["schemathesis", "--config-file", "schemathesis.toml", "run", "openapi.json"]
    options = ["--url", api.endpoint(stack), "--max-examples", "20", "--no-color"]
    variables = {
        "SCHEMATHESIS_HOOKS": "hooks",
        "ACCESS_KEY": credentials.access_key,
        "SECRET_KEY": credentials.secret_key,
        "REGION": stack.region,
    }
    paths = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run([*command, *options], cwd=folder, env=variables | paths, check=False).returncode


def main() -> int:
    """Start an embedded AWS with the API, and check it."""
    with embedded.temporary(["ApiAccess=iam"], "process") as server, tempfile.TemporaryDirectory() as folder:
        return check(local(server), Path(folder))


if __name__ == "__main__":
    sys.exit(main())
