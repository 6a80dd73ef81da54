"""Recognise the sample, the lane and the mate of a FASTQ by its file name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from seqdrop.plan.names import SAMPLE

_FASTQ = re.compile(
    r"""(?P<stem>.+?)
        (?:_(?P<number>S\d+))?
        (?:_(?P<lane>L\d{3}))?
        (?:[_. -]R|_)(?P<mate>[12])
        (?:_001)?
        \.(?:fastq|fq)(?:\.gz)?""",
    re.VERBOSE | re.ASCII,  # without ASCII the digits of any script would make a lane
)


@dataclass(frozen=True, slots=True)
class FastqName:
    """The key of a FASTQ and what it says: sample, lane, mate."""

    key: str
    sample: str
    lane: str  # "L001", or "" where the name has none
    mate: int  # 1 or 2
    mate_position: int = field(repr=False)  # of the mate's digit in the key

    @property
    def mates(self) -> tuple[str, str]:
        """The keys of R1 and R2."""
        before, after = self.key[: self.mate_position], self.key[self.mate_position + 1 :]
        return f"{before}1{after}", f"{before}2{after}"

    def is_lane_of(self, other: FastqName) -> bool:
        """Return whether both are lanes of one sample in one folder."""
        return (self.sample, self.key.rpartition("/")[0]) == (other.sample, other.key.rpartition("/")[0])

    @property
    def lanes_prefix(self) -> str:
        """The beginning of the keys of all lanes of this sample."""
        prefix = self.key[: self.mate_position]
        return prefix.rsplit(f"_{self.lane}", 1)[0] if self.lane else prefix


def parse(key: str) -> FastqName | None:
    """Parse a key; return None unless it is an R1 or R2 FASTQ (an index read, a checksum, a note).

    Names as sequencers and archives write them: `_R1`/`_R2`, `_1`/`_2`, bcl2fastq's `_S1_L001_R1_001`.
    Characters that a sample id cannot have (a blank, an umlaut) become `_`.
    """
    folder = key.rfind("/") + 1
    match = _FASTQ.fullmatch(key[folder:])
    if match is None:
        return None
    sample = re.sub(r"[^A-Za-z0-9._-]+", "_", match["stem"]).lstrip("._-")
    if not SAMPLE.fullmatch(sample):
        return None
    return FastqName(key, sample, match["lane"] or "", int(match["mate"]), folder + match.start("mate"))
