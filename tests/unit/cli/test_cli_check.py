"""`seqdrop check` on a stack that is ready, and on one that lacks something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from embedded_aws.adapters import s3_event_bridge
from moto.s3.responses import S3Response
from moto.servicequotas.models import ServiceQuotasBackend
from moto.sns.models import SNSBackend
from seqdrop_cli import stack as stacks
from seqdrop_cli.check import account, command, compute, storage
from seqdrop_cli.check.finding import Finding, Status, guarded
from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack
from support import cli_aws
from support.function_aws import client, parameters

USED = ("bwa_mem3", "bcftools", "snpeff", "samtools_stats", "report", "reference")
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
READY = {
    "vCPU quota, on-demand": Status.ok,
    "vCPU quota, Spot": Status.ok,
    "images": Status.ok,
    "default reference": Status.ok,
    "versioning, FastqBucket": Status.ok,
    "versioning, ResultsBucket": Status.ok,
    "versioning, ReferenceBucket": Status.ok,
    "events, FastqBucket": Status.ok,
    "subscription, RunTopic": Status.ok,
    "subscription, AlarmTopic": Status.ok,
    "job queues": Status.ok,
    "compute environments": Status.ok,
    "job": Status.skipped,
}


@pytest.fixture
def quotas(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The vCPU quotas of the account, which moto does not have."""
    values = {"L-1216C47A": 256.0, "L-34B43A08": 256.0}
    monkeypatch.setattr(
        ServiceQuotasBackend, "get_service_quota", lambda _self, **request: {"Value": values[request["quota_code"]]}
    )
    return values


