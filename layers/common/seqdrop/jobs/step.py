"""A job from its command line to its exit code: a receipt when it is done, a verdict when it is not."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from seqdrop import signals
from seqdrop.failure.verdict import BAD_DATA_EXIT, INTERNAL_EXIT, RETRY_EXIT, STOPPED_EXIT, JobError, Verdict
from seqdrop.jobs import address_check, scratch
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.redaction import Redactor
from seqdrop.jobs.workspace import Workspace, peak_memory, with_original_names
from seqdrop.log import logger
from seqdrop.plan import layout
from seqdrop.plan.names import VERSION
from seqdrop.signals import StoppedError
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from seqdrop.text import plain_line

INTERMEDIATE = "seqdrop=intermediate"  # working papers: the bucket's lifecycle clears them away
MESSAGE = 1000  # characters of a verdict's sentence; the last words of a tool are part of it
LINE = 300  # characters of each line of a traceback


@contextlib.contextmanager
def step(name: str, args: argparse.Namespace, optional: Iterable[S3Uri] = ()) -> Iterator[Workspace]:
    """Run one step of a run: everything between staging in and the receipt happens in here.

    Ends the process with 0 when the step's receipt is there already, else with the exit code its failure has. Of
    `optional` inputs it takes those that are there (`work.sources`): a receipt made of others than now are is void.
    """
    logger.append_keys(run=args.run, step=name, job=os.environ.get("AWS_BATCH_JOB_ID", ""))
    redactor = Redactor(address_check.sample_id(args))
    redactor.install(logger)
    signals.install_handlers()
    place: scratch.Scratch | None = None
    work: Workspace | None = None
    try:
        try:
            address_check.check(args)
            sources = {uri: stored.etag for uri in optional if (stored := s3.store().find(uri))}
            if _done(layout.receipt_uri(args.results, name), sources):
                logger.info("done before")
                sys.exit(0)
            scratch.remove_leftovers()
            with signals.defer_signals():
                place = scratch.create(name)
                work = _begin(name, args, place, redactor, sources)
            yield work
            work.finish()
        finally:
            _end(work, place)
    except (Exception, StoppedError) as error:  # noqa: BLE001  the rim: every failure becomes a verdict and an exit code
        signals.ignore()
        _end(work, place)  # a signal may have come while the first try was at it
        _fail(error, name, args, redactor, work.original_names if work else {})


def _begin(
    name: str, args: argparse.Namespace, place: scratch.Scratch, redactor: Redactor, sources: Mapping[S3Uri, str]
) -> Workspace:
    # The root file system is read-only in images: what a tool keeps or caches goes where it is cleared away.
    os.environ["TMPDIR"] = os.environ["HOME"] = str(place.directory)
    processes = Processes(place.directory, redactor, [place.lock], stop_descendants=True)
    return Workspace(name, args, place.directory, processes, sources)


def _end(work: Workspace | None, place: scratch.Scratch | None) -> None:
    if work:
        work.processes.stop()
    if place:
        place.remove()


def _fail(
    error: BaseException, name: str, args: argparse.Namespace, redactor: Redactor, original_names: Mapping[str, str]
) -> None:
    """Leave no upload open and a verdict behind, then end the process."""
    verdict = _verdict(error, args.results, original_names)
    if not isinstance(error, StoppedError):
        _leave(verdict, name, args, redactor)
        sys.exit(verdict.exit_code)
    s3.store().abort_uploads(s3.urgent_store().client)
    _leave(verdict, name, args, redactor)
    sys.stdout.flush()
    os._exit(verdict.exit_code)  # threads may wait for a server that does not answer: nobody waits for them


def _done(receipt_uri: S3Uri, sources: Mapping[S3Uri, str]) -> bool:
    """Whether the receipt is there, all it lists lies there as listed, and it was made of what there is now."""
    try:
        receipt: Mapping[str, Any] = s3.store().read_json(receipt_uri)
        if receipt.get("version") not in range(1, VERSION + 1):
            return False
        for output in receipt["outputs"]:
            now = s3.store().head(S3Uri.parse(output["uri"]))
            if (now.etag, now.size) != (output["etag"], output["size"]):
                return False
    except s3.MissingError:
        return False
    return bool(receipt.get("sources", {}) == {str(uri): etag for uri, etag in sources.items()})


def _verdict(error: BaseException, results: S3Uri, original_names: Mapping[str, str]) -> Verdict:
    failure_class, message, exit_code = _named(error, results)
    return Verdict(
        failure_class,
        plain_line(with_original_names(message, original_names), MESSAGE),
        tool=error.tool if isinstance(error, ToolError) else "",
        exit_code=exit_code,
        stderr_tail=error.tail if isinstance(error, ToolError) else (),
        peak_memory=peak_memory(),
        job_id=os.environ.get("AWS_BATCH_JOB_ID", ""),
    )


def _named(error: BaseException, results: S3Uri) -> tuple[str, str, int]:
    """Class, sentence and exit code of whatever went wrong."""
    if isinstance(error, StoppedError):
        return "STOPPED", "The job was told to stop.", STOPPED_EXIT
    if isinstance(error, JobError):
        return error.failure_class, str(error), error.exit_code
    if isinstance(error, s3.ReplacedError):
        return (
            "RESULTS_CHANGED",
            f"{error}: a result of this run was replaced before the run was over.",
            BAD_DATA_EXIT,
        )
    if isinstance(error, s3.MissingError) and error.uri.parent == results:
        return (
            "RESULTS_CHANGED",
            f"{error}: a result of this run was deleted before the run was over.",
            BAD_DATA_EXIT,
        )
    if isinstance(error, s3.MissingError):
        return "BAD_INPUT.MISSING", f"{error}: it was deleted after the run began.", BAD_DATA_EXIT
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "NO_SPACE", "The scratch disk is full.", INTERNAL_EXIT
    if isinstance(error, MemoryError):
        return "OUT_OF_MEMORY", "The job ran out of memory.", INTERNAL_EXIT
    if isinstance(error, Exception) and s3.is_transient(error):
        return "THROTTLED", f"S3 did not answer as it should: {error}", RETRY_EXIT
    if isinstance(error, ClientError):
        code = error.response["Error"]["Code"]
        return "DENIED", f"S3 refused {error.operation_name} to this job: {code}.", INTERNAL_EXIT
    return "INTERNAL", f"{type(error).__name__}: {error}", INTERNAL_EXIT


def _leave(verdict: Verdict, name: str, args: argparse.Namespace, redactor: Redactor) -> None:
    """Write the verdict where the doctor looks; when S3 itself is out of reach the log line has to do."""
    stopped = verdict.exit_code == STOPPED_EXIT
    logger.info("failed", failure_class=verdict.failure_class, sentence=verdict.message)
    if not stopped:
        frames = [plain_line(line, LINE) for line in redactor.redact(traceback.format_exc()).splitlines()]
        logger.error("traceback", frames=frames)
    if not address_check.is_run_folder(args):
        return  # a verdict would be written among another run's
    uri = layout.verdict_uri(args.results, name, args.attempt, os.environ.get("AWS_BATCH_JOB_ATTEMPT", "1"))
    with contextlib.suppress(ClientError, BotoCoreError):
        store = s3.urgent_store() if stopped else s3.store()
        store.write_json(uri, verdict.to_json(), INTERMEDIATE)
