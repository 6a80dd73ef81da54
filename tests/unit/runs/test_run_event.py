"""seqdrop.runs.run_event and console: what other systems and people get at the end of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from seqdrop.runs import console, run_event, table

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/run-finished.schema.json").read_text())
ROW = {
    "run": "01ab", "sample": "NA1", "status": "SUCCEEDED", "reference": "hg", "results": "s3://r/NA1/01ab",
    "qc": "WARN", "started": "2026-03-01T10:00:00Z", "finished": "2026-03-01T11:00:00Z", "cost": "0.093",
    "reads": 400, "warnings": ["align: 12 names come twice."], "notify_pending": "yes", "message": "",
}  # fmt: skip
EXECUTION = "arn:aws:states:eu-central-1:123456789012:execution:prod-pipeline:01ab"


def test_the_detail_of_a_succeeded_run() -> None:
    detail = run_event.detail(ROW, "prod")
    jsonschema.validate(detail, SCHEMA)
    assert detail == {
        "version": 1, "stack": "prod", "run": "01ab", "kind": "", "sample": "NA1", "status": "SUCCEEDED", "class": "",
        "step": "", "qc": "WARN", "reference": "hg", "results": "s3://r/NA1/01ab", "supersedes": "", "warnings": 1,
        "usd": 0.093, "started": ROW["started"], "finished": ROW["finished"], "manifest": "s3://r/NA1/01ab/manifest.json",
        "figures": {"reads": 400},
    }  # fmt: skip


def test_the_detail_of_a_joint_run_says_that_it_is_one() -> None:
    detail = run_event.detail({**ROW, "sample": "FAMILY", "kind": "joint"}, "prod")
    jsonschema.validate(detail, SCHEMA)
    assert detail["kind"] == "joint"


@pytest.mark.parametrize("status", sorted(table.FAILED))
def test_every_end_of_a_run_is_valid(status: str) -> None:
    row = {"run": "01ab", "sample": "NA1", "status": status, "class": "BAD_INPUT.FORMAT", "finished": "t"}
    detail = run_event.detail(row, "prod")
    jsonschema.validate(detail, SCHEMA)
    assert (detail["manifest"] != "") is (status in {"INCOMPLETE", "QC_FAILED"})


def test_the_links_open_the_report_and_the_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    host = "https://eu-central-1.console.aws.amazon.com"
    execution = f"Execution: {host}/states/home?region=eu-central-1#/executions/details/{EXECUTION}"
    assert console.links(EXECUTION, "s3://r/NA1/a b.html") == [
        f"Report: {host}/s3/object/r?region=eu-central-1&prefix=NA1/a%20b.html",
        execution,
    ]
    assert console.links(EXECUTION, "") == [execution]
    china = console.links(EXECUTION.replace("aws", "aws-cn").replace("eu-central-1", "cn-north-1"), "")
    assert china[0].startswith("Execution: https://cn-north-1.console.amazonaws.cn/states/")
    assert console.links(EXECUTION.replace("aws", "aws-iso"), "") == []
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    assert console.links(EXECUTION, "") == []


class Bus:
    """EventBridge that answers as documented: HTTP 200 also for an entry that failed."""

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803  the name of AWS
        failed = {"ErrorCode": "ThrottlingException", "ErrorMessage": "NA1"}
        return {"FailedEntryCount": len(Entries), "Entries": [failed] * len(Entries)}


def test_an_event_that_was_not_accepted_is_an_error_that_names_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACK", "prod")
    monkeypatch.setattr(run_event, "client", Bus)
    with pytest.raises(run_event.NotPublishedError, match=r"^ThrottlingException$"):
        run_event.publish(ROW)
