"""FASTQs go into the bucket as by anyone's `aws s3 cp`, with the choices for the run on them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from seqdrop.plan import fastq_names, layout
from seqdrop.plan.choices import Choices
from seqdrop.plan.fastq_names import FastqName
from seqdrop.plan.names import SAMPLE
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from seqdrop_cli.problem import Problem
from seqdrop_cli.screen import screen
from seqdrop_cli.stack import TRANSFER, Stack

_EXTENSION = re.compile(r"\.(?:fastq|fq)(?:\.gz)?$")
Pinned = dict[str, Any]  # {"uri", "version_id", "etag", "size"}


@dataclass(frozen=True, slots=True)
class Drop:
    """The files of one run, each with the name it gets in the bucket."""

    sample: str
    pairs: tuple[tuple[Path, Path], ...]
    names: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, paths: Sequence[Path], sample: str | None) -> Drop:
        """Raises Problem where the files are no pairs of one sample."""
        for path in paths:
            if not path.is_file():
                raise Problem(f"{path} is not there, or no file.")
        if len(paths) % 2:
            raise Problem(f"{len(paths)} files are no pairs: give R1 R2, lane by lane.")
        pairs = tuple(zip(paths[::2], paths[1::2], strict=True))
        for r1, r2 in pairs:
            if r1.samefile(r2):
                raise Problem(f"{r1} stands for both mates: give R1 and R2.")
        if sample is not None:
            return cls(sample, pairs, _names_after(sample, pairs))
        lanes = [_mates(r1, r2) for r1, r2 in pairs]
        _check_one_sample(lanes)
        return cls(lanes[0].sample, pairs, tuple((r1.name, r2.name) for r1, r2 in pairs))


def _names_after(sample: str, pairs: Sequence[tuple[Path, Path]]) -> tuple[tuple[str, str], ...]:
    """`S_R1.fastq.gz`; with several lanes `S_L001_R1.fastq.gz`."""
    if not SAMPLE.fullmatch(sample):
        raise Problem(
            f"{sample!r} is no sample id: letters, digits, '.', '_' and '-', at most 64, a letter or digit first."
        )
    names = []
    for number, (r1, r2) in enumerate(pairs, start=1):
        lane = f"_L{number:03}" if len(pairs) > 1 else ""
        names.append((f"{sample}{lane}_R1{_extension(r1)}", f"{sample}{lane}_R2{_extension(r2)}"))
    if any(parsed is None or parsed.sample != sample for pair in names for parsed in map(fastq_names.parse, pair)):
        raise Problem(f"{sample!r} would be read as a lane or a mate: choose another --sample.")
    return tuple(names)


def _extension(path: Path) -> str:
    found = _EXTENSION.search(path.name)
    if found is None:
        raise Problem(f"{path.name} is no FASTQ by its name: expected .fastq.gz or .fq.gz.")
    return found[0]


def _mates(r1: Path, r2: Path) -> FastqName:
    parsed = fastq_names.parse(r1.name)
    if parsed is None:
        raise Problem(f"{r1.name} names no sample and mate (like NA12878_R1.fastq.gz): rename it or give --sample.")
    if parsed.mates == (r2.name, r1.name):
        raise Problem(f"{r1.name} is R2 by its name: give R1 first.")
    if parsed.mates != (r1.name, r2.name):
        raise Problem(f"{r1.name} and {r2.name} are no mates by their names: rename them or give --sample.")
    return parsed


def _check_one_sample(lanes: Sequence[FastqName]) -> None:
    if len(lanes) == 1:
        return
    if len({lane.lanes_prefix for lane in lanes}) > 1 or not all(lane.lane for lane in lanes):
        names = ", ".join(Path(lane.key).name for lane in lanes)
        raise Problem(f"{names} are not lanes of one sample by their names: give --sample to make them one.")
    if len({lane.lane for lane in lanes}) < len(lanes):
        raise Problem("The same lane is given twice.")


def head(stack: Stack, uri: S3Uri) -> dict[str, Any] | None:
    """What S3 says of the object; None where there is none."""
    try:
        return dict(stack.s3.head_object(Bucket=uri.bucket, Key=uri.key, ChecksumMode="ENABLED"))
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchKey"}:
            raise
        return None


def same(path: Path, uri: S3Uri, found: Mapping[str, Any] | None, metadata: Mapping[str, str]) -> Pinned | None:
    """The object, if it holds these very bytes with these very choices: then nothing need travel."""
    if found is None or found["ContentLength"] != path.stat().st_size or found["Metadata"] != dict(metadata):
        return None
    checksum = found.get("ChecksumCRC64NVME")
    return _pinned(uri, found) if checksum and s3.checksum(path) == checksum else None


def _pinned(uri: S3Uri, head: Mapping[str, Any]) -> Pinned:
    version = head.get("VersionId", "").replace("null", "")
    return {"uri": str(uri), "version_id": version, "etag": head["ETag"].strip('"'), "size": head["ContentLength"]}


def put(stack: Stack, files: Sequence[tuple[Path, S3Uri]], metadata: Mapping[str, str]) -> list[Pinned]:
    """Upload with a whole-object checksum, a bar a file; answers the version of each."""
    extra = {"Metadata": dict(metadata), "ChecksumAlgorithm": "CRC64NVME"}
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    stored = []
    with Progress(*columns, console=screen(), transient=True, disable=not screen().is_terminal) as progress:
        for path, uri in files:
            task = progress.add_task(uri.name, total=path.stat().st_size)
            stack.s3.upload_file(
                str(path), uri.bucket, uri.key, extra, lambda sent, task=task: progress.advance(task, sent), TRANSFER
            )
            stored.append(_pinned(uri, stack.s3.head_object(Bucket=uri.bucket, Key=uri.key)))
    return stored


def paired(stored: Sequence[Pinned]) -> list[dict[str, Pinned]]:
    """As reads.json has them."""
    return [{"fastq_1": r1, "fastq_2": r2} for r1, r2 in zip(stored[::2], stored[1::2], strict=True)]


def run_id(stack: Stack, drop: Drop, stored: Sequence[Pinned], choices: Choices, genome: str) -> str:
    """What start_run will call the run: both compute it from the same pinned inputs."""
    tools = {"aligner": stack["Aligner"], "caller": stack["Caller"]}
    return layout.run_id(drop.sample, paired(stored), choices, genome=genome, **tools)
