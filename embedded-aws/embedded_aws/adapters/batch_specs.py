"""From a Batch job and its definition to what a runner needs; moto hands Docker half of it (batch/models.py:780)."""

from pathlib import Path
from typing import Any

from embedded_aws import place
from embedded_aws.runners import JobSpec, Mount

DEFAULTS = {"VCPU": "1", "MEMORY": "2048"}


def job_spec(job: Any, attempt: int, host: str, volumes: Path) -> JobSpec:
    properties = job.job_definition.container_properties
    return JobSpec(
        name=f"{job.job_name[:60]}-{job.job_id.replace(':', '-')}-{attempt}",
        image=properties["image"],
        command=command(properties, job.container_overrides, job.parameters),
        environment={**place.variables(host), **environment(job), **_batch_variables(job, attempt)},
        vcpus=float(requirement(job, "VCPU")),
        memory=int(float(requirement(job, "MEMORY"))),
        mounts=_mounts(properties, volumes),
        labels=job.backend.list_tags_for_resource(job.arn),
        container=properties,
    )


def command(properties: dict[str, Any], overrides: dict[str, Any], parameters: dict[str, str]) -> list[str]:
    """`Ref::name` is replaced where it is a whole word; an unknown one reaches the tool as it stands, as in AWS."""
    words = overrides.get("command") or properties.get("command", [])
    return [parameters.get(word.removeprefix("Ref::"), word) if word.startswith("Ref::") else word for word in words]


def environment(job: Any) -> dict[str, str]:
    """moto appends to the caller's own list on every describe (batch/models.py:674)."""
    listed = [*job.job_definition.container_properties.get("environment", [])]
    listed += job.container_overrides.get("environment", [])
    return {entry["name"]: str(entry.get("value", "")) for entry in listed}


def requirement(job: Any, kind: str) -> str:
    return requirements(job).get(kind, DEFAULTS[kind])


def requirements(job: Any) -> dict[str, str]:
    """ResourceRequirements of the definition, then those of the submission; both also in their old spelling."""
    found: dict[str, str] = {}
    for source in (job.job_definition.container_properties, job.container_overrides):
        for kind, old in (("VCPU", "vcpus"), ("MEMORY", "memory")):
            if source.get(old):
                found[kind] = str(source[old])
        found |= {entry["type"]: str(entry["value"]) for entry in source.get("resourceRequirements", [])}
    return found


def _batch_variables(job: Any, attempt: int) -> dict[str, str]:
    variables = {
        "AWS_BATCH_JOB_ID": job.job_id,
        "AWS_BATCH_JOB_ATTEMPT": str(attempt),
        "AWS_BATCH_JQ_NAME": job.job_queue.name,
        "AWS_BATCH_CE_NAME": job.job_queue.environments[0].name if job.job_queue.environments else "local",
    }
    if "index" in job.array_properties:
        variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.array_properties["index"])
    return variables


def _mounts(properties: dict[str, Any], volumes: Path) -> list[Mount]:
    """A host path of the instance becomes a folder of ours: the laptop's own paths are not the job's to write."""
    sources = {volume["name"]: volume.get("host", {}).get("sourcePath") for volume in properties.get("volumes", [])}
    mounts = []
    for point in properties.get("mountPoints", []):
        if source := sources.get(point["sourceVolume"]):
            folder = volumes / source.lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o1777)  # the job's user in a container need not be ours
            mounts.append(Mount(folder, point["containerPath"], bool(point.get("readOnly"))))
    return mounts