@pytest.fixture
def stack(quotas: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A stack with everything that a run needs."""
    monkeypatch.setattr(
        S3Response, "get_bucket_notification", S3Response.get_bucket_notification
    )  # restored at the end
    s3_event_bridge.install()
    with cli_aws.stack() as stack:
        cli_aws.write_json(stack, "references", "hg/reference.json", {"indexes": ["bwa_mem3"]})
        stack.s3.put_bucket_notification_configuration(
            Bucket="fastq", NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        topics = {name: client("sns").create_topic(Name=name)["TopicArn"] for name in ("RunTopic", "AlarmTopic")}
        for topic in topics.values():
            client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="lab@example.org")
        for tool in USED:
            client("ecr").create_repository(repositoryName=f"seqdrop/{tool}")
            manifest = json.dumps({"mediaType": MANIFEST, "schemaVersion": 2, "config": {"digest": tool}, "layers": []})
            client("ecr").put_image(repositoryName=f"seqdrop/{tool}", imageManifest=manifest, imageTag="1")
        values = {**parameters(), "ImageRegistry": "", "NotificationEmail": "lab@example.org", "MaxVcpus": "256"}
        object.__setattr__(stack, "parameters", values)
        object.__setattr__(stack, "outputs", {**stack.outputs, **topics, "JobQueues": create_queue()})
        yield stack


def create_queue() -> str:
    role = client("iam").create_role(RoleName="batch", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    profile = client("iam").create_instance_profile(InstanceProfileName="hosts")["InstanceProfile"]["Arn"]
    subnet = client("ec2").describe_subnets()["Subnets"][0]
    group = client("ec2").describe_security_groups()["SecurityGroups"][0]["GroupId"]
    resources = {
        "minvCpus": 0, "instanceTypes": ["m5.large"], "instanceRole": profile, "subnets": [subnet["SubnetId"]],
        "securityGroupIds": [group],
    }  # fmt: skip
    environments = [
        client("batch").create_compute_environment(
            computeEnvironmentName=kind,
            type="MANAGED",
            state="ENABLED",
            serviceRole=role,
            computeResources={**resources, "type": kind, "maxvCpus": maximum},
        )["computeEnvironmentArn"]
        for kind, maximum in {"SPOT": 192, "EC2": 64}.items()
    ]
    order = [{"order": number, "computeEnvironment": arn} for number, arn in enumerate(environments, 1)]
    queue = client("batch").create_job_queue(
        jobQueueName="default", state="ENABLED", priority=1, computeEnvironmentOrder=order
    )
    return str(queue["jobQueueArn"])


def findings(stack: Stack) -> dict[str, Finding]:
    checks = {**command.CHECKS, "job": compute.skip_job}
    return {one.check: one for name, check in checks.items() for one in guarded(name, check, stack)}


def changed(stack: Stack) -> dict[str, Finding]:
    """Return the findings that differ from those of a stack that is ready."""
    return {name: one for name, one in findings(stack).items() if one.status is not READY[name]}


def set_parameters(stack: Stack, **values: str) -> None:
    object.__setattr__(stack, "parameters", {**stack.parameters, **values})


def test_a_stack_that_is_ready(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert {name: one.status for name, one in findings(stack).items()} == READY
    command.check(stack, submit=False, as_json=False)
    assert "Stack seqdrop is ready for runs." in capsys.readouterr().out


def test_the_findings_as_json(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.s3.put_bucket_versioning(Bucket="fastq", VersioningConfiguration={"Status": "Suspended"})
    with pytest.raises(CliError, match="1 of 13 checks did not succeed: versioning, FastqBucket"):
        command.check(stack, submit=False, as_json=True)
    rows = {row["check"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["versioning, FastqBucket"] == {
        "check": "versioning, FastqBucket",
        "status": "failed",
        "finding": "Suspended",
        "what_to_do": "Deploy the stack again: its template sets this.",
    }


def test_the_command_ends_with_exit_code_1_if_a_check_fails(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "open_stack", lambda *_: stack)
    assert cli_aws.seqdrop("check")[0] == 0
    stack.s3.delete_object(Bucket="references", Key="hg/reference.json")
    code, output = cli_aws.seqdrop("check")
    assert code == 1
    assert "Reference 'hg' is not prepared" in output


@pytest.mark.parametrize(("value", "status"), [(5.0, Status.failed), (64.0, Status.warning), (192.0, Status.ok)])
def test_a_quota_is_compared_with_the_largest_job(
    stack: Stack, quotas: dict[str, float], value: float, status: Status
) -> None:
    quotas["L-34B43A08"] = value
    set_parameters(stack, AlignVcpus="32")
    found = findings(stack)["vCPU quota, Spot"]
    assert found.status is status
    assert ("--quota-code L-34B43A08" in found.what_to_do) is (status is not Status.ok)
    assert findings(stack)["vCPU quota, on-demand"].finding == "256, the stack uses at most 64"


def test_a_refused_request_is_no_success(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        details = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}
        raise ClientError(details, "GetServiceQuota")  # type: ignore[arg-type]  # as botocore makes it

    monkeypatch.setattr(account, "check_quotas", refuse)
    monkeypatch.setitem(command.CHECKS, "vCPU quotas", refuse)
    one = findings(stack)["vCPU quotas"]
    assert (one.status, one.finding) == (
        Status.unknown,
        "AWS refused GetServiceQuota: AccessDeniedException: not authorized",
    )
    with pytest.raises(CliError):
        command.check(stack, submit=False, as_json=True)


def test_an_image_that_was_not_pushed_and_one_that_is_gone(stack: Stack) -> None:
    client("ecr").batch_delete_image(repositoryName="seqdrop/snpeff", imageIds=[{"imageTag": "1"}])
    [gone] = changed(stack).values()
    assert (gone.check, gone.status, gone.finding) == ("images", Status.failed, "no image of snpeff")
    assert gone.what_to_do == (
        "Run `make push STACK=seqdrop TOOLS='snpeff'` and `sam deploy --config-file stacks/seqdrop.toml`."
    )
    object.__setattr__(stack, "outputs", {**stack.outputs, "ImageTags": "bwa_mem3:none report:1 joint:none"})
    found = findings(stack)
    assert found["images"].finding == "no image of bwa_mem3"
    assert (found["images, joint"].status, found["images, joint"].what_to_do.split("'")[1]) == (Status.warning, "joint")


def test_images_of_another_registry_are_not_proved(stack: Stack) -> None:
    set_parameters(stack, ImageRegistry="registry.example.org/lab")
    assert findings(stack)["images"].status is Status.warning


def test_a_reference_without_the_index_of_the_default_aligner(stack: Stack) -> None:
    cli_aws.write_json(stack, "references", "hg/reference.json", {"indexes": ["bwa"]})
    [one] = changed(stack).values()
    assert one.status is Status.failed
    assert "seqdrop reference GENOME.fa --name hg --aligner bwa_mem3 --stack seqdrop" in one.finding


def test_a_bucket_whose_events_do_not_reach_eventbridge(stack: Stack) -> None:
    stack.s3.put_bucket_notification_configuration(Bucket="fastq", NotificationConfiguration={})
    [one] = changed(stack).values()
    assert (one.check, one.status) == ("events, FastqBucket", Status.failed)


def test_a_subscription_that_is_not_confirmed(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """SNS has the text PendingConfirmation for the ARN of such a subscription; moto confirms all."""
    listed = SNSBackend.list_subscriptions_by_topic

    def list_pending(backend: Any, *args: Any, **options: Any) -> Any:
        subscriptions, token = listed(backend, *args, **options)
        for subscription in subscriptions:
            subscription.arn = "PendingConfirmation"
        return subscriptions, token

    monkeypatch.setattr(SNSBackend, "list_subscriptions_by_topic", list_pending)
    found = changed(stack)
    assert found.keys() == {"subscription, RunTopic", "subscription, AlarmTopic"}
    assert {one.finding for one in found.values()} == {"not confirmed: lab@example.org"}
    assert {one.status for one in found.values()} == {Status.failed}


def test_a_topic_without_subscriptions(stack: Stack) -> None:
    for one in client("sns").list_subscriptions()["Subscriptions"]:
        client("sns").unsubscribe(SubscriptionArn=one["SubscriptionArn"])
    assert {one.status for one in changed(stack).values()} == {Status.failed}
    set_parameters(stack, NotificationEmail="")
    assert {one.status for one in changed(stack).values()} == {Status.warning}


def test_queues_and_compute_environments_must_be_valid_and_enabled(stack: Stack) -> None:
    client("batch").update_compute_environment(computeEnvironment="SPOT", state="DISABLED")
    [one] = changed(stack).values()
    assert (one.check, one.status, one.finding) == (
        "compute environments",
        Status.failed,
        "SPOT is VALID, DISABLED: Compute environment is available",
    )
    missing = f"{stack['JobQueues']},{stack['JobQueues']}-gone"
    object.__setattr__(stack, "outputs", {**stack.outputs, "JobQueues": missing})
    assert findings(stack)["job queues"].finding == "1 of 2 do not exist"


class Batch:
    """The Batch client, with a job that has one status after another."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.submitted: dict[str, Any] = {}
        self.terminated: list[str] = []

    def submit_job(self, **request: Any) -> dict[str, str]:
        self.submitted = request
        return {"jobId": "j1"}

    def describe_jobs(self, jobs: list[str]) -> dict[str, Any]:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {"jobs": [{"jobId": jobs[0], "status": status, "statusReason": "no capacity"}]}

    def terminate_job(self, **request: str) -> None:
        self.terminated.append(request["jobId"])


@pytest.mark.parametrize(
    ("statuses", "status", "text", "terminated"),
    [
        (("RUNNABLE", "SUCCEEDED"), Status.ok, "ran and ended with exit code 0", []),
        (("FAILED",), Status.failed, "failed: no capacity", []),
        (("RUNNABLE",), Status.failed, "still RUNNABLE after 0 minutes: no capacity", ["j1"]),
    ],
)
def test_a_submitted_job_must_succeed_in_time(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    statuses: tuple[str, ...],
    status: Status,
    text: str,
    terminated: list[str],
) -> None:
    batch = Batch(*statuses)
    vars(stack)["batch"] = batch
    monkeypatch.setattr(Stack, "pause", 0.0)
    if terminated:
        monkeypatch.setattr(compute, "JOB_TIMEOUT", 0)
    [one] = compute.check_job(stack)
    assert (one.status, one.finding, batch.terminated) == (status, text, terminated)
    assert batch.submitted["jobDefinition"] == "seqdrop-SamtoolsStats"
    assert batch.submitted["containerOverrides"]["command"] == ["run-samtools-stats", "--help"]


def test_a_stack_of_an_older_template_is_told_to_deploy(stack: Stack) -> None:
    outputs = {name: value for name, value in stack.outputs.items() if name != "JobQueues"}
    object.__setattr__(stack, "outputs", outputs)
    found = findings(stack)
    assert {found[name].status for name in ("job queues", "vCPU quotas")} == {Status.failed}
    assert "has no output JobQueues: deploy it from this template" in found["job queues"].finding


def test_this_machine_has_programs_instead_of_images(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    object.__setattr__(stack, "endpoint", "http://127.0.0.1:9")
    monkeypatch.setattr(storage.embedded, "running", lambda: type("Server", (), {"executor": "process"}))
    monkeypatch.setattr(storage.preflight, "missing_programs", lambda _: ["samtools"])
    [one] = storage.check_images(stack)
    assert (one.check, one.status, one.finding) == ("programs", Status.failed, "this machine lacks programs")
    assert one.what_to_do.startswith("samtools is not installed.")
    assert [one.status for one in account.check_quotas(stack)] == [Status.skipped]
