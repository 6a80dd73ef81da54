"""functions/api: requests to the HTTP API, and to the paths of WES."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from seqdrop.plan import steps
from support.function_aws import (
    ACCOUNT,
    FASTQS,
    RESULTS,
    Deployed,
    allowed_actions,
    collect_logs,
    event,
    fail_next_call,
)
from support.made_reads import fastq
from support.run_results import write_receipts
from urllib3 import encode_multipart_formdata

from functions.api import service

WES = "/ga4gh/wes/v1"
PLAN = event("execution_input")
RUN = PLAN["run"]
Answer = tuple[int, Any]


class Client:
    """A client of the API: it calls the function as API Gateway does."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def send(self, method: str, path: str, body: str = "", kind: str = "application/json", **query: Any) -> Answer:
        http = {"method": method, "path": path, "sourceIp": "192.0.2.1", "userAgent": "test"}
        request = {
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": urlencode(query), "body": body,
            "headers": {"content-type": kind}, "queryStringParameters": {k: str(v) for k, v in query.items()},
            "requestContext": {"accountId": ACCOUNT, "http": http, "stage": "$default", "domainName": "a.example.org"},
            "isBase64Encoded": kind.startswith("multipart/"),
        }  # fmt: skip
        answer = self.function.call(request)
        return answer["statusCode"], json.loads(answer["body"])

    def get(self, path: str, **query: Any) -> Answer:
        return self.send("GET", path, **query)

    def post(self, path: str, body: Any = None) -> Answer:
        return self.send("POST", path, json.dumps(body) if body is not None else "")

    def form(self, path: str, **fields: str) -> Answer:
        return self.send("POST", path, urlencode(fields), "application/x-www-form-urlencoded")

    def multipart(self, path: str, **fields: str) -> Answer:
        """Send a form as the WES specification has it; API Gateway gives the function such a body as base64."""
        body, kind = encode_multipart_formdata(fields)
        return self.send("POST", path, base64.b64encode(body).decode(), kind)


class Lambda:
    """A client of Lambda whose function start_run is in this process."""

    def __init__(self, start_run: Any) -> None:
        self.start_run = start_run

    def invoke(self, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803  the names of botocore
        assert FunctionName == "seqdrop-start_run"
        return {"Payload": io.BytesIO(json.dumps(self.start_run.call(json.loads(Payload))).encode())}


@pytest.fixture
def api(aws: Deployed, monkeypatch: pytest.MonkeyPatch) -> Client:
    aws.prepare()
    start_run = aws.load("start_run")
    function = aws.load("api")
    monkeypatch.setattr(service, "lambda_client", lambda: Lambda(start_run))
    return Client(function)


@pytest.fixture
def body(aws: Deployed) -> dict[str, Any]:
    """A request for the run of two lanes that are in the bucket."""
    lanes = []
    for lane in (1, 2):
        for mate in (1, 2):
            aws.put(f"in/{lane}_{mate}.fq.gz", fastq(mate, lane=lane))
        files = {f"fastq_{mate}": f"s3://{FASTQS}/in/{lane}_{mate}.fq.gz" for mate in (1, 2)}
        lanes.append({"lane": str(lane), **files})
    return {"sample": "NA1", "lanes": lanes, "choices": {"priority": "high", "sex": "XX"}}


def put_rows(aws: Deployed, *rows: dict[str, Any]) -> None:
    for row in rows:
        aws.table.put_item(Item={"sample": "NA1", "status": "SUCCEEDED", "started": "2026-03-01T10:00:00Z", **row})


def set_status(aws: Deployed, run: str, status: str) -> None:
    names, values = {"#status": "status"}, {":status": status}
    aws.table.update_item(
        Key={"run": run},
        UpdateExpression="SET #status = :status",
        ExpressionAttributeNames=names,
        ExpressionAttributeValues=values,
    )


def finish(aws: Deployed) -> None:
    """Record a run that has succeeded."""
    write_receipts(aws, PLAN, steps.names())
    aws.load("record_run").call(event("record_run_succeeded"))
    aws.load("api")


def test_a_run_of_two_lanes_is_started_once(aws: Deployed, api: Client, body: dict[str, Any]) -> None:
    code, started = api.post("/runs", body)
    assert (code, started["outcome"]) == (200, "started")
    assert api.post("/runs", body)[1]["run"] == started["run"]
    assert aws.executions() == [started["run"]]
    code, run = api.get(f"/runs/{started['run']}")
    assert (code, run["sample"], run["status"], run["reference"]) == (200, "NA1", "RUNNING", "demo")
    reads = json.loads(aws.text(RESULTS, f"NA1/{started['run']}/reads.json"))
    assert (len(reads["lanes"]), reads["sheet"]) == (2, {"sex": "XX"})
    set_status(aws, started["run"], "ABORTED")
    assert api.post("/runs", body) == (200, {"run": started["run"], "outcome": "duplicate"})
    assert aws.executions() == [started["run"]]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"choices": {"reference": "hg99"}}, (409, "line 2, column reference")),
        ({"choices": {"sex": "X"}}, (409, "line 2, column sex")),
        ({"sample": "a b"}, (422, "body.sample")),
        ({"lanes": []}, (422, "body.lanes")),
        ({"colour": "red"}, (422, "body.colour")),
    ],
)
def test_every_problem_of_a_request_is_named_and_nothing_starts(
    aws: Deployed, api: Client, body: dict[str, Any], change: dict[str, Any], problem: tuple[int, str]
) -> None:
    code, answer = api.post("/runs", {**body, **change})
    assert code == answer["status_code"]
    assert problem in {(code, one["where"]) for one in answer["problems"]}
    assert aws.executions() == []


