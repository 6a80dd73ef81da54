"""Check AWS Batch beyond cfn-lint and checkov: job definitions, queues, compute environments and the launch template.

Also checks that each state machine has the permissions of the `.sync` integration with Batch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from .finding import Finding, LocatedProblem, Problem, drop_suppressed
from .template import Stack, Template, as_list, check_by_type, check_stacks

GATE = "jobs"
BLOCKED_METRIC = "JobsBlockedHours"  # of record_run
MAX_EXIT_RULES = 5  # the limit of Batch
MAX_CAPACITY_SECONDS = 7200  # a job that gets no instance blocks the jobs behind it
MAX_INSTANCE = 16  # of <family>.<n>xlarge: the jobs of an instance share its disk
MIN_STOP_SECONDS = 30  # a stopped job deletes its uploads and writes its verdict: seqdrop.signals.GRACE_PERIOD
MAX_POLL_SECONDS = 10  # between two questions for the Spot interruption notice
LARGEST_JOB_VCPUS = 64  # the default of WholeInstanceVcpus: the last-resort queue can place such a job
LAST_EXIT_RULE = {"OnReason": "*", "Action": "EXIT"}
# The reasons on which a queue can act, all that the documentation of Batch gives ("Automatic remediation with
# jobStateTimeLimitActions"). For a reason that the queue does not list, a job waits for ever in RUNNABLE.
BLOCKED_REASONS = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
)
MANAGED_RULE = "rule/StepFunctionsGetEventsForBatchJobsRule"
SYNC_PERMISSIONS = {  # action: a part of the ARN of its resource
    "batch:SubmitJob": "job-definition",
    "batch:TerminateJob": "",
    "batch:DescribeJobs": "",
    "batch:TagResource": "job",
    "events:PutTargets": MANAGED_RULE,
    "events:PutRule": MANAGED_RULE,
    "events:DescribeRule": MANAGED_RULE,
}
ALLOCATION_STRATEGIES = {"SPOT": "SPOT_PRICE_CAPACITY_OPTIMIZED", "EC2": "BEST_FIT_PROGRESSIVE"}
REVISION_LOST = "an update deregisters the revision that runs in progress use"


def check(template: Template) -> list[Finding]:
    """Return the findings in the template before its functions are resolved, and in every deployment of it."""
    checks = {"AWS::Batch::JobDefinition": check_definition_source, "AWS::EC2::LaunchTemplate": check_user_data}
    findings = [
        Finding(GATE, rule, name, message)
        for name, resource in template.resources.items()
        if resource["Type"] in checks
        for rule, message in checks[resource["Type"]](resource)
    ]
    findings += [Finding(GATE, "vcpus-divided", "Vcpus", message) for message in check_vcpus(template.source)]
    findings += [Finding(GATE, "definition-arn", name, message) for name, message in check_references(template)]
    return check_stacks(template, GATE, check_stack) + drop_suppressed(findings, template.resources)


def check_vcpus(source: dict[str, Any]) -> Iterator[str]:
    """Check how each value of MaxVcpus is divided: on-demand instances get a quarter, and at least 64 or half."""
    divided = source["Mappings"]["Vcpus"]
    totals = source["Parameters"]["MaxVcpus"].get("AllowedValues", [])
    if [int(total) for total in divided] != totals:
        yield f"divides {', '.join(divided)}; divide each of the allowed values of MaxVcpus: {totals}"
    for total, parts in divided.items():
        on_demand = max(int(total) // 4, min(LARGEST_JOB_VCPUS, int(total) // 2))
        expected = {"Spot": int(total) - on_demand, "OnDemand": on_demand}
        if parts != expected:
            yield f"divides {total} into {dict(parts)}; set {expected}"


def check_references(template: Template) -> Iterator[tuple[str, str]]:
    """Check that job definitions are referred to by their attribute: documents disagree on the value of Ref."""
    text = json.dumps(template.resources)
    for name, resource in template.resources.items():
        if resource["Type"] == "AWS::Batch::JobDefinition" and json.dumps({"Ref": name}) in text:
            yield name, f"!Ref returns its name or its ARN; use !GetAtt {name}.JobDefinitionArn"


def check_stack(stack: Stack) -> Iterator[LocatedProblem]:
    """Check every resource of Batch in one deployment."""
    checks = {
        "AWS::Batch::JobDefinition": check_definition,
        "AWS::Batch::JobQueue": check_queue,
        "AWS::Batch::ComputeEnvironment": check_compute_environment,
        "AWS::EC2::LaunchTemplate": check_launch_template,
    }
    yield from check_by_type(stack, checks)
    yield from check_sync_permissions(stack)
    yield from check_total_vcpus(stack)
    alarms = {
        alarm.get("MetricName") for _, alarm in stack.of_type("AWS::CloudWatch::Alarm") if "AlarmActions" in alarm
    }
    if BLOCKED_METRIC not in alarms:
        for name, _ in stack.of_type("AWS::Batch::ComputeEnvironment"):
            yield (
                "blocked-alarm",
                name,
                f"instances that fail while they start are replaced for ever; add an alarm on {BLOCKED_METRIC}",
            )


def check_total_vcpus(stack: Stack) -> Iterator[LocatedProblem]:
    """Check that the compute environments of the queues together stay within MaxVcpus."""
    queues = [queue for _, queue in stack.of_type("AWS::Batch::JobQueue")]
    used = {entry["ComputeEnvironment"] for queue in queues for entry in queue.get("ComputeEnvironmentOrder", [])}
    limits = {
        name: int(environment["ComputeResources"].get("MaxvCpus", 0))
        for name, environment in stack.of_type("AWS::Batch::ComputeEnvironment")
        if stack.ref(name) in used
    }
    if sum(limits.values()) > int(stack.ref("MaxVcpus")):
        for name in limits:
            yield "total-vcpus", name, "the environments together exceed MaxVcpus; divide it with the mapping Vcpus"


def check_definition_source(resource: dict[str, Any]) -> Iterator[Problem]:
    """Check the parts of a job definition that are lost when the template is resolved."""
    image = json.dumps(resource["Properties"].get("ContainerProperties", {}).get("Image", ""))
    match = re.search(r"/(\w+):\$\{(\w+)ImageTag\}", image)
    if not match or match[1].replace("_", "") != match[2].lower():
        yield "image-tag", f"the image {image} does not have the tag of its tool; use <tool>:${{<Tool>ImageTag}}"
    if "DeletionPolicy" in resource or "UpdateReplacePolicy" in resource:
        yield (
            "retained-name",
            "its name outlives the stack and may block the next one; remove DeletionPolicy and UpdateReplacePolicy, "
            "SkipDeregisterOnUpdate keeps revisions",
        )


def check_user_data(resource: dict[str, Any]) -> Iterator[Problem]:
    """Check that the user data stops jobs before a Spot interruption, and reports its failures."""
    user_data = json.dumps(resource["Properties"])
    if "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true" not in user_data:
        yield (
            "draining",
            "an instance that is reclaimed takes new jobs; set ECS_ENABLE_SPOT_INSTANCE_DRAINING=true in the user data",
        )
    stop = re.search(r"docker stop -t (\d+)", user_data)
    if "spot/instance-action" not in user_data or not stop or int(stop[1]) < MIN_STOP_SECONDS:
        yield (
            "spot-notice",
            "draining stops no job: after a Spot interruption notice, `docker stop` job containers in the user data, "
            f"with -t {MIN_STOP_SECONDS} or more",
        )
    waits = [int(seconds) for seconds in re.findall(r"sleep (\d+)", user_data)]
    if not waits or max(waits) > MAX_POLL_SECONDS:
        yield (
            "spot-notice",
            f"the notice comes two minutes before the end; sleep at most {MAX_POLL_SECONDS} seconds",
        )
    if "set -eEuo pipefail" not in user_data:
        yield "strict-shell", "a command that fails is ignored, and jobs start; begin with `set -eEuo pipefail`"
    if "/dev/console" not in user_data:
        yield "console", "an instance that fails while it starts gives no reason; write it to /dev/console"


def check_definition(properties: dict[str, Any]) -> Iterator[Problem]:
    """Check the image, retries, time limit, tags and log of a job definition."""
    container = properties.get("ContainerProperties", {})
    yield from check_isolation(container)
    image = str(container.get("Image"))
    if image.endswith(":latest") or not re.search(r":[\w.-]+$", image):
        yield "image-pinned", f"the image {image} can change; give it a tag with a version"
    yield from check_exit_rules(properties.get("RetryStrategy", {}).get("EvaluateOnExit", []))
    if not properties.get("Timeout", {}).get("AttemptDurationSeconds"):
        yield "time-limit", "a job that hangs is billed without limit; set Timeout.AttemptDurationSeconds"
    if properties.get("PropagateTags") is not True:
        yield "tags", "the bill cannot be split by run; set PropagateTags to true"
    if not properties.get("ResourceRetentionPolicy", {}).get("SkipDeregisterOnUpdate"):
        yield "revision-retained", f"{REVISION_LOST}; set ResourceRetentionPolicy.SkipDeregisterOnUpdate to true"
    log = container.get("LogConfiguration", {})
    if log.get("LogDriver") != "awslogs" or not log.get("Options", {}).get("awslogs-group"):
        yield "log-group", "its log group has no retention; set LogDriver to awslogs and awslogs-group"


def check_exit_rules(rules: list[dict[str, Any]]) -> Iterator[Problem]:
    """Check that the exit rules end with the rule that stops on every other reason."""
    if not rules or rules[-1] != LAST_EXIT_RULE:
        yield (
            "exit-rules",
            f"Batch retries every failure that matches no rule; add {LAST_EXIT_RULE} at the end of EvaluateOnExit",
        )
    if len(rules) > MAX_EXIT_RULES:
        yield "exit-rules", f"EvaluateOnExit has {len(rules)} rules; keep at most {MAX_EXIT_RULES}, the limit of Batch"
    if LAST_EXIT_RULE in rules[:-1]:
        yield "exit-rules", f"rules after {LAST_EXIT_RULE} have no effect; move it to the end of EvaluateOnExit"


def check_isolation(container: dict[str, Any]) -> Iterator[Problem]:
    """Check that a container is isolated from its host: role, user, file system, devices, volumes and variables."""
    if not container.get("JobRoleArn"):
        yield "job-role", "the job would use the instance role; set JobRoleArn"
    if not re.match(r"[1-9]\d*(:\d+)?$", str(container.get("User", ""))):
        yield "non-root", f"User is {container.get('User')}; set a numeric user ID other than 0"
    if container.get("ReadonlyRootFilesystem") is not True:
        yield "read-only", "the job can write to its root file system; set ReadonlyRootFilesystem to true"
    linux = container.get("LinuxParameters", {})
    if linux.get("InitProcessEnabled") is not True:
        yield (
            "init-process",
            "no process forwards SIGTERM to the tool and reaps its children; set InitProcessEnabled to true",
        )
    if container.get("Privileged") or linux.get("Devices"):
        yield "privileged", "the job can control its host; remove Privileged and Devices"
    for volume in container.get("Volumes", []):
        path = volume.get("Host", {}).get("SourcePath", "")
        if path != "/scratch":
            yield "host-path", f"mounts {path or 'an unnamed path'} of the instance; mount /scratch only"
    yield from check_variables([str(variable.get("Name", "")) for variable in container.get("Environment", [])])


def check_variables(names: list[str]) -> Iterator[Problem]:
    """Check the names of a container's environment variables: a region for boto3, and no secret."""
    if "AWS_REGION" in names or "AWS_DEFAULT_REGION" not in names:
        yield "region", "AWS_REGION replaces what the ECS agent sets; set AWS_DEFAULT_REGION instead"
    for name in names:
        if re.search(r"SECRET|PASSWORD|TOKEN|ACCESS_KEY", name, re.IGNORECASE):
            yield "secret", f"{name} is visible to everyone who may describe the job; remove it from Environment"


