"""Why a run is as it is: what its row, its verdicts and its manifest say, in the order a person asks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from seqdrop.failure.verdict import Verdict
from seqdrop.plan import layout, steps
from seqdrop.storage.uri import S3Uri
from seqdrop.text import plain_line

from seqdrop_cli.follow import lines
from seqdrop_cli.screen import say, seconds
from seqdrop_cli.stack import Stack

MOST = 1_000  # characters of a line


@dataclass(frozen=True, slots=True)
class Left:
    """The verdict of one attempt; its name is `<step>.<try>.<attempt of Batch>.json`."""

    step: str
    number: str  # of the try
    verdict: Verdict

    @property
    def told(self) -> str:
        return f"{self.step}, try {self.number}: {self.verdict.failure_class}: {plain_line(self.verdict.message, MOST)}"


def left(stack: Stack, row: Mapping[str, Any]) -> list[Left]:
    """Newest first; what cannot be read is passed over."""
    if not row.get("results"):
        return []
    folder = S3Uri.parse(str(row["results"])) / "failures/"
    pages = stack.s3.get_paginator("list_objects_v2").paginate(Bucket=folder.bucket, Prefix=folder.key)
    objects = [entry for page in pages for entry in page.get("Contents", [])]
    objects.sort(key=lambda entry: (entry["LastModified"], entry["Key"]), reverse=True)
    return list(_read(stack, folder.bucket, [entry["Key"] for entry in objects]))


def _read(stack: Stack, bucket: str, keys: Sequence[str]) -> Iterator[Left]:
    for key in keys:
        step, number, *_ = [*key.rsplit("/", 1)[-1].split("."), ""]
        try:
            verdict = Verdict.from_json(json.loads(stack.s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
        except ValueError:
            continue
        yield Left(step, number, verdict)


def show_running(stack: Stack, row: Mapping[str, Any]) -> None:
    """What it does just now, and what failed in it so far."""
    if not row.get("execution") or stack.status_of(str(row["execution"])) is None:
        say(f"Run {row['run']} has not begun: if this does not change, `seqdrop resume {row['run']}{stack.option}`.")
        return
    say(f"Run {row['run']} is running.")
    for line in lines(stack, str(row["execution"]), str(row["run"]), steps.names()):
        if line.state != "waiting":
            say(f"  {line.step:<10} {line.told}{f'  {seconds(line.elapsed)}' if line.elapsed else ''}")
    show_lines("\nFailed so far, and tried again:", [one.told for one in reversed(left(stack, row))])


def show_success(stack: Stack, row: Mapping[str, Any]) -> None:
    say(f"Run {row['run']} succeeded: nothing is missing in it.")
    show_lines("\nTried:", row.get("tried", ()))
    show_lines("\nWarnings:", _warnings(stack, row))


def show_failure(stack: Stack, row: Mapping[str, Any]) -> None:
    """Class, sentence, what to do, what was tried, the tool's last lines, and where the logs are."""
    step = _show_verdict(stack, row)
    if row.get("status") == "INCOMPLETE":
        show_lines("\nWarnings:", _warnings(stack, row))
    if row.get("log"):
        say(f"\nIts log stream: {row['log']}")
    if row.get("execution"):
        say(f"\nIts logs: seqdrop logs {row['run']}{f' {step}' if step else ''}{stack.option}")
    elif row.get("status") == "FAILED" and row.get("run"):
        say("\nNothing was started.")


def _show_verdict(stack: Stack, row: Mapping[str, Any]) -> str:
    """Class, sentence, what to do, what was tried, and the last the tool said; answers the step."""
    last = next((one for one in left(stack, row) if one.step == row.get("step", one.step)), None)
    step = str(row.get("step") or (last.step if last else ""))
    failure_class = row.get("class") or (last.verdict.failure_class if last else row.get("status"))
    heading = f"{failure_class}{f' in {step}' if step else ''}"
    say(heading, style="bold yellow" if row.get("status") == "INCOMPLETE" else "bold red")
    message = str(row.get("message") or (last.verdict.message if last else ""))
    for line in message.split("\n"):  # of an execution without a row: its whole cause
        say(f"{'  ' if line.startswith('  ') else ''}{plain_line(line, MOST)}")
    if row.get("advice"):
        say(_for_this_run(str(row["advice"]), stack, row))
    show_lines("\nTried:", row.get("tried", ()))
    if "\n" not in message:
        _show_tail(row, last, step, str(failure_class))
    return step


def _show_tail(row: Mapping[str, Any], last: Left | None, step: str, failure_class: str) -> None:
    """All the verdict kept of it, or what of it is in the row; a verdict of another class is of an earlier try."""
    if last and last.verdict.failure_class == failure_class:
        tool = last.verdict.tool or step  # its exit code is in the sentence; the verdict's is the job's
        shown = [plain_line(line, MOST) for line in last.verdict.stderr_tail]
        show_lines(f"\nThe last that {tool} said:", shown, indent="")
        return
    show_lines(f"\nThe last that {step or 'the job'} said:", row.get("tool_lines", ()), indent="")
    show_lines("\nFailed before:", [last.told] if last else ())


def _for_this_run(advice: str, stack: Stack, row: Mapping[str, Any]) -> str:
    """The command in an advice, as it can be typed."""
    return advice.replace(" RUN`", f" {row['run']}{stack.option}`")


def show_lines(heading: str, lines: Sequence[Any], indent: str = "  ") -> None:
    if lines:
        say(heading, style="bold")
        for line in lines:
            say(f"{indent}{line}")


def _warnings(stack: Stack, row: Mapping[str, Any]) -> list[str]:
    """As the manifest has them."""
    uri = layout.manifest_uri(S3Uri.parse(str(row["results"]))) if row.get("results") else None
    if uri is None:
        return []
    try:
        manifest = json.loads(stack.s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return []  # the results were deleted since
    return [f"{warning['step']}: {warning['message']}" for warning in manifest.get("warnings", [])]
