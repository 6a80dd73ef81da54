"""The faults file: which faults are to strike, read and checked as a whole before anything starts."""

from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from botocore.exceptions import UnknownServiceError
from botocore.model import ServiceModel
from botocore.session import Session
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

NO_CAPACITY = "Canceled by JobStateTimeLimit action due to reason: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
# Words that mean something to some faults only.
BELONGS = {
    "after": ("host_lost", "host_drained", "out_of_memory", "hang"),
    "limit": ("hang",),
    "reason": ("not_placed",),
    "seconds": ("delay",),
}


class FaultsError(Exception):
    """The faults file cannot be used; the text says what, where and what to do."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Fault(_Strict):
    fault: str
    times: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _words_of_this_fault(self) -> Self:
        for word in sorted(self.model_fields_set):
            if self.fault not in BELONGS.get(word, (self.fault,)):
                raise ValueError(f"`{word}` belongs to {', '.join(BELONGS[word])}, not to {self.fault}")
        return self


class JobFault(_Fault):
    """What befalls attempts of the jobs whose name matches `job`, a glob; `times` counts attempts."""

    job: str
    fault: Literal["host_lost", "host_drained", "out_of_memory", "image_pull", "hang", "not_placed"]
    after: float = Field(default=0.0, ge=0)  # seconds of the attempt that go well
    limit: float | None = Field(default=None, gt=0)  # seconds: the attempt's time limit, else the job definition's
    reason: str = NO_CAPACITY


class CallFault(_Fault):
    """What befalls calls of a service; `operation`, and for S3 `key`, are globs."""

    service: str  # as boto3 calls it
    operation: str
    fault: Literal["403", "429", "500", "503", "throttled", "reset", "flip", "short", "delay"]
    key: str = "*"
    seconds: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _known_to_aws(self) -> Self:
        names = service_model(self.service).operation_names
        if not any(fnmatchcase(name, self.operation) for name in names):
            raise ValueError(f"{self.service} has no operation {self.operation}")
        if self.service != "s3" and "key" in self.model_fields_set:
            raise ValueError("`key` belongs to s3")
        return self


class Document(_Strict):
    """A whole faults file."""

    jobs: tuple[JobFault, ...] = ()
    calls: tuple[CallFault, ...] = ()
    scratch_mib: Annotated[int, Field(ge=1)] | None = None


@cache
def service_model(service: str) -> ServiceModel:
    try:
        return Session().get_service_model(service)
    except UnknownServiceError:
        raise ValueError(f"boto3 knows no service {service}") from None


def read(path: Path) -> Document:
    """Raises FaultsError."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise FaultsError(f"the faults file {path} cannot be read: {error.strerror}") from None
    return parse(text, str(path))


def parse(text: bytes, name: str) -> Document:
    """Raises FaultsError; `name` is what the sentence calls the document."""
    try:
        return Document.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        what = first["msg"].removeprefix("Value error, ")
        raise FaultsError(f"{name}: {where}: {what}; the README of embedded-aws has the format") from None
