"""Decide how a run ended and whether its results may be read. Pure: no AWS in here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from seqdrop.failure import advice, classify
from seqdrop.failure.verdict import Verdict
from seqdrop.plan import forms, layout, steps
from seqdrop.plan.choices import MAX_LANES
from seqdrop.plan.names import ALIGNMENT_FORMATS, BAM, MANIFEST, NAME, QC_HOLD, READS, VERSION, is_readable
from seqdrop.runs.budget import BUDGET
from seqdrop.runs.diagnosis import MAX_LINE, MAX_LINES, describe_tries
from seqdrop.runs.receipts import Receipts, ResultsFolder
from seqdrop.storage.uri import S3Uri
from seqdrop.text import plain_line

QC_FAILED, QC = "QC_FAILED", "QC"  # a status, and the class of its failure
HOLD, POLICY = "--hold", "--policy"  # options of the report: hold the VCFs of a run that fails; the QC policy
WITH_RESULTS = frozenset({"SUCCEEDED", "INCOMPLETE", QC_FAILED})  # the status of runs whose results may be read


@dataclass(frozen=True, slots=True)
class RunEnding:
    """The end of a run: its status and, unless it succeeded, the failure."""

    status: str  # SUCCEEDED INCOMPLETE QC_FAILED FAILED ABORTED TIMED_OUT
    failure_class: str = ""
    message: str = ""
    step: str = ""
    tool_lines: tuple[str, ...] = ()
    log: str = ""  # group and stream
    tried: tuple[str, ...] = ()  # of every step that was retried, also if all succeeded in the end
    job: str = ""  # that ran the step, if it has another name: the advice names its sizes

    @property
    def publishes(self) -> bool:
        """Whether the results may be read: all of them, or all essential ones."""
        return self.status in WITH_RESULTS

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> RunEnding:
        """Return the ending that a row has recorded."""
        lines, tried = tuple(row.get("tool_lines", ())), tuple(row.get("tried", ()))
        failure_class, message, step, log = (str(row.get(name, "")) for name in ("class", "message", "step", "log"))
        return cls(row["status"], failure_class, message, step, lines, log, tried, str(row.get("job", "")))

    def row(self) -> dict[str, Any]:
        """Return the attributes of the row; empty ones are omitted."""
        attributes = {
            "status": self.status,
            "step": self.step,
            "class": self.failure_class,
            "message": self.message,
            "advice": advice.get(self.failure_class, self.job or self.step) if self.failure_class else "",
            "tool_lines": list(self.tool_lines),
            "log": self.log,
            "tried": list(self.tried),
            "job": self.job,
        }
        return {name: value for name, value in attributes.items() if value}

    def answer(self) -> dict[str, str]:
        """Return the error and cause that the state machine ends with."""
        cause = "\n".join(advice.explain(self.row())) if self.failure_class else ""
        return {"status": self.status, "class": self.failure_class, "cause": cause}


def check_plan(plan: Any, results_bucket: str) -> RunEnding | None:
    """Return the ending of a run whose plan was not made by start_run; None if the plan is valid.

    A run may read and write its own folder only. A plan of an earlier version has the steps and addresses of that
    version.
    """
    error = _plan_error(plan, results_bucket)
    if error is None:
        return None
    return RunEnding("FAILED", "BAD_INPUT.PLAN", f"The plan of this run was not made by start_run. {error}")


def _plan_error(plan: Any, results_bucket: str) -> str | None:
    if not isinstance(plan, dict):
        return "It is not a JSON object."
    if not is_readable(plan.get("version")):
        return f"Its version is {plan.get('version')!r}; this deployment reads versions up to {VERSION}."
    if not all(isinstance(plan.get(word), str) and NAME.fullmatch(plan[word]) for word in ("sample", "run")):
        return "It has no valid sample and run."
    if type(plan.get("lanes")) is not int or plan["lanes"] not in range(1, MAX_LANES + 1):
        return "It has no valid number of lanes."
    if (alignment_format := plan.get("alignment_format", BAM)) not in ALIGNMENT_FORMATS:
        return "It has no valid format of the aligned reads."
    if plan.get("form", forms.SPLIT) not in forms.FORMS:
        return "It has no valid form."
    if type(plan.get("parts", 1)) is not int or plan.get("parts", 1) not in range(1, forms.MAX_PARTS + 1):
        return "It has no valid number of parts."
    names = plan.get("steps")
    jobs = _jobs_of_form(plan)
    if not isinstance(names, list) or not names or not all(_has_settings(plan, name) for name in [*names, *jobs]):
        return "It has no settings for its steps."
    folder = S3Uri(results_bucket, f"{plan['sample']}/{plan['run']}")
    own = {"results": str(folder), "reads": str(folder / READS), "manifest": str(folder / MANIFEST)}
    wrong = [word for word, uri in own.items() if plan.get(word) != uri]
    # An output that a step has gained since the plan was made is not in it.
    outputs = layout.outputs(folder, plan["sample"], plan["lanes"], steps.STEPS, alignment_format)
    wrong += [word for word, uri in outputs.items() if plan.get(word, uri) != uri]
    return f"These addresses are not its own: {', '.join(wrong)}." if wrong else None


def _has_settings(plan: Mapping[str, Any], step: Any) -> bool:
    return isinstance(step, str) and isinstance(plan.get(step), dict)


def from_plan(plan: Mapping[str, Any]) -> RunEnding:
    """Return the ending of a run that reached the last state of its state machine."""
    return _with_job(_from_plan(plan), plan)


def _with_job(ending: RunEnding, plan: Mapping[str, Any]) -> RunEnding:
    """Return the ending with the job of its step, if that has the sizes of another one."""
    jobs = _jobs_of_form(plan) if ending.step else []
    job = jobs[0] if jobs else forms.sizes_of(plan, ending.step)
    return replace(ending, job=job) if job != ending.step else ending


def _from_plan(plan: Mapping[str, Any]) -> RunEnding:
    names = [*steps.of_plan(plan), *_jobs_of_form(plan)]
    jobs = {**{name: plan[name] for name in names}, **plan.get("analysis", {})}
    ends = {name: _end_of(jobs[name]) for name in names}
    tried = tuple(line for name in names for line in describe_tries(name, jobs[name].get("failures", [])))
    if "undiagnosed" in plan and not any(ends.values()):
        message = "The state machine failed between two jobs; see its history."
        return RunEnding("FAILED", "INTERNAL", message, tried=tried)
    for name, end in ends.items():
        if end:
            lines, log = tuple(end.get("tool_lines", ())), end.get("log", "")
            return RunEnding(_status_without(name), end["class"], end["message"], name, lines, log, tried)
    return RunEnding("SUCCEEDED", tried=tried)


def _jobs_of_form(plan: Mapping[str, Any]) -> list[str]:
    """Return the jobs of a plan that are no steps. A step that failed in such a job has the failure itself."""
    return [steps.FUSED.name] if plan.get("form") == forms.FUSED else []


def _status_without(step: str) -> str:
    """Return the status of a run that lacks a step."""
    return "FAILED" if steps.is_essential(step) else "INCOMPLETE"


def _end_of(job: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the failure that a job ended with; None if it succeeded."""
    if "error" in job:
        return {"class": "INTERNAL", "message": "The job failed, and the function diagnose failed too; see its log."}
    end: Mapping[str, Any] | None = job.get("gave_up")
    return end


