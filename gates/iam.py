"""Check the permissions: every resolved policy of the template, with cloudsplaining and our own rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from cloudsplaining.scan.assume_role_policy_document import AssumeRolePolicyDocument
from cloudsplaining.scan.policy_document import PolicyDocument
from policy_sentry.querying.actions import get_action_data

from .finding import Finding, LocatedProblem, Problem
from .template import HERE, Stack, Template, as_list, check_stacks

GATE = "iam"
# Resource "*" is accepted for actions without resource types in IAM's own tables. Accepted risks beyond those:
ACCEPTED_RISKS = {
    "logs:PutResourcePolicy": "log delivery of a state machine needs it, and it has no resource-level permission",
}
# AWS managed policies, attached by name: their content is not ours to change.
ACCEPTED_MANAGED_POLICIES = {
    "AWSLambdaBasicExecutionRole": "a function writes its log",
    "AWSXrayWriteOnlyAccess": "a function writes its traces",
    "AmazonEC2ContainerServiceforEC2Role": "an instance registers with ECS, pulls images and writes logs",
}
# Service principals that send aws:SourceAccount when they assume a role; lambda and ec2 do not send it.
SERVICES_SENDING_SOURCE_ACCOUNT = {
    "states",
    "ecs-tasks",
    "events",
    "scheduler",
    "batch",
    "pipes",
    "firehose",
    "vpc-flow-logs",
}
# EventBridge sends no aws:SourceAccount to KMS when it writes to an encrypted queue: a condition would lose the event.
NO_CONDITION_ON_KEYS = "events.amazonaws.com"
SERVICES_SENDING_SOURCE_ARN = {"states", "ecs-tasks", "vpc-flow-logs"}  # as their documents say
ACCOUNT_OPERATORS = ("StringEquals", "StringLike", "ArnLike", "ArnEquals")
ESCALATION_RULES = {
    "allows_privilege_escalation": "privilege-escalation",
    "allows_data_exfiltration_actions": "data-exfiltration",
    "permissions_management_without_constraints": "resource-exposure",
    "credentials_exposure": "credentials-exposure",
    "service_wildcard": "service-wildcard",
    "contains_statement_using_not_action": "not-action",
}
RESOURCE_POLICY_PROPERTIES = {
    "AWS::ECR::Repository": "RepositoryPolicyText",
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
}
OTHER_INPUTS = "InputBucketArns"  # the parameter with buckets that a user allows to read
DELETING_ACTIONS = ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:DeleteBucket")
ADD_ACCOUNT_CONDITION = "add a condition on aws:SourceAccount or aws:SourceArn"
OTHER_ACCOUNT = "belongs to another account; allow principals of this account only"


@dataclass(frozen=True)
class Policy:
    """An identity policy: the permissions of one role."""

    role: str
    name: str
    document: dict[str, Any]


def check(template: Template) -> list[Finding]:
    """Return the findings in every deployment of the template."""
    return check_stacks(template, GATE, check_stack)


def check_stack(stack: Stack) -> Iterator[LocatedProblem]:
    """Check every role, identity policy, resource policy and function permission of one deployment."""
    account = stack.ref("AWS::AccountId")
    yield from check_identity_policies(stack)
    for role, properties in stack.of_type("AWS::IAM::Role"):
        yield from check_trust_policy(role, properties, account)
        for arn in properties.get("ManagedPolicyArns", []):
            if arn.rpartition("/")[2] not in ACCEPTED_MANAGED_POLICIES:
                yield (
                    "managed-policy",
                    role,
                    f"attaches {arn}, which may allow too much; write an inline policy instead",
                )
    for resource_type, policy_property in RESOURCE_POLICY_PROPERTIES.items():
        for name, properties in stack.of_type(resource_type):
            document = properties.get(policy_property, {})
            yield from check_resource_policy(name, document, account, is_key=resource_type == "AWS::KMS::Key")
    for name, properties in stack.of_type("AWS::Lambda::Permission"):
        if not {"SourceArn", "SourceAccount"} & set(properties):
            principal = properties.get("Principal")
            yield "confused-deputy", name, f"{principal} may call for any account; set SourceArn or SourceAccount"


def check_identity_policies(stack: Stack) -> Iterator[LocatedProblem]:
    """Check the permissions of each role."""
    buckets = dict(stack.of_type("AWS::S3::Bucket"))
    others = stack.ref(OTHER_INPUTS)
    bucket_arns = [*map(stack.arn, buckets), *others]
    input_arns = [stack.arn(name) for name, bucket in buckets.items() if "NotificationConfiguration" in bucket] + others
    for policy in identity_policies(stack):
        statements = check_statements(policy, bucket_arns, input_arns)
        for rule, message in [*run_cloudsplaining(policy), *statements, *check_place(policy, stack)]:
            yield rule, f"{policy.role}.{policy.name}", message


def identity_policies(stack: Stack) -> Iterator[Policy]:
    """Yield every policy of a role, inline or as a resource of its own."""
    for role, properties in stack.of_type("AWS::IAM::Role"):
        for inline in properties.get("Policies", []):
            yield Policy(role, inline["PolicyName"], inline["PolicyDocument"])
    for resource_type in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"):
        for name, properties in stack.of_type(resource_type):
            yield Policy(name, properties.get("PolicyName", "policy"), properties["PolicyDocument"])


def run_cloudsplaining(policy: Policy) -> Iterator[Problem]:
    """Yield the risks that cloudsplaining rates as high or medium."""
    document = PolicyDocument(policy.document)
    for attribute, rule in ESCALATION_RULES.items():
        for risk in getattr(document, attribute):
            if str(risk) not in ACCEPTED_RISKS:
                description = risk["type"] if isinstance(risk, dict) and "type" in risk else str(risk)
                yield rule, f"cloudsplaining reports {description}; remove the action or name its resources"


def check_place(policy: Policy, stack: Stack) -> Iterator[Problem]:
    """Check that a policy names the partition, region, account and name of its own stack, and no fixed ones."""
    for statement in as_list(policy.document.get("Statement")):
        for resource in as_list(statement.get("Resource")):
            if resource.startswith("arn:") and not is_in_place(resource, stack):
                yield "fixed-place", f"names {resource}, wherever the stack is; use pseudo parameters in its ARN"


def is_in_place(arn: str, stack: Stack) -> bool:
    """Return whether an ARN has the partition of a stack and, if it names them, its region, account and name."""
    _, partition, _, region, account, name = arn.split(":", 5)
    words = {"Partition": partition, "Region": region, "AccountId": account}
    own_name = stack.ref("AWS::StackName") == HERE["AWS::StackName"] or HERE["AWS::StackName"] not in name
    return own_name and all(word in ("", stack.ref(f"AWS::{key}")) for key, word in words.items())


def check_statements(policy: Policy, bucket_arns: list[str], input_arns: list[str]) -> Iterator[Problem]:
    """Check each statement of a policy that allows something."""
    for statement in as_list(policy.document.get("Statement")):
        if statement.get("Effect") == "Allow":
            yield from check_allow_statement(statement, bucket_arns, input_arns)


def check_allow_statement(
    statement: dict[str, Any], bucket_arns: list[str], input_arns: list[str]
) -> Iterator[Problem]:
    """Check the actions and resources of one statement."""
    actions, resources = as_list(statement.get("Action")), as_list(statement.get("Resource"))
    if "NotResource" in statement:
        yield "not-resource", "NotResource allows everything outside its list; use Resource instead"
    for action in actions:
        if action == "*" or action.endswith(":*"):
            yield "any-action", f"allows {action}; name the actions"
        if any(is_wildcard(resource) for resource in resources) and not lacks_resource_types(action):
            yield "any-resource", f"allows {action} on every resource; name the resources"
        if action in DELETING_ACTIONS:
            yield "deletes-data", f"allows {action}; remove it and let a lifecycle rule delete objects"
        if action.startswith("s3:"):
            yield from check_s3_resources(action, resources, bucket_arns, input_arns)
        if action == "iam:PassRole" and "Condition" not in statement:
            yield "pass-role", "passes a role to any service; add a condition on iam:PassedToService"


def check_s3_resources(
    action: str, resources: list[str], bucket_arns: list[str], input_arns: list[str]
) -> Iterator[Problem]:
    """Check that an S3 action reads buckets of the stack only, and writes named keys outside the input buckets."""
    for resource in resources:
        bucket, _, key = resource.partition("/")
        if bucket not in bucket_arns:
            yield "foreign-bucket", f"allows {action} on {resource}; name a bucket of this stack"
        elif action.startswith("s3:Put") and bucket in input_arns:
            yield "writes-input", f"allows {action} on {resource}, where a new object starts a run; remove it"
        elif action.startswith("s3:Put") and key == "*":
            yield "writes-anywhere", f"allows {action} on {resource}; name the key prefixes that the job writes"


def is_wildcard(resource: str) -> bool:
    """Return whether an ARN stands for every resource of a service, region or account."""
    return resource == "*" or (resource.startswith("arn:") and resource.split(":", 5)[-1] == "*")


@cache
def lacks_resource_types(action: str) -> bool:
    """Return whether IAM's tables list no resource type for an action, so that it needs Resource "*"."""
    service, _, name = action.partition(":")
    rows = (get_action_data(service, name) or {}).get(service, []) if "*" not in action else []
    return bool(rows) and all(row["resource_arn_format"] == "*" for row in rows)


