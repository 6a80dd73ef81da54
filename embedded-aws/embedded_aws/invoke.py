"""`python -m embedded_aws.invoke FUNCTION EVENT --state FILE`: run `sam local invoke` against a running stack.

sam resolves resources of stacks on AWS only, and does not pass AWS_ENDPOINT_URL to the function. This command gives it
the built template with the environment that each function has in the embedded AWS, and with that address.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3

from embedded_aws.template import parse as parse_yaml

TEMPLATE = Path(".aws-sam/build/template.yaml")
INVOKE_TEMPLATE = "invoke.json"  # beside the built template, whose paths are relative


def main() -> None:
    """Exit with the code of `sam local invoke`."""
    args = parse_args()
    if not args.state.exists():
        sys.exit(f"{args.state} does not exist: `python -m embedded_aws` writes it when the stack is ready.")
    state = json.loads(args.state.read_text())
    function = physical_ids(state)[args.function]
    template = args.template.with_name(INVOKE_TEMPLATE)
    template.write_text(json.dumps(with_environment(parse_yaml(args.template.read_text()), state)))
    command = [str(Path(sys.executable).with_name("sam")), "local", "invoke", args.function]
    command += ["--template", str(template), "--event", str(args.event), "--skip-pull-image"]
    command += ["--add-host", "host.docker.internal:host-gateway"]
    sys.exit(subprocess.run(command, env=environment(state, function), check=False).returncode)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m embedded_aws.invoke", description=__doc__)
    parser.add_argument("function", help="logical id of the function in the template")
    parser.add_argument("event", type=Path, help="file with the event")
    parser.add_argument("--state", type=Path, required=True, metavar="FILE", help="state file of the running stack")
    parser.add_argument("--template", type=Path, default=TEMPLATE, help=f"the built template (default {TEMPLATE})")
    return parser.parse_args()


def with_environment(template: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Replace the environment of every function by the values it has in the running stack."""
    functions = client("lambda", state)
    names = physical_ids(state)
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function" or logical_id not in names:  # its condition is false
            continue
        configuration = functions.get_function_configuration(FunctionName=names[logical_id])
        variables = {**configuration["Environment"]["Variables"], "AWS_ENDPOINT_URL": container_endpoint(state)}
        resource["Properties"]["Environment"] = {"Variables": variables}
    return template


def physical_ids(state: dict[str, Any]) -> dict[str, str]:
    """Return the physical id of each resource, by logical id."""
    resources = client("cloudformation", state).describe_stack_resources(StackName=state["stack"])["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}


def client(service: str, state: dict[str, Any]) -> Any:
    """Create a client of the running embedded AWS."""
    options: dict[str, Any] = {
        "endpoint_url": state["endpoint"],
        "region_name": state["region"],
        "aws_access_key_id": state["access_key_id"],
        "aws_secret_access_key": state["secret_access_key"],
    }
    create: Any = boto3.client
    return create(service, **options)


def container_endpoint(state: dict[str, Any]) -> str:
    """Return the address of the server for a container: `--executor docker` makes it listen on Docker's bridge."""
    return f"http://host.docker.internal:{state['port']}"


def environment(state: dict[str, Any], function: str) -> dict[str, str]:
    """Return the environment of the sam command, which gives the function its credentials: those of its role."""
    role = client("lambda", state).get_function_configuration(FunctionName=function)["Role"]
    answer = client("sts", state).assume_role(RoleArn=role, RoleSessionName="local")["Credentials"]
    credentials = {
        "AWS_ACCESS_KEY_ID": answer["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": answer["SecretAccessKey"],
        "AWS_SESSION_TOKEN": answer["SessionToken"],
        "AWS_DEFAULT_REGION": state["region"],
        # sam asks STS for the account: without an answer it retries for ten seconds.
        "AWS_ENDPOINT_URL_STS": state["endpoint"],
    }
    return {**os.environ, **credentials, "SAM_CLI_TELEMETRY": "0"}


if __name__ == "__main__":
    main()
