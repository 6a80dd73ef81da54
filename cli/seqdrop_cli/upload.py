"""Upload FASTQs to the bucket as `aws s3 cp` does, with the choices for the run as metadata.

Files of another run are never overwritten: the new R1 would be paired with the old R2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from botocore.exceptions import ClientError
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from seqdrop.plan import layout
from seqdrop.plan.choices import Choices
from seqdrop.plan.names import canonical
from seqdrop.runs.pairing import Pair
from seqdrop.storage import s3
from seqdrop.storage.s3 import StoredObject
from seqdrop.storage.uri import S3Uri

from seqdrop_cli.errors import CliError, describe_aws_error
from seqdrop_cli.fastqs import Fastqs
from seqdrop_cli.screen import console, visible
from seqdrop_cli.stack import Stack

MAX_FOLDERS = 100  # for the same files, each uploaded again after a run that failed
Metadata = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Destination:
    """The addresses for the files of a run. Some files may be there already, with the same bytes and choices."""

    files: list[tuple[Path, S3Uri]]
    stored: list[StoredObject | None]

    @property
    def is_complete(self) -> bool:
        """Whether every file is there."""
        return None not in self.stored

    def upload_missing(self, stack: Stack, metadata: Metadata) -> list[StoredObject]:
        """Upload the files that are not there; return all of them in order."""
        missing = [file for file, stored in zip(self.files, self.stored, strict=True) if stored is None]
        uploaded = iter(upload_files(stack, missing, metadata))
        return [stored or next(uploaded) for stored in self.stored]


def destinations(stack: Stack, fastqs: Fastqs, prefix: str, metadata: Metadata) -> Iterator[Destination]:
    """Yield the destinations that hold no other files: the folder `prefix`, then folders named after the content."""
    parent = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    for folder in _folders(fastqs, metadata):
        files = [(path, S3Uri(stack["FastqBucket"], parent + folder + name)) for path, name in fastqs.files]
        current = [stack.store.find(uri) for _, uri in files]
        same = [
            stored if stored and is_same(path, stored, metadata) else None
            for (path, _), stored in zip(files, current, strict=True)
        ]
        if same == current:
            yield Destination(files, same)


def _folders(fastqs: Fastqs, metadata: Metadata) -> Iterator[str]:
    yield ""
    checksums = [[s3.checksum(path) for path in pair] for pair in fastqs.pairs]
    digest = hashlib.sha256(canonical([checksums, dict(metadata)]).encode()).hexdigest()[:12]
    yield f"{digest}/"
    yield from (f"{digest}-{number}/" for number in range(2, MAX_FOLDERS))


def is_same(path: Path, stored: StoredObject, metadata: Metadata) -> bool:
    """Return whether an object has the bytes of a file and this metadata, so that it need not be uploaded."""
    if stored.size != path.stat().st_size or stored.metadata != dict(metadata):
        return False
    return bool(stored.crc64nvme) and s3.checksum(path) == stored.crc64nvme


def upload_files(stack: Stack, files: Sequence[tuple[Path, S3Uri]], metadata: Metadata) -> list[StoredObject]:
    """Upload files with a progress bar for each; raise CliError."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    uploaded = []
    with Progress(*columns, console=console(), transient=True, disable=not console().is_terminal) as progress:
        for path, uri in files:
            task = progress.add_task(visible(uri.name), total=path.stat().st_size)
            try:
                stored = stack.store.upload(path, uri, metadata, partial(progress.advance, task))
            except ClientError as error:
                raise CliError(f"{path} could not be uploaded to {uri}. {describe_aws_error(error)}") from None
            uploaded.append(stored)
    return uploaded


def run_id(
    stack: Stack, fastqs: Fastqs, stored: Sequence[StoredObject], choices: Choices, *, genome: str, regions: str = ""
) -> str:
    """Return the id of the run of these objects: R1 and R2 of each lane."""
    files = iter(stored)
    pairs = [Pair("", *(next(files) for _ in pair)) for pair in fastqs.pairs]
    return run_id_of_pairs(stack, fastqs.sample, pairs, choices, genome=genome, regions=regions)


def run_id_of_pairs(
    stack: Stack, sample: str, pairs: Sequence[Pair], choices: Choices, *, genome: str, regions: str = ""
) -> str:
    """Return the id of the run of these pairs, which start_run computes from the same values."""
    entries = [pair.entry() for pair in pairs]
    tools = choices.tools(stack.default_tools)
    choices = replace(choices, alignment_format=choices.alignment_format or stack.default_alignment_format)
    return layout.run_id(sample, entries, choices, genome=genome, regions=regions, **tools)
