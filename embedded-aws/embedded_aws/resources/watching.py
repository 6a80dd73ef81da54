"""Log groups and roles. A role is only a name here: no policy is enforced."""

import json

from embedded_aws import place
from embedded_aws.requests_of import request
from embedded_aws.stack import Asked, Made


def log_group(asked: Asked) -> Made:
    name, logs = asked.name("LogGroupName", 512), place.client("logs")
    logs.create_log_group(logGroupName=name)
    if days := asked.properties.get("RetentionInDays"):
        logs.put_retention_policy(
            **request("logs", "PutRetentionPolicy", {"logGroupName": name, "retentionInDays": days})
        )
    return Made(name, {"Arn": f"arn:{place.PARTITION}:logs:{place.REGION}:{place.ACCOUNT}:log-group:{name}:*"})


def role(asked: Asked) -> Made:
    made = place.client("iam").create_role(
        RoleName=asked.name("RoleName"),
        Path=asked.properties.get("Path", "/"),
        AssumeRolePolicyDocument=json.dumps(asked.properties["AssumeRolePolicyDocument"]),
    )["Role"]
    return Made(made["RoleName"], {"Arn": made["Arn"], "RoleId": made["RoleId"]})
