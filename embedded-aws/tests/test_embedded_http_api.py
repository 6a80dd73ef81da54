"""HTTP APIs: requests reach the function of the API as API Gateway sends them."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from embedded_aws.resources import http_apis
from embedded_aws.stack import ResourceSpec
from embedded_aws.template import TemplateError
from embedded_server import PATIENCE, Server


def call(server: Server, method: str, url: str, body: bytes = b"", **headers: str) -> requests.Response:
    """Send a signed request."""
    request = AWSRequest(method, url, data=body, headers=headers)
    SigV4Auth(Credentials(*server.password), "execute-api", server.state["region"]).add_auth(request)
    return requests.request(method, url, data=body, headers=dict(request.headers.items()), timeout=PATIENCE)


def event_of(response: requests.Response) -> dict[str, Any]:
    """Return the event that the function has got: it answers with it."""
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    event: dict[str, Any] = response.json()["event"]
    return event


def test_a_request_reaches_the_function_in_payload_version_2(aws: Server) -> None:
    endpoint = aws.output("HttpApi")
    event = event_of(call(aws, "GET", f"{endpoint}/runs/a%20b?size=1&tag=x&tag=y"))
    assert (event["version"], event["routeKey"], event["isBase64Encoded"]) == ("2.0", "$default", False)
    assert (event["rawPath"], event["rawQueryString"]) == ("/runs/a b", "size=1&tag=x&tag=y")
    assert event["queryStringParameters"] == {"size": "1", "tag": "x,y"}
    assert "body" not in event
    context = event["requestContext"]
    assert (context["http"]["method"], context["http"]["path"], context["stage"]) == ("GET", "/runs/a b", "$default")
    assert context["apiId"] == endpoint.rpartition("/")[2]
    assert event["headers"]["host"] == context["domainName"]


@pytest.mark.parametrize(("kind", "is_base64"), [("application/json", False), ("application/octet-stream", True)])
def test_a_body_is_text_or_base64_by_its_type(aws: Server, kind: str, is_base64: bool) -> None:
    body = json.dumps({"a": 1}).encode() if not is_base64 else b"\xff\x00"
    event = event_of(call(aws, "POST", f"{aws.output('HttpApi')}/runs", body, **{"Content-Type": kind}))
    assert event["isBase64Encoded"] is is_base64
    assert (base64.b64decode(event["body"]) if is_base64 else event["body"].encode()) == body


def test_only_the_owner_may_call_and_only_an_api_that_exists(aws: Server) -> None:
    endpoint = aws.output("HttpApi")
    assert requests.get(f"{endpoint}/runs", timeout=PATIENCE).status_code == 403
    missing = call(aws, "GET", endpoint[:-1] + "0/runs")
    assert (missing.status_code, missing.json()) == (404, {"message": "Not Found"})


@pytest.mark.parametrize(
    ("create", "properties", "message"),
    [
        (http_apis.route, {"RouteKey": "$default", "AuthorizationType": "JWT"}, "not \\$default with JWT"),
        (http_apis.route, {"RouteKey": "$default"}, "not \\$default with NONE"),
        (http_apis.integration, {"IntegrationType": "HTTP_PROXY"}, "AWS_PROXY with payload 2.0 alone"),
    ],
)
def test_an_api_that_this_server_would_serve_differently_is_refused(create: Any, properties: Any, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        create(ResourceSpec("stack", "Api", properties, Path))
