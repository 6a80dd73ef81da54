"""Functions and layers from their built folders, with versions, aliases, permissions and failure destinations."""

import io
import zipfile
from pathlib import Path

from embedded_aws import aws
from embedded_aws.api_requests import request
from embedded_aws.stack import CreatedResource, ResourceSpec


def function(spec: ResourceSpec) -> CreatedResource:
    """Create a function from its built folder or its inline code."""
    properties = {**spec.properties, "FunctionName": spec.name("FunctionName")}
    code = properties.pop("Code")
    properties.pop("Tags", None)  # a list in CloudFormation, a map in the API; not used
    parameters = request("lambda", "CreateFunction", properties)
    source = {"ZipFile": _zip_folder(spec.source(code["S3Key"]))} if "S3Key" in code else {"ZipFile": _zip_text(code)}
    response = aws.client("lambda").create_function(**parameters, Code=source)
    return CreatedResource(response["FunctionName"], {"Arn": response["FunctionArn"]})


def layer(spec: ResourceSpec) -> CreatedResource:
    """Publish a layer from its built folder."""
    response = aws.client("lambda").publish_layer_version(
        LayerName=spec.name("LayerName"),
        Content={"ZipFile": _zip_folder(spec.source(spec.properties["Content"]["S3Key"]))},
        CompatibleRuntimes=spec.properties.get("CompatibleRuntimes", []),
    )
    return CreatedResource(response["LayerVersionArn"], {"LayerVersionArn": response["LayerVersionArn"]})


def version(spec: ResourceSpec) -> CreatedResource:
    """Publish a version; its Ref is the ARN with the version."""
    response = aws.client("lambda").publish_version(FunctionName=spec.properties["FunctionName"])
    arn = f"{response['FunctionArn'].removesuffix(':' + response['Version'])}:{response['Version']}"
    return CreatedResource(arn, {"Version": response["Version"], "FunctionArn": arn})


def alias(spec: ResourceSpec) -> CreatedResource:
    """Create an alias; its Ref is the ARN with the alias."""
    response = aws.client("lambda").create_alias(**request("lambda", "CreateAlias", spec.properties))
    return CreatedResource(response["AliasArn"], {"AliasArn": response["AliasArn"]})


def permission(spec: ResourceSpec) -> CreatedResource:
    """Add a permission to the policy of a function."""
    parameters = request("lambda", "AddPermission", {**spec.properties, "StatementId": spec.logical_id})
    aws.client("lambda").add_permission(**parameters)
    return CreatedResource(spec.logical_id)


def event_invoke_config(spec: ResourceSpec) -> CreatedResource:
    """Configure asynchronous invocation."""
    parameters = request("lambda", "PutFunctionEventInvokeConfig", spec.properties)
    parameters.pop("Qualifier", None)  # moto has one configuration for each function
    aws.client("lambda").put_function_event_invoke_config(**parameters)
    return CreatedResource(spec.logical_id)


def event_source_mapping(spec: ResourceSpec) -> CreatedResource:
    """Let a function process the messages of a queue."""
    parameters = request("lambda", "CreateEventSourceMapping", spec.properties)
    parameters.pop("Tags", None)  # a list in CloudFormation, a map in the API; not used
    response = aws.client("lambda").create_event_source_mapping(**parameters)
    return CreatedResource(response["UUID"], {"Id": response["UUID"]})


def _zip_folder(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def _zip_text(code: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", code["ZipFile"])
    return buffer.getvalue()