def test_a_choice_that_does_not_exist_is_refused(api: Client, body: dict[str, Any]) -> None:
    """A samplesheet keeps unknown columns; a misspelt choice of a request must not be lost."""
    code, answer = api.post("/runs", {**body, "choices": {"refrence": "demo"}})
    assert (code, answer["message"]) == (409, "No such choice: refrence.")


def test_a_missing_file_is_a_problem_and_a_copy_a_conflict(aws: Deployed, api: Client, body: dict[str, Any]) -> None:
    missing = {**body["lanes"][0], "fastq_2": f"s3://{FASTQS}/in/none.fq.gz"}
    code, answer = api.post("/runs", {**body, "lanes": [missing]})
    assert (code, answer["problems"][0]["where"]) == (409, "line 2, column fastq_2")
    api.post("/runs", body)
    for lane in (1, 2):
        for mate in (1, 2):
            aws.put(f"copy/{lane}_{mate}.fq.gz", fastq(mate, lane=lane))
    lanes = [{name: value.replace("/in/", "/copy/") for name, value in lane.items()} for lane in body["lanes"]]
    code, answer = api.post("/runs", {**body, "lanes": lanes})
    assert (code, answer["message"].startswith("Nothing was started: a copy of the FASTQs of run")) == (409, True)


def test_pages_have_every_run_once_also_those_of_one_second(aws: Deployed, api: Client) -> None:
    put_rows(aws, *({"run": f"r{number}"} for number in range(5)), {"run": "new", "started": "2026-03-02T10:00:00Z"})
    put_rows(aws, {"run": "other", "sample": "NA2", "status": "FAILED"}, {"run": "waiting-1", "status": "WAITING"})
    seen, token = list[str](), ""
    while True:
        code, page = api.get("/runs", size=2, token=token)
        assert (code, len(page["runs"]) <= 2) == (200, True)
        seen += [run["run"] for run in page["runs"]]
        token = page["next"]
        if not token:
            break
    assert seen[0] == "new"
    assert sorted(seen) == ["new", "other", "r0", "r1", "r2", "r3", "r4"]
    assert [run["run"] for run in api.get("/runs", sample="NA2")[1]["runs"]] == ["other"]
    assert [run["run"] for run in api.get("/runs", status="FAILED")[1]["runs"]] == ["other"]
    assert [run["run"] for run in api.get("/runs", since="2026-03-02")[1]["runs"]] == ["new"]
    assert api.get("/runs", since="2027-01-01", token="2026-03-01T10:00:00Z/r1") == (200, {"runs": [], "next": ""})


@pytest.mark.parametrize(
    "query", [{"size": 0}, {"size": 101}, {"token": "x"}, {"since": "today"}, {"status": "WAITING"}]
)
def test_a_query_that_is_not_valid_is_refused(api: Client, query: dict[str, Any]) -> None:
    assert api.get("/runs", **query)[0] == 422


def test_rows_of_files_are_not_runs(aws: Deployed, api: Client) -> None:
    put_rows(aws, {"run": "waiting-1", "status": "WAITING"})
    assert api.get("/runs/waiting-1") == (404, {
        "status_code": 404, "message": "Run waiting-1 does not exist.", "failure_class": "", "problems": [],
    })  # fmt: skip


def test_a_run_is_stopped_and_resumed(aws: Deployed, api: Client, body: dict[str, Any]) -> None:
    run = api.post("/runs", body)[1]["run"]
    assert api.post(f"/runs/{run}/resume")[0] == 409
    assert api.post(f"/runs/{run}/stop") == (202, {"run": run})
    code, answer = api.post(f"/runs/{run}/stop")
    assert (code, answer["message"]) == (409, f"Run {run} does not run: RUNNING.")
    set_status(aws, run, "ABORTED")
    code, resumed = api.post(f"/runs/{run}/resume")
    assert (code, resumed["run"], resumed["execution"].endswith(f":{run}-2")) == (202, run, True)
    assert api.post("/runs/none/stop")[0] == api.post("/runs/none/resume")[0] == 404


