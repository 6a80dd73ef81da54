"""Functions and layers from their built folders, with versions, aliases, permissions and failure destinations."""

import io
import zipfile
from pathlib import Path

from embedded_aws import place
from embedded_aws.requests_of import request
from embedded_aws.stack import Asked, Made


def function(asked: Asked) -> Made:
    properties = {**asked.properties, "FunctionName": asked.name("FunctionName")}
    code = properties.pop("Code")
    properties.pop("Tags", None)  # a list here, a map in the API; nothing reads them
    wanted = request("lambda", "CreateFunction", properties)
    source = {"ZipFile": _packed(asked.source(code["S3Key"]))} if "S3Key" in code else {"ZipFile": _inline(code)}
    made = place.client("lambda").create_function(**wanted, Code=source)
    return Made(made["FunctionName"], {"Arn": made["FunctionArn"]})


def layer(asked: Asked) -> Made:
    made = place.client("lambda").publish_layer_version(
        LayerName=asked.name("LayerName"),
        Content={"ZipFile": _packed(asked.source(asked.properties["Content"]["S3Key"]))},
        CompatibleRuntimes=asked.properties.get("CompatibleRuntimes", []),
    )
    return Made(made["LayerVersionArn"], {"LayerVersionArn": made["LayerVersionArn"]})


def version(asked: Asked) -> Made:
    made = place.client("lambda").publish_version(FunctionName=asked.properties["FunctionName"])
    arn = f"{made['FunctionArn'].removesuffix(':' + made['Version'])}:{made['Version']}"
    return Made(arn, {"Version": made["Version"], "FunctionArn": arn})


def alias(asked: Asked) -> Made:
    made = place.client("lambda").create_alias(**request("lambda", "CreateAlias", asked.properties))
    return Made(made["AliasArn"], {"AliasArn": made["AliasArn"]})


def permission(asked: Asked) -> Made:
    wanted = request("lambda", "AddPermission", {**asked.properties, "StatementId": asked.logical_id})
    place.client("lambda").add_permission(**wanted)
    return Made(asked.logical_id)


def event_invoke_config(asked: Asked) -> Made:
    wanted = request("lambda", "PutFunctionEventInvokeConfig", asked.properties)
    wanted.pop("Qualifier", None)  # moto keeps one configuration a function
    place.client("lambda").put_function_event_invoke_config(**wanted)
    return Made(asked.logical_id)


def _packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def _inline(code: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", code["ZipFile"])
    return buffer.getvalue()
