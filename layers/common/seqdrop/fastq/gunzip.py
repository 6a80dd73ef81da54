"""Files unpacked block by block and proven on the way: the checksum and length of every gzip member, and their end."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from seqdrop import signals
from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq.records import GZIP_MAGIC

BLOCK_SIZE = 16 << 10  # of the packed file: deflate makes at most 1,032 times as much of it, so memory stays flat
PLAIN_BLOCK_SIZE = 64 << 10
# Reads pack to a fifth or so, and the dullest to a fiftieth: what grows more than this for long is made to do harm.
MAX_RATIO, RATIO_CHECKED_FROM = 200, 256 << 20
_UNKNOWN_FLAGS = 0xE0  # of a member's fourth byte: what no writer of gzip sets


class GzipReader:
    """The bytes of a file, gzip of any number of members (BGZF too) or plain. Iterating raises BadInputError."""

    def __init__(self, path: Path) -> None:
        self.name, self.size = path.name, path.stat().st_size
        self._file = path.open("rb")
        self.first_bytes = self._file.read(len(GZIP_MAGIC))
        self.is_gzip = self.first_bytes == GZIP_MAGIC
        self._file.seek(0)
        self.bytes_out = 0  # bytes handed out so far
        self._member_verified = True  # no member is open whose checksum is still to come
        self._error: BadInputError | None = None  # raised to whoever read it, in a thread perhaps that nobody asks
        self._blocks = self._keep_error(self._read_members() if self.is_gzip else self._read_plain())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        return self._blocks

    def verify_checksum(self) -> None:
        """Read on to the checksum of what was handed out: damaged bytes look like any bad reads before it is seen."""
        if self._error:
            raise self._error
        while not (self._member_verified or signals.stop_requested()) and next(self._blocks, None) is not None:
            pass

    def _keep_error(self, blocks: Generator[bytes]) -> Generator[bytes]:
        try:
            yield from blocks
        except BadInputError as error:
            self._error = error
            raise

    def _read_plain(self) -> Generator[bytes]:
        while block := self._file.read(PLAIN_BLOCK_SIZE):
            self.bytes_out += len(block)
            yield block

    def _read_members(self) -> Generator[bytes]:
        from isal import isal_zlib  # noqa: PLC0415  compiled: in images, never in the layer

        packed = self._file.read(BLOCK_SIZE)
        while packed:
            start, self._member_verified = self._file.tell() - len(packed), False
            if packed[3:4] and packed[3] & _UNKNOWN_FLAGS:
                raise self._damage_error(start)
            member = isal_zlib.decompressobj(31)  # 31: gzip, with its header and trailer
            while not member.eof:
                packed = packed or self._file.read(BLOCK_SIZE)
                if not packed:
                    raise BadInputError("TRUNCATED", f"{self.name} is cut off: its gzip stream has no end")
                try:
                    block, packed = member.decompress(packed), b""
                except isal_zlib.error:  # type: ignore[misc]
                    raise self._damage_error(start) from None
                self.bytes_out += len(block)
                self._check_ratio()
                self._member_verified = member.eof
                yield block
            packed = self._next_member(member.unused_data)

    def _next_member(self, packed: bytes) -> bytes:
        """What follows a member: the next one, or b"" at the end, where zeros may fill up a disk or tape block."""
        if len(packed) < BLOCK_SIZE:  # a header that is split may be refused for its checksum
            packed += self._file.read(BLOCK_SIZE)
        if packed.startswith(GZIP_MAGIC):
            return packed
        end, zeros = self._file.tell() - len(packed), True
        while packed and zeros:
            zeros = not packed.strip(b"\0")
            packed = self._file.read(BLOCK_SIZE)
        if not zeros:
            raise BadInputError(
                "CORRUPT_GZIP", f"{self.name} has {self.size - end:,} bytes after its end that are no gzip"
            )
        return b""

    def _damage_error(self, start: int) -> BadInputError:
        end = self._file.tell()
        return BadInputError(
            "CORRUPT_GZIP", f"{self.name} is damaged between byte {start:,} and {end:,} of {self.size:,}"
        )

    def _check_ratio(self) -> None:
        if self.bytes_out > RATIO_CHECKED_FROM and self.bytes_out > MAX_RATIO * self._file.tell():
            raise BadInputError("LIMIT", f"{self.name} unpacks to more than {MAX_RATIO} times its size, as no reads do")