def test_a_run_that_has_cost_its_budget_is_resumed_with_a_higher_one(
    aws: Deployed, api: Client, body: dict[str, Any]
) -> None:
    body["choices"]["max_cost"] = "1"
    run = api.post("/runs", body)[1]["run"]
    api.post(f"/runs/{run}/stop")
    set_status(aws, run, "ABORTED")
    aws.table.update_item(
        Key={"run": run}, UpdateExpression="SET cost = :cost", ExpressionAttributeValues={":cost": "1.5"}
    )
    code, answer = api.post(f"/runs/{run}/resume")
    assert (code, "its budget is $1.00" in answer["message"]) == (409, True)
    assert api.send("POST", f"/runs/{run}/resume", max_cost="two")[0] == 422
    assert api.send("POST", f"/runs/{run}/resume", max_cost="2")[0] == 202
    assert (aws.row(run) or {})["max_cost"] == "2"


def test_the_results_of_a_run_are_listed_and_its_report_is_linked(aws: Deployed, api: Client) -> None:
    finish(aws)
    code, files = api.get(f"/runs/{RUN}/files")
    assert (code, files["complete"]) == (200, True)
    assert {PLAN["bam"], PLAN["report"]} <= {file["uri"] for file in files["files"]}
    assert api.get(f"/runs/{RUN}")[1]["figures"]["reads"] == 400
    assert api.get(f"/runs/{RUN}/report")[1]["message"] == f"Run {RUN} has no report."  # of this name
    put_rows(aws, {"run": "r1", "status": "RUNNING"})
    assert api.get("/runs/r1/files")[0] == api.get("/runs/r1/report")[0] == 409


def test_the_link_to_a_report_is_signed_with_version_4(aws: Deployed, api: Client) -> None:
    output = {"name": "report", "uri": f"s3://{RESULTS}/NA1/r1/NA1.report.html"}
    aws.write(f"s3://{RESULTS}/NA1/r1/manifest.json", {"outputs": [output]})
    put_rows(aws, {"run": "r1", "results": f"s3://{RESULTS}/NA1/r1"})
    code, link = api.get("/runs/r1/report")
    assert (code, link["expires"]) == (200, 900)
    parts = urlsplit(link["url"])
    assert parts.path.endswith("NA1/r1/NA1.report.html")
    assert "X-Amz-Signature=" in parts.query


def test_an_error_of_aws_is_not_told_to_the_caller(api: Client) -> None:
    with fail_next_call("dynamodb.GetItem", "secret NA1"), collect_logs() as log:
        code, answer = api.get("/runs/r1")
    assert "NA1" not in log.getvalue()
    assert (code, answer["message"]) == (500, "The request failed; the log of the function api says why.")


def test_unknown_paths_and_methods_are_not_found(api: Client) -> None:
    assert api.get("/none")[0] == 404
    assert api.send("DELETE", "/runs")[0] == api.send("PUT", "/runs/r1/stop")[0] == 405
    message = "The API has no such path: see /openapi."
    assert api.get(f"{WES}/none") == (404, {"msg": message, "status_code": 404})


def test_the_page_of_the_api_needs_no_other_site(aws: Deployed, api: Client) -> None:
    context = {"http": {"method": "GET", "path": "/openapi"}, "stage": "$default"}
    request = {"version": "2.0", "rawPath": "/openapi", "headers": {}, "requestContext": context}
    page = api.function.call(request)
    assert (page["statusCode"], page["headers"]["Content-Type"]) == (200, "text/html")
    assert 'src="http' not in page["body"]
    schema = json.loads(api.function.call({**request, "queryStringParameters": {"format": "json"}})["body"])
    assert {"/runs", "/runs/{run}", f"{WES}/runs/{{run_id}}"} <= schema["paths"].keys()
    assert set(schema["paths"]["/runs"]["get"]["responses"]) >= {"200", "403", "422", "429", "500"}


