"""What a step works with: a directory of its own, inputs proven, outputs published whole, a receipt at the end."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import resource
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqdrop.failure.verdict import BadInputError
from seqdrop.jobs import output_check
from seqdrop.jobs.processes import Argument, Processes
from seqdrop.log import logger
from seqdrop.plan import layout
from seqdrop.plan.names import VERSION
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from seqdrop.text import plain_line


@dataclass
class Workspace:
    """One step at work: its directory, what went in, what came out."""

    name: str
    args: argparse.Namespace
    directory: Path
    processes: Processes
    sources: Mapping[S3Uri, str] = field(default_factory=dict)  # the optional inputs that are there, and their ETags
    outputs: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)
    warnings: list[dict[str, str]] = field(default_factory=list)
    original_names: dict[str, str] = field(
        default_factory=dict
    )  # the name a file has in here -> the name a person gave it
    bytes_in: int = 0
    start_time: float = field(default_factory=time.time)

    def __truediv__(self, name: str) -> Path:
        return self.directory / name

    @property
    def vcpus(self) -> int:
        return int(self.args.vcpus)

    @property
    def memory(self) -> int:
        """MiB"""
        return int(self.args.memory)

    def fetch(
        self, uri: S3Uri, *companions: str, name: str = "", version_id: str = "", etag: str = "", crc64nvme: str = ""
    ) -> Path:
        """Stage an object in, proven, with its indexes beside it; raises MissingError, IntegrityError.

        Under a `name` of its own nothing in the log says what the person called it; `original_names` remembers it.
        """
        path = self.directory / (name or uri.name)
        if path.name != uri.name:
            self.original_names[path.name] = plain_line(uri.name)
            self.processes.redactor.add_object(uri, path.name)
        try:
            self.bytes_in += s3.store().download(uri, path, version_id, etag, crc64nvme).size
        except s3.ReplacedError:
            if uri.parent == self.args.results:
                raise  # what an earlier step wrote, not what a person sent
            raise BadInputError("MISSING", f"{path.name} was replaced after the run began") from None
        for companion in companions:
            self.bytes_in += s3.store().download(uri.companion(companion), companion_path(path, companion)).size
        return path

    def fetch_reference(self, *companions: str) -> Path:
        """The genome of this run with the indexes a tool needs."""
        try:
            return self.fetch(self.args.reference, *companions)
        except s3.MissingError as error:
            raise BadInputError("REFERENCE", f"{error}: the reference is not prepared for this tool") from None

    def run(self, *words: Argument, stdout: Path | None = None) -> None:
        self.processes.run(*words, stdout=stdout)

    def version(self, tool: str, *words: str) -> str:
        """Note a tool's version for the record: the first dotted number it prints."""
        text = self.processes.output(*(words or (tool, "--version")))
        found = re.search(r"\d+(\.\d+)+\w*", text)
        self.tools[tool] = found[0] if found else "unknown"
        return self.tools[tool]

    def warn(self, word: str, sentence: str) -> None:
        """What a person should know of results that are sound all the same; the log gets the word alone."""
        logger.warning("warning", warning=word)
        self.warnings.append({"warning": word, "message": with_original_names(sentence, self.original_names)})

    def publish(self, path: Path, word: str, *companions: str) -> None:
        """Upload an output to the address the plan gave for `word`: companions first, the planned object after them."""
        uri: S3Uri = getattr(self.args, word)
        output_check.check_directory(self.directory)
        for companion in companions:
            self._store(f"{word}{companion}", companion_path(path, companion), uri.companion(companion))
        self._store(word, path, uri)

    def publish_to(self, path: Path, uri: S3Uri) -> None:
        """Upload what readers of an output look for first, once the output is there."""
        output_check.check_directory(self.directory)
        self._store(uri.name, path, uri)

    def _store(self, name: str, path: Path, uri: S3Uri) -> None:
        stored = s3.store().upload(output_check.resolve_output(path, self.directory, name), uri)
        self.outputs.append({"name": name, **stored.pin(), "crc64nvme": stored.crc64nvme})
        logger.info("published", output=name, bytes=stored.size)

    def finish(self) -> None:
        """The receipt, last of all: the step is done."""
        receipt = {
            "version": VERSION,
            "run": self.args.run,
            "step": self.name,
            "attempt": self.args.attempt,
            "job_id": os.environ.get("AWS_BATCH_JOB_ID", ""),
            "image": os.environ.get("SEQDROP_IMAGE", ""),
            "image_digest": image_digest(),
            "tools": self.tools,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.start_time)),
            "seconds": round(time.time() - self.start_time, 1),
            "vcpus": self.vcpus,
            "memory": self.memory,
            "peak_memory": peak_memory(),
            "bytes_in": self.bytes_in,
            "bytes_out": sum(output["size"] for output in self.outputs),
            "counts": self.counts,
            "warnings": self.warnings,
            "sources": {str(uri): etag for uri, etag in self.sources.items()},
            "outputs": self.outputs,
        }
        s3.store().write_json(layout.receipt_uri(self.args.results, self.name), receipt)
        logger.info("done", seconds=receipt["seconds"], peak_memory=receipt["peak_memory"])


def with_original_names(sentence: str, original_names: Mapping[str, str]) -> str:
    """A sentence for a person has the names that the person gave the files."""
    for name, given in sorted(original_names.items(), key=lambda pair: -len(pair[0])):
        sentence = sentence.replace(name, given)
    return sentence


def companion_path(path: Path, companion: str) -> Path:
    return path.with_name(path.name + companion)


def write_md5(path: Path, name: str) -> Path:
    """Write `<path>.md5` as `md5sum` does for a file called `name`: what the path is published as."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(8 << 20):
            digest.update(block)
    target = companion_path(path, ".md5")
    target.write_text(f"{digest.hexdigest()}  {name}\n")
    return target


def image_digest() -> str:
    """The digest of the image this runs in, as the ECS agent tells it; "" outside of ECS."""
    endpoint = os.environ.get("ECS_CONTAINER_METADATA_URI_V4", "")
    if not endpoint:
        return ""
    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(endpoint, timeout=2) as answer:  # noqa: S310  http of the agent
        return str(json.load(answer).get("ImageID", ""))
    return ""


def peak_memory() -> int:
    """MiB: of the whole container where its cgroup says so, else of the largest program."""
    with contextlib.suppress(OSError, ValueError):
        return int(Path("/sys/fs/cgroup/memory.peak").read_text()) >> 20
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
