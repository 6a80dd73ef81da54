"""Compute environments, queues and job definitions. The environment is this machine, whatever instances it asks for."""

from embedded_aws import place
from embedded_aws.requests_of import request
from embedded_aws.stack import Asked, Made


def compute_environment(asked: Asked) -> Made:
    # UNMANAGED: for a managed one moto would start instances, in subnets that are not there.
    made = place.client("batch").create_compute_environment(
        computeEnvironmentName=asked.name("ComputeEnvironmentName", 128),
        type="UNMANAGED",
        state="ENABLED",
        serviceRole=_service_role(asked),
    )
    arn = made["computeEnvironmentArn"]
    return Made(arn, {"ComputeEnvironmentArn": arn})


def _service_role(asked: Asked) -> str:
    """moto wants one that exists; in AWS the service brings its own."""
    made = place.client("iam").create_role(
        RoleName=f"{asked.stack}-{asked.logical_id}"[:64], AssumeRolePolicyDocument="{}"
    )
    return str(made["Role"]["Arn"])


def job_queue(asked: Asked) -> Made:
    properties = {"state": "ENABLED", **asked.properties, "jobQueueName": asked.name("JobQueueName", 128)}
    wanted = request("batch", "CreateJobQueue", properties)
    arn = place.client("batch").create_job_queue(**wanted)["jobQueueArn"]
    return Made(arn, {"JobQueueArn": arn})


def job_definition(asked: Asked) -> Made:
    properties = {**asked.properties, "jobDefinitionName": asked.name("JobDefinitionName", 128)}
    wanted = request("batch", "RegisterJobDefinition", properties)
    arn = place.client("batch").register_job_definition(**wanted)["jobDefinitionArn"]
    return Made(arn, {"JobDefinitionArn": arn})
