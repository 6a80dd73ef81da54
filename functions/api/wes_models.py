"""The documents of GA4GH WES 1.1."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

State = Literal["RUNNING", "COMPLETE", "EXECUTOR_ERROR", "SYSTEM_ERROR", "CANCELED"]


class WesError(BaseModel):
    """Why a request was refused."""

    msg: str
    status_code: int


class ServiceInfo(BaseModel):
    """What this service is and can do."""

    id: str
    name: str
    type: dict[str, str] = Field(default_factory=lambda: {"group": "org.ga4gh", "artifact": "wes", "version": "1.1.0"})
    description: str = "FASTQs in, annotated variants out"
    organization: dict[str, str]
    version: str
    workflow_type_versions: dict[str, Any]
    supported_wes_versions: list[str] = Field(default_factory=lambda: ["1.1.0"])
    supported_filesystem_protocols: list[str] = Field(default_factory=lambda: ["s3"])
    workflow_engine_versions: dict[str, Any] = Field(default_factory=dict)
    default_workflow_engine_parameters: list[Any] = Field(default_factory=list)
    system_state_counts: dict[str, int] = Field(description="Runs in each state that have not ended")
    auth_instructions_url: str = ""
    tags: dict[str, str] = Field(default_factory=dict)


class RunState(BaseModel):
    """A run and its state."""

    run_id: str
    state: State


class RunList(BaseModel):
    """A page of runs, the newest first."""

    runs: list[RunState]
    next_page_token: str = ""


class RunRef(BaseModel):
    """The run of a request."""

    run_id: str


class Log(BaseModel):
    """Times of a run."""

    name: str
    start_time: str
    end_time: str = ""
    stderr: str = Field("", description="Why it failed")


class RunLog(BaseModel):
    """A run: its request, its state, its outputs."""

    run_id: str
    request: dict[str, Any]
    state: State
    run_log: Log
    task_logs_url: str
    outputs: dict[str, str] = Field(default_factory=dict, description="Address of each result by its name")


class TaskLog(BaseModel):
    """A finished job."""

    id: str
    name: str
    cmd: list[str]
    start_time: str
    end_time: str
    exit_code: int = 0


class TaskList(BaseModel):
    """The finished jobs of a run."""

    task_logs: list[TaskLog]
    next_page_token: str = ""
