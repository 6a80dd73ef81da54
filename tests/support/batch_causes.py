"""Load errors of Batch jobs as Step Functions reports them, from `causes/`, with the expected class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seqdrop.failure.verdict import Verdict

FOLDER = Path(__file__).parent / "causes"
CAUSES = sorted(FOLDER.glob("*.json"))


def load_cause(path: Path) -> tuple[dict[str, Any], Verdict | None, dict[str, Any]]:
    """Return the error as a `.sync` task reports it, the job's verdict, and the expected class and message."""
    case = json.loads(path.read_text())
    cause = json.dumps(case["Cause"]) if isinstance(case["Cause"], dict) else case["Cause"]
    verdict = Verdict.from_json(case["Verdict"]) if case["Verdict"] else None
    return {"Error": case["Error"], "Cause": cause}, verdict, case["Expected"]