def check_queue(properties: dict[str, Any]) -> Iterator[Problem]:
    """Check that a job queue is enabled and ends jobs that cannot start."""
    actions = properties.get("JobStateTimeLimitActions", [])
    reasons = [action.get("Reason") for action in actions]
    for reason in BLOCKED_REASONS:
        if reason not in reasons:
            yield "runnable-time-limit", f"a job waits for ever on {reason}; add it to JobStateTimeLimitActions"
    for reason in sorted({str(reason) for reason in reasons} - set(BLOCKED_REASONS)):
        yield "limit-reason", f"no document says that a queue can act on {reason}; use {', '.join(BLOCKED_REASONS)}"
    for action in actions:
        if action.get("Reason") == BLOCKED_REASONS[0] and int(action.get("MaxTimeSeconds", 0)) > MAX_CAPACITY_SECONDS:
            yield (
                "head-of-line",
                f"a job without an instance blocks the queue; set MaxTimeSeconds to at most {MAX_CAPACITY_SECONDS}",
            )
        if (action.get("State"), action.get("Action")) not in (("RUNNABLE", "CANCEL"), ("RUNNABLE", "TERMINATE")):
            yield (
                "runnable-time-limit",
                f"{action} ends no waiting job; set State to RUNNABLE and Action to CANCEL or TERMINATE",
            )
    if properties.get("State", "ENABLED") != "ENABLED":
        yield "queue-enabled", "the queue accepts no jobs; set State to ENABLED"


