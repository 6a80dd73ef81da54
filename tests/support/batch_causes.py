"""Errors of Batch jobs as Step Functions reports them, one file each in `causes/`, with the expected class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seqdrop.failure.verdict import Verdict

CAUSES = sorted((Path(__file__).parent / "causes").glob("*.json"))


def load_cause(path: Path) -> tuple[dict[str, Any], Verdict | None, dict[str, Any]]:
    """A file of `causes/`: the error as `.sync` hands it over, the job's own verdict, what is expected of both."""
    said = json.loads(path.read_text())
    cause = json.dumps(said["Cause"]) if isinstance(said["Cause"], dict) else said["Cause"]
    verdict = Verdict.from_json(said["Verdict"]) if said["Verdict"] else None
    return {"Error": said["Error"], "Cause": cause}, verdict, said["Expected"]
