"""Read a lane that is one FASTQ: interleaved pairs, or reads without a mate. Neither may be taken for the other."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial

from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import pairs, reader
from seqdrop.fastq.gunzip import GzipReader
from seqdrop.fastq.pairs import Check, Facts, Mates, Pairs, Start
from seqdrop.fastq.reader import Text
from seqdrop.fastq.records import READ_IDS, Batch

MIN_READ_IDS = 2  # pairs of names that end with .1 and .2: one may be two reads without a mate
OF_INTERLEAVED = "upload it with the metadata seqdrop-layout=interleaved"
OF_SINGLE = "if no read has a mate, upload it with the metadata seqdrop-layout=single"


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
    mates = Interleaved.mates
    return check_interleaved(file, reader.parse(texts[0], file, mates * before, mates), before, start)


def check_single(file: str, reads: Batch, before: int, start: Start | None) -> tuple[Mates, Facts]:
    """Verify that reads have no mates next to them; raise BadInputError."""
    if not reads:
        return (reads,), Facts(0, 0, 0, [])
    check_no_mates(file, reads, before)
    warnings = []
    if start is None:
        warnings = pairs.quality_warnings([file], reads)
        if reads.mate not in {b"", b"1"}:
            doubt = f"the reads of {file} say that they are R{reads.mate.decode()} of pairs: R1 may be missing"
            warnings.append(("MATE_MISSING", doubt))
    return (reads,), Facts(len(reads), sum(map(len, reads.sequences)), pairs.count_duplicates(reads.names, start),
                           warnings)  # fmt: skip


def check_no_mates(file: str, reads: Batch, before: int) -> None:
    """Raise BadInputError if reads next to each other are mates: they have one name, or end with .1 and .2."""
    names = reads.names
    place = next((place for place, (one, two) in enumerate(zip(names, names[1:], strict=False)) if one == two), -1)
    ends = [(one[-2:], two[-2:]) for one, two in zip(names[::2], names[1::2], strict=False) if one[:-2] == two[:-2]]
    are_ids = len(ends) >= MIN_READ_IDS and len(ends) == len(names) // 2 and set(ends) <= READ_IDS
    if place >= 0 or (before == 0 and are_ids):
        first = before + max(place, 0) + 1
        raise BadInputError(
            "LAYOUT",
            f"{file} has mates, but was uploaded as single-end reads: reads {first:,} and {first + 1:,} are a pair by "
            f"their names: if it is interleaved, {OF_INTERLEAVED}",
        )


def check_interleaved(file: str, reads: Batch, before: int, start: Start | None) -> tuple[Mates, Facts]:
    """Divide reads into R1 and R2 and verify that they are mates; raise BadInputError."""
    one, two = divide(reads)
    if before == 0 and reads.mate == b"2":
        raise BadInputError("LAYOUT", f"{file} begins with a read of R2: R1 must be before R2 in each pair")
    _check_names(file, one, two, before)
    if len(one) != len(two):
        number = 2 * before + len(reads)
        raise BadInputError("MATE_COUNT", f"{file} has {number:,} reads, an odd number: the last one has no mate")
    return pairs.check_mates((f"R1 of {file}", f"R2 of {file}"), one, two, before, start)


def divide(reads: Batch) -> tuple[Batch, Batch]:
    """Return the reads at even and at odd places."""
    one, two = (
        Batch(reads.names[place::2], reads.sequences[place::2], reads.qualities[place::2], mate, reads.groups[place::2])
        for place, mate in enumerate((reads.mate, b"2" if reads.mate == b"1" else reads.mate))
    )
    return one, two


def _check_names(file: str, one: Batch, two: Batch, before: int) -> None:
    """Raise BadInputError unless both reads of each pair have one name."""
    both = zip(one.names, two.names, strict=False)
    place = next((place for place, (name, mate) in enumerate(both) if name != mate), -1)
    if place < 0:
        return
    first = 2 * (before + place) + 1
    message = f"reads {first:,} and {first + 1:,} of {file} should be a pair, but have different names"
    if first == 1:
        raise BadInputError("LAYOUT", f"{message}: it is not interleaved; {OF_SINGLE}")
    advice = "Trim or filter both mates together (`fastp --interleaved_in`), then upload the file again."
    raise BadInputError("MATE_NAMES", f"{message}: a mate is missing before them", advice)
