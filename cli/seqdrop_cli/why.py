"""`seqdrop why`: explain the state of a run from its row, its verdicts and its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seqdrop.failure import advice
from seqdrop.failure.verdict import Verdict
from seqdrop.plan import layout
from seqdrop.storage.s3 import MissingError
from seqdrop.storage.uri import S3Uri
from seqdrop.text import count_warnings, format_seconds, plain_line

from seqdrop_cli.follow import run_steps, step_states
from seqdrop_cli.queued import describe
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack
from seqdrop_cli.status import format_minute

MAX_LINE = 1_000  # characters


@dataclass(frozen=True, slots=True)
class Failure:
    """The verdict of a failed attempt, in the object `<step>.<try>.<attempt of Batch>.json`."""

    step: str
    number: str  # of the try
    verdict: Verdict

    @property
    def line(self) -> str:
        """The failure in one line."""
        message = plain_line(self.verdict.message, MAX_LINE)
        return f"{self.step}, try {self.number}: {self.verdict.failure_class}: {message}"


def explain(stack: Stack, row: Mapping[str, Any]) -> None:
    """Print why a run is in its state, and what to do."""
    if row.get("status") == "WAITING":
        say(f"Waiting since {format_minute(row.get('started'))}: {row['message']}.", style="bold yellow")
        say(f"{_what_to_upload(str(row['message']))} After two weeks this row is deleted.")
    elif row.get("status") == "IGNORED":
        say(f"{row['message']}.", style="bold yellow")
        say("No run was started. After two weeks this row is deleted.")
    elif row.get("status") == "RUNNING":
        _show_running(stack, row)
    elif row.get("status") == "SUCCEEDED":
        _show_success(stack, row)
    else:
        _show_failure(stack, row)


def _what_to_upload(message: str) -> str:
    """Return what files that wait need."""
    if "waits for the samplesheet" in message:
        return "The sheet starts the run."
    if "is missing; R1 came" in message:
        return "Upload the missing files; if these reads have no mates, upload them again with seqdrop-layout=single."
    return "Upload the missing files."


def to_json(stack: Stack, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a run with all its failures, newest first, its warnings, and the steps of a running one."""
    failures = [
        {"step": failure.step, "try": failure.number, **failure.verdict.to_json()} for failure in _failures(stack, row)
    ]
    execution = str(row.get("execution") or "")
    running = row.get("status") == "RUNNING" and execution and stack.status_of(execution) is not None
    states = step_states(stack, execution, str(row["run"]), run_steps(stack, row)) if running else []
    return {**row, "failures": failures, "warnings": _warnings(stack, row), "steps": [asdict(one) for one in states]}


def _failures(stack: Stack, row: Mapping[str, Any]) -> list[Failure]:
    """Return the failures of a run, newest first; verdicts that cannot be read are ignored."""
    if not row.get("results"):
        return []
    folder = layout.verdict_uri(S3Uri.parse(str(row["results"])), "step", "1", "1").parent
    objects = sorted(
        stack.store.list_objects(folder.bucket, f"{folder.key}/"),
        key=lambda entry: (entry["LastModified"], entry["Key"]),
        reverse=True,
    )
    return list(_read(stack, [S3Uri(folder.bucket, entry["Key"]) for entry in objects]))


def _read(stack: Stack, uris: Sequence[S3Uri]) -> Iterator[Failure]:
    for uri in uris:
        step, number, *_ = [*uri.name.split("."), ""]
        try:
            yield Failure(step, number, Verdict.from_json(stack.store.read_json(uri)))
        except (MissingError, ValueError):
            continue


def _show_running(stack: Stack, row: Mapping[str, Any]) -> None:
    execution = str(row.get("execution") or "")
    if not execution or stack.status_of(execution) is None:
        say(f"Run {row['run']} has not begun. If it does not begin: `seqdrop resume {row['run']}{stack.option}`.")
        return
    say(f"Run {row['run']} is running.")
    for state in step_states(stack, execution, str(row["run"]), run_steps(stack, row)):
        if state.queued:
            say(f"  {state.step:<10} {state.label}: {describe(state.queued, state.reason)}")
        elif state.state != "waiting":
            say(f"  {state.step:<10} {state.label}{f'  {format_seconds(state.elapsed)}' if state.elapsed else ''}")
    _show_lines("\nFailures so far, tried again:", [failure.line for failure in reversed(_failures(stack, row))])


