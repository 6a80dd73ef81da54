"""`python -m embedded_aws.invoke FUNCTION EVENT`: `sam local invoke` of a function of the stack that is up.

sam resolves no resource of a stack that is not deployed to AWS, and passes no AWS_ENDPOINT_URL on. So it is given the
built template with the environment that the embedded AWS gave each function, and that address.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
from samtranslator.yaml_helper import yaml_parse

BUILT = Path(".aws-sam/build/template.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(prog="embedded_aws.invoke", description=__doc__)
    parser.add_argument("function", help="logical id, such as StartRunFunction")
    parser.add_argument("event", type=Path)
    parser.add_argument("--state", type=Path, default=Path(".seqdrop/seqdrop.json"))
    args = parser.parse_args()
    if not args.state.exists():
        sys.exit("Nothing is up here: `seqdrop up` starts the embedded AWS.")
    state = json.loads(args.state.read_text())
    template = BUILT.with_name("invoke.json")
    template.write_text(json.dumps(resolved(yaml_parse(BUILT.read_text()), state)))
    sam = str(Path(sys.executable).with_name("sam"))
    options = ["--template", str(template), "--event", str(args.event), "--skip-pull-image"]
    options += ["--add-host", "host.docker.internal:host-gateway"]
    sys.exit(
        subprocess.run(
            [sam, "local", "invoke", args.function, *options], env=environment(state), check=False
        ).returncode
    )


def resolved(template: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """The template with every function's environment as values; the rest as it is."""
    session: dict[str, Any] = {
        "endpoint_url": state["endpoint"],
        "region_name": state["region"],
        "aws_access_key_id": "local",
        "aws_secret_access_key": "local",  # pragma: allowlist secret: the embedded AWS takes any
    }
    client: Any = boto3.client("lambda", **session)
    cloudformation: Any = boto3.client("cloudformation", **session)
    found = cloudformation.describe_stack_resources(StackName=state["stack"])["StackResources"]
    names = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        given = client.get_function_configuration(FunctionName=names[logical_id])["Environment"]["Variables"]
        resource["Properties"]["Environment"] = {
            "Variables": {**given, "AWS_ENDPOINT_URL": seen_from_a_container(state)}
        }
    return template


def seen_from_a_container(state: dict[str, Any]) -> str:
    """With `--executor docker` the server listens on Docker's bridge too."""
    return f"http://host.docker.internal:{state['port']}"


def environment(state: dict[str, Any]) -> dict[str, str]:
    credentials = {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",  # pragma: allowlist secret: the embedded AWS takes any
        "AWS_DEFAULT_REGION": state["region"],
    }
    return {**os.environ, **credentials, "SAM_CLI_TELEMETRY": "0"}


if __name__ == "__main__":
    main()
