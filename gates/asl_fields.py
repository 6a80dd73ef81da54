"""Check that a state has only the fields that this table lists: another one may stop, repeat or replace its work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .asl_scope import FUNCTION, JOB
from .finding import Problem

COMMON = {"Type", "Comment"}
# A job has no HeartbeatSeconds: Batch sends none, and the state would end. Only tasks have Retry, since a repeated
# Parallel repeats jobs that succeeded.
FIELDS = {
    "Task": {"Resource", "TimeoutSeconds", "Parameters", "Retry", "Catch",
             "ResultSelector", "ResultPath", "OutputPath", "Next"},
    "Parallel": {"Branches", "Catch", "ResultSelector", "ResultPath", "Next"},
    "Choice": {"Choices", "Default"},
    "Pass": {"Result", "ResultPath", "Next", "End"},
    "Succeed": set[str](),
    "Fail": {"Error", "ErrorPath", "Cause", "CausePath"},
}  # fmt: skip
# Retries and the time limit of an attempt are those of the job definition.
PARAMETERS = {
    # ArrayProperties: a child of one job calls a part of the genome, or merges that of several samples
    JOB: {
        "JobName",
        "JobDefinition",
        "JobQueue",
        "ContainerOverrides",
        "Parameters",
        "PropagateTags",
        "Tags",
        "ArrayProperties",
    },
    FUNCTION: {"FunctionName", "Payload"},
}
ADD = "remove it, or add it to {} in gates/asl_fields.py with the reason why it is safe"


def check_fields(state: dict[str, Any]) -> Iterator[Problem]:
    """Check the type and the fields of one state, and the parameters of a job or a function call."""
    kind = str(state.get("Type"))
    if kind not in FIELDS:
        yield "unlisted-field", f"is a {kind}, which no other state is; {ADD.format('FIELDS')}"
        return
    for field in sorted(set(state) - FIELDS[kind] - COMMON):
        yield "unlisted-field", f"has {field}, which no other {kind} has; {ADD.format('FIELDS')}"
    allowed = PARAMETERS.get(str(state.get("Resource")), set())
    for field in sorted(set(state.get("Parameters", {}))):
        if field.removesuffix(".$") not in allowed:
            yield "unlisted-field", f"passes {field}, which no other task does; {ADD.format('PARAMETERS')}"
