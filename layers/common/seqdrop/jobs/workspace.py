"""Give a step its directory, fetch and verify its inputs, publish its outputs, and write its receipt."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import resource
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from seqdrop import __version__
from seqdrop.failure.verdict import BadInputError
from seqdrop.jobs import kept, output_check, reference_cache
from seqdrop.jobs.image import running_image
from seqdrop.jobs.processes import Argument, Processes
from seqdrop.jobs.read_rate import ReadRate
from seqdrop.jobs.usage import Usage
from seqdrop.log import logger
from seqdrop.plan import layout
from seqdrop.plan.names import GENOME, REFERENCE_JSON, VERSION
from seqdrop.storage import digests, s3
from seqdrop.storage.transfers import GrowingUpload
from seqdrop.storage.uri import S3Uri
from seqdrop.text import plain_line

UNPREPARED = "the reference is not prepared for this tool"
REPLACED = "the reference was replaced after the run began; upload the reads again for a run with the present one"
SHARED = (GENOME, f"{GENOME}.fai")  # files of a reference that several steps read
PEAK_MEMORY = Path("/sys/fs/cgroup/memory.peak")  # bytes, of the container; absent with cgroup v1


@dataclass
class Workspace:
    """The directory of one step, with a record of its inputs and outputs."""

    name: str
    args: argparse.Namespace
    directory: Path
    processes: Processes
    sources: Mapping[S3Uri, str] = field(default_factory=dict)  # the optional inputs that exist -> ETag
    outputs: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)
    warnings: list[dict[str, str]] = field(default_factory=list)
    qc: dict[str, Any] = field(default_factory=dict)  # the verdict of a QC policy on the run
    part: dict[str, Any] = field(default_factory=dict)  # identity of a part, in its receipt
    seconds_of_parts: float = 0.0  # sum of the seconds of all parts, in the job that gathers them
    original_names: dict[str, str] = field(default_factory=dict)  # name in this directory -> name in S3
    unverified: set[Path] = field(default_factory=set)  # inputs of which S3 has no checksum
    read_rate: ReadRate = field(default_factory=ReadRate)
    bytes_in: int = 0  # from S3
    bytes_cached: int = 0  # from the disk of the host instead
    provable: bool = False  # outputs get a digest, by which jobs can prove copies of them
    start_time: float = field(default_factory=time.time)

    @cached_property
    def usage(self) -> Usage:
        """What the job uses of its instance."""
        return Usage(self.directory)

    def __truediv__(self, name: str) -> Path:
        """Return the path of `name` in the directory of the step."""
        return self.directory / name

    @property
    def vcpus(self) -> int:
        """The number of vCPUs of the job."""
        return int(self.args.vcpus)

    @property
    def memory(self) -> int:
        """The memory of the job in MiB."""
        return int(self.args.memory)

    def fetch(
        self, uri: S3Uri, *companions: str, name: str = "", version_id: str = "", etag: str = "", crc64nvme: str = ""
    ) -> Path:
        """Download an object and its companions (indexes), and verify them; return the path of the object.

        With `name`, the object gets that name here and in the log. Messages to people have the original name.
        Raises MissingError, IntegrityError, BadInputError.
        """
        path = self / (name or uri.name)
        with self._named(uri, path):
            self._fetch(uri, path, version_id, etag, crc64nvme)
        for companion in companions:
            self._fetch(uri.companion(companion), companion_path(path, companion))
        return path

    def stream(
        self, uri: S3Uri, name: str, version_id: str = "", etag: str = "", crc64nvme: str = ""
    ) -> Path | s3.Stream:
        """Return an object that can be read once, in order, and is verified on the way; or download it as `fetch` does.

        It is downloaded if S3 has a checksum that needs a file.
        """
        with self._named(uri, self / name):
            stream = s3.store().stream(uri, name, version_id, etag, crc64nvme)
        if stream is None:
            return self.fetch(uri, name=name, version_id=version_id, etag=etag, crc64nvme=crc64nvme)
        self.bytes_in += stream.size
        return stream

    @contextlib.contextmanager
    def _named(self, uri: S3Uri, path: Path) -> Iterator[None]:
        """Use the name of `path` for an object here and in the log; report that it was replaced."""
        if path.name != uri.name:
            self.original_names[path.name] = plain_line(uri.name)
            self.processes.redactor.add_object(uri, path.name)
        try:
            yield
        except s3.ReplacedError:
            if uri.is_inside(self.args.results):
                raise  # an output or a part of an earlier step, not a file of a user
            raise BadInputError("MISSING", f"{path.name} was replaced after the run began") from None

    def _fetch(
        self, uri: S3Uri, path: Path, version_id: str = "", etag: str = "", crc64nvme: str = "", *, shared: bool = False
    ) -> Path:
        stored, cached = kept.link(uri, path, version_id, etag, crc64nvme), True
        if stored is None:
            stored = s3.store().expected(uri, version_id, etag, crc64nvme)
            cached = shared and reference_cache.fetch(stored, path)
            if not shared:
                s3.store().fetch(stored, path)
        self.bytes_cached += stored.size if cached else 0
        self.bytes_in += 0 if cached else stored.size
        if stored.checksum is None:
            self.unverified.add(path)
        return path

    @cached_property
    def reference(self) -> Mapping[str, Any]:
        """reference.json as it was when the run started, with `files`, the versions of the genome and its indexes.

        Runs that an earlier version started have no copy: theirs is the present one, without `files`.
        """
        summary: Mapping[str, Any]
        try:
            summary = s3.store().read_json(self.args.results / REFERENCE_JSON)
        except s3.MissingError:
            summary = s3.store().read_json(self.args.reference.parent / REFERENCE_JSON)
        return summary

    def has_reference_file(self, uri: S3Uri) -> bool:
        """Return whether the reference had an index, or its database of genes, when the run started."""
        files = self._pinned_files()
        return bool(s3.store().find(uri)) if files is None else uri.name in files

    def pinned(self, word: str) -> Any:
        """Return what start_run has added to reference.json in the folder of the run; None in earlier runs."""
        with contextlib.suppress(s3.MissingError):
            return self.reference.get(word)
        return None

    def _pinned_files(self) -> Mapping[str, Mapping[str, str]] | None:
        files: Mapping[str, Mapping[str, str]] | None = self.pinned("files")
        return files

    def pin_of(self, uri: S3Uri) -> Mapping[str, str] | None:
        """Return the version and ETag that the run pinned of a file of the reference, {} in earlier runs.

        None for a file that did not exist when the run started.
        """
        files = self._pinned_files()
        return files.get(uri.name) if files is not None else {}

    def fetch_reference(self, *companions: str) -> Path:
        """Download the genome of the run with the indexes that a tool needs; raise BadInputError if one is missing."""
        path, *_ = [self.fetch_reference_file(uri) for uri in with_companions(self.args.reference, companions)]
        return path

    def fetch_reference_file(self, uri: S3Uri) -> Path:
        """Download a file of the reference at the version that the run pinned; raise BadInputError."""
        pin = self.pin_of(uri)
        if pin is None:
            raise BadInputError("REFERENCE", f"{uri} does not exist: {UNPREPARED}")
        try:
            path = self._fetch(uri, self / uri.name, pin.get("version_id", ""), pin.get("etag", ""), shared=True)
        except s3.MissingError as error:
            raise BadInputError("REFERENCE", f"{error}: {REPLACED if pin else UNPREPARED}") from None
        except s3.ReplacedError:
            raise BadInputError("REFERENCE", f"{uri}: {REPLACED}") from None
        if uri.name in SHARED:
            kept.keep(uri, path)
        return path

    def run(self, *command: Argument, stdout: Path | None = None) -> None:
        """Run a program until it ends; raise ToolError if it fails."""
        self.processes.run(*command, stdout=stdout)

    def version(self, tool: str, *command: str) -> str:
        """Record the version of a tool for the receipt: the first dotted number that the command prints."""
        text = self.processes.output(*(command or (tool, "--version")))
        match = re.search(r"\d+(\.\d+)+\w*", text)
        self.tools[tool] = match[0] if match else "unknown"
        return self.tools[tool]

    def warn(self, code: str, message: str) -> None:
        """Record a warning for the receipt: the results are valid, but a person should check them.

        The message can name files of a user, so only the code is logged.
        """
        logger.warning("warning", warning=code)
        self.warnings.append({"warning": code, "message": with_original_names(message, self.original_names)})

    def publish(
        self,
        path: Path,
        output: str,
        *companions: str,
        lane: int = 0,
        tagging: str = "",
        growing: GrowingUpload | None = None,
    ) -> None:
        """Upload an output, companions first, to the address that the plan has for it (`--output`).

        `tagging` (`key=value`) is for the output alone: by it, the lifecycle of the bucket archives large outputs.
        An output with one file for each lane has one address for each: `lane` counts from 1. `growing` has sent the
        output while it was written.
        """
        uri: S3Uri = getattr(self.args, output)[lane - 1] if lane else getattr(self.args, output)
        output = f"{output}.{lane}" if lane else output
        output_check.check_directory(self.directory)
        self.usage.measure_scratch()
        for companion in companions:
            self._upload(f"{output}{companion}", companion_path(path, companion), uri.companion(companion))
        self._upload(output, path, uri, tagging, growing)

    def publish_to(self, path: Path, uri: S3Uri, tagging: str = "") -> None:
        """Upload a file that the plan has no word for: it announces an output, or is for a later step."""
        output_check.check_directory(self.directory)
        self._upload(uri.name, path, uri, tagging)

    def _upload(
        self, name: str, path: Path, uri: S3Uri, tagging: str = "", growing: GrowingUpload | None = None
    ) -> None:
        file = output_check.resolve_output(path, self.directory, name)
        metadata = digests.as_metadata(file) if self.provable else None
        stored = s3.store().upload(file, uri, metadata, tagging=tagging, growing=growing)
        kept.keep(uri, file)
        self.outputs.append({"name": name, **stored.pin(), "crc64nvme": stored.crc64nvme})
        logger.info("published", output=name, bytes=stored.size)

    def finish(self) -> None:
        """Write the receipt. It is written last: a step with a receipt is done."""
        receipt = {
            "version": VERSION,
            "run": self.args.run,
            "step": self.name,
            "attempt": self.args.attempt,
            "job_id": os.environ.get("AWS_BATCH_JOB_ID", ""),
            "seqdrop": __version__,
            **running_image(),
            "tools": self.tools,
            "commands": self.processes.commands,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.start_time)),
            "seconds": round(time.time() - self.start_time, 1),
            "vcpus": self.vcpus,
            "memory": self.memory,
            "peak_memory": peak_memory(),
            "bytes_in": self.bytes_in,
            "bytes_cached": self.bytes_cached,
            "bytes_out": sum(output["size"] for output in self.outputs),
            "usage": self.usage.to_json(),
            "counts": self.counts,
            "warnings": self.warnings,
            **({"qc": self.qc} if self.qc else {}),
            **({"part": self.part} if self.part else {}),
            **({"seconds_of_parts": round(self.seconds_of_parts, 1)} if self.seconds_of_parts else {}),
            "sources": {str(uri): etag for uri, etag in self.sources.items()},
            "outputs": self.outputs,
        }
        s3.store().write_json(layout.receipt_uri(self.args.results, self.name, array_index()), receipt)
        logger.info("done", seconds=receipt["seconds"], peak_memory=receipt["peak_memory"])


def array_index() -> str:
    """Return the index of this job in its array job; "" for other jobs."""
    return os.environ.get("AWS_BATCH_JOB_ARRAY_INDEX", "")


def with_original_names(message: str, original_names: Mapping[str, str]) -> str:
    """Return a message with the names that the files of a user have in S3, longest local names first."""
    for name, original in sorted(original_names.items(), key=lambda pair: -len(pair[0])):
        message = message.replace(name, original)
    return message


def with_companions(uri: S3Uri, companions: Iterable[str]) -> list[S3Uri]:
    """Return the address of an object and those of its companions."""
    return [uri, *map(uri.companion, companions)]


def companion_path(path: Path, companion: str) -> Path:
    """Return the path of an index, checksum or summary, which has the name of its file plus a suffix."""
    return path.with_name(path.name + companion)


def name_companions(files: Iterable[Path], path: Path) -> list[str]:
    """Rename files to companions of `path` and return their suffixes: `Stats.xml` becomes `<path>.Stats.xml`."""
    suffixes = {file: f".{file.name}" for file in files}
    for file, suffix in suffixes.items():
        file.rename(companion_path(path, suffix))
    return list(suffixes.values())


def write_md5(path: Path, name: str) -> None:
    """Write `<path>.md5` as `md5sum` does; `name` is the file name in S3, which a download has."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(8 << 20):
            digest.update(block)
    note_md5(path, digest.hexdigest(), name)


def note_md5(path: Path, md5: str, name: str) -> None:
    """Write `<path>.md5` with a known MD5, in hexadecimal."""
    companion_path(path, ".md5").write_text(f"{md5}  {name}\n")


def peak_memory() -> int:
    """Return the peak memory in MiB: of the container if its cgroup reports it, else of the largest program."""
    with contextlib.suppress(OSError, ValueError):
        return int(PEAK_MEMORY.read_text()) >> 20
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
