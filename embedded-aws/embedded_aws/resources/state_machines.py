"""State machines from their definition files, with versions and aliases."""

import json
from typing import Any

from embedded_aws import aws
from embedded_aws.api_requests import request
from embedded_aws.stack import CreatedResource, ResourceSpec
from embedded_aws.template import parse as parse_yaml


def machine(spec: ResourceSpec) -> CreatedResource:
    """Create a state machine."""
    properties = spec.properties
    response = aws.client("stepfunctions").create_state_machine(
        name=spec.name("StateMachineName", 80),
        definition=_definition(spec),
        roleArn=properties["RoleArn"],
        type=properties.get("StateMachineType", "STANDARD"),
    )
    arn = response["stateMachineArn"]
    return CreatedResource(arn, {"Arn": arn, "Name": arn.rpartition(":")[2], "StateMachineRevisionId": "INITIAL"})


def _definition(spec: ResourceSpec) -> str:
    properties = spec.properties
    if "DefinitionS3Location" in properties:
        path = spec.source(properties["DefinitionS3Location"]["Key"])
        text = path.read_text() if path.suffix == ".json" else json.dumps(parse_yaml(path.read_text()))
    else:
        text = properties.get("DefinitionString") or json.dumps(properties["Definition"])
    for name, value in properties.get("DefinitionSubstitutions", {}).items():
        text = text.replace(f"${{{name}}}", str(value))
    return text


def version(spec: ResourceSpec) -> CreatedResource:
    """Publish a version by an update: moto has no PublishStateMachineVersion."""
    states, arn = aws.client("stepfunctions"), spec.properties["StateMachineArn"]
    definition = states.describe_state_machine(stateMachineArn=arn)["definition"]
    response = states.update_state_machine(stateMachineArn=arn, definition=definition, publish=True)
    version_arn = response["stateMachineVersionArn"]
    return CreatedResource(version_arn, {"Arn": version_arn})


def alias(spec: ResourceSpec) -> CreatedResource:
    """Create an alias."""
    properties = spec.properties
    parameters = {"name": spec.name("Name"), "routingConfiguration": _routing(properties)}
    response = aws.client("stepfunctions").create_state_machine_alias(
        **request("stepfunctions", "CreateStateMachineAlias", parameters)
    )
    return CreatedResource(response["stateMachineAliasArn"], {"Arn": response["stateMachineAliasArn"]})


def _routing(properties: dict[str, Any]) -> list[dict[str, Any]]:
    if "RoutingConfiguration" in properties:
        return list(properties["RoutingConfiguration"])
    preference = properties["DeploymentPreference"]  # SAM's AutoPublishAlias writes it
    return [{"StateMachineVersionArn": preference["StateMachineVersionArn"], "Weight": 100}]
