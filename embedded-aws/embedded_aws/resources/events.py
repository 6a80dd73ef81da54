"""Event buses, and rules with their targets."""

import json

from embedded_aws import place
from embedded_aws.requests_of import request
from embedded_aws.stack import Asked, Made


def bus(asked: Asked) -> Made:
    name = asked.name("Name", 256)
    arn = place.client("events").create_event_bus(Name=name)["EventBusArn"]
    return Made(name, {"Arn": arn, "Name": name})


def rule(asked: Asked) -> Made:
    events, name, properties = place.client("events"), asked.name("Name"), dict(asked.properties)
    targets = properties.pop("Targets", [])
    if "EventPattern" in properties:
        properties["EventPattern"] = json.dumps(properties["EventPattern"])
    arn = events.put_rule(**request("events", "PutRule", {**properties, "Name": name}))["RuleArn"]
    if targets:
        where = {"Rule": name, "EventBusName": properties.get("EventBusName", "default"), "Targets": targets}
        events.put_targets(**request("events", "PutTargets", where))
    return Made(name, {"Arn": arn})
