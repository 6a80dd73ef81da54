"""Answer the requests to the API: start, list, watch, stop and resume runs."""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import ServiceError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestUnsupportedContentType, RequestValidationError
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query
from aws_lambda_powertools.utilities.typing import LambdaContext
from seqdrop import __version__
from seqdrop.log import log_failure, logger
from seqdrop.runs import table

from functions.api import models, service, wes
from functions.api.documents import JSON, answers
from functions.api.wes_models import WesError

RunPath = Annotated[models.RunId, Path()]

app = APIGatewayHttpResolver(enable_validation=True)
app.enable_swagger(
    path="/openapi",
    title="seqdrop",
    version=__version__,
    summary="Start and watch runs: FASTQs in, annotated variants out.",
    description="Requests are signed (AWS IAM, service `execute-api`) or have a token (JWT), as the stack is deployed.",
)
app.include_router(wes.router, prefix=wes.PREFIX)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a request of API Gateway (HTTP API, payload version 2.0)."""
    return app.resolve(event, context)


@app.post("/runs", summary="Start a run", tags=["runs"], responses=answers(models.Started, 409, 422))
def start_run(request: Annotated[models.NewRun, Body()]) -> models.Started:
    """Start the run of one sample whose FASTQs are in S3. The same files and choices again start nothing."""
    return service.start(request)


@app.get("/runs", summary="List runs", tags=["runs"], responses=answers(models.Runs, 422))
def list_runs(
    sample: Annotated[str, Query(max_length=64, description="Only runs of this sample")] = "",
    status: Annotated[models.Status | None, Query(description="Only runs with this status")] = None,
    since: Annotated[str, Query(pattern=models.TIME, description="Only runs since this time (UTC)")] = "",
    size: Annotated[int, Query(ge=1, le=100, description="Runs on a page")] = 25,
    token: Annotated[str, Query(pattern=models.NEXT_PAGE, description="`next` of the page before")] = "",
) -> models.Runs:
    """List runs, the newest first."""
    statuses = frozenset({status}) if status else table.OF_RUNS
    rows, following = service.page(statuses, sample, since, size, token)
    return models.Runs(runs=[models.run_of(row) for row in rows], next=following)


@app.get("/runs/<run>", summary="Show a run", tags=["runs"], responses=answers(models.Run, 404, 422))
def show_run(run: RunPath) -> models.Run:
    """Show the row of a run: its status, its figures, its price, why it failed and what to do."""
    return models.run_of(service.get(run))


@app.post(
    "/runs/<run>/stop",
    summary="Stop a run",
    tags=["runs"],
    status_code=202,
    responses=answers(models.Stopped, 404, 409, 422, code=202),
)
def stop_run(run: RunPath) -> models.Stopped:
    """Stop a run and its jobs. What is done stays done: the run can be resumed."""
    service.stop(run)
    return models.Stopped(run=run)


@app.post(
    "/runs/<run>/resume",
    summary="Resume a run",
    tags=["runs"],
    status_code=202,
    responses=answers(models.Resumed, 404, 409, 422, code=202),
)
def resume_run(
    run: RunPath,
    max_cost: Annotated[str, Query(pattern=models.USD, description="A new budget in USD; empty: the present one")] = "",
) -> models.Resumed:
    """Resume a run that failed or was stopped: steps that are done are not repeated."""
    return models.Resumed(**service.resume(run, max_cost))


@app.get(
    "/runs/<run>/report",
    summary="Link to the report",
    tags=["results"],
    responses=answers(models.Report, 404, 409, 422),
)
def link_report(run: RunPath) -> models.Report:
    """Return a link that opens the report of a run in a browser, for some minutes."""
    return models.Report(url=service.report_url(run), expires=service.EXPIRES)


@app.get(
    "/runs/<run>/files", summary="List the results", tags=["results"], responses=answers(models.Files, 404, 409, 422)
)
def list_files(run: RunPath) -> models.Files:
    """List the results that the manifest of a run names, with their checksums; read them with your own rights in S3."""
    manifest = service.manifest(run)
    return models.Files(run=run, complete=manifest["complete"], files=manifest["outputs"])


@app.exception_handler(ServiceError)  # type: ignore[untyped-decorator]  # Powertools has no type for it
def refuse(error: ServiceError) -> Response[str]:
    """Answer a request that cannot be met."""
    message, failure_class = str(error.msg), getattr(error, "failure_class", "")
    return respond(error.status_code, message, failure_class, getattr(error, "problems", []))


@app.exception_handler(RequestValidationError)  # type: ignore[untyped-decorator]  # Powertools has no type for it
def refuse_invalid(error: RequestValidationError) -> Response[str]:
    """Answer a request that does not follow the OpenAPI description."""
    problems = [models.Problem(where=".".join(map(str, one["loc"])), message=one["type"]) for one in error.errors()]
    return respond(HTTPStatus.UNPROCESSABLE_ENTITY, "The request is not valid: see /openapi.", "", problems)


@app.not_found
def refuse_path(_error: Any) -> Response[str]:
    """Answer a request for a path, or a method of a path, that the API does not have."""
    for path, methods in paths().items():
        if path.fullmatch(app.current_event.path) and app.current_event.http_method not in methods:
            answer = respond(HTTPStatus.METHOD_NOT_ALLOWED, f"This path has {methods} alone: see /openapi.")
            answer.headers["Allow"] = methods
            return answer
    return respond(HTTPStatus.NOT_FOUND, "The API has no such path: see /openapi.")


@cache
def paths() -> dict[re.Pattern[str], str]:
    """Return the methods of each path of the API."""
    described = app.get_openapi_schema(title="seqdrop", version=__version__).paths or {}
    return {
        re.compile(re.sub(r"\{\w+\}", "[^/]+", path)): ", ".join(
            name.upper() for name in ("get", "post") if getattr(item, name)
        )
        for path, item in described.items()
    }


@app.exception_handler(RequestUnsupportedContentType)  # type: ignore[untyped-decorator]  # as above
def refuse_form(_error: RequestUnsupportedContentType) -> Response[str]:
    """Answer a request whose body is in another form."""
    return respond(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be JSON; for WES, a form.")


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]  # Powertools has no type for it
def refuse_internal(error: Exception) -> Response[str]:
    """Answer a request that failed here; only the log has the reason."""
    kind = app.current_event.headers.get("content-type", "")
    if kind.startswith("multipart/") and "boundary=" not in kind:  # Powertools raises a ValueError
        return respond(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The header Content-Type has no boundary.")
    log_failure("request failed", error)
    return respond(HTTPStatus.INTERNAL_SERVER_ERROR, "The request failed; the log of the function api says why.")


def respond(
    code: int, message: str, failure_class: str = "", problems: list[models.Problem] | None = None
) -> Response[str]:
    """Return the document of an error: that of WES below its paths."""
    if app.current_event.path.startswith(wes.PREFIX):
        body: Any = WesError(msg=message, status_code=int(code))
    else:
        body = models.Error(
            status_code=int(code), message=message, failure_class=failure_class, problems=problems or []
        )
    return Response(code, content_type=JSON, body=body.model_dump_json())
