"""A run of each form: an array job calls the variants, and the results have the same bytes as from one job."""

from __future__ import annotations

from typing import Any

import pytest
from seqdrop.storage.uri import S3Uri
from seqdrop_cli.follow import step_states
from seqdrop_cli.logs import show_logs
from seqdrop_cli.stack import Stack
from support.pipeline_runs import Sample, eventually, fetch_json, is_recorded, jobs_of, keys, rows, upload_pair

NAME = "FORMS"
FORMS = ("split", "scattered", "fused")
RESULTS = ["vcf.gz", "vcf.gz.tbi", "vcf.gz.stats", "vcf.gz.all.stats", "g.vcf.gz", "g.vcf.gz.tbi"]


def run_forms(stack: Stack, files: Any) -> dict[str, dict[str, Any]]:
    """Run the same files in each form; return the rows. Files that are uploaded again under their keys make a run.

    They are deleted before: else the new first file and the old second one are a pair, which has two forms.
    """
    found: dict[str, dict[str, Any]] = {}
    for form in FORMS:
        for mate in (1, 2):
            stack.s3.delete_object(Bucket=stack["FastqBucket"], Key=f"{NAME}_R{mate}.fastq.gz")
        upload_pair(stack, files, NAME, form=form)
        done = {row["run"] for row in found.values()}

        def ended(done: set[str] = done) -> list[dict[str, Any]]:
            return [row for row in rows(stack, NAME) if row["run"] not in done and is_recorded(row)]

        eventually(ended, f"the end of the {form} run")
        [found[form]] = ended()
    return found


def read(stack: Stack, row: dict[str, Any], name: str) -> bytes:
    uri = S3Uri.parse(row["results"]) / f"{NAME}.{name}"
    return stack.s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()


def test_the_results_have_the_same_bytes_in_every_form(
    stack: Stack, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run_forms(stack, sample.small_pair)
    endings = {form: (row["status"], row.get("message", "")) for form, row in found.items()}
    assert endings == dict.fromkeys(FORMS, ("SUCCEEDED", ""))
    counts = [fetch_json(stack, row, "jobs/call.json")["counts"] for row in found.values()]
    assert counts == [counts[0]] * len(FORMS)
    assert counts[0]["variants_all"] > 0
    for name in RESULTS:
        assert len({read(stack, row, name) for row in found.values()}) == 1, name

    row = found["scattered"]
    [array], [gathering] = jobs_of(stack, row, "scatter"), jobs_of(stack, row, "call")
    assert (array["arrayProperties"]["size"], "arrayProperties" in gathering) == (2, False)
    assert not any(jobs_of(stack, found[form], "scatter") for form in ("split", "fused"))
    receipts = [fetch_json(stack, row, f"jobs/scatter.{index}.json") for index in (0, 1)]
    assert [receipt["part"]["pieces"] for receipt in receipts] == [1, 1]
    manifest = fetch_json(stack, row, "manifest.json")
    assert [job["step"] for job in manifest["jobs"]] == ["align", "scatter", "call", "annotate", "collect", "compose"]
    scatter = manifest["jobs"][1]
    assert (scatter["children"], scatter["counts"]) == (
        2,
        {"records": sum(one["counts"]["records"] for one in receipts)},
    )
    assert manifest["cost"]["attempts"] == 7
    names = {output["uri"].rpartition("/")[2] for output in manifest["outputs"]}
    assert not any("scatter" in name for name in names)
    assert {"jobs/scatter.0.bcf", "jobs/scatter.1.bcf"} <= keys(stack, row)

    assert (row["form"], row["parts"]) == ("scattered", 2)
    states = step_states(stack, row["execution"], row["run"], ["align", "scatter", "call"])
    assert {state.step: state.state for state in states}.items() >= {"scatter": "done", "call": "done"}.items()
    show_logs(stack, row, "scatter", raw=False)
    logs = capsys.readouterr().out
    assert [f"== scatter ({array['jobId']}:{index})" in logs for index in (0, 1)] == [True, True]
    assert "bcftools concat --naive" in logs