@pytest.mark.parametrize("form", [Client.form, Client.multipart])
def test_wes_starts_lists_shows_and_cancels_runs(
    aws: Deployed, api: Client, body: dict[str, Any], form: Callable[..., Answer]
) -> None:
    info = api.get(f"{WES}/service-info")[1]
    assert (info["supported_wes_versions"], info["type"]["artifact"]) == (["1.1.0"], "wes")
    fields = {"workflow_type": "seqdrop", "workflow_type_version": info["version"], "workflow_url": "seqdrop"}
    code, started = form(api, f"{WES}/runs", workflow_params=json.dumps(body), **fields)
    run = started["run_id"]
    assert (code, aws.executions()) == (200, [run])
    assert api.get(f"{WES}/runs") == (200, {"runs": [{"run_id": run, "state": "RUNNING"}], "next_page_token": ""})
    assert api.get(f"{WES}/runs/{run}/status") == (200, {"run_id": run, "state": "RUNNING"})
    assert api.get(f"{WES}/service-info")[1]["system_state_counts"] == {"RUNNING": 1}
    assert api.send("POST", f"{WES}/runs/{run}/cancel") == (200, {"run_id": run})
    log = api.get(f"{WES}/runs/{run}")[1]
    assert (log["run_id"], log["request"]["workflow_params"]["sample"], log["outputs"]) == (run, "NA1", {})
    assert api.get(f"{WES}/runs/{run}/tasks") == (200, {"task_logs": [], "next_page_token": ""})


def test_wes_has_the_tasks_and_outputs_of_a_finished_run(aws: Deployed, api: Client) -> None:
    finish(aws)
    log = api.get(f"{WES}/runs/{RUN}")[1]
    assert (log["state"], PLAN["bam"] in log["outputs"].values()) == ("COMPLETE", True)
    tasks = api.get(f"{WES}/runs/{RUN}/tasks")[1]["task_logs"]
    assert [one["name"] for one in tasks] == list(steps.names())
    task = tasks[0]
    assert (task["cmd"], task["end_time"]) == (["program of align"], "2026-03-01T11:00:00Z")
    assert api.get(f"{WES}/runs/{RUN}/tasks/align") == (200, task)
    assert api.get(f"{WES}/runs/{RUN}/tasks/none")[0] == 404


def test_wes_has_the_jobs_of_a_joint_run(aws: Deployed, api: Client) -> None:
    results = f"s3://{RESULTS}/FAMILY/j1"
    put_rows(aws, {"run": "j1", "sample": "FAMILY", "kind": "joint", "parts": 2, "results": results})
    receipt = {"version": 1, "commands": [], "started": "2026-03-01T10:00:00Z", "seconds": 3600.0, "warnings": []}
    for name in ("merge.0", "merge.1", "join"):
        aws.write(f"{results}/jobs/{name}.json", {**receipt, "outputs": []})
    tasks = api.get(f"{WES}/runs/j1/tasks")[1]["task_logs"]
    assert [(one["name"], one["end_time"]) for one in tasks] == [
        ("merge", "2026-03-01T11:00:00Z"), ("join", "2026-03-01T11:00:00Z")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"workflow_params": "{"}, "workflow_params is not the body of POST /runs: the JSON: json_invalid."),
        ({"workflow_params": "{}"}, "workflow_params is not the body of POST /runs: sample: missing."),
    ],
)
def test_wes_refuses_a_request_with_a_reason(api: Client, fields: dict[str, str], message: str) -> None:
    known = {"workflow_type": "seqdrop", "workflow_type_version": "1", "workflow_url": "seqdrop"}
    assert api.form(f"{WES}/runs", **{**known, **fields}) == (400, {"msg": message, "status_code": 400})


def test_wes_refuses_another_kind_of_workflow(api: Client) -> None:
    assert api.form(f"{WES}/runs", workflow_type="CWL", workflow_type_version="1", workflow_url="x")[0] == 422


@pytest.mark.parametrize("kind", ["multipart/form-data", "text/plain", "application/xml"])
def test_a_body_in_another_form_is_refused(api: Client, body: dict[str, Any], kind: str) -> None:
    assert api.send("POST", "/runs", json.dumps(body), kind)[0] in {415, 422}


@pytest.mark.parametrize("status", ["INCOMPLETE", "QC_FAILED", "FAILED", "TIMED_OUT", "ABORTED"])
def test_wes_calls_no_run_complete_that_is_not(aws: Deployed, api: Client, status: str) -> None:
    put_rows(aws, {"run": "r1", "status": status, "results": f"s3://{RESULTS}/NA1/r1"})
    state = api.get(f"{WES}/runs/r1/status")[1]["state"]
    assert state in {"EXECUTOR_ERROR", "SYSTEM_ERROR", "CANCELED"}


def test_the_role_of_the_api_allows_all_its_calls(aws: Deployed, api: Client, body: dict[str, Any]) -> None:
    run = api.post("/runs", body)[1]["run"]
    aws.calls.clear()
    for path in ("/runs", f"/runs/{run}", f"{WES}/runs/{run}/tasks", f"/runs/{run}/files"):
        api.get(path)
    api.post(f"/runs/{run}/stop")
    assert aws.calls
    assert aws.calls - allowed_actions("api") == set()
