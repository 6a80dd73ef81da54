"""Read two FASTQ files side by side and verify that they contain the mates of the same read pairs.

Aligners exit with 0 on truncated, corrupt or mispaired reads. Therefore everything is verified here: the checksum of
every gzip member, the format of every record, equal read counts and equal names of the mates.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path

from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import reader, records
from seqdrop.fastq.gunzip import GzipReader, Source
from seqdrop.fastq.prefetch import prefetch
from seqdrop.fastq.reader import Text
from seqdrop.fastq.records import LINES_PER_READ, Batch


@dataclass(frozen=True, slots=True)
class Start:
    """What later batches of a lane are compared with: the first ones."""

    names: frozenset[bytes]  # of all pairs of the first batch
    beginnings: tuple[Batch, ...]  # the first reads of R1 and R2


@dataclass(frozen=True, slots=True)
class Facts:
    """What one verified pair of batches adds to its lane."""

    pairs: int  # or reads without a mate
    bases: int  # of both mates
    duplicate_names: int  # pairs whose name occurs earlier in this batch, or in the first batch
    warnings: list[tuple[str, str]]  # code and message of what the first batch shows


Mates = tuple[Batch, ...]  # R1 and R2, or reads without a mate
# Verifies the texts of one batch; the arguments are those of `check` without the files.
Check = Callable[[tuple[Text, ...], int, Start | None], tuple[Mates, Facts]]


class Pairs:
    """Read the pairs of one lane, once; its counts and warnings are final when all batches are read."""

    mates = 2  # reads of a pair

    def __init__(self, *sources: Path | Source) -> None:
        """Set the files of a lane, R1 and R2; they are opened by `batches` or `texts`."""
        self._sources = sources
        self.files = tuple(source.name for source in sources)
        self.count = 0  # pairs, or reads without a mate
        self.bases = 0  # of both mates
        self.duplicate_names = 0
        self.warnings: list[tuple[str, str]] = []

    @property
    def check(self) -> Check:
        """The function that verifies the texts of a batch. It can be sent to another process."""
        return partial(check, self.files)

    @property
    def described_files(self) -> str:
        """The files, in the words of a message."""
        return " and ".join(self.files)

    def batches(self) -> Generator[Mates]:
        """Yield verified batches of both mates; raise BadInputError."""
        start: Start | None = None
        verify = self.check
        with self.texts() as texts:
            for batch in texts:
                mates, facts = verify(batch, self.count, start)
                start = start or first(*mates)
                self.add(facts)
                if facts.pairs:
                    yield mates

    @contextmanager
    def texts(self) -> Iterator[Iterator[tuple[Text, ...]]]:
        """Read the texts of batches of both mates, which `check` verifies; `add` what it returns, in order.

        If BadInputError is raised in the block, the checksums of the files are verified first: damaged gzip data looks
        like invalid reads, and so do bytes that were damaged on their way.
        """
        # One thread for each file: decompression releases the GIL.
        with ExitStack() as stack:
            files = [stack.enter_context(GzipReader(source)) for source in self._sources]
            texts = [stack.enter_context(closing(prefetch(self._divide(file)))) for file in files]
            try:
                yield zip_longest(*texts, fillvalue=())
                if self.count == 0:
                    raise BadInputError("EMPTY", f"{self.described_files} contain no reads")
            except BadInputError:
                for text in texts:
                    text.close()  # its thread reads the file
                try:
                    for file in files:
                        file.verify_checksum()
                    raise
                finally:
                    for file in files:
                        file.verify_source()
            for file in files:
                file.verify_source()

    def _divide(self, file: GzipReader) -> Generator[list[bytes]]:
        return reader.divide(file)

    def add(self, facts: Facts) -> None:
        """Add a pair of batches to the counts of the lane."""
        self.count += facts.pairs
        self.bases += facts.bases
        self.duplicate_names += facts.duplicate_names
        self.warnings += facts.warnings


def first(*mates: Batch) -> Start:
    """Return what later batches are compared with."""
    return Start(frozenset(mates[0].names), tuple(map(records.first_reads, mates)))


def check(files: Sequence[str], texts: tuple[Text, ...], pairs_before: int, start: Start | None) -> tuple[Mates, Facts]:
    """Verify the texts of a pair of batches; raise BadInputError. `start` is that of their lane, None for the first."""
    one, two = (reader.parse(text, file, pairs_before) for text, file in zip(texts, files, strict=True))
    if len(one) != len(two):
        raise _count_error(files, pairs_before, one, two)
    return check_mates((files[0], files[1]), one, two, pairs_before, start)


def check_mates(
    files: tuple[str, str], one: Batch, two: Batch, pairs_before: int, start: Start | None
) -> tuple[Mates, Facts]:
    """Verify that as many reads of R1 and R2 are mates; raise BadInputError. `files` names both in messages."""
    if not one:
        return (one, two), Facts(0, 0, 0, [])
    warnings = [] if start else quality_warnings(files, one, two)
    records.check_mates(one, two, *files, pairs_before)
    if start:
        _check_beginnings(files, start, pairs_before, one, two)
    warnings += [] if start else _length_warnings(files, one, two)
    bases = sum(map(len, one.sequences)) + sum(map(len, two.sequences))
    return (one, two), Facts(len(one), bases, count_duplicates(one.names, start), warnings)


def _count_error(files: Sequence[str], pairs_before: int, *mates: Batch) -> BadInputError:
    """State both read counts; "at least" marks a file that is not read to its end."""
    counts = []
    for batch in mates:
        at_least = "at least " if len(batch) == reader.BATCH_SIZE else ""
        counts.append(f"{at_least}{pairs_before + len(batch):,}")
    label = " and ".join(files)
    return BadInputError("MATE_COUNT", f"{label} contain different numbers of reads: {' and '.join(counts)}")


def quality_warnings(files: Sequence[str], *mates: Batch) -> list[tuple[str, str]]:
    """Return warnings about the qualities of the first batches; raise BadInputError if they are Phred+64."""
    warnings = []
    for name, batch in zip(files, mates, strict=True):
        records.check_phred33(batch.qualities, name)
        if records.may_be_phred64(batch.qualities):
            lowest = min(map(min, batch.qualities)) - 33
            doubt = f"{name} has no quality below Q{lowest}: convert it if it is Phred+64 and not of consensus reads"
            warnings.append(("QUALITY_OFFSET", doubt))
    return warnings


def _length_warnings(files: tuple[str, str], one: Batch, two: Batch) -> list[tuple[str, str]]:
    if not records.have_different_lengths(one, two):
        return []
    bases = f"{records.median_length(one)} and {records.median_length(two)} bases"
    doubt = f"half of the reads of {' and '.join(files)} have at most {bases}: is one of them a barcode or a UMI?"
    return [("MATE_LENGTHS", doubt)]


def _check_beginnings(files: tuple[str, str], start: Start, pairs_before: int, *mates: Batch) -> None:
    """Raise BadInputError if one file begins with reads that the other one has later on, after the first batch."""
    for batch, beginning, later, earlier in zip(mates, start.beginnings[::-1], (1, 2), (2, 1), strict=True):
        if (place := records.find_beginning(beginning, batch)) >= 0:
            read = f"R{earlier} begins with read {pairs_before + place + 1:,} of R{later}"
            raise BadInputError("SAME_FILE", f"{' and '.join(files)} contain the same reads: {read}")


def count_duplicates(names: list[bytes], start: Start | None) -> int:
    """Count repeated names: Illumina and the archives never repeat one, a file concatenated to itself does."""
    unique = frozenset(names)
    return len(names) - len(unique) + (len(unique & start.names) if start else 0)


def interleave(*mates: Batch) -> bytes:
    """Return batches as plain FASTQ, with the mates of each pair one after the other."""
    step = LINES_PER_READ * len(mates)
    lines = [b"+"] * (step * len(mates[0]))
    for mate, batch in enumerate(mates):
        headers = [b"@" + name for name in batch.names]
        for offset, column in ((0, headers), (1, batch.sequences), (3, batch.qualities)):
            lines[LINES_PER_READ * mate + offset :: step] = column
    return b"\n".join([*lines, b""])
