"""The paths of GA4GH WES 1.1, so that its clients can start and watch runs.

https://ga4gh.github.io/workflow-execution-service-schemas/docs/
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler.exceptions import BadRequestError
from aws_lambda_powertools.event_handler.openapi.params import Form, Path, Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter
from pydantic import BaseModel, ValidationError
from seqdrop import __version__
from seqdrop.plan import forms, joint, steps
from seqdrop.runs import receipts, table
from seqdrop.runs.table import Row
from seqdrop.storage.uri import S3Uri

from functions.api import service
from functions.api.documents import answers
from functions.api.models import NEXT_PAGE, NewRun, RunId
from functions.api.wes_models import (
    Log,
    RunList,
    RunLog,
    RunRef,
    RunState,
    ServiceInfo,
    State,
    TaskList,
    TaskLog,
    WesError,
)

PREFIX = "/ga4gh/wes/v1"
WORKFLOW_TYPE = "seqdrop"
STATES: dict[str, State] = {
    "RUNNING": "RUNNING",
    "SUCCEEDED": "COMPLETE",
    "ABORTED": "CANCELED",
    "TIMED_OUT": "SYSTEM_ERROR",
    # With results, but not all, or not fit for use: a client must not take them for a success.
    "INCOMPLETE": "EXECUTOR_ERROR",
    "QC_FAILED": "EXECUTOR_ERROR",
    "FAILED": "EXECUTOR_ERROR",
}
RunPath = Annotated[RunId, Path()]
router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]  # of Powertools


def _answers(model: type[BaseModel], *codes: int) -> dict[int, Any]:
    return answers(model, *codes, error=WesError)


@router.get("/service-info", summary="Describe the service", tags=["WES"], responses=_answers(ServiceInfo))
def describe() -> ServiceInfo:
    """Describe this service."""
    running = sum(1 for _ in table.with_status(table.RUNNING))
    return ServiceInfo(
        id=f"seqdrop.{os.environ['STACK']}",
        name=os.environ["STACK"],
        organization={
            "name": os.environ["STACK"],
            "url": f"https://{router.current_event.request_context.domain_name}",
        },
        version=__version__,
        workflow_type_versions={WORKFLOW_TYPE: {"workflow_type_version": [__version__]}},
        system_state_counts={"RUNNING": running},
    )


@router.get("/runs", summary="List runs", tags=["WES"], responses=_answers(RunList, 422))
def list_wes_runs(
    page_size: Annotated[int, Query(ge=1, le=100)] = 25,
    page_token: Annotated[str, Query(pattern=NEXT_PAGE)] = "",
) -> RunList:
    """List runs, the newest first."""
    rows, following = service.page(table.OF_RUNS, "", "", page_size, page_token)
    return RunList(runs=[RunState(run_id=row["run"], state=state(row)) for row in rows], next_page_token=following)


@router.post("/runs", summary="Start a run", tags=["WES"], responses=_answers(RunRef, 400, 409, 422))
def start_wes_run(
    workflow_type: Annotated[Literal["seqdrop"], Form()],  # noqa: ARG001  required by WES; there is one workflow
    workflow_type_version: Annotated[str, Form()],  # noqa: ARG001  as above
    workflow_url: Annotated[str, Form()],  # noqa: ARG001  as above
    workflow_params: Annotated[str, Form(description="JSON: the body of POST /runs")] = "{}",
) -> RunRef:
    """Start the run of one sample. `workflow_params` is the JSON of POST /runs; there is one workflow."""
    try:
        request = NewRun.model_validate_json(workflow_params)
    except ValidationError as error:
        [first, *_] = error.errors()
        where = ".".join(map(str, first["loc"])) or "the JSON"
        raise BadRequestError(f"workflow_params is not the body of POST /runs: {where}: {first['type']}.") from None
    return RunRef(run_id=service.start(request).run)


@router.get("/runs/<run_id>", summary="Show a run", tags=["WES"], responses=_answers(RunLog, 404, 422))
def show_wes_run(run_id: RunPath) -> RunLog:
    """Show a run: its request, its state, its tasks and its outputs."""
    row = service.get(run_id)
    times = {"start_time": row["started"], "end_time": row.get("finished", "")}
    return RunLog(
        run_id=run_id,
        request=_request(row),
        state=state(row),
        run_log=Log(name=row["sample"], stderr=row.get("message", ""), **times),
        task_logs_url=f"{PREFIX}/runs/{run_id}/tasks",
        outputs=_outputs(row),
    )


@router.get(
    "/runs/<run_id>/status", summary="Show the state of a run", tags=["WES"], responses=_answers(RunState, 404, 422)
)
def show_wes_state(run_id: RunPath) -> RunState:
    """Show the state of a run."""
    return RunState(run_id=run_id, state=state(service.get(run_id)))


@router.post("/runs/<run_id>/cancel", summary="Stop a run", tags=["WES"], responses=_answers(RunRef, 404, 409, 422))
def cancel_wes_run(run_id: RunPath) -> RunRef:
    """Stop a run and its jobs."""
    service.stop(run_id)
    return RunRef(run_id=run_id)


@router.get(
    "/runs/<run_id>/tasks", summary="List the jobs of a run", tags=["WES"], responses=_answers(TaskList, 404, 422)
)
def list_wes_tasks(run_id: RunPath) -> TaskList:
    """List the finished jobs of a run; all are on one page."""
    return TaskList(task_logs=_tasks(service.get(run_id)))


@router.get(
    "/runs/<run_id>/tasks/<task_id>", summary="Show a job of a run", tags=["WES"], responses=_answers(TaskLog, 404, 422)
)
def show_wes_task(run_id: RunPath, task_id: Annotated[str, Path(max_length=64)]) -> TaskLog:
    """Show a finished job of a run."""
    for task in _tasks(service.get(run_id)):
        if task.id == task_id:
            return task
    raise service.MissingError(f"Run {run_id} has no finished job {task_id}.")


def state(row: Row) -> State:
    """Return the state of a run as WES names it."""
    return STATES[row["status"]]


def _request(row: Row) -> dict[str, Any]:
    chosen = {name: row[name] for name in ("reference", "aligner", "caller") if name in row}
    params = {"sample": row["sample"], "choices": chosen}
    version = {"workflow_type_version": __version__, "workflow_url": WORKFLOW_TYPE}
    return {"workflow_params": params, "workflow_type": WORKFLOW_TYPE, **version}


def _outputs(row: Row) -> dict[str, Any]:
    if STATES[row["status"]] != "COMPLETE":
        return {}
    return {output["name"]: output["uri"] for output in service.manifest(row["run"])["outputs"]}


def _tasks(row: Row) -> list[TaskLog]:
    """Return the jobs of a run that have left a receipt: those that have ended without an error."""
    names = [step.name for step in steps.JOINT] if row.get("kind") == joint.KIND else steps.names()
    names = steps.with_scatter(names) if row.get("form") == forms.SCATTERED else names
    folder, parts = row.get("results"), int(row.get("parts", 0))
    found = receipts.read_receipts(S3Uri.parse(folder), names, parts) if folder else {}
    return [
        TaskLog(
            id=step,
            name=step,
            cmd=receipt["commands"],
            start_time=receipt["started"],
            end_time=table.time_text(receipts.end_of(receipt)),
        )
        for step, receipt in found.items()
    ]
