"""Topics, their subscriptions, and queues."""

import json
from typing import Any

from embedded_aws import aws
from embedded_aws.stack import CreatedResource, ResourceSpec

QUEUE_ATTRIBUTES = (
    "ContentBasedDeduplication",
    "DelaySeconds",
    "FifoQueue",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "VisibilityTimeout",
)


def topic(spec: ResourceSpec) -> CreatedResource:
    """Create a topic and its subscriptions."""
    arn = aws.client("sns").create_topic(Name=spec.name("TopicName"))["TopicArn"]
    for entry in spec.properties.get("Subscription", []):
        _subscribe(arn, entry)
    return CreatedResource(arn, {"TopicArn": arn, "TopicName": arn.rpartition(":")[2]})


def subscription(spec: ResourceSpec) -> CreatedResource:
    """Create a subscription."""
    return CreatedResource(_subscribe(spec.properties["TopicArn"], spec.properties))


def _subscribe(topic_arn: str, entry: dict[str, Any]) -> str:
    attributes = {}
    if policy := entry.get("FilterPolicy"):
        attributes["FilterPolicy"] = json.dumps(policy)
    if "RawMessageDelivery" in entry:
        attributes["RawMessageDelivery"] = str(entry["RawMessageDelivery"]).lower()
    response = aws.client("sns").subscribe(
        TopicArn=topic_arn,
        Protocol=entry["Protocol"],
        Endpoint=entry.get("Endpoint", ""),
        Attributes=attributes,
        ReturnSubscriptionArn=True,
    )
    return str(response["SubscriptionArn"])


def queue(spec: ResourceSpec) -> CreatedResource:
    """Create a queue."""
    name = spec.name("QueueName", 80)
    properties = {key: spec.properties[key] for key in QUEUE_ATTRIBUTES if key in spec.properties}
    attributes = {key: value if isinstance(value, str) else json.dumps(value) for key, value in properties.items()}
    url = aws.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = f"arn:{aws.PARTITION}:sqs:{aws.REGION}:{aws.ACCOUNT}:{name}"
    return CreatedResource(url, {"Arn": arn, "QueueName": name, "QueueUrl": url})
