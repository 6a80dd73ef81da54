"""Event buses, and rules with their targets."""

import json

from embedded_aws import aws
from embedded_aws.api_requests import request
from embedded_aws.stack import CreatedResource, ResourceSpec


def bus(spec: ResourceSpec) -> CreatedResource:
    """Create an event bus."""
    name = spec.name("Name", 256)
    arn = aws.client("events").create_event_bus(Name=name)["EventBusArn"]
    return CreatedResource(name, {"Arn": arn, "Name": name})


def rule(spec: ResourceSpec) -> CreatedResource:
    """Create a rule and its targets."""
    events, name, properties = aws.client("events"), spec.name("Name"), dict(spec.properties)
    targets = properties.pop("Targets", [])
    if "EventPattern" in properties:
        properties["EventPattern"] = json.dumps(properties["EventPattern"])
    arn = events.put_rule(**request("events", "PutRule", {**properties, "Name": name}))["RuleArn"]
    if targets:
        parameters = {"Rule": name, "EventBusName": properties.get("EventBusName", "default"), "Targets": targets}
        events.put_targets(**request("events", "PutTargets", parameters))
    return CreatedResource(name, {"Arn": arn})
