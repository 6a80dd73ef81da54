"""What no checker sees of Batch: definitions, queues, compute environments, launch template, what `.sync` needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from .finding import Finding, unexcused
from .template import Said, Stack, Template, judged, listed

GATE = "jobs"
MOST_EXIT_RULES = 5  # Batch takes no more
LAST_EXIT_RULE = {"OnReason": "*", "Action": "EXIT"}
# Why Batch may leave a job in RUNNABLE, by its own words; one it is not told of can wait for ever.
STUCK = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
)
MANAGED_RULE = "rule/StepFunctionsGetEventsForBatchJobsRule"
SYNC = {  # action: what its resource must speak of
    "batch:SubmitJob": "job-definition",
    "batch:TerminateJob": "",
    "batch:DescribeJobs": "",
    "batch:TagResource": "job",
    "events:PutTargets": MANAGED_RULE,
    "events:PutRule": MANAGED_RULE,
    "events:DescribeRule": MANAGED_RULE,
}

Faults = Iterator[tuple[str, str]]  # rule, message


def check(template: Template) -> list[Finding]:
    rules = {"AWS::Batch::JobDefinition": definition_as_written, "AWS::EC2::LaunchTemplate": user_data}
    written = [
        Finding(GATE, rule, name, message)
        for name, resource in template.resources.items()
        if resource["Type"] in rules
        for rule, message in rules[resource["Type"]](resource)
    ]
    return judged(template, GATE, judge) + unexcused(written, template.resources)


def judge(stack: Stack) -> Said:
    rules = {
        "AWS::Batch::JobDefinition": definition,
        "AWS::Batch::JobQueue": queue,
        "AWS::Batch::ComputeEnvironment": environment,
        "AWS::EC2::LaunchTemplate": launch_template,
    }
    for kind, faults_of in rules.items():
        for name, properties in stack.of_type(kind):
            for rule, message in faults_of(properties):
                yield rule, name, message
    yield from sync_permissions(stack)


def definition_as_written(resource: dict[str, Any]) -> Faults:
    """What only the template's own words tell."""
    image = json.dumps(resource["Properties"].get("ContainerProperties", {}).get("Image", ""))
    tagged = re.search(r"/(\w+):\$\{(\w+)ImageTag\}", image)
    if not tagged or tagged[1].replace("_", "") != tagged[2].lower():
        yield "image-tag", f"its image {image} does not have the tag of its tool: <tool>:${{<Tool>ImageTag}}"
    if {resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")} != {"Retain"}:
        yield "revision-kept", "is deregistered by an update while runs still use it"


def user_data(resource: dict[str, Any]) -> Faults:
    if "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true" not in json.dumps(resource["Properties"]):
        yield "draining", "a Spot host would go without SIGTERM to its jobs"


def definition(properties: dict[str, Any]) -> Faults:
    container = properties.get("ContainerProperties", {})
    yield from confinement(container)
    image = str(container.get("Image"))
    if image.endswith(":latest") or not re.search(r":[\w.-]+$", image):
        yield "image-pinned", f"{image} moves"
    rules = properties.get("RetryStrategy", {}).get("EvaluateOnExit", [])
    if not rules or rules[-1] != LAST_EXIT_RULE:
        yield "exit-rules", f"the last is {LAST_EXIT_RULE}: without it Batch tries again what no rule names"
    if len(rules) > MOST_EXIT_RULES:
        yield "exit-rules", f"{len(rules)}: Batch takes {MOST_EXIT_RULES}"
    if LAST_EXIT_RULE in rules[:-1]:
        yield "exit-rules", "none after the one that matches all is ever read"
    if not properties.get("Timeout", {}).get("AttemptDurationSeconds"):
        yield "time-limit", "a job that hangs would be paid for until somebody looks"
    if properties.get("PropagateTags") is not True:
        yield "tags", "without PropagateTags the bill cannot be read by run"
    if not properties.get("ResourceRetentionPolicy", {}).get("SkipDeregisterOnUpdate"):
        yield "revision-kept", "is deregistered by an update while runs still use it"
    log = container.get("LogConfiguration", {})
    if log.get("LogDriver") != "awslogs" or not log.get("Options", {}).get("awslogs-group"):
        yield "log-group", "its log goes where nobody set a retention"


def confinement(container: dict[str, Any]) -> Faults:
    if not container.get("JobRoleArn"):
        yield "job-role", "without a role of its own it would have the instance's"
    if not re.match(r"[1-9]\d*(:\d+)?$", str(container.get("User", ""))):
        yield "non-root", f"User is {container.get('User')}"
    if container.get("ReadonlyRootFilesystem") is not True:
        yield "read-only", "its root file system can be written"
    linux = container.get("LinuxParameters", {})
    if linux.get("InitProcessEnabled") is not True:
        yield "init-process", "nobody would forward SIGTERM to the tool or reap its children"
    if container.get("Privileged") or linux.get("Devices"):
        yield "privileged", "the host is in its reach"
    for volume in container.get("Volumes", []):
        path = volume.get("Host", {}).get("SourcePath", "")
        if path != "/scratch":
            yield "host-path", f"{path or 'a host path'} of the instance: only /scratch is a job's"
    for variable in container.get("Environment", []):
        if re.search(r"SECRET|PASSWORD|TOKEN|ACCESS_KEY", str(variable.get("Name", "")), re.IGNORECASE):
            yield "secret", f"{variable['Name']} is readable by everybody who may describe the job"


def queue(properties: dict[str, Any]) -> Faults:
    actions = properties.get("JobStateTimeLimitActions", [])
    for reason in STUCK:
        if reason not in [action.get("Reason") for action in actions]:
            yield "stuck", f"a job waits for ever when {reason}"
    for action in actions:
        if (action.get("State"), action.get("Action")) not in (("RUNNABLE", "CANCEL"), ("RUNNABLE", "TERMINATE")):
            yield "stuck", f"{action} ends nothing that is stuck"
    if properties.get("State", "ENABLED") != "ENABLED":
        yield "enabled", "takes no job"


def environment(properties: dict[str, Any]) -> Faults:
    if properties.get("ReplaceComputeEnvironment") is not False:
        yield "in-place", "without ReplaceComputeEnvironment: false an update makes a new one beside the queues"
    if "ServiceRole" in properties:
        yield "in-place", "only with Batch's service-linked role can it be updated in place"
    compute = properties.get("ComputeResources", {})
    strategies = {"SPOT": "SPOT_PRICE_CAPACITY_OPTIMIZED", "EC2": "BEST_FIT_PROGRESSIVE"}
    if compute.get("AllocationStrategy") != strategies.get(compute.get("Type", "")):
        yield "allocation", f"{compute.get('Type')} wants {strategies.get(compute.get('Type', ''))}"
    if compute.get("MinvCpus") != 0:
        yield "idle", "instances would be paid for with no job there"
    if not compute.get("MaxvCpus"):
        yield "ceiling", "nothing bounds what it may cost"
    if not str(compute.get("LaunchTemplate", {}).get("Version", "")).endswith("LatestVersionNumber"):
        yield "launch-template", "a changed launch template would reach no instance"


def launch_template(properties: dict[str, Any]) -> Faults:
    data = properties.get("LaunchTemplateData", {})
    options = data.get("MetadataOptions", {})
    if options.get("HttpTokens") != "required":
        yield "imdsv2", "a request a tool is tricked into could read the instance's credentials"
    if options.get("HttpPutResponseHopLimit") != 1:
        yield "hop-limit", "a container could have the instance's role"
    for device in data.get("BlockDeviceMappings", []):
        if device.get("Ebs", {}).get("Encrypted") is not True:
            yield "encrypted-volumes", f"{device.get('DeviceName')} holds genomes in the clear"
    if "KeyName" in data:
        yield "no-login", "nobody logs in to an instance"


def sync_permissions(stack: Stack) -> Said:
    """Every role of a state machine may do what `.sync` does on its behalf, and on no more than that."""
    roles = {properties.get("RoleArn") for _, properties in stack.of_type("AWS::StepFunctions::StateMachine")}
    queues = [stack.arn(name) for name, _ in stack.of_type("AWS::Batch::JobQueue")]
    for name, properties in stack.of_type("AWS::IAM::Role"):
        if stack.arn(name) in roles:
            allowed = list(allowances(properties))
            for action, subject in SYNC.items():
                resources = [resource for pattern, resource in allowed if fnmatchcase(action, pattern)]
                for message in misfits(action, subject, resources, queues):
                    yield "sync-permissions", name, message


def misfits(action: str, subject: str, resources: list[str], queues: list[str]) -> Iterator[str]:
    if not any(subject in resource or resource == "*" for resource in resources):
        yield f"{action} is missing{subject and f' on {subject}'}"
    if subject and "*" in resources:
        yield f"{action} on everything"
    if subject == MANAGED_RULE and not all(resource.endswith(MANAGED_RULE) for resource in resources):
        yield f"{action} on more than the one managed rule"
    if action == "batch:SubmitJob" and (unreached := set(queues) - set(resources)):
        yield f"{action} is missing on {', '.join(sorted(unreached))}"


def allowances(role: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each action a role is allowed, with each resource."""
    for policy in role.get("Policies", []):
        for statement in listed(policy["PolicyDocument"].get("Statement")):
            if statement.get("Effect") == "Allow":
                for action in listed(statement.get("Action")):
                    for resource in listed(statement.get("Resource")):
                        yield action, resource
