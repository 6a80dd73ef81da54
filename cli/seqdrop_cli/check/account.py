"""Check what the account must have: vCPU quotas and confirmed subscriptions."""

from __future__ import annotations

from collections.abc import Iterator

from seqdrop.plan.steps import PREPARE, STEPS

from seqdrop_cli.check import compute
from seqdrop_cli.check.finding import Finding, Status
from seqdrop_cli.stack import Stack

# Quota of the vCPUs of standard instances, and the type of the compute environments that use it.
QUOTAS = {"on-demand": ("L-1216C47A", "EC2"), "Spot": ("L-34B43A08", "SPOT")}
TOPICS = {"RunTopic": ("NotificationEmail",), "AlarmTopic": ("AlarmEmail", "NotificationEmail")}


def check_quotas(stack: Stack) -> Iterator[Finding]:
    """Compare the vCPU quotas of the account with the largest job and with the share of MaxVcpus that each is for."""
    if stack.is_embedded:
        yield Finding("vCPU quotas", Status.skipped, "this machine has no quotas")
        return
    sizes = {step.name: int(stack.parameters[f"{step.name.title()}Vcpus"]) for step in (*STEPS, PREPARE)}
    largest = max(sizes, key=lambda name: sizes[name])
    vcpus = compute.max_vcpus(stack)
    for kind, (code, environment) in QUOTAS.items():
        maximum = vcpus[environment]
        if not maximum:
            yield Finding(f"vCPU quota, {kind}", Status.skipped, "no compute environment uses it")
            continue
        quota = stack.client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=code)
        value = int(quota["Quota"]["Value"])
        yield _compare(kind, code, value, f"the job {largest}", sizes[largest], maximum)


def _compare(kind: str, code: str, value: int, largest: str, needed: int, maximum: int) -> Finding:
    name, request = f"vCPU quota, {kind}", f"aws service-quotas request-service-quota-increase --quota-code {code}"
    ask = f"`{request} --service-code ec2 --desired-value {maximum}`"
    if value < needed:
        return Finding(name, Status.failed, f"{value}, but {largest} needs {needed}: it would wait for ever", ask)
    if value < maximum:
        return Finding(name, Status.warning, f"{value} of the {maximum} vCPUs of the stack: fewer jobs at a time", ask)
    return Finding(name, Status.ok, f"{value}, the stack uses at most {maximum}")


def check_subscriptions(stack: Stack) -> Iterator[Finding]:
    """Check that the subscriptions of both topics are confirmed: nothing is sent before."""
    for topic, parameters in TOPICS.items():
        pages = stack.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=stack[topic])
        # for three days, SNS lists one that was deleted before it was confirmed
        found = [one for page in pages for one in page["Subscriptions"] if one["SubscriptionArn"] != "Deleted"]
        pending = [one["Endpoint"] for one in found if not one["SubscriptionArn"].startswith("arn:")]
        wanted = any(stack.parameters.get(name) for name in parameters)
        yield _describe_topic(f"subscription, {topic}", parameters, len(found), pending, wanted=wanted)


def _describe_topic(
    name: str, parameters: tuple[str, ...], number: int, pending: list[str], *, wanted: bool
) -> Finding:
    if pending:
        what = "Open the link in the mail of AWS; it expires after three days, then deploy the address again."
        return Finding(name, Status.failed, f"not confirmed: {', '.join(pending)}", what)
    if not number and wanted:
        what = "The subscription was deleted: remove the address, deploy, set it again and deploy."
        return Finding(name, Status.failed, "the address has no subscription", what)
    if not number:
        what = f"Set {' or '.join(parameters)} for messages by mail."
        return Finding(name, Status.warning, "no messages are sent: there is no subscription", what)
    return Finding(name, Status.ok, f"{number} confirmed")
