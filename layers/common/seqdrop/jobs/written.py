"""Store aligned reads while a program writes them, and count, digest and upload them on the way."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from seqdrop.jobs import bam_counts
from seqdrop.jobs.bam_counts import Counts
from seqdrop.plan.names import BAM
from seqdrop.storage.transfers import GrowingUpload

BLOCK_SIZE = 1 << 20  # bytes: of the pipe at a time


class Written:
    """A BAM or CRAM on its way from a program to the disk and to S3: a source for GzipReader."""

    def __init__(self, path: Path, growing: GrowingUpload) -> None:
        """Write to `path` and `growing`."""
        self.name, self.size = path.name, 0
        self.counts: Counts | None = None  # of a BAM, when all of it is written
        self.path, self._growing = path, growing
        self._digest = hashlib.md5(usedforsecurity=False)
        self._block, self._at = b"", 0  # the bytes that were stored last, and the place of the next one
        self._stream: BinaryIO
        self._file: BinaryIO

    @property
    def md5(self) -> str:
        """The MD5 of what is written, in hexadecimal."""
        return self._digest.hexdigest()

    def read_from(self, stream: BinaryIO) -> None:
        """Read to the end of a stream; raise JobError if it is a damaged BAM, OSError if the disk is full."""
        self._stream = stream
        with self.path.open("wb", buffering=0) as self._file:
            if self.path.suffix == f".{BAM}":
                self.counts = bam_counts.count_primary(self)
            while self.read(BLOCK_SIZE):
                pass

    def copy_from(self, stream: BinaryIO) -> None:
        """Read to the end of a stream whose records are counted elsewhere; raise OSError if the disk is full."""
        with self.path.open("wb", buffering=0) as self._file:
            while block := stream.read(BLOCK_SIZE):
                self._store(block)

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, after they are stored."""
        if self._at == len(self._block):
            self._block, self._at = self._stream.read(BLOCK_SIZE), 0
            self._store(self._block)
        data = self._block[self._at : self._at + size]
        self._at += len(data)
        return data

    def _store(self, block: bytes) -> None:
        view = memoryview(block)
        while view:
            view = view[self._file.write(view) :]
        self._digest.update(block)
        self._growing.write(block)
        self.size += len(block)

    def tell(self) -> int:
        """Return the number of bytes read."""
        return self.size - len(self._block) + self._at

    def verify(self) -> None:
        """Do nothing: the bytes come from a pipe."""

    def close(self) -> None:
        """Do nothing: what is written must be read to its end."""
