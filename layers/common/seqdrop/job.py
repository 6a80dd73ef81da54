"""A job from its command line to its exit code: a receipt when it is done, a verdict when it is not."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from seqdrop import failure, layout, s3
from seqdrop.log import logger
from seqdrop.process import Processes, ToolError
from seqdrop.uri import S3Uri
from seqdrop.work import Work, peak_memory, workspace

INTERMEDIATE = "seqdrop=intermediate"  # working papers: the bucket's lifecycle clears them away
# Every job is told these; what else it is told is its own inputs and outputs.
COMMON = ("run", "attempt", "vcpus", "memory", "args")


class StoppedError(Exception):
    """SIGTERM: a person, a time limit, or a Spot host that is taken away."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise failure.UsageError(message)


def arguments(argv: Sequence[str] | None, description: str | None, *words: str) -> argparse.Namespace:
    """The command line of a job: `--word` for every word of its interface, all of them required.

    `sample` stays text, `vcpus` and `memory` (MiB) become numbers, `args` a list of words, the rest S3 addresses.
    """
    parser = argparse.ArgumentParser(description=description)
    kinds: dict[str, Any] = {"vcpus": int, "memory": int, "args": json.loads, "attempt": str, "run": str}
    kinds |= {"sample": str, "aligner": str, "intervals": optional_uri, "genes": optional_uri}
    for word in (*words, "results", *COMMON):
        parser.add_argument(f"--{word}", required=True, type=kinds.get(word, S3Uri.parse))
    return parser.parse_args(argv)  # argparse ends with 2; Batch gets USAGE from `step` for what the plan says


def optional_uri(text: str) -> S3Uri | None:
    return None if text in {layout.WHOLE_GENOME, "none"} else S3Uri.parse(text)


def options(words: Sequence[str], *flags: str, **values: type) -> argparse.Namespace:
    """The words a plan may add for one tool: only those named here. Raises UsageError.

    `flags` are switches, `values` take one argument of the type given; both spelt `--like-this`.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    for flag in flags:
        parser.add_argument(flag, action="store_true")
    for name, kind in values.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise failure.UsageError("args must be a JSON list of words")
    return parser.parse_args(words)


@contextlib.contextmanager
def step(name: str, args: argparse.Namespace) -> Iterator[Work]:
    """Run one step of a run: everything between staging in and the receipt happens in here.

    Ends the process with 0 when the step's receipt is there already, else with the exit code its failure has.
    """
    logger.append_keys(run=args.run, step=name, job=os.environ.get("AWS_BATCH_JOB_ID", ""))
    signal.signal(signal.SIGTERM, _stopped)
    signal.signal(signal.SIGINT, _stopped)
    try:
        if _done(layout.receipt_uri(args.results, name)):
            logger.info("done before")
            sys.exit(0)
        with workspace(name) as directory:
            work = Work(name, args, directory, Processes(directory, hide=getattr(args, "sample", "")))
            try:
                yield work
                work.finish()
            finally:
                work.processes.stop()
    except (Exception, StoppedError) as error:  # noqa: BLE001  the rim: every failure becomes a verdict and an exit code
        hide = Processes(Path(), hide=getattr(args, "sample", "")).hidden
        verdict = _verdict(error, hide)
        _leave(verdict, name, args, hide)
        sys.exit(verdict.exit_code)


def _done(receipt_uri: S3Uri) -> bool:
    """Whether the receipt is there and all it lists lies there as listed."""
    try:
        receipt: Mapping[str, Any] = s3.read_json(receipt_uri)
        for output in receipt["outputs"]:
            now = s3.head(S3Uri.parse(output["uri"]))
            if (now.etag, now.size) != (output["etag"], output["size"]):
                return False
    except s3.MissingError:
        return False
    return True


def _stopped(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one is enough: the clean-up must not be interrupted
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise StoppedError


def _verdict(error: BaseException, hide: Callable[[str], str]) -> failure.Verdict:
    failure_class, message, exit_code = _named(error)
    return failure.Verdict(
        failure_class,
        hide(message),
        tool=error.tool if isinstance(error, ToolError) else "",
        exit_code=exit_code,
        stderr_tail=error.tail if isinstance(error, ToolError) else (),
        peak_memory=peak_memory(),
        job_id=os.environ.get("AWS_BATCH_JOB_ID", ""),
    )


def _named(error: BaseException) -> tuple[str, str, int]:
    """Class, sentence and exit code of whatever went wrong."""
    if isinstance(error, StoppedError):
        return "STOPPED", "The job was told to stop.", failure.STOPPED_EXIT
    if isinstance(error, failure.JobError):
        return error.failure_class, str(error), error.exit_code
    if isinstance(error, s3.MissingError):
        return "BAD_INPUT.MISSING", f"{error}: it was deleted after the run began.", failure.BAD_DATA
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "NO_SPACE", "The scratch disk is full.", failure.INTERNAL_EXIT
    if isinstance(error, MemoryError):
        return "OUT_OF_MEMORY", "The job ran out of memory.", failure.INTERNAL_EXIT
    if isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] in range(400, 429):
        return "INTERNAL", f"S3 refused a call: {error}", failure.INTERNAL_EXIT
    if isinstance(error, s3.IntegrityError | ClientError | BotoCoreError | Boto3Error):
        return "THROTTLED", f"S3 did not answer as it should: {error}", failure.TRY_AGAIN
    return "INTERNAL", f"{type(error).__name__}: {error}", failure.INTERNAL_EXIT


def _leave(verdict: failure.Verdict, name: str, args: argparse.Namespace, hide: Callable[[str], str]) -> None:
    """Write the verdict where the doctor looks; when S3 itself is out of reach the log line has to do."""
    logger.info("failed", failure_class=verdict.failure_class, sentence=verdict.message)
    if verdict.exit_code != failure.STOPPED_EXIT:
        logger.error("traceback", frames=hide(traceback.format_exc()).splitlines())
    uri = layout.verdict_uri(args.results, name, args.attempt, os.environ.get("AWS_BATCH_JOB_ATTEMPT", "1"))
    with contextlib.suppress(ClientError, BotoCoreError):
        s3.write_json(uri, verdict.to_json(), INTERMEDIATE)
