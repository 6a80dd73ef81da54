"""Read two FASTQ files side by side and verify that they contain the mates of the same read pairs.

Aligners exit with 0 on truncated, corrupt or mispaired reads. Therefore everything is verified here: the checksum of
every gzip member, the format of every record, equal read counts and equal names of the mates.
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
    """Read the pairs of one lane, once; its counts and warnings are final when all batches are read."""

    def __init__(self, fastq_1: Path, fastq_2: Path) -> None:
        """Set the files of a lane; they are opened by `batches`."""
        self._paths = fastq_1, fastq_2
        self._label = f"{fastq_1.name} and {fastq_2.name}"
        self.count = 0
        self.bases = 0  # of both mates
        self.duplicate_names = 0  # pairs whose name occurs earlier in their own batch, or in the first batch
        self.warnings: list[tuple[str, str]] = []  # code and message of what the first batch shows
        self._first_names: frozenset[bytes] = frozenset()
        self._beginnings: tuple[Batch, Batch] | None = None  # of R1 and R2

    def batches(self) -> Generator[tuple[Batch, Batch]]:
        """Yield verified batches of both mates; raise BadInputError."""
        with GzipReader(self._paths[0]) as one, GzipReader(self._paths[1]) as two:
            try:
                yield from self._read_checked(one, two)
            except BadInputError:
                one.verify_checksum()
                two.verify_checksum()
                raise
        if self.count == 0:
            raise BadInputError("EMPTY", f"{self._label} contain no reads")

    def _read_checked(self, file_1: GzipReader, file_2: GzipReader) -> Generator[tuple[Batch, Batch]]:
        # One thread for each mate: decompression releases the GIL.
        batches_1, batches_2 = prefetch(reader.read_batches(file_1)), prefetch(reader.read_batches(file_2))
        with closing(batches_1), closing(batches_2):
            while True:
                one, two = next(batches_1, None), next(batches_2, None)
                if one is None and two is None:
                    return
                if one is None or two is None or len(one) != len(two):
                    raise self._count_error(one, two)
                self._check_mates(one, two)
                self._count_duplicates(one.names)
                self.count += len(one)
                self.bases += sum(map(len, one.sequences)) + sum(map(len, two.sequences))
                yield one, two

    def _count_error(self, *mates: Batch | None) -> BadInputError:
        """State both read counts; "at least" marks a file that is not read to its end."""
        counts = []
        for batch in mates:
            at_least = "at least " if batch is not None and len(batch) == reader.BATCH_SIZE else ""
            counts.append(f"{at_least}{self.count + len(batch or ()):,}")
        return BadInputError("MATE_COUNT", f"{self._label} contain different numbers of reads: {' and '.join(counts)}")

    def _check_mates(self, one: Batch, two: Batch) -> None:
        name_1, name_2 = (path.name for path in self._paths)
        if self.count == 0:
            self._check_qualities(one, name_1)
            self._check_qualities(two, name_2)
        records.check_mates(one, two, name_1, name_2, self.count)
        self._check_beginnings(one, two)
        if self.count == 0 and records.have_different_lengths(one, two):
            bases = f"{records.median_length(one)} and {records.median_length(two)} bases"
            doubt = f"half of the reads of {self._label} have at most {bases}: is one of them a barcode or a UMI?"
            self.warnings.append(("MATE_LENGTHS", doubt))

    def _check_beginnings(self, *mates: Batch) -> None:
        """Raise BadInputError if one file begins with reads that the other one has later on, after the first batch."""
        if self._beginnings is None:
            self._beginnings = records.first_reads(mates[0]), records.first_reads(mates[1])
            return
        for batch, beginning, later, earlier in zip(mates, self._beginnings[::-1], (1, 2), (2, 1), strict=True):
            if (start := records.find_beginning(beginning, batch)) >= 0:
                read = f"R{earlier} begins with read {self.count + start + 1:,} of R{later}"
                raise BadInputError("SAME_FILE", f"{self._label} contain the same reads: {read}")

    def _check_qualities(self, batch: Batch, name: str) -> None:
        records.check_phred33(batch.qualities, name)
        if records.may_be_phred64(batch.qualities):
            lowest = min(map(min, batch.qualities)) - 33
            doubt = f"{name} has no quality below Q{lowest}: convert it if it is Phred+64 and not of consensus reads"
            self.warnings.append(("QUALITY_OFFSET", doubt))

    def _count_duplicates(self, names: list[bytes]) -> None:
        """Count repeated names: Illumina and the archives never repeat one, a file concatenated to itself does."""
        unique = frozenset(names)
        self.duplicate_names += len(names) - len(unique) + len(unique & self._first_names)
        self._first_names = self._first_names or unique


def interleave(*mates: Batch) -> bytes:
    """Return batches as plain FASTQ, with the mates of each pair one after the other."""
    step = LINES_PER_READ * len(mates)
    lines = [b"+"] * (step * len(mates[0]))
    for mate, batch in enumerate(mates):
        headers = [b"@" + name for name in batch.names]
        for offset, column in ((0, headers), (1, batch.sequences), (3, batch.qualities)):
            lines[LINES_PER_READ * mate + offset :: step] = column
    return b"\n".join([*lines, b""])
