"""`seqdrop api`: show the address of the HTTP API, and call it with your own credentials."""

from __future__ import annotations

import json
from typing import Any

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError
from botocore.httpsession import URLLib3Session

from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack

SERVICE = "execute-api"
LINK_SECONDS = 900
METHODS = ("GET", "POST")


def endpoint(stack: Stack) -> str:
    """Return the address of the API; raise CliError if the stack has none."""
    if "ApiEndpoint" in stack.outputs:
        return stack["ApiEndpoint"]
    deploy = "`seqdrop up --parameter ApiAccess=iam`" if stack.is_embedded else "ApiAccess=iam or jwt, and deploy"
    raise CliError(f"Stack {stack.name} has no HTTP API: it is off by default. Set {deploy}.")


def link(stack: Stack) -> str:
    """Return a link that opens the page of the API in a browser, for a quarter of an hour."""
    request = AWSRequest("GET", f"{endpoint(stack)}/openapi")
    SigV4QueryAuth(_credentials(stack), SERVICE, stack.region, LINK_SECONDS).add_auth(request)
    return str(request.url)


def call(stack: Stack, method: str, path: str, body: str = "", kind: str = "application/json") -> tuple[int, str]:
    """Send a signed request; return status and body of the answer. `kind` is the media type. Raises CliError."""
    if method not in METHODS or not path.startswith("/"):
        raise CliError(f"{method} {path}: expected {' or '.join(METHODS)}, and a path such as /runs.")
    headers = {"Content-Type": kind} if body else {}
    request = AWSRequest(method, endpoint(stack) + path, headers=headers, data=body.encode())
    SigV4Auth(_credentials(stack), SERVICE, stack.region).add_auth(request)
    answer = URLLib3Session(timeout=40).send(request.prepare())
    return answer.status_code, answer.text


def _credentials(stack: Stack) -> Credentials:
    credentials = stack.session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    return credentials


def parse(text: str) -> Any:
    """Return the document of an answer; the text itself if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text
