"""Topics, their subscriptions, and queues."""

import json
from typing import Any

from embedded_aws import place
from embedded_aws.stack import Asked, Made

QUEUE_ATTRIBUTES = (
    "ContentBasedDeduplication",
    "DelaySeconds",
    "FifoQueue",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "VisibilityTimeout",
)


def topic(asked: Asked) -> Made:
    arn = place.client("sns").create_topic(Name=asked.name("TopicName"))["TopicArn"]
    for entry in asked.properties.get("Subscription", []):
        _subscribe(arn, entry)
    return Made(arn, {"TopicArn": arn, "TopicName": arn.rpartition(":")[2]})


def subscription(asked: Asked) -> Made:
    return Made(_subscribe(asked.properties["TopicArn"], asked.properties))


def _subscribe(topic_arn: str, entry: dict[str, Any]) -> str:
    attributes = {}
    if policy := entry.get("FilterPolicy"):
        attributes["FilterPolicy"] = json.dumps(policy)
    if "RawMessageDelivery" in entry:
        attributes["RawMessageDelivery"] = str(entry["RawMessageDelivery"]).lower()
    made = place.client("sns").subscribe(
        TopicArn=topic_arn,
        Protocol=entry["Protocol"],
        Endpoint=entry.get("Endpoint", ""),
        Attributes=attributes,
        ReturnSubscriptionArn=True,
    )
    return str(made["SubscriptionArn"])


def queue(asked: Asked) -> Made:
    name = asked.name("QueueName", 80)
    given = {key: asked.properties[key] for key in QUEUE_ATTRIBUTES if key in asked.properties}
    attributes = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    url = place.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = f"arn:{place.PARTITION}:sqs:{place.REGION}:{place.ACCOUNT}:{name}"
    return Made(url, {"Arn": arn, "QueueName": name, "QueueUrl": url})
