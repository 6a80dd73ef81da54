"""Buckets with their notifications, and tables."""

from typing import Any

from embedded_aws import place
from embedded_aws.requests_of import request
from embedded_aws.stack import Asked, Made

BUCKET_NAME_LIMIT = 63
NOTIFICATIONS = {  # CloudFormation's list, its ARN; the API's list, its ARN
    "LambdaConfigurations": ("Function", "LambdaFunctionConfigurations", "LambdaFunctionArn"),
    "QueueConfigurations": ("Queue", "QueueConfigurations", "QueueArn"),
    "TopicConfigurations": ("Topic", "TopicConfigurations", "TopicArn"),
}


def bucket(asked: Asked) -> Made:
    name = asked.name("BucketName", BUCKET_NAME_LIMIT).lower()
    s3, properties = place.client("s3"), asked.properties
    s3.create_bucket(Bucket=name)
    if versioning := properties.get("VersioningConfiguration"):
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    if notifications := _notifications(properties.get("NotificationConfiguration", {})):
        s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration=notifications)
    return Made(
        name,
        {
            "Arn": f"arn:{place.PARTITION}:s3:::{name}",
            "DomainName": f"{name}.s3.amazonaws.com",
            "RegionalDomainName": f"{name}.s3.{place.REGION}.amazonaws.com",
        },
    )


def _notifications(configuration: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    bridge = configuration.get("EventBridgeConfiguration")
    if bridge is not None and str(bridge.get("EventBridgeEnabled", True)).lower() == "true":
        found["EventBridgeConfiguration"] = {}
    for written, (target, listed, arn) in NOTIFICATIONS.items():
        for entry in configuration.get(written, []):
            found.setdefault(listed, []).append({arn: entry[target], "Events": [entry["Event"]], **_filter(entry)})
    return found


def _filter(entry: dict[str, Any]) -> dict[str, Any]:
    return {"Filter": {"Key": {"FilterRules": entry["Filter"]["S3Key"]["Rules"]}}} if "Filter" in entry else {}


def table(asked: Asked) -> Made:
    dynamodb, name = place.client("dynamodb"), asked.name("TableName", 255)
    wanted = request("dynamodb", "CreateTable", {**asked.properties, "TableName": name})
    wanted.pop("Tags", None)
    made = dynamodb.create_table(**wanted)["TableDescription"]
    if expiry := asked.properties.get("TimeToLiveSpecification"):
        dynamodb.update_time_to_live(
            **request("dynamodb", "UpdateTimeToLive", {"TableName": name, "TimeToLiveSpecification": expiry})
        )
    return Made(name, {"Arn": made["TableArn"], "StreamArn": made.get("LatestStreamArn", "")})