def from_execution(status: str, error: str, cause: str) -> RunEnding:
    """Return the ending of a run that did not reach the last state, by the status of its execution."""
    message = plain_line(cause.split("\n", maxsplit=1)[0], classify.MAX_MESSAGE)  # the first line of `answer`
    if status == "ABORTED" and error == BUDGET:
        return RunEnding("ABORTED", BUDGET, f"The run was stopped: {message}.")
    if status == "ABORTED":
        return RunEnding("ABORTED", "STOPPED", f"The run was stopped{': ' + message if message else ''}.")
    if status == "TIMED_OUT":
        return RunEnding("TIMED_OUT", "TIMEOUT", "The run took longer than the state machine allows.")
    if status == "SUCCEEDED" or error in {"NOT_RECORDED", QC}:  # the receipts decide
        return RunEnding("SUCCEEDED")
    known = error.split(".", maxsplit=1)[0] in advice.ADVICE
    failure_class = error if known else "INTERNAL"
    return RunEnding("FAILED", failure_class, message or "The state machine failed; see its history.")


def not_started() -> RunEnding:
    """Return the ending of a run without an execution: after a crash, or more than 90 days after its end."""
    message = "Its execution does not exist: it never began, or it was deleted 90 days after its end."
    return RunEnding("FAILED", "NOT_STARTED", message)


