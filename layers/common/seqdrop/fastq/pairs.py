"""Two FASTQs read side by side and proven to be the mates of each other.

Aligners end with 0 on reads that are cut, corrupt or mispaired, so nothing is believed here: every gzip member's
checksum, the shape of every record, equal counts and equal names of the mates.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import reader, records
from seqdrop.fastq.gunzip import GzipReader
from seqdrop.fastq.prefetch import prefetch
from seqdrop.fastq.records import LINES_PER_READ, Batch


class Pairs:
    """The pairs of one lane, to be read once; afterwards it is known how many there are."""

    def __init__(self, fastq_1: Path, fastq_2: Path) -> None:
        self._paths = fastq_1, fastq_2
        self._label = f"{fastq_1.name} and {fastq_2.name}"
        self.count = 0
        self.duplicate_names = 0  # pairs with a name that another has: in their own batch or in the first one
        self._first_names: frozenset[bytes] = frozenset()

    def batches(self) -> Generator[tuple[Batch, Batch]]:
        """Batches of both mates side by side, every one proven; raises BadInputError."""
        with GzipReader(self._paths[0]) as one, GzipReader(self._paths[1]) as two:
            try:
                yield from self._read_checked(one, two)
            except BadInputError:
                one.verify_checksum()
                two.verify_checksum()
                raise
        if self.count == 0:
            raise BadInputError("EMPTY", f"{self._label} hold no reads")

    def _read_checked(self, file_1: GzipReader, file_2: GzipReader) -> Generator[tuple[Batch, Batch]]:
        # Each mate in a thread of its own: unpacking lets the others run.
        with (
            closing(prefetch(reader.read_batches(file_1))) as first,
            closing(prefetch(reader.read_batches(file_2))) as second,
        ):
            while True:
                one, two = next(first, None), next(second, None)
                if one is None and two is None:
                    return
                if one is None or two is None or len(one) != len(two):
                    raise self._count_error(one, two)
                self._check_mates(one, two)
                self._count_duplicates(one.names)
                self.count += len(one)
                yield one, two

    def _count_error(self, *mates: Batch | None) -> BadInputError:
        """Both counts, as far as they are known: a file that goes on is not read to its end."""
        counts = []
        for batch in mates:
            goes_on = batch is not None and len(batch) == reader.BATCH_SIZE
            counts.append(f"{'at least ' if goes_on else ''}{self.count + len(batch or ()):,}")
        return BadInputError(
            "MATE_COUNT", f"{self._label} do not hold the same number of reads: {' and '.join(counts)}"
        )

    def _check_mates(self, one: Batch, two: Batch) -> None:
        name_1, name_2 = (path.name for path in self._paths)
        if self.count == 0:
            records.check_phred33(one.qualities, name_1)
            records.check_phred33(two.qualities, name_2)
        records.check_mates(one, two, name_1, name_2, self.count)

    def _count_duplicates(self, names: list[bytes]) -> None:
        """Neither Illumina nor archives repeat names; a file that was joined to itself does."""
        seen = frozenset(names)
        self.duplicate_names += len(names) - len(seen) + len(seen & self._first_names)
        self._first_names = self._first_names or seen


def interleave(one: Batch, two: Batch) -> bytes:
    """A batch as plain FASTQ, mates side by side."""
    lines = [b"+"] * (2 * LINES_PER_READ * len(one))
    for mate, batch in enumerate((one, two)):
        heads = [b"@" + name for name in batch.names]
        for place, column in ((0, heads), (1, batch.sequences), (3, batch.qualities)):
            lines[LINES_PER_READ * mate + place :: 2 * LINES_PER_READ] = column
    return b"\n".join([*lines, b""])
