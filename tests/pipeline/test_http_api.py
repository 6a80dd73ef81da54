"""The HTTP API of a whole stack: a client of WES starts, watches and stops runs; the link to a report opens it."""

from __future__ import annotations

import json
from typing import Any

import requests
from seqdrop_cli import api
from seqdrop_cli.stack import Stack
from support.pipeline_runs import Sample, upload, wait_for_end
from support.waiting import eventually
from urllib3 import encode_multipart_formdata

WES = "/ga4gh/wes/v1/runs"


def call(stack: Stack, method: str, path: str, body: Any = None) -> Any:
    """Send a signed request that must succeed; return the document of the answer."""
    status, text = api.call(stack, method, path, json.dumps(body) if body else "")
    assert status in (200, 202), text
    return json.loads(text)


def request_for(stack: Stack, sample: Sample, name: str) -> dict[str, Any]:
    """Upload a pair that starts nothing by itself; return the request that starts its run."""
    keys = {f"fastq_{mate}": f"api/{name}_{mate}.fastq.gz" for mate in (1, 2)}
    for path, key in zip(sample.material.fastqs, keys.values(), strict=True):
        upload(stack, path, key, sheet="yes")
    return {"sample": name, "lanes": [keys]}


def test_a_run_is_started_watched_and_read_through_the_api(bwa_stack: Stack, sample: Sample) -> None:
    run = call(bwa_stack, "POST", "/runs", request_for(bwa_stack, sample, "APIRUN"))["run"]
    assert wait_for_end(bwa_stack, "APIRUN")["run"] == run
    assert [one["run"] for one in call(bwa_stack, "GET", "/runs?sample=APIRUN")["runs"]] == [run]
    shown = call(bwa_stack, "GET", f"/runs/{run}")
    assert (shown["status"], shown["aligner"]) == ("SUCCEEDED", "bwa")
    assert call(bwa_stack, "GET", f"{WES}/{run}/status")["state"] == "COMPLETE"
    tasks = call(bwa_stack, "GET", f"{WES}/{run}/tasks")["task_logs"]
    assert {task["name"] for task in tasks} >= {"align", "call", "compose"}
    files = call(bwa_stack, "GET", f"/runs/{run}/files")["files"]
    assert {"bam", "vcf", "report"} <= {file["name"] for file in files}
    page = requests.get(call(bwa_stack, "GET", f"/runs/{run}/report")["url"], timeout=30)
    assert (page.status_code, "APIRUN" in page.text) == (200, True)


def test_a_run_is_cancelled_through_the_paths_of_wes(bwa_stack: Stack, sample: Sample) -> None:
    """The request is a multipart form, as the specification and `curl -F` have it."""
    params = json.dumps(request_for(bwa_stack, sample, "APISTOP"))
    form = {"workflow_type": "seqdrop", "workflow_type_version": "1", "workflow_url": "x", "workflow_params": params}
    body, kind = encode_multipart_formdata(form)
    status, text = api.call(bwa_stack, "POST", WES, body.decode(), kind)
    assert status == 200, text
    run = json.loads(text)["run_id"]
    assert run in {one["run_id"] for one in call(bwa_stack, "GET", WES)["runs"]}
    call(bwa_stack, "POST", f"{WES}/{run}/cancel")
    eventually(lambda: call(bwa_stack, "GET", f"{WES}/{run}/status")["state"] == "CANCELED", "the end of the run")


def test_the_page_of_the_api_opens_in_a_browser_without_a_header(bwa_stack: Stack) -> None:
    page = requests.get(api.link(bwa_stack), timeout=30)
    assert (page.status_code, "Start a run" in page.text) == (200, True)
