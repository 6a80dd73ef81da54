"""Decompress files block by block and verify the checksum and the length of every gzip member."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from seqdrop import signals
from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq.records import GZIP_MAGIC

BLOCK_SIZE = 16 << 10  # compressed bytes: deflate expands them at most 1,032 times, so memory use stays flat
PLAIN_BLOCK_SIZE = 64 << 10
# FASTQ data compresses to about a fifth, and to a fiftieth at best. A file that exceeds this ratio over the first
# 256 MiB is a decompression bomb.
MAX_RATIO, RATIO_CHECKED_FROM = 200, 256 << 20
_RESERVED_FLAGS = 0xE0  # of the fourth byte of a gzip member: no gzip writer sets them


def is_gzip(path: Path) -> bool:
    """Return whether a file begins as gzip does, whatever its name is."""
    with path.open("rb") as file:
        return file.read(len(GZIP_MAGIC)) == GZIP_MAGIC


class Source(Protocol):
    """What a GzipReader reads: a file, or bytes on their way."""

    name: str

    @property
    def size(self) -> int:
        """The number of bytes, or of those so far."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes; fewer than `size` only at the end."""

    def tell(self) -> int:
        """Return the number of bytes read."""

    def verify(self) -> None:
        """Read to the end; raise an error if the bytes were damaged on their way."""

    def close(self) -> None:
        """End the reading."""


class _File:
    def __init__(self, path: Path) -> None:
        self.name, self.size = path.name, path.stat().st_size
        file = path.open("rb")
        self.read, self.tell, self.close = file.read, file.tell, file.close

    def verify(self) -> None:
        """Do nothing: a file was verified when it was fetched."""


class GzipReader:
    """Read the bytes of a file: plain, or gzip with any number of members (BGZF included).

    Iterating yields decompressed blocks and raises BadInputError.
    """

    def __init__(self, source: Path | Source) -> None:
        """Open a file, or a source, and detect whether it is gzip."""
        self._file: Source = _File(source) if isinstance(source, Path) else source
        self.name = self._file.name
        self._start = self._file.read(BLOCK_SIZE)
        self.first_bytes = self._start[: len(GZIP_MAGIC)]
        self.is_gzip = self.first_bytes == GZIP_MAGIC
        self.bytes_out = 0  # decompressed bytes so far
        self._member_verified = True  # False between the start of a member and its checksum
        # Kept for verify_checksum: the iteration may fail in a thread whose result is never fetched.
        self._error: BadInputError | None = None
        self._blocks = self._keep_error(self._read_members() if self.is_gzip else self._read_plain())

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the blocks that are not read yet."""
        return self._blocks

    def verify_checksum(self) -> None:
        """Read to the end of the current gzip member, so that its checksum is verified; raise BadInputError.

        Call it when a parser finds invalid reads: damaged gzip data looks like invalid reads until its checksum.
        """
        if self._error:
            raise self._error
        while not (self._member_verified or signals.stop_requested()) and next(self._blocks, None) is not None:
            pass

    def verify_source(self) -> None:
        """Read the source to its end, so that its checksum is verified; nothing can be read afterwards."""
        self._file.verify()

    def _keep_error(self, blocks: Generator[bytes]) -> Generator[bytes]:
        try:
            yield from blocks
        except BadInputError as error:
            self._error = error
            raise

    def _read_plain(self) -> Generator[bytes]:
        block = self._start
        while block:
            self.bytes_out += len(block)
            yield block
            block = self._file.read(PLAIN_BLOCK_SIZE)

    def _read_members(self) -> Generator[bytes]:
        from isal import isal_zlib  # noqa: PLC0415  compiled: installed in the images, not in the layer

        data, self._start = self._start, b""
        while data:
            start, self._member_verified = self._file.tell() - len(data), False
            if data[3:4] and data[3] & _RESERVED_FLAGS:
                raise self._damage_error(start)
            member = isal_zlib.decompressobj(31)  # 31: gzip, with header and trailer
            while not member.eof:
                data = data or self._file.read(BLOCK_SIZE)
                if not data:
                    raise BadInputError("TRUNCATED", f"{self.name} is truncated: its gzip data has no end")
                try:
                    block, data = member.decompress(data), b""
                except isal_zlib.error:  # type: ignore[misc]
                    raise self._damage_error(start) from None
                self.bytes_out += len(block)
                self._check_ratio()
                self._member_verified = member.eof
                yield block
            data = self._next_member(member.unused_data)

    def _next_member(self, data: bytes) -> bytes:
        """Return the start of the next member, or b"" at the end of the file.

        Zeros after the last member are allowed: they pad files to a disk or tape block.
        """
        if len(data) < BLOCK_SIZE:  # isal may reject the checksum of a header that is split across two calls
            data += self._file.read(BLOCK_SIZE)
        if data.startswith(GZIP_MAGIC):
            return data
        end, only_zeros = self._file.tell() - len(data), True
        while data and only_zeros:
            only_zeros = not data.strip(b"\0")
            data = self._file.read(BLOCK_SIZE)
        if not only_zeros:
            extra = self._file.size - end
            raise BadInputError("CORRUPT_GZIP", f"{self.name} has {extra:,} extra bytes after the end of the gzip data")
        return b""

    def _damage_error(self, start: int) -> BadInputError:
        end = self._file.tell()
        return BadInputError(
            "CORRUPT_GZIP", f"{self.name} is damaged between byte {start:,} and {end:,} of {self._file.size:,}"
        )

    def _check_ratio(self) -> None:
        if self.bytes_out > RATIO_CHECKED_FROM and self.bytes_out > MAX_RATIO * self._file.tell():
            raise BadInputError(
                "LIMIT", f"{self.name} expands to more than {MAX_RATIO} times its compressed size; FASTQ data does not"
            )
