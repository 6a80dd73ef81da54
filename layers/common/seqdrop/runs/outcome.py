"""How a run ended, and whether its results may be read. Pure: plan, receipts and what lies there in, an ending out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqdrop.failure import advice, classify
from seqdrop.failure.verdict import Verdict
from seqdrop.plan import layout
from seqdrop.plan.choices import Choices
from seqdrop.runs.diagnosis import MOST_LINE, MOST_LINES, tries
from seqdrop.text import plain_line

# Without one of these there are no variants to come back for, and so no manifest.
ESSENTIAL = ("align", "call", "annotate")
ADDRESSES = ("results", "reads", "bam", "stats", "vcf", "annotated_vcf", "report", "manifest")
Receipts = Mapping[str, Mapping[str, Any]]  # by step


@dataclass(frozen=True, slots=True)
class RunEnding:
    status: str  # SUCCEEDED INCOMPLETE FAILED ABORTED TIMED_OUT
    failure_class: str = ""
    message: str = ""
    step: str = ""
    tool_lines: tuple[str, ...] = ()
    log: str = ""  # group and stream
    tried: tuple[str, ...] = ()  # of every step that was tried again, though all went well in the end

    @property
    def publishes(self) -> bool:
        """Whether readers may have the results: all of them, or all that matter."""
        return self.status in {"SUCCEEDED", "INCOMPLETE"}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> RunEnding:
        """As it was recorded."""
        lines, tried = tuple(row.get("tool_lines", ())), tuple(row.get("tried", ()))
        failure_class, message, step, log = (str(row.get(name, "")) for name in ("class", "message", "step", "log"))
        return cls(row["status"], failure_class, message, step, lines, log, tried)

    def row(self) -> dict[str, Any]:
        """What there is to say; no word for what is not."""
        said = {
            "status": self.status,
            "step": self.step,
            "class": self.failure_class,
            "message": self.message,
            "advice": advice.get(self.failure_class, self.step) if self.failure_class else "",
            "tool_lines": list(self.tool_lines),
            "log": self.log,
            "tried": list(self.tried),
        }
        return {name: value for name, value in said.items() if value}

    def answer(self) -> dict[str, str]:
        """What the machine ends with."""
        cause = "\n".join(advice.explain(self.row())) if self.failure_class else ""
        return {"status": self.status, "class": self.failure_class, "cause": cause}


def misplaced(plan: Any, results_bucket: str) -> RunEnding | None:
    """The end of a run whose plan names what is not its own: a run reads and writes its own folder and no other."""
    names = [plan.get(word) for word in ("sample", "run")] if isinstance(plan, dict) else [None]
    message = "It names no sample and run as start_run does."
    if all(isinstance(name, str) and layout.NAME.fullmatch(name) for name in names):
        nothing: dict[str, Any] = {step: {} for step in layout.STEPS}
        places = {"results_bucket": results_bucket, "reference_bucket": ""}
        own = layout.plan(str(names[0]), str(names[1]), Choices(), **places, jobs=nothing)
        wrong = [word for word in ADDRESSES if plan.get(word) != own[word]]
        if not wrong:
            return None
        message = f"These addresses are not its own: {', '.join(wrong)}."
    return RunEnding("FAILED", "BAD_INPUT.PLAN", f"The plan of this run was not made by start_run. {message}")


def outcome(plan: Mapping[str, Any]) -> RunEnding:
    """The ending of a run that came to the machine's last state."""
    jobs = {**{step: plan[step] for step in layout.STEPS}, **plan.get("analysis", {})}
    endings = {step: _given_up(job) for step, job in jobs.items()}
    tried = tuple(line for step in layout.STEPS for line in tries(step, jobs[step].get("failures", [])))
    if "undiagnosed" in plan and not any(endings.values()):
        return RunEnding("FAILED", "INTERNAL", "The machine failed between two jobs; see its history.", tried=tried)
    for step in layout.STEPS:
        if said := endings[step]:
            last = tuple(said.get("tool_lines", ())), said.get("log", "")
            return RunEnding(_without(step), said["class"], said["message"], step, *last, tried)
    return RunEnding("SUCCEEDED", tried=tried)


def _without(step: str) -> str:
    """What a run is that lacks a step."""
    return "FAILED" if step in ESSENTIAL else "INCOMPLETE"


def _given_up(job: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if "error" in job:  # the doctor himself failed
        return {"class": "INTERNAL", "message": "The job failed, and the function diagnose did too; see its log."}
    given_up: Mapping[str, Any] | None = job.get("gave_up")
    return given_up


def closed(status: str, error: str, cause: str) -> RunEnding:
    """The ending of a run that no state of the machine saw."""
    said = plain_line(cause.split("\n", maxsplit=1)[0], classify.MAX_MESSAGE)  # the first line of `RunEnding.answer`
    if status == "ABORTED":
        return RunEnding("ABORTED", "STOPPED", f"The run was stopped{': ' + said if said else ''}.")
    if status == "TIMED_OUT":
        return RunEnding("TIMED_OUT", "TIMEOUT", "The run took longer than the state machine allows.")
    if status == "SUCCEEDED" or error == "NOT_RECORDED":  # what its jobs left says how it ended
        return RunEnding("SUCCEEDED")
    known = error.split(".", maxsplit=1)[0] in advice.ADVICE
    return RunEnding("FAILED", error if known else "INTERNAL", said or "The state machine failed; see its history.")


def not_there() -> RunEnding:
    """The ending of a run whose execution nobody knows: a crash kept it from beginning, or it is long forgotten."""
    return RunEnding("FAILED", "NOT_STARTED", "Its execution is not there: it never began, or it is forgotten by now.")


def whole(receipts: Receipts, there: Mapping[str, tuple[str, int]]) -> Receipts:
    """The receipts of which every output lies as it was published; `there` has ETag and size of each address."""
    return {
        step: receipt
        for step, receipt in receipts.items()
        if all(there.get(output["uri"]) == (output["etag"], output["size"]) for output in receipt["outputs"])
    }


def proven(ending: RunEnding, receipts: Receipts, complete: Receipts, verdicts: Mapping[str, Verdict]) -> RunEnding:
    """Good only as far as the receipts are there and whole; `complete` are those that are, `verdicts` say why not."""
    for step in layout.STEPS if ending.publishes else ():
        if step in complete or step == ending.step or (ending.step and step not in ESSENTIAL):
            continue  # what an incomplete run lacks first is told already
        if step in receipts:
            changed = "What this step wrote was deleted or changed before the run was over."
            return RunEnding(_without(step), "RESULTS_CHANGED", changed, step)
        if verdict := verdicts.get(step):
            return _by_verdict(step, verdict)
        return RunEnding(_without(step), "INTERNAL", "This step left no receipt of its results.", step)
    return ending


def _by_verdict(step: str, verdict: Verdict) -> RunEnding:
    """What a job itself said, where nothing of the doctor's is left."""
    lines = tuple(plain_line(line, MOST_LINE) for line in verdict.stderr_tail[-MOST_LINES:])
    return RunEnding(
        _without(step), verdict.failure_class, plain_line(verdict.message, classify.MAX_MESSAGE), step, lines
    )
