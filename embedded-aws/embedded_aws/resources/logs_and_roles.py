"""Log groups, and roles with the policies that are enforced for functions and jobs."""

import json

from embedded_aws import aws
from embedded_aws.api_requests import request
from embedded_aws.rights import roles
from embedded_aws.stack import CreatedResource, ResourceSpec


def log_group(spec: ResourceSpec) -> CreatedResource:
    """Create a log group."""
    name, logs = spec.name("LogGroupName", 512), aws.client("logs")
    logs.create_log_group(logGroupName=name)
    if days := spec.properties.get("RetentionInDays"):
        logs.put_retention_policy(
            **request("logs", "PutRetentionPolicy", {"logGroupName": name, "retentionInDays": days})
        )
    return CreatedResource(name, {"Arn": f"arn:{aws.PARTITION}:logs:{aws.REGION}:{aws.ACCOUNT}:log-group:{name}:*"})


def role(spec: ResourceSpec) -> CreatedResource:
    """Create a role."""
    response = aws.client("iam").create_role(
        RoleName=spec.name("RoleName"),
        Path=spec.properties.get("Path", "/"),
        AssumeRolePolicyDocument=json.dumps(spec.properties["AssumeRolePolicyDocument"]),
    )["Role"]
    policies = [policy["PolicyDocument"] for policy in spec.properties.get("Policies", [])]
    roles().add(response["Arn"], spec.logical_id, policies, spec.properties.get("ManagedPolicyArns", []))
    return CreatedResource(response["RoleName"], {"Arn": response["Arn"], "RoleId": response["RoleId"]})