def check_compute_environment(properties: dict[str, Any]) -> Iterator[Problem]:
    """Check that a compute environment is updated in place, costs nothing while idle and has a limit."""
    if properties.get("ReplaceComputeEnvironment") is not False:
        yield (
            "update-in-place",
            "an update creates a second environment that no queue uses; set ReplaceComputeEnvironment to false",
        )
    if "ServiceRole" in properties:
        yield (
            "update-in-place",
            "only the service-linked role of Batch allows an update in place; remove ServiceRole",
        )
    compute = properties.get("ComputeResources", {})
    kind = compute.get("Type", "")
    strategy = ALLOCATION_STRATEGIES.get(kind)
    if compute.get("AllocationStrategy") != strategy:
        yield "allocation", f"the type {kind} needs another allocation strategy; set AllocationStrategy to {strategy}"
    if compute.get("MinvCpus") != 0:
        yield "idle-cost", "instances are billed while no job runs; set MinvCpus to 0"
    if not compute.get("MaxvCpus"):
        yield "max-vcpus", "nothing limits the cost; set MaxvCpus"
    if compute.get("UpdateToLatestImageVersion") is not True or "refresh" not in compute.get("Tags", {}):
        yield (
            "image-refresh",
            "instances keep the image of their first deployment; set UpdateToLatestImageVersion and the tag `refresh`",
        )
    for kind in compute.get("InstanceTypes", []):
        size = re.search(r"\.(\d*)xlarge$", kind)
        if not size or int(size[1] or 1) > MAX_INSTANCE:
            yield "instance-size", f"too many jobs share the disk of {kind}; use sizes up to {MAX_INSTANCE}xlarge"
    if not str(compute.get("LaunchTemplate", {}).get("Version", "")).endswith("LatestVersionNumber"):
        yield (
            "launch-template",
            "instances ignore changes of the launch template; set its Version to LatestVersionNumber",
        )


