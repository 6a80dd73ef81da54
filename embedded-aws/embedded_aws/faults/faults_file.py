"""The faults file: validated completely before the server starts."""

from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from botocore.exceptions import UnknownServiceError
from botocore.model import ServiceModel
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from embedded_aws import aws

NO_CAPACITY = "Canceled by JobStateTimeLimit action due to reason: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
# Fields that only some faults have.
FIELDS = {
    "after": ("host_lost", "host_drained", "out_of_memory", "hang"),
    "after_call": ("host_lost", "host_drained", "out_of_memory", "hang"),
    "limit": ("hang",),
    "reason": ("not_placed",),
    "seconds": ("delay",),
}


class FaultsError(Exception):
    """The faults file is not valid; the text says what is wrong, where, and how to proceed."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Fault(_Strict):
    fault: str
    times: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _fields_of_this_fault(self) -> Self:
        for name in sorted(self.model_fields_set):
            if self.fault not in FIELDS.get(name, (self.fault,)):
                raise ValueError(f"`{name}` belongs to {', '.join(FIELDS[name])}, not to {self.fault}")
        return self


class JobFault(_Fault):
    """A fault of the attempts of jobs whose name matches the glob `job`; `times` counts attempts."""

    job: str
    fault: Literal["host_lost", "host_drained", "out_of_memory", "image_pull", "hang", "not_placed"]
    after: float = Field(default=0.0, ge=0)  # seconds from the start of the attempt
    after_call: str = ""  # glob of an S3 key: not before a call with such a key had a fault during the attempt
    limit: float | None = Field(default=None, gt=0)  # seconds: time limit of the attempt; default: the job definition's
    reason: str = NO_CAPACITY


class CallFault(_Fault):
    """A fault of the calls of a service; `operation`, and for S3 `key`, are globs."""

    service: str  # boto3's name of it
    operation: str
    fault: Literal["403", "429", "500", "503", "throttled", "reset", "flip", "short", "delay"]
    key: str = "*"
    seconds: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _operation_exists(self) -> Self:
        names = service_model(self.service).operation_names
        if not any(fnmatchcase(name, self.operation) for name in names):
            raise ValueError(f"{self.service} has no operation {self.operation}")
        if self.service != "s3" and "key" in self.model_fields_set:
            raise ValueError("`key` belongs to s3")
        return self


class FaultsFile(_Strict):
    """All faults of a file."""

    jobs: tuple[JobFault, ...] = ()
    calls: tuple[CallFault, ...] = ()
    scratch_mib: Annotated[int, Field(ge=1)] | None = None


@cache
def service_model(service: str) -> ServiceModel:
    """Return botocore's model of a service; raise ValueError if there is none."""
    try:
        model: ServiceModel = aws.service_model(service)
        return model
    except UnknownServiceError:
        raise ValueError(f"boto3 knows no service {service}") from None


def read(path: Path) -> FaultsFile:
    """Read a faults file; raise FaultsError."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise FaultsError(f"the faults file {path} cannot be read: {error.strerror}") from None
    return parse(text, str(path))


def parse(text: bytes, name: str) -> FaultsFile:
    """Parse a faults file; raise FaultsError, with `name` in its message."""
    try:
        return FaultsFile.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        what = first["msg"].removeprefix("Value error, ")
        raise FaultsError(f"{name}: {where}: {what}; the README of embedded-aws has the format") from None
