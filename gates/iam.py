"""Permissions: every policy of the template, resolved, through cloudsplaining and our own rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from cloudsplaining.scan.assume_role_policy_document import AssumeRolePolicyDocument
from cloudsplaining.scan.policy_document import PolicyDocument
from policy_sentry.querying.actions import get_action_data

from .finding import Finding
from .template import ACCOUNT, Said, Stack, Template, judged, listed

GATE = "iam"
# Resource "*" is for actions that IAM's own tables give no resource type. The risks we know of:
KNOWN_RISKS = {
    "logs:PutResourcePolicy": "log delivery of a state machine asks for it, and it has no resource-level permission",
}
# Managed by AWS and attached by name; what they allow is not ours to write.
MANAGED = {
    "AWSLambdaBasicExecutionRole": "a function writes its log",
    "AWSXrayWriteOnlyAccess": "a function writes its traces",
    "AmazonEC2ContainerServiceforEC2Role": "an instance registers with ECS, pulls images and writes logs",
}
# Service principals that send aws:SourceAccount when they assume a role; lambda and ec2 send none.
SENDS_SOURCE = {"states", "ecs-tasks", "events", "scheduler", "batch", "pipes", "firehose"}
ACCOUNT_CONDITIONS = ("StringEquals", "StringLike", "ArnLike", "ArnEquals")
ESCALATION_RULES = {
    "allows_privilege_escalation": "privilege-escalation",
    "allows_data_exfiltration_actions": "data-exfiltration",
    "permissions_management_without_constraints": "resource-exposure",
    "credentials_exposure": "credentials-exposure",
    "service_wildcard": "service-wildcard",
    "contains_statement_using_not_action": "not-action",
}
POLICY_OF = {  # who may do what to a resource: its property
    "AWS::ECR::Repository": "RepositoryPolicyText",
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
}


@dataclass(frozen=True)
class Policy:
    """An identity policy: what a role may do."""

    role: str
    name: str
    document: dict[str, Any]


def check(template: Template) -> list[Finding]:
    return judged(template, GATE, judge)


def judge(stack: Stack) -> Said:
    yield from identities(stack)
    for role, properties in stack.of_type("AWS::IAM::Role"):
        yield from trust(role, properties)
        for arn in properties.get("ManagedPolicyArns", []):
            if arn.rpartition("/")[2] not in MANAGED:
                yield "managed-policy", role, f"{arn} is not among those that are known to be small"
    for kind, key in POLICY_OF.items():
        for name, properties in stack.of_type(kind):
            yield from resource_policy(name, properties.get(key, {}))
    for name, properties in stack.of_type("AWS::Lambda::Permission"):
        if not {"SourceArn", "SourceAccount"} & set(properties):
            yield "confused-deputy", name, f"{properties.get('Principal')} may call on anybody's behalf"


def identities(stack: Stack) -> Said:
    """What each role may do."""
    buckets = dict(stack.of_type("AWS::S3::Bucket"))
    ours = [stack.arn(name) for name in buckets]
    inputs = [stack.arn(name) for name, bucket in buckets.items() if "NotificationConfiguration" in bucket]
    for policy in policies(stack):
        for rule, message in [*splained(policy), *statements_of(policy, ours, inputs)]:
            yield rule, f"{policy.role}.{policy.name}", message


def policies(stack: Stack) -> Iterator[Policy]:
    for role, properties in stack.of_type("AWS::IAM::Role"):
        for inline in properties.get("Policies", []):
            yield Policy(role, inline["PolicyName"], inline["PolicyDocument"])
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"):
        for name, properties in stack.of_type(kind):
            yield Policy(name, properties.get("PolicyName", "policy"), properties["PolicyDocument"])


def splained(policy: Policy) -> Iterator[tuple[str, str]]:
    """What cloudsplaining calls high or medium risks."""
    document = PolicyDocument(policy.document)
    for attribute, rule in ESCALATION_RULES.items():
        for risk in getattr(document, attribute):
            if str(risk) not in KNOWN_RISKS:
                yield rule, risk["type"] if isinstance(risk, dict) and "type" in risk else str(risk)


def statements_of(policy: Policy, buckets: list[str], fastq: list[str]) -> Iterator[tuple[str, str]]:
    for statement in listed(policy.document.get("Statement")):
        if statement.get("Effect") != "Allow":
            continue
        actions, resources = listed(statement.get("Action")), listed(statement.get("Resource"))
        if "NotResource" in statement:
            yield "not-resource", "says what is not meant"
        for action in actions:
            if action == "*" or action.endswith(":*"):
                yield "any-action", f"{action}: an action is named"
            if any(bare(resource) for resource in resources) and not (without_resource(action)):
                yield "any-resource", f"{action} on everything"
            if action in ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:DeleteBucket"):
                yield "deletes-data", f"{action}: nothing here deletes; lifecycle rules do"
            if action.startswith("s3:"):
                yield from objects(action, resources, buckets, fastq)
            if action == "iam:PassRole" and "Condition" not in statement:
                yield "pass-role", "to whom is said by iam:PassedToService"


def objects(action: str, resources: list[str], buckets: list[str], fastq: list[str]) -> Iterator[tuple[str, str]]:
    for resource in resources:
        bucket, _, key = resource.partition("/")
        if bucket not in buckets:
            yield "foreign-bucket", f"{action} on {resource}, which is no bucket of this stack"
        elif action.startswith("s3:Put") and bucket in fastq:
            yield "writes-input", f"{action} on {resource}: what we write would start runs"
        elif action.startswith("s3:Put") and key == "*":
            yield "writes-anywhere", f"{action} on {resource}: a job writes its own keys only"


def bare(resource: str) -> bool:
    """All there is, or all of a service, a region or an account."""
    return resource == "*" or (resource.startswith("arn:") and resource.split(":", 5)[-1] == "*")


@cache
def without_resource(action: str) -> bool:
    """IAM's tables know no resource type for it."""
    service, _, name = action.partition(":")
    rows = (get_action_data(service, name) or {}).get(service, []) if "*" not in action else []
    return bool(rows) and all(row["resource_arn_format"] == "*" for row in rows)


