"""Decompress small gzip files, or the beginning of one, with zlib. `gunzip` is for whole FASTQs: it needs isal."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from seqdrop.fastq.records import GZIP_MAGIC


class ExtraBytesError(zlib.error):
    """Other bytes follow the last gzip member."""


def inflate(blocks: Iterable[bytes], max_part: int) -> Iterator[tuple[bytes, bool]]:
    """Yield the text of all gzip members (BGZF has many), and with each part whether its member is complete.

    A part has at most `max_part` bytes. Zeros after a member are skipped: they pad files to a disk or tape block.
    Raises zlib.error for damaged data, ExtraBytesError after all members.
    """
    member, complete = zlib.decompressobj(wbits=31), True
    for block in blocks:
        data = block
        while data := data.lstrip(b"\0") if complete else data:
            if complete and not data.startswith(GZIP_MAGIC[: len(data)]):
                raise ExtraBytesError("extra bytes after the last gzip member")
            text = member.decompress(data, max_part)
            data, complete = member.unconsumed_tail or member.unused_data, member.eof
            if complete:
                member = zlib.decompressobj(wbits=31)
            yield text, complete