def _show_success(stack: Stack, row: Mapping[str, Any]) -> None:
    warnings = _warnings(stack, row)
    if warnings:
        doubts = count_warnings(len(warnings))
        say(f"Run {row['run']} succeeded with {doubts}: read this before you use the results.", style="bold yellow")
        _show_lines("Warnings:", warnings)
    else:
        say(f"Run {row['run']} succeeded: its results are complete.")
    _show_lines("\nTried:", row.get("tried", ()))


def _show_failure(stack: Stack, row: Mapping[str, Any]) -> None:
    if row.get("status") in {"INCOMPLETE", "QC_FAILED"}:
        _show_lines("Warnings:", _warnings(stack, row))
    step = _show_verdict(stack, row)
    if row.get("execution"):
        stream = f"\n  (log stream {row['log']})" if row.get("log") else ""
        say(f"\nComplete logs: seqdrop logs {row['run']}{f' {step}' if step else ''}{stack.option}{stream}")
    elif row.get("status") == "FAILED" and row.get("run"):
        again = f" It was started as run {row['restarted']}." if "restarted" in row else ""
        say(f"\nNo job was started.{again}")


def _show_verdict(stack: Stack, row: Mapping[str, Any]) -> str:
    """Print class, message, advice, tries and the last lines of the tool; return the step."""
    failures = _failures(stack, row)
    last = next((failure for failure in failures if failure.step == row.get("step", failure.step)), None)
    step = str(row.get("step") or (last.step if last else ""))
    failure_class = row.get("class") or (last.verdict.failure_class if last else row.get("status"))
    heading = f"{failure_class}{f' in {step}' if step else ''}"
    say(heading, style="bold yellow" if row.get("status") == "INCOMPLETE" else "bold red")
    message = str(row.get("message") or (last.verdict.message if last else ""))
    for line in message.split("\n"):  # an execution without a row has its whole cause here
        say(f"{'  ' if line.startswith('  ') else ''}{plain_line(line, MAX_LINE)}")
    if row.get("advice"):
        say(_with_run(str(row["advice"]), stack, row))
    _show_lines("\nTried:", row.get("tried", ()))
    if "\n" not in message:
        _show_last_lines(row, last, step, str(failure_class))
    return step


def _show_last_lines(row: Mapping[str, Any], last: Failure | None, step: str, failure_class: str) -> None:
    """Print all last lines in the verdict, or those in the row; a verdict of another class is of an earlier try."""
    if last and last.verdict.failure_class == failure_class:
        tool = last.verdict.tool or step  # the message has its exit code; the verdict has that of the job
        lines = [plain_line(line, MAX_LINE) for line in last.verdict.stderr_tail]
        _show_lines(f"\nLast lines of {tool}:", lines, indent="")
        return
    _show_lines(f"\nLast lines of {step or 'the job'}:", row.get("tool_lines", ()), indent="")
    _show_lines("\nEarlier failure:", [last.line] if last else ())


def _with_run(text: str, stack: Stack, row: Mapping[str, Any]) -> str:
    """Complete the commands in an advice, so that they can be copied."""
    return advice.complete(text, str(row.get("run", "RUN")), "" if stack.is_embedded else stack.name)


def _show_lines(heading: str, lines: Sequence[Any], indent: str = "  ") -> None:
    if lines:
        say(heading, style="bold")
        for line in lines:
            say(f"{indent}{line}")


def _warnings(stack: Stack, row: Mapping[str, Any]) -> list[str]:
    """Return all warnings from the manifest; those in the row if the results were deleted since."""
    if not row.get("results"):
        return []
    try:
        manifest = stack.store.read_json(layout.manifest_uri(S3Uri.parse(str(row["results"]))))
    except MissingError:
        return [str(line) for line in row.get("warnings", ())]
    return [f"{warning['step']}: {warning['message']}" for warning in manifest.get("warnings", [])]
