"""Convert a Batch job and its definition to the spec of a runner; moto passes on half of it (batch/models.py:780)."""

from pathlib import Path
from typing import Any

from embedded_aws import aws
from embedded_aws.keys import keys
from embedded_aws.runners import JobSpec, Mount

from . import batch_arrays

DEFAULTS = {"VCPU": "1", "MEMORY": "2048"}


def job_spec(job: Any, attempt: int, host: str, volumes: Path) -> JobSpec:
    """Return the spec of one attempt."""
    properties = job.job_definition.container_properties
    key = keys().of_role(properties.get("jobRoleArn"))
    return JobSpec(
        name=f"{job.job_name[:60]}-{job.job_id.replace(':', '-')}-{attempt}",
        image=properties["image"],
        command=command(properties, job.container_overrides, job.parameters),
        environment={**aws.variables(key, host), **environment(job), **_batch_variables(job, attempt)},
        vcpus=float(requirement(job, "VCPU")),
        memory=int(float(requirement(job, "MEMORY"))),
        mounts=_mounts(properties, volumes),
        labels=job.backend.list_tags_for_resource(job.arn),
        container=properties,
    )


def command(properties: dict[str, Any], overrides: dict[str, Any], parameters: dict[str, str]) -> list[str]:
    """Replace every argument `Ref::name` by the parameter; an unknown name reaches the tool unchanged, as in AWS."""
    words = overrides.get("command") or properties.get("command", [])
    return [parameters.get(word.removeprefix("Ref::"), word) if word.startswith("Ref::") else word for word in words]


def environment(job: Any) -> dict[str, str]:
    """Return the variables of definition and submission, from copies: moto appends to both (batch/models.py:674)."""
    entries = [*job.job_definition.container_properties.get("environment", [])]
    entries += job.container_overrides.get("environment", [])
    return {entry["name"]: str(entry.get("value", "")) for entry in entries}


def requirement(job: Any, kind: str) -> str:
    """Return VCPU or MEMORY of a job, or Batch's default."""
    return requirements(job).get(kind, DEFAULTS[kind])


def requirements(job: Any) -> dict[str, str]:
    """Return the ResourceRequirements of the definition, overridden by the submission, also in the old spelling."""
    required: dict[str, str] = {}
    for source in (job.job_definition.container_properties, job.container_overrides):
        for kind, old in (("VCPU", "vcpus"), ("MEMORY", "memory")):
            if source.get(old):
                required[kind] = str(source[old])
        required |= {entry["type"]: str(entry["value"]) for entry in source.get("resourceRequirements", [])}
    return required


def _batch_variables(job: Any, attempt: int) -> dict[str, str]:
    variables = {
        "AWS_BATCH_JOB_ID": job.job_id,
        "AWS_BATCH_JOB_ATTEMPT": str(attempt),
        "AWS_BATCH_JQ_NAME": job.job_queue.name,
        "AWS_BATCH_CE_NAME": job.job_queue.environments[0].name if job.job_queue.environments else "local",
    }
    if (parent := batch_arrays.parent(job)) is not None:
        variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(batch_arrays.index(job))
        variables["AWS_BATCH_JOB_ARRAY_SIZE"] = str(parent.array_properties["size"])
    return variables


def _mounts(properties: dict[str, Any], volumes: Path) -> list[Mount]:
    """Replace each host path by a folder in `volumes`: a job must not write to other paths of this machine."""
    sources = {volume["name"]: volume.get("host", {}).get("sourcePath") for volume in properties.get("volumes", [])}
    mounts = []
    for point in properties.get("mountPoints", []):
        if source := sources.get(point["sourceVolume"]):
            folder = volumes / source.lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o1777)  # a container may run as another user
            mounts.append(Mount(folder, point["containerPath"], bool(point.get("readOnly"))))
    return mounts