def check_trust_policy(role: str, properties: dict[str, Any], account: str) -> Iterator[LocatedProblem]:
    """Check that a role is assumed by this account only, or by a service on its behalf."""
    document = properties.get("AssumeRolePolicyDocument", {})
    if AssumeRolePolicyDocument(document).role_assumable_by_any_principal:
        yield "open-trust", role, "any principal may assume the role; name the service or role"
    for statement in as_list(document.get("Statement")):
        for principal in principals(statement):
            service = principal.partition(".")[0]
            if not principal.endswith(".amazonaws.com"):
                if account not in principal:
                    yield "open-trust", role, f"{principal} {OTHER_ACCOUNT}"
            elif service in SERVICES_SENDING_SOURCE_ACCOUNT and not is_limited_to_account(statement, account):
                yield "trust-source", role, f"{principal} may assume it for any account; {ADD_ACCOUNT_CONDITION}"
            if service in SERVICES_SENDING_SOURCE_ARN and "aws:SourceArn" not in condition_keys(statement):
                yield "trust-arn", role, f"{principal} may assume it for any resource; add a condition on aws:SourceArn"


def check_resource_policy(
    name: str, document: dict[str, Any], account: str, *, is_key: bool
) -> Iterator[LocatedProblem]:
    """Check that a resource policy allows named principals of this account, and services on its behalf only."""
    for statement in as_list(document.get("Statement")):
        if statement.get("Effect") != "Allow":
            continue
        for principal in principals(statement):
            if is_key and principal == NO_CONDITION_ON_KEYS:
                if "Condition" in statement:
                    yield "key-of-events", name, f"{principal} meets no condition at KMS; remove the condition"
            elif principal == "*" and not is_limited_to_account(statement, account):
                yield "open-policy", name, "allows every principal; name the principals"
            elif principal.endswith(".amazonaws.com") and not is_limited_to_account(statement, account):
                yield "confused-deputy", name, f"{principal} may act for any account; {ADD_ACCOUNT_CONDITION}"
            elif principal.startswith("arn:") and account not in principal:
                yield "open-policy", name, f"{principal} {OTHER_ACCOUNT}"


def principals(statement: dict[str, Any]) -> list[str]:
    """Return every principal of a statement."""
    principal = statement.get("Principal", {})
    if isinstance(principal, str):
        return [principal]
    return [str(name) for group in principal.values() for name in as_list(group)]


def condition_keys(statement: dict[str, Any]) -> set[str]:
    """Return the keys of every condition of a statement."""
    return {key for tests in statement.get("Condition", {}).values() for key in tests}


def is_limited_to_account(statement: dict[str, Any], account: str) -> bool:
    """Return whether a condition limits callers to this account, by its number or by an ARN that contains it."""
    return any(
        account in str(value)
        for operator, tests in statement.get("Condition", {}).items()
        if operator in ACCOUNT_OPERATORS
        for values in tests.values()
        for value in as_list(values)
    )
