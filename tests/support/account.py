"""An AWS account for `sam deploy` and `aws`: moto's services, which get a part of each template."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from embedded_aws.keys import AccessKey
from embedded_aws.template import parse as parse_yaml
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

# What moto creates from a template, and what a user works with: the rest is left out of an uploaded template.
KEPT = ("AWS::DynamoDB::Table", "AWS::ECR::Repository", "AWS::KMS::Key", "AWS::S3::Bucket", "AWS::SNS::Topic")
KEPT_PROPERTIES = {
    "AWS::KMS::Key": ("Description", "KeyPolicy", "EnableKeyRotation"),
    "AWS::S3::Bucket": ("VersioningConfiguration",),
}
MANAGED = "aws-sam-cli-managed-default"  # the stack that `sam deploy` creates once in an account, for its bucket
MANAGED_TEMPLATE = {
    "Metadata": {"SamCliInfo": "1.170.0"},
    "Resources": {"SamCliSourceBucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "sam-artifacts"}}},
    "Outputs": {"SourceBucket": {"Value": "sam-artifacts"}},
}


class Templates:
    """Passes requests on; of a template that is uploaded, only the part that moto can create."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].endswith(".template"):
            body = part(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode()).encode()
            environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return self._application(environ, start_response)


def part(text: str) -> str:
    """Return a template with the kept resources, and all parameters and conditions."""
    template = parse_yaml(text)
    resources = {name: reduced(each) for name, each in template["Resources"].items() if each["Type"] in KEPT}
    kept = {name: template[name] for name in ("AWSTemplateFormatVersion", "Parameters", "Conditions")}
    return json.dumps({**kept, "Resources": resources})


def reduced(resource: dict[str, Any]) -> dict[str, Any]:
    names = KEPT_PROPERTIES.get(resource["Type"], resource.get("Properties", {}))
    properties = {name: value for name, value in resource.get("Properties", {}).items() if name in names}
    reduced = {**resource, "Properties": properties}
    reduced.pop("DependsOn", None)
    return reduced


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: Any) -> None:
        pass


@contextmanager
def account() -> Iterator[dict[str, str]]:
    """Serve an account in which `sam deploy` was used before; yield the environment variables for its clients."""
    server = make_server(
        "127.0.0.1",
        0,
        Templates(DomainDispatcherApplication(create_backend_app)),
        threaded=True,
        request_handler=_Quiet,
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    # `localhost`: moto reads templates from URLs of this host
    variables = {
        "AWS_ENDPOINT_URL": f"http://localhost:{server.server_port}",
        **AccessKey.create("test").variables(),
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    try:
        client(variables, "cloudformation").create_stack(
            StackName=MANAGED,
            Tags=[{"Key": "ManagedStackSource", "Value": "AwsSamCli"}],
            TemplateBody=json.dumps(MANAGED_TEMPLATE),
        )
        yield variables
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client(variables: dict[str, str], service: str) -> Any:
    """Return a client for the account."""
    create: Any = boto3.client
    return create(
        service,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
