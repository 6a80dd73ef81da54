"""Fetch the files of a user that a reference is prepared from."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqdrop.failure.verdict import UsageError
from seqdrop.fastq.gunzip import is_gzip
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan.names import NAME
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from seqdrop.storage.web_address import WebAddress, is_web

from containers.reference import web
from containers.reference.fasta import refused

MAX_SIZE = 64 << 30  # bytes after decompression: twice the largest genome in use; more is a gzip bomb


def fetch(work: Workspace, kind: str, address: S3Uri | WebAddress, sources: dict[str, Any]) -> Path:
    """Download the pinned version of a file of a user, and record the version and its checksums in `sources`.

    A preparation that was written by hand may have no pins: it reads the present version.
    """
    path, sources[kind] = fetch_pinned(work, kind, address, work.args.sources.get(kind) or {})
    return path


def fetch_pinned(
    work: Workspace, kind: str, address: S3Uri | WebAddress, pin: Mapping[str, Any]
) -> tuple[Path, dict[str, Any]]:
    """Download a file of a user, at the version in `pin` if it has one; return its path, and what has come."""
    name = local_name(kind, address)
    if isinstance(address, WebAddress):
        source = web.download(address, work / name)
        work.bytes_in += source["size"]
        return work / name, source
    source = {**pin} if "etag" in pin else s3.store().head(address).source()
    path = work.fetch(address, name=name, **s3.expected_of(source))
    with path.open("rb") as file:
        return path, {**source, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def parse_address(text: str) -> S3Uri | WebAddress:
    """Parse the address of a file of a user; raise ValueError."""
    return WebAddress.parse(text) if is_web(text) else S3Uri.parse(text)


def extra_pins(work: Workspace, kind: str) -> dict[str, Mapping[str, Any]]:
    """Return what the preparation has to add of a kind, panels or known variants, by name; raise UsageError."""
    pins = work.args.sources.get(kind, {})
    for name, pin in pins.items():
        if not (NAME.fullmatch(name) and isinstance(pin, dict) and isinstance(pin.get("uri"), str)):
            raise UsageError(f"sources: {kind} must have a plain name and the address of a file each")
    return dict(pins)


def local_name(kind: str, uri: S3Uri | WebAddress) -> str:
    """Return a safe name for a file of a user: its kind, and `.gz` if it is compressed."""
    return f"input_{kind}.gz" if uri.name.lower().endswith(".gz") else f"input_{kind}"


def decompress(source: Path, target: Path) -> None:
    """Move a file to `target`, decompressed if it is gzip; raise BadInputError if it is damaged or too large."""
    if source.suffix != ".gz" and not is_gzip(source):
        source.rename(target)
        return
    with gzip.open(source) as compressed, target.open("wb") as out:
        try:
            while block := compressed.read(8 << 20):
                out.write(block)
                if out.tell() > MAX_SIZE:
                    raise refused(f"{source.name} decompresses to more than {MAX_SIZE >> 30} GiB")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise refused(f"{source.name} is truncated or damaged: {error}. Copy it again") from None
    source.unlink()
