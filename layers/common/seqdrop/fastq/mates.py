"""Check that reads next to each other are mates, or that none are: neither layout may be taken for the other."""

from __future__ import annotations

from itertools import pairwise

from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq.records import READ_IDS, Batch

MIN_READ_IDS = 2  # pairs of names that end with .1 and .2: one may be two reads without a mate
OF_INTERLEAVED = "if it is interleaved, upload it with the metadata seqdrop-layout=interleaved"
OF_SINGLE = "if no read has a mate, upload it with the metadata seqdrop-layout=single"


def check_no_mates(file: str, reads: Batch, before: int, what_to_do: str = OF_INTERLEAVED) -> None:
    """Raise BadInputError if reads next to each other are mates: they have one name, or end with .1 and .2."""
    names = reads.names
    place = next((place for place, (one, two) in enumerate(pairwise(names)) if one == two), -1)
    ends = [(one[-2:], two[-2:]) for one, two in zip(names[::2], names[1::2], strict=False) if one[:-2] == two[:-2]]
    are_ids = len(ends) >= MIN_READ_IDS and len(ends) == len(names) // 2 and set(ends) <= READ_IDS
    if place >= 0 or (before == 0 and are_ids):
        first = before + max(place, 0) + 1
        raise BadInputError(
            "LAYOUT",
            f"{file} has mates, but was uploaded as single-end reads: reads {first:,} and {first + 1:,} are a pair by "
            f"their names: {what_to_do}",
        )


def divide(reads: Batch) -> tuple[Batch, Batch]:
    """Return the reads at even and at odd places."""
    one, two = (
        Batch(reads.names[place::2], reads.sequences[place::2], reads.qualities[place::2], mate, reads.groups[place::2])
        for place, mate in enumerate((reads.mate, b"2" if reads.mate == b"1" else reads.mate))
    )
    return one, two


def check_neighbours(file: str, reads: Batch, before: int) -> None:
    """Raise BadInputError unless each two reads have one name, R1 before R2. `before` is the number of pairs."""
    if before == 0 and reads.mate == b"2":
        raise BadInputError("LAYOUT", f"{file} begins with a read of R2: R1 must be before R2 in each pair")
    both = zip(reads.names[::2], reads.names[1::2], strict=False)
    place = next((place for place, (name, mate) in enumerate(both) if name != mate), -1)
    if place < 0:
        return
    first = 2 * (before + place) + 1
    message = f"reads {first:,} and {first + 1:,} of {file} should be a pair, but have different names"
    if first == 1:
        raise BadInputError("LAYOUT", f"{message}: it is not interleaved; {OF_SINGLE}")
    advice = "Trim or filter both mates together (`fastp --interleaved_in`), then upload the file again."
    raise BadInputError("MATE_NAMES", f"{message}: a mate is missing before them", advice)
