"""Run a job from its command line to its exit code; it leaves a receipt when it succeeds, else a verdict."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from seqdrop import signals
from seqdrop.failure.verdict import BAD_DATA_EXIT, INTERNAL_EXIT, RETRY_EXIT, STOPPED_EXIT, JobError, Verdict
from seqdrop.jobs import address_check, reference_cache, scratch
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.redaction import Redactor
from seqdrop.jobs.workspace import Workspace, array_index, peak_memory, with_original_names
from seqdrop.log import logger
from seqdrop.plan import layout
from seqdrop.plan.names import is_readable
from seqdrop.signals import StoppedError
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from seqdrop.text import plain_line

Receipt = Mapping[str, Any]
NO_SOURCES: Mapping[S3Uri, str] = {}
INTERMEDIATE = "seqdrop=intermediate"  # tag of objects that the lifecycle of the bucket deletes
MAX_MESSAGE = 1000  # characters of a verdict's message, which includes the last line of a tool
MAX_TRACEBACK_LINE = 300  # characters


@contextlib.contextmanager
def step(
    name: str,
    args: argparse.Namespace,
    optional: Iterable[S3Uri] = (),
    is_current: Callable[[Workspace, Receipt], bool] | None = None,
    gathered_by: str = "",
) -> Iterator[Workspace]:
    """Run one step of a run, from the check of its arguments to its receipt.

    End the process with 0 if the step already has its receipt, and with the exit code of the error if the step fails.
    Those of the `optional` inputs that exist are in `work.sources`. An earlier receipt is ignored if its optional
    inputs changed, or if `is_current` returns False. One whose outputs were deleted counts too if the step
    `gathered_by`, their only reader, has its receipt: the lifecycle of the bucket deletes parts.
    """
    logger.append_keys(run=args.run, step=name, job=os.environ.get("AWS_BATCH_JOB_ID", ""))
    redactor = Redactor(address_check.sample_id(args))
    redactor.install(logger)
    signals.install_handlers()
    started = time.time()
    space: scratch.Scratch | None = None
    work: Workspace | None = None
    try:
        try:
            address_check.check(args)
            sources = {uri: stored.etag for uri in optional if (stored := s3.store().find(uri))}
            own = layout.receipt_uri(args.results, name, array_index())
            earlier = _find_receipt(own, sources)
            if gathered_by and s3.store().find(own) and _find_receipt(layout.receipt_uri(args.results, gathered_by)):
                _end_done()
            if earlier and not is_current:
                _end_done()
            scratch.remove_leftovers()
            with signals.defer_signals():
                space = scratch.create(name)
                work = _create_workspace(name, args, space, redactor, sources)
            if earlier and is_current and is_current(work, earlier):
                _end_done()
            yield work
            work.finish()
        finally:
            if work:
                work.usage.measure_scratch()
            _clean_up(work, space)
    except (Exception, StoppedError) as error:  # noqa: BLE001  every failure becomes a verdict and an exit code here
        signals.ignore()
        _clean_up(work, space)  # again: a signal may have interrupted the first clean-up
        verdict = _verdict(error, args, work, time.time() - started)
        if verdict.failure_class == "NO_SPACE":
            reference_cache.clear()  # after the clean-up: the references of this job are unused now
        _fail(error, verdict, name, args, redactor)


def _create_workspace(
    name: str, args: argparse.Namespace, space: scratch.Scratch, redactor: Redactor, sources: Mapping[S3Uri, str]
) -> Workspace:
    # The root file system of images is read-only: caches and configuration of tools go to the scratch directory.
    os.environ["TMPDIR"] = os.environ["HOME"] = str(space.directory)
    processes = Processes(space.directory, redactor, [space.lock], stop_descendants=True)
    return Workspace(name, args, space.directory, processes, sources)


def _clean_up(work: Workspace | None, space: scratch.Scratch | None) -> None:
    if work:
        work.processes.stop()
    if space:
        space.remove()


def _fail(error: BaseException, verdict: Verdict, name: str, args: argparse.Namespace, redactor: Redactor) -> None:
    """Abort uploads in progress if the job was stopped, write the verdict, and end the process."""
    if not isinstance(error, StoppedError):
        _write_verdict(verdict, name, args, redactor)
        sys.exit(verdict.exit_code)
    s3.store().abort_uploads(s3.urgent_store().client)
    _write_verdict(verdict, name, args, redactor)
    sys.stdout.flush()
    os._exit(verdict.exit_code)  # without waiting for threads, which may wait for a server that does not answer


def _end_done() -> NoReturn:
    logger.info("already done")
    sys.exit(0)


def _find_receipt(receipt_uri: S3Uri, sources: Mapping[S3Uri, str] = NO_SOURCES) -> Receipt | None:
    """Return the receipt if it exists, its outputs are unchanged, and its optional inputs are `sources`; else None."""
    try:
        receipt: Receipt = s3.store().read_json(receipt_uri)
        if not is_readable(receipt.get("version")):
            return None
        for output in receipt["outputs"]:
            current = s3.store().head(S3Uri.parse(output["uri"]))
            if (current.etag, current.size) != (output["etag"], output["size"]):
                return None
    except s3.MissingError:
        return None
    return receipt if receipt.get("sources", {}) == {str(uri): etag for uri, etag in sources.items()} else None


def _verdict(error: BaseException, args: argparse.Namespace, work: Workspace | None, seconds: float) -> Verdict:
    failure_class, message, exit_code = _classify(error, args.results)
    original_names = work.original_names if work else {}
    return Verdict(
        failure_class,
        plain_line(with_original_names(message, original_names), MAX_MESSAGE),
        tool=error.tool if isinstance(error, ToolError) else "",
        exit_code=exit_code,
        stderr_tail=error.tail if isinstance(error, ToolError) else (),
        peak_memory=peak_memory(),
        job_id=os.environ.get("AWS_BATCH_JOB_ID", ""),
        seconds=max(0.1, round(seconds, 1)),  # 0 is that of a verdict without it
        vcpus=int(args.vcpus),
        memory=int(args.memory),
        usage={**work.usage.to_json(), "bytes_in": work.bytes_in, "bytes_cached": work.bytes_cached} if work else {},
    )


def _classify(error: BaseException, results: S3Uri) -> tuple[str, str, int]:
    """Return the failure class, the message and the exit code of an error."""
    if isinstance(error, StoppedError):
        return "STOPPED", "The job was stopped.", STOPPED_EXIT
    if isinstance(error, JobError):
        return error.failure_class, str(error), error.exit_code
    if isinstance(error, s3.ArchivedError | s3.MissingError | s3.ReplacedError):
        return *_classify_object(error, results), BAD_DATA_EXIT
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


def _classify_object(error: s3.ArchivedError | s3.MissingError | s3.ReplacedError, results: S3Uri) -> tuple[str, str]:
    """Return the failure class and the message of an object that cannot be read."""
    if isinstance(error, s3.ArchivedError):
        return "BAD_INPUT.ARCHIVED", f"{error}."
    if isinstance(error, s3.ReplacedError):
        return "RESULTS_CHANGED", f"{error}: a result of this run was replaced before the run ended."
    if error.uri.is_inside(results):  # also a part, or a receipt
        return "RESULTS_CHANGED", f"{error}: a result of this run was deleted before the run ended."
    return "BAD_INPUT.MISSING", f"{error}: it was deleted after the run began."


def _write_verdict(verdict: Verdict, name: str, args: argparse.Namespace, redactor: Redactor) -> None:
    """Log the failure, and write the verdict for the doctor unless S3 cannot be reached."""
    stopped = verdict.exit_code == STOPPED_EXIT
    logger.info("failed", failure_class=verdict.failure_class, reason=verdict.message)
    if not stopped:
        frames = [plain_line(line, MAX_TRACEBACK_LINE) for line in redactor.redact(traceback.format_exc()).splitlines()]
        logger.error("traceback", frames=frames)
    if not address_check.is_run_folder(args):
        return  # the verdict would be written to the folder of another run
    attempt = os.environ.get("AWS_BATCH_JOB_ATTEMPT", "1")
    uri = layout.verdict_uri(args.results, name, args.attempt, attempt, array_index())
    with contextlib.suppress(ClientError, BotoCoreError):
        store = s3.urgent_store() if stopped else s3.store()
        store.write_json(uri, verdict.to_json(), INTERMEDIATE)
