"""Check what runs read: buckets, the default reference, and the images of the tools."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError
from seqdrop.plan.choices import Choices

from seqdrop_cli import embedded, intervals, preflight, reference
from seqdrop_cli.check.finding import Finding, Status
from seqdrop_cli.stack import Stack

VERSIONED = ("FastqBucket", "ResultsBucket", "ReferenceBucket")
NOT_IN_ECR = {"ImageNotFoundException", "RepositoryNotFoundException"}
DEPLOY = "Deploy the stack again: its template sets this."


def check_buckets(stack: Stack) -> Iterator[Finding]:
    """Check versioning of the buckets, and that the bucket for FASTQs reports objects to EventBridge."""
    for output in VERSIONED:
        status = stack.s3.get_bucket_versioning(Bucket=stack[output]).get("Status", "off")
        enabled = Status.ok if status == "Enabled" else Status.failed
        yield Finding(f"versioning, {output}", enabled, status, "" if status == "Enabled" else DEPLOY)
    configuration = stack.s3.get_bucket_notification_configuration(Bucket=stack["FastqBucket"])
    if "EventBridgeConfiguration" in configuration:
        yield Finding("events, FastqBucket", Status.ok, "sent to EventBridge")
    else:
        yield Finding("events, FastqBucket", Status.failed, "not sent to EventBridge: uploads start no run", DEPLOY)


def check_reference(stack: Stack) -> Iterator[Finding]:
    """Check that the default reference is prepared, with the default panel; CliError says what is missing."""
    aligner = stack.default_tools["aligner"]
    name = reference.resolve(stack, None, aligner)
    chosen, _ = intervals.pin(stack, Choices(name))
    panel = f", with panel {chosen.panel}" if chosen.panel else ""
    yield Finding("default reference", Status.ok, f"{name} is prepared for {aligner}{panel}")


def check_images(stack: Stack) -> Iterator[Finding]:
    """Check that the images of the default tools exist; on this machine, that the programs do."""
    server = embedded.running() if stack.is_embedded else None
    if server:
        yield _check_machine(server.executor, stack)
        return
    used = preflight.used_images(stack, stack.default_tools)
    missing = preflight.without_image(stack, used)
    if not missing and not stack.parameters.get("ImageRegistry"):
        tags = preflight.image_tags(stack)
        missing = [tool for tool in used if not _is_in_ecr(stack, tool, tags[tool])]
    if missing:
        command = preflight.push_command(stack, missing)
        yield Finding("images", Status.failed, f"no image of {', '.join(missing)}", f"R{command[1:]}.")
    elif registry := stack.parameters.get("ImageRegistry"):
        yield Finding("images", Status.warning, f"tags are set; {registry} was not asked for the images")
    else:
        yield Finding("images", Status.ok, f"all of {', '.join(used)}")
    if missing := preflight.without_image(stack, preflight.joint_images()):
        command = preflight.push_command(stack, missing)
        text = f"no image of {', '.join(missing)}: `seqdrop joint` is refused"
        yield Finding("images, joint", Status.warning, text, f"R{command[1:]}.")


def _check_machine(executor: str, stack: Stack) -> Finding:
    what = "programs" if executor == "process" else "images"
    if lack := preflight.describe_lack(stack, executor, stack.default_tools):
        return Finding(what, Status.failed, f"this machine lacks {what}", lack)
    return Finding(what, Status.ok, "all on this machine")


def _is_in_ecr(stack: Stack, tool: str, tag: str) -> bool:
    try:
        stack.client("ecr").describe_images(repositoryName=f"{stack.name}/{tool}", imageIds=[{"imageTag": tag}])
    except ClientError as error:
        if error.response["Error"]["Code"] not in NOT_IN_ECR:
            raise
        return False
    return True