def trust(role: str, properties: dict[str, Any]) -> Said:
    document = properties.get("AssumeRolePolicyDocument", {})
    if AssumeRolePolicyDocument(document).role_assumable_by_any_principal:
        yield "open-trust", role, "anybody may assume it"
    for statement in listed(document.get("Statement")):
        for principal in principals(statement):
            service = principal.partition(".")[0]
            if principal.endswith(".amazonaws.com") and service in SENDS_SOURCE and not of_this_account(statement):
                yield "trust-source", role, f"{principal} may assume it for any account: aws:SourceAccount is missing"
            elif not principal.endswith(".amazonaws.com") and ACCOUNT not in principal:
                yield "open-trust", role, f"{principal} is of another account"


def resource_policy(name: str, document: dict[str, Any]) -> Said:
    """What others may do to a resource: no one unnamed, and a service only on this account's behalf."""
    for statement in listed(document.get("Statement")):
        if statement.get("Effect") != "Allow":
            continue
        for principal in principals(statement):
            if principal == "*" and not of_this_account(statement):
                yield "open-policy", name, "anybody"
            elif principal.endswith(".amazonaws.com") and not of_this_account(statement):
                yield "confused-deputy", name, f"{principal} may act on anybody's behalf"
            elif principal.startswith("arn:") and ACCOUNT not in principal:
                yield "open-policy", name, f"{principal} is of another account"


def principals(statement: dict[str, Any]) -> list[str]:
    named = statement.get("Principal", {})
    if isinstance(named, str):
        return [named]
    return [str(principal) for group in named.values() for principal in listed(group)]


def of_this_account(statement: dict[str, Any]) -> bool:
    """A condition holds the caller to this account: by its number, or by an ARN with the number in it."""
    return any(
        ACCOUNT in str(value)
        for operator, tests in statement.get("Condition", {}).items()
        if operator in ACCOUNT_CONDITIONS
        for values in tests.values()
        for value in listed(values)
    )
