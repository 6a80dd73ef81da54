"""State machines from their definition files, with versions and aliases."""

import json
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from embedded_aws import place
from embedded_aws.requests_of import request
from embedded_aws.stack import Asked, Made


def machine(asked: Asked) -> Made:
    properties = asked.properties
    made = place.client("stepfunctions").create_state_machine(
        name=asked.name("StateMachineName", 80),
        definition=_definition(asked),
        roleArn=properties["RoleArn"],
        type=properties.get("StateMachineType", "STANDARD"),
    )
    arn = made["stateMachineArn"]
    return Made(arn, {"Arn": arn, "Name": arn.rpartition(":")[2], "StateMachineRevisionId": "INITIAL"})


def _definition(asked: Asked) -> str:
    properties = asked.properties
    if "DefinitionS3Location" in properties:
        path = asked.source(properties["DefinitionS3Location"]["Key"])
        text = path.read_text() if path.suffix == ".json" else json.dumps(yaml_parse(path.read_text()))
    else:
        text = properties.get("DefinitionString") or json.dumps(properties["Definition"])
    for name, value in properties.get("DefinitionSubstitutions", {}).items():
        text = text.replace(f"${{{name}}}", str(value))
    return text


def version(asked: Asked) -> Made:
    """By update: PublishStateMachineVersion is not in moto."""
    states, arn = place.client("stepfunctions"), asked.properties["StateMachineArn"]
    definition = states.describe_state_machine(stateMachineArn=arn)["definition"]
    made = states.update_state_machine(stateMachineArn=arn, definition=definition, publish=True)
    version_arn = made["stateMachineVersionArn"]
    return Made(version_arn, {"Arn": version_arn})


def alias(asked: Asked) -> Made:
    properties = asked.properties
    wanted = {"name": asked.name("Name"), "routingConfiguration": _routing(properties)}
    made = place.client("stepfunctions").create_state_machine_alias(
        **request("stepfunctions", "CreateStateMachineAlias", wanted)
    )
    return Made(made["stateMachineAliasArn"], {"Arn": made["stateMachineAliasArn"]})


def _routing(properties: dict[str, Any]) -> list[dict[str, Any]]:
    if "RoutingConfiguration" in properties:
        return list(properties["RoutingConfiguration"])
    preference = properties["DeploymentPreference"]  # what SAM's AutoPublishAlias writes
    return [{"StateMachineVersionArn": preference["StateMachineVersionArn"], "Weight": 100}]
