"""Write outputs and receipts as the jobs of a run do."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from seqdrop.plan import steps
from seqdrop.storage.uri import S3Uri

from support.function_aws import Deployed

COUNTS = {"align": {"reads": 400}, "call": {"variants": 12}, "collect": {"reads": 400, "reads_mapped": 398}}
WARNING = {"warning": "DUPLICATE_NAMES", "message": "12 names come twice."}  # of the alignment


def write_receipts(aws: Deployed, plan: dict[str, Any], names: Iterable[str]) -> None:
    """Write the outputs of these steps at the addresses of the plan, and a receipt of each step."""
    rows = {step.name: step for step in steps.STEPS}
    for name in names:
        receipt = {
            "version": 1,
            "run": plan["run"],
            "step": name,
            "started": "2026-03-01T10:00:00Z",
            "seconds": 3600.0,
            "commands": [f"program of {name}"],
            "vcpus": 1,
            "memory": 1024,
            "counts": COUNTS.get(name, {}),
            "warnings": [WARNING] if name == "align" else [],
            "outputs": [write_output(aws, uri) for word in rows[name].writes for uri in addresses(plan[word])],
        }
        aws.write(f"{plan['results']}/jobs/{name}.json", receipt)


def addresses(value: str) -> list[S3Uri]:
    """Return the addresses of an output: one, or a JSON list with one for each lane."""
    return [S3Uri.parse(uri) for uri in (json.loads(value) if value.startswith("[") else [value])]


def write_output(aws: Deployed, uri: S3Uri) -> dict[str, Any]:
    """Write an object and return its entry in a receipt."""
    body = uri.name.encode()
    stored = aws.s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=body)
    pin = {"uri": str(uri), "version_id": stored["VersionId"], "etag": stored["ETag"].strip('"'), "size": len(body)}
    return {"name": uri.name, **pin, "crc64nvme": "c"}
