"""Check the rights that no run of the tests uses: those on the key, the log of a state machine and missing objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .finding import Finding, LocatedProblem
from .jobs import allowed_actions
from .template import Stack, Template, as_list, check_stacks

GATE = "rights"
# What an action on encrypted data needs of its key, as the documentation of each service says: SSE-KMS of S3 (an upload
# in parts reads its own parts), encryption at rest of DynamoDB, SNS and SQS.
KEY_ACTIONS = {
    "s3:GetObject": {"Decrypt"},
    "s3:PutObject": {"Decrypt", "GenerateDataKey"},
    "sns:Publish": {"Decrypt", "GenerateDataKey"},
    "sqs:SendMessage": {"Decrypt", "GenerateDataKey"},
    "dynamodb:PutItem": {"Decrypt", "Encrypt", "GenerateDataKey", "DescribeKey"},
}
# Actions of a state machine besides its tasks: "Logging using CloudWatch Logs" and "Trace data with X-Ray" of Step
# Functions. None of them has resource-level permissions.
MACHINE_ACTIONS = {
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
}
POLICY_VERSION = "2012-10-17"  # without it, IAM reads `${aws:...}` as plain text, and Batch and Lambda warn


def check(template: Template) -> list[Finding]:
    """Return the findings in every deployment of the template."""
    return check_stacks(template, GATE, check_stack)


def check_stack(stack: Stack) -> Iterator[LocatedProblem]:
    """Check every role of one deployment."""
    machine_roles = {properties.get("RoleArn") for _, properties in stack.of_type("AWS::StepFunctions::StateMachine")}
    keys = {stack.arn(name) for name, _ in stack.of_type("AWS::KMS::Key")} or {stack.ref("KmsKeyArn")}
    uses = {("kms:Decrypt", key) for key in as_list(stack.ref("InputKeyArns"))}
    for name, role in stack.of_type("AWS::IAM::Role"):
        allowed = list(allowed_actions(role))
        yield from check_key_use(name, [use for use in allowed if use not in uses], keys)
        if stack.arn(name) in machine_roles:
            yield from check_machine(name, allowed)
        yield from check_missing_objects(name, allowed)
        yield from check_statements(name, role)


OWN_EVENTS = {"StringEquals": {"events:source": "seqdrop"}}  # the source in runs/run_event.py


def check_missing_objects(name: str, allowed: list[tuple[str, str]]) -> Iterator[LocatedProblem]:
    """Check that a role may list the buckets that it reads, and no other: else S3 answers 403 for a missing object."""
    read = {resource.partition("/")[0] for action, resource in allowed if action == "s3:GetObject"}
    listed = {resource for action, resource in allowed if action == "s3:ListBucket"}
    for bucket in sorted(read - listed):
        yield "missing-objects", name, f"gets 403 instead of 404 for an object that {bucket} lacks; allow s3:ListBucket"
    for bucket in sorted(listed - read):
        yield "missing-objects", name, f"may list {bucket}, of which it reads no object; remove s3:ListBucket"


def check_key_use(name: str, allowed: list[tuple[str, str]], keys: set[str]) -> Iterator[LocatedProblem]:
    """Check that a role may do with the key what its other rights need, and nothing else."""
    actions = {action for action, _ in allowed}
    needed = {f"kms:{word}" for action in actions & set(KEY_ACTIONS) for word in KEY_ACTIONS[action]}
    used = {action for action in actions if action.startswith("kms:")}
    for action in sorted(needed - used):
        yield "key-use", name, f"lacks {action}, which its actions on encrypted data need; allow it on the key"
    for action in sorted(used - needed):
        yield "key-use", name, f"allows {action}, which none of its other actions needs; remove it"
    for action, resource in allowed:
        if action.startswith("kms:") and resource not in keys:
            yield "key-use", name, f"allows {action} on {resource}; name the key of the stack"


def check_machine(name: str, allowed: list[tuple[str, str]]) -> Iterator[LocatedProblem]:
    """Check that a state machine may write its log and its traces, and nothing else of these services."""
    present = {(action, resource) for action, resource in allowed if action.startswith(("logs:", "xray:"))}
    for action in sorted(MACHINE_ACTIONS - {action for action, resource in present if resource == "*"}):
        yield "machine-rights", name, f"lacks {action} on *, which its log or its traces need; allow it"
    for action, resource in sorted(present):
        if action not in MACHINE_ACTIONS:
            yield "machine-rights", name, f"allows {action} on {resource}, which no log or trace needs; remove it"


def check_statements(name: str, role: dict[str, Any]) -> Iterator[LocatedProblem]:
    """Check the form of each policy of a role: its version, and an effect and a list of actions in every statement."""
    for policy in role.get("Policies", []):
        document = policy["PolicyDocument"]
        if document.get("Version") != POLICY_VERSION and "OnFailure" not in policy["PolicyName"]:  # SAM writes none
            yield (
                "policy-version",
                name,
                f"the policy {policy['PolicyName']} has no Version; set it to {POLICY_VERSION}",
            )
        for statement in as_list(document.get("Statement")):
            if any("*" in action for action in as_list(statement.get("Action"))):
                yield "statement", name, f"{statement} has a pattern of actions; name them"
            if not (
                statement.get("Effect") in ("Allow", "Deny") and statement.get("Action") and statement.get("Resource")
            ):
                yield "statement", name, f"{statement} needs Effect, Action and Resource; add what is missing"
            if "events:PutEvents" in as_list(statement.get("Action")) and statement.get("Condition") != OWN_EVENTS:
                yield "event-source", name, f"{statement} is not for the events of this pipeline; set {OWN_EVENTS}"
