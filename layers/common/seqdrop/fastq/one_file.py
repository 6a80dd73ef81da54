"""Read a lane that is one FASTQ: interleaved pairs, or reads without a mate. Neither may be taken for the other."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial

from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import mates, pairs, reader
from seqdrop.fastq.gunzip import GzipReader
from seqdrop.fastq.pairs import Check, Facts, Mates, Pairs, Start
from seqdrop.fastq.reader import Text
from seqdrop.fastq.records import Batch


class Single(Pairs):
    """Read the reads of one lane that have no mates, once."""

    mates = 1

    @property
    def check(self) -> Check:
        """The function that verifies the text of a batch. It can be sent to another process."""
        return partial(check_text, self.files[0])


class Interleaved(Pairs):
    """Read the pairs of one lane from one file, R2 after R1, once."""

    @property
    def check(self) -> Check:
        """The function that verifies the text of a batch. It can be sent to another process."""
        return partial(check_interleaved_text, self.files[0])

    def _divide(self, file: GzipReader) -> Generator[list[bytes]]:
        return reader.divide(file, self.mates)


def check_text(file: str, texts: Sequence[Text], before: int, start: Start | None) -> tuple[Mates, Facts]:
    """Verify the text of a batch of reads without a mate; raise BadInputError. `before` is the number of reads."""
    return check_single(file, reader.parse(texts[0], file, before), before, start)


def check_interleaved_text(file: str, texts: Sequence[Text], before: int, start: Start | None) -> tuple[Mates, Facts]:
    """Verify the text of a batch of interleaved pairs; raise BadInputError. `before` is the number of pairs."""
    number = Interleaved.mates
    return check_interleaved(file, reader.parse(texts[0], file, number * before, number), before, start)


def check_single(file: str, reads: Batch, before: int, start: Start | None) -> tuple[Mates, Facts]:
    """Verify that reads have no mates next to them; raise BadInputError."""
    if not reads:
        return (reads,), Facts(0, 0, 0, [])
    mates.check_no_mates(file, reads, before)
    warnings = []
    if start is None:
        warnings = pairs.quality_warnings([file], reads)
        if reads.mate not in {b"", b"1"}:
            doubt = f"the reads of {file} say that they are R{reads.mate.decode()} of pairs: R1 may be missing"
            warnings.append(("MATE_MISSING", doubt))
    return (reads,), Facts(len(reads), sum(map(len, reads.sequences)), pairs.count_duplicates(reads.names, start),
                           warnings)  # fmt: skip


def check_interleaved(file: str, reads: Batch, before: int, start: Start | None) -> tuple[Mates, Facts]:
    """Divide reads into R1 and R2 and verify that they are mates; raise BadInputError."""
    mates.check_neighbours(file, reads, before)
    if len(reads) % 2:
        number = 2 * before + len(reads)
        raise BadInputError("MATE_COUNT", f"{file} has {number:,} reads, an odd number: the last one has no mate")
    return pairs.check_mates((f"R1 of {file}", f"R2 of {file}"), *mates.divide(reads), before, start)
