"""Runs of three samples that have ended, for start_run to join."""

from __future__ import annotations

from typing import Any

from support.function_aws import FINGERPRINT, JOINT_MACHINE, REFERENCES, RESULTS, SOURCES, Deployed

NAMES = ("C01", "F01", "M01")


def load(aws: Deployed) -> Any:
    """Load start_run, with the runs of three samples in the table."""
    aws.prepare()
    function = aws.load("start_run")
    for name in NAMES:
        put_run(aws, name)
    aws.calls.clear()
    return function


def put_run(aws: Deployed, name: str, row: dict[str, Any] | None = None, **manifest: Any) -> None:
    """Write the row and the manifest of a run that has ended; `row` and `manifest` have other values."""
    results = f"s3://{RESULTS}/{name}/run{name}"
    item = {"run": f"run{name}", "sample": name, "status": "SUCCEEDED", "started": "2026-03-01T10:00:00Z"}
    aws.table.put_item(Item={**item, "results": results, "execution": "arn", **(row or {})})
    files = {"vcf": f"{name}.vcf.gz", "gvcf": f"{name}.g.vcf.gz"}
    files |= {f"{word}.tbi": f"{file}.tbi" for word, file in files.items()}
    pin = {"etag": "e", "size": 9, "crc64nvme": "c"}
    outputs = [
        {"name": word, "uri": f"{results}/{file}", "version_id": f"v-{word}", **pin} for word, file in files.items()
    ]
    document = {
        "version": 1,
        "choices": {"caller": "bcftools", "args": {}},
        "reference": f"s3://{REFERENCES}/demo/genome.fa",
        "fingerprint": FINGERPRINT,
        "sources": SOURCES,
        "intervals": "all",
        "intervals_name": "",
        "intervals_sha256": "",
        "outputs": outputs,
        "jobs": [{"step": "align", "counts": {}}, {"step": "call", "counts": {"typical_depth": 28}}],
    }
    aws.write(f"{results}/manifest.json", {**document, **manifest})


def ask(start_run: Any, *runs: str, name: str = "FAMILY", reference: str = "") -> dict[str, str]:
    (outcome,) = start_run.call({"joint": {"name": name, "runs": list(runs), "reference": reference}})["outcomes"]
    result: dict[str, str] = outcome
    return result


def joined(aws: Deployed) -> list[str]:
    """Return the names of the executions of joint runs."""
    return [one["name"] for one in aws.states.list_executions(stateMachineArn=JOINT_MACHINE)["executions"]]
