"""Compute environments, queues and job definitions. Every compute environment is this machine."""

from embedded_aws import aws
from embedded_aws.api_requests import request
from embedded_aws.stack import CreatedResource, ResourceSpec


def compute_environment(spec: ResourceSpec) -> CreatedResource:
    """Create a compute environment."""
    # UNMANAGED: for a managed one moto would start instances, in subnets that do not exist.
    response = aws.client("batch").create_compute_environment(
        computeEnvironmentName=spec.name("ComputeEnvironmentName", 128),
        type="UNMANAGED",
        state="ENABLED",
        serviceRole=_service_role(spec),
    )
    arn = response["computeEnvironmentArn"]
    return CreatedResource(arn, {"ComputeEnvironmentArn": arn})


def _service_role(spec: ResourceSpec) -> str:
    """Create a role: moto requires one; AWS uses its service-linked role."""
    response = aws.client("iam").create_role(
        RoleName=f"{spec.stack}-{spec.logical_id}"[:64], AssumeRolePolicyDocument="{}"
    )
    return str(response["Role"]["Arn"])


def job_queue(spec: ResourceSpec) -> CreatedResource:
    """Create a job queue."""
    properties = {"state": "ENABLED", **spec.properties, "jobQueueName": spec.name("JobQueueName", 128)}
    parameters = request("batch", "CreateJobQueue", properties)
    arn = aws.client("batch").create_job_queue(**parameters)["jobQueueArn"]
    return CreatedResource(arn, {"JobQueueArn": arn})


def job_definition(spec: ResourceSpec) -> CreatedResource:
    """Register a job definition."""
    properties = {**spec.properties, "jobDefinitionName": spec.name("JobDefinitionName", 128)}
    parameters = request("batch", "RegisterJobDefinition", properties)
    arn = aws.client("batch").register_job_definition(**parameters)["jobDefinitionArn"]
    return CreatedResource(arn, {"JobDefinitionArn": arn})
