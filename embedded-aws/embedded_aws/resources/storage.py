"""Buckets with their notifications, and tables."""

from typing import Any

from embedded_aws import aws
from embedded_aws.api_requests import request
from embedded_aws.stack import CreatedResource, ResourceSpec

BUCKET_NAME_LIMIT = 63
NOTIFICATIONS = {  # CloudFormation's list: property with the ARN, the API's list, its member with the ARN
    "LambdaConfigurations": ("Function", "LambdaFunctionConfigurations", "LambdaFunctionArn"),
    "QueueConfigurations": ("Queue", "QueueConfigurations", "QueueArn"),
    "TopicConfigurations": ("Topic", "TopicConfigurations", "TopicArn"),
}


def bucket(spec: ResourceSpec) -> CreatedResource:
    """Create a bucket with its notifications."""
    name = spec.name("BucketName", BUCKET_NAME_LIMIT).lower()
    s3, properties = aws.client("s3"), spec.properties
    s3.create_bucket(Bucket=name)
    if versioning := properties.get("VersioningConfiguration"):
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    if notifications := _notifications(properties.get("NotificationConfiguration", {})):
        s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration=notifications)
    return CreatedResource(
        name,
        {
            "Arn": f"arn:{aws.PARTITION}:s3:::{name}",
            "DomainName": f"{name}.s3.amazonaws.com",
            "RegionalDomainName": f"{name}.s3.{aws.REGION}.amazonaws.com",
        },
    )


def _notifications(configuration: dict[str, Any]) -> dict[str, Any]:
    api: dict[str, Any] = {}
    bridge = configuration.get("EventBridgeConfiguration")
    if bridge is not None and str(bridge.get("EventBridgeEnabled", True)).lower() == "true":
        api["EventBridgeConfiguration"] = {}
    for cfn_list, (target, api_list, arn) in NOTIFICATIONS.items():
        for entry in configuration.get(cfn_list, []):
            api.setdefault(api_list, []).append({arn: entry[target], "Events": [entry["Event"]], **_filter(entry)})
    return api


def _filter(entry: dict[str, Any]) -> dict[str, Any]:
    return {"Filter": {"Key": {"FilterRules": entry["Filter"]["S3Key"]["Rules"]}}} if "Filter" in entry else {}


def table(spec: ResourceSpec) -> CreatedResource:
    """Create a table."""
    dynamodb, name = aws.client("dynamodb"), spec.name("TableName", 255)
    parameters = request("dynamodb", "CreateTable", {**spec.properties, "TableName": name})
    parameters.pop("Tags", None)
    response = dynamodb.create_table(**parameters)["TableDescription"]
    if expiry := spec.properties.get("TimeToLiveSpecification"):
        dynamodb.update_time_to_live(
            **request("dynamodb", "UpdateTimeToLive", {"TableName": name, "TimeToLiveSpecification": expiry})
        )
    return CreatedResource(name, {"Arn": response["TableArn"], "StreamArn": response.get("LatestStreamArn", "")})
