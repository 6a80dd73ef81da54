"""Fetch the files of a user that a reference is prepared from."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

from seqdrop.fastq.gunzip import is_gzip
from seqdrop.jobs.workspace import Workspace
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from containers.reference.fasta import refused

MAX_SIZE = 64 << 30  # bytes after decompression: twice the largest genome in use; more is a gzip bomb


def fetch(work: Workspace, kind: str, uri: S3Uri, sources: dict[str, Any]) -> Path:
    """Download the pinned version of a file of a user, and record the version and its checksum in `sources`.

    A preparation that was written by hand may have no pins: it reads the present version.
    """
    sources[kind] = work.args.sources.get(kind) or s3.store().head(uri).source()
    pin = {word: str(sources[kind].get(word, "")) for word in ("version_id", "etag", "crc64nvme")}
    return work.fetch(uri, name=local_name(kind, uri), **pin)


def local_name(kind: str, uri: S3Uri) -> str:
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
