"""A program `aws` for tests: like the AWS CLI, it turns a command into one call of boto3, at AWS_ENDPOINT_URL.

It knows the operations and parameters of botocore's models, so a misspelt option fails here as it would in a shell.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import boto3
import jmespath
from botocore import xform_name
from botocore.exceptions import ClientError, ParamValidationError

SERVICES = {"s3api": "s3"}
ERROR_EXIT, USAGE_EXIT = 254, 252


def main(words: list[str]) -> int:
    """Run one command and return the exit code of the AWS CLI."""
    if words[:2] == ["configure", "get"]:
        return 1  # no profile
    if words[:2] == ["ecr", "get-login-password"]:
        sys.stdout.write("password\n")
        return 0
    try:
        client, operation, request, settings = parse(words)
        answer = getattr(client, operation)(**request)
    except (KeyError, ParamValidationError) as error:
        return fail(f"Unknown options: {error}", USAGE_EXIT)
    except ClientError as error:
        return fail(str(error), ERROR_EXIT)
    answer.pop("ResponseMetadata", None)
    write(jmespath.search(settings.get("query", "@"), answer), settings.get("output", "json"))
    return 0


def parse(words: list[str]) -> tuple[Any, str, dict[str, Any], dict[str, str]]:
    """Return the client, the method, its parameters and the output settings of a command.

    Raise KeyError for an operation or an option that does not exist.
    """
    service, operation, *options = words
    client: Any = boto3.client(SERVICES.get(service, service))
    names = {xform_name(name, "-"): name for name in client.meta.service_model.operation_names}
    shape = client.meta.service_model.operation_model(names[operation]).input_shape
    settings: dict[str, str] = {}
    request = parse_options(options, shape, settings)
    return client, xform_name(names[operation]), request, settings


def fail(message: str, code: int) -> int:
    sys.stderr.write(f"aws: {message}\n")
    return code


def parse_options(words: list[str], shape: Any, settings: dict[str, str]) -> dict[str, Any]:
    """Return the parameters of a call; raise KeyError for an option that the operation does not have."""
    members = {xform_name(name, "-"): (name, member) for name, member in shape.members.items()}
    request: dict[str, Any] = {}
    while words:
        option = words.pop(0).removeprefix("--")
        if option in ("query", "output"):
            settings[option] = words.pop(0)
        elif option.removeprefix("no-") in members and members[option.removeprefix("no-")][1].type_name == "boolean":
            request[members[option.removeprefix("no-")][0]] = not option.startswith("no-")
        elif option != "no-paginate":
            name, member = members[option]
            values = [words.pop(0)]
            while words and not words[0].startswith("--"):
                values.append(words.pop(0))
            request[name] = convert(values, member)
    return request


def convert(values: list[str], member: Any) -> Any:
    """Return the value of an option: JSON (also in a file), `Name=value,...`, or a plain word."""
    text = Path(values[0].removeprefix("file://")).read_text() if values[0].startswith("file://") else values[0]
    if text.startswith(("{", "[")) and member.type_name != "string":
        return json.loads(text)
    if member.type_name == "list":
        return [convert([value], member.member) for value in values]
    if member.type_name == "structure":
        pairs = dict(pair.split("=") for pair in text.split(","))
        return {name: convert([value], member.members[name]) for name, value in pairs.items()}
    return int(text) if member.type_name in ("integer", "long") else text


def write(value: Any, output: str) -> None:
    """Print an answer as JSON, or as lines with tabs."""
    if output == "json":
        sys.stdout.write(json.dumps(value, indent=4, default=str) + "\n")
        return
    rows = value if isinstance(value, list) and value and isinstance(value[0], list) else [[value]]
    sys.stdout.writelines("\t".join(map(str, row)) + "\n" for row in rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