def check_launch_template(properties: dict[str, Any]) -> Iterator[Problem]:
    """Check the metadata service, the volumes and the login of the instances."""
    data = properties.get("LaunchTemplateData", {})
    options = data.get("MetadataOptions", {})
    if options.get("HttpTokens") != "required":
        yield (
            "imdsv2",
            "a forged request by a tool can read the credentials of the instance; set HttpTokens to required",
        )
    if options.get("HttpPutResponseHopLimit") != 1:
        yield "hop-limit", "a container can use the instance role; set HttpPutResponseHopLimit to 1"
    for device in data.get("BlockDeviceMappings", []):
        if device.get("Ebs", {}).get("Encrypted") is not True:
            yield (
                "encrypted-volumes",
                f"{device.get('DeviceName')} stores genomes unencrypted; set Ebs.Encrypted to true",
            )
    if "KeyName" in data:
        yield "no-login", "allows SSH logins to the instances; remove KeyName"


def check_sync_permissions(stack: Stack) -> Iterator[LocatedProblem]:
    """Check that each role of a state machine has the permissions of `.sync`, and no wider ones."""
    roles = {properties.get("RoleArn") for _, properties in stack.of_type("AWS::StepFunctions::StateMachine")}
    queues = [stack.arn(name) for name, _ in stack.of_type("AWS::Batch::JobQueue")]
    for name, properties in stack.of_type("AWS::IAM::Role"):
        if stack.arn(name) in roles:
            permissions = list(allowed_actions(properties))
            for action, subject in SYNC_PERMISSIONS.items():
                resources = [resource for pattern, resource in permissions if fnmatchcase(action, pattern)]
                for message in permission_problems(action, subject, resources, queues):
                    yield "sync-permissions", name, message


def permission_problems(action: str, subject: str, resources: list[str], queues: list[str]) -> Iterator[str]:
    """Yield what is wrong with the resources on which one action is allowed."""
    if not any(subject in resource or resource == "*" for resource in resources):
        yield f"lacks {action}{subject and f' on {subject}'}, which `.sync` needs; allow it"
    if subject and "*" in resources:
        yield f"allows {action} on every resource; allow it on {subject} only"
    if subject == MANAGED_RULE and not all(resource.endswith(MANAGED_RULE) for resource in resources):
        yield f"allows {action} on other rules; allow it on {MANAGED_RULE} only"
    if action == "batch:SubmitJob" and (missing := set(queues) - set(resources)):
        yield f"lacks {action} on {', '.join(sorted(missing))}; allow it on every job queue"


def allowed_actions(role: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each action that a role allows, with each of its resources."""
    for policy in role.get("Policies", []):
        for statement in as_list(policy["PolicyDocument"].get("Statement")):
            if statement.get("Effect") == "Allow":
                for action in as_list(statement.get("Action")):
                    for resource in as_list(statement.get("Resource")):
                        yield action, resource