def verify(ending: RunEnding, plan: Mapping[str, Any], folder: ResultsFolder) -> RunEnding:
    """Return the ending that the results folder proves, after its QC policy. The same for an ending of a row.

    A run succeeded only as far as the outputs of its steps are complete; the verdicts say why a step has none.
    """
    ending = _with_job(_verify_steps(ending, plan, folder), plan)
    if not ending.publishes:
        return ending
    judged = _judged(ending, _qc(folder.complete))
    return _unjudged(judged, str(plan["run"])) if _lacks_verdict(plan, folder) else judged


def is_held(plan: Mapping[str, Any], folder: ResultsFolder) -> bool:
    """Return whether the VCFs of a run are held: it failed a policy that holds them, or lacks the verdict of one."""
    qc = _qc(folder.complete)
    return _lacks_verdict(plan, folder) or (_fails(qc) and bool(qc.get("hold")))


def _lacks_verdict(plan: Mapping[str, Any], folder: ResultsFolder) -> bool:
    """Return whether the report, which has the verdict, is missing, and the VCFs wait for it.

    They do if the run chose `--hold`, or if the policy beside its reference had `publish: hold` when it started and the
    run chose no other one.
    """
    words = json.loads(plan.get("compose", {}).get("args", "[]"))
    options = {str(word).split("=")[0] for word in words} if isinstance(words, list) else set()
    of_reference = folder.reference.get(QC_HOLD) is True and POLICY not in options
    return "compose" not in folder.complete and (HOLD in options or of_reference)


def _qc(complete: Receipts) -> Mapping[str, Any]:
    qc: Mapping[str, Any] = complete.get("compose", {}).get("qc", {})
    return qc


def _fails(qc: Mapping[str, Any]) -> bool:
    return qc.get("result") == "FAIL" and bool(qc.get("enforced"))


def _verify_steps(ending: RunEnding, plan: Mapping[str, Any], folder: ResultsFolder) -> RunEnding:
    """Return the ending by the first step without complete outputs."""
    complete = folder.complete
    for step in steps.of_plan(plan) if ending.publishes else ():
        if step in complete or step == ending.step or (ending.step and not steps.is_essential(step)):
            continue  # the ending already names the first step that an incomplete run lacks
        if step in folder.receipts:
            message = "Outputs of this step were deleted or changed before the run ended."
            return RunEnding(_status_without(step), "RESULTS_CHANGED", message, step)
        if verdict := folder.verdicts.get(step):
            return _from_verdict(step, verdict)
        return RunEnding(_status_without(step), "INTERNAL", "This step left no receipt of its results.", step)
    return ending


def _judged(ending: RunEnding, qc: Mapping[str, Any]) -> RunEnding:
    """Return the ending of a run whose figures a QC policy has judged; it fails if it chose the policy."""
    if not _fails(qc) or ending.status == QC_FAILED:
        return ending
    reasons = "; ".join(map(str, qc.get("reasons", ())))
    without = f" The step {ending.step} is missing too: {ending.message}" if ending.step else ""
    message = (
        f"The figures of this run are beyond the limits of its QC policy ({qc.get('policy')}): {reasons}.{without}"
    )
    return RunEnding(QC_FAILED, QC, plain_line(message, classify.MAX_MESSAGE), "compose", tried=ending.tried)


def _unjudged(ending: RunEnding, run: str) -> RunEnding:
    """Return the ending of a run whose VCFs are held since its report is missing; its message says so once."""
    held = (
        "Its QC policy could not be evaluated, and the VCFs wait for it (--hold, or `publish: hold`): they are kept, "
        f"but not named in the manifest and not downloaded. `seqdrop resume {run}` builds the report."
    )
    if ending.message.endswith(held):
        return ending
    cause = ending.message if ending.message.endswith(".") else f"{ending.message}."
    return replace(ending, message=f"{cause} {held}")


def _from_verdict(step: str, verdict: Verdict) -> RunEnding:
    """Return the ending that a job itself reported, where the plan has no diagnosis."""
    lines = tuple(plain_line(line, MAX_LINE) for line in verdict.stderr_tail[-MAX_LINES:])
    message = plain_line(verdict.message, classify.MAX_MESSAGE)
    return RunEnding(_status_without(step), verdict.failure_class, message, step, lines)
