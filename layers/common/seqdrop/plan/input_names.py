"""Recognise every file that can be an input: mates by `fastq_names`, and files whose name has no mate.

A FASTQ without a mate in its name is an input only if its layout is known: from its metadata, or from the word
`interleaved` in its name. A BAM or CRAM says itself whether its reads are paired.
"""

from __future__ import annotations

import re

from seqdrop.plan import fastq_names
from seqdrop.plan.fastq_names import FastqName
from seqdrop.plan.names import INTERLEAVED, SAMPLE

NO_MATE = 0  # in the place of the mate in a FastqName
_NAME = re.compile(
    r"""(?P<stem>.+?)
        (?:_(?P<lane>L\d{1,3})(?P<barcode>_(?:UDB-)?\d{1,3})?)?
        (?:_001)?  # of bcl2fastq; later chunks are parts of the sample id
        (?:[._](?:trimmed|clean))?
        (?:[._-](?P<interleaved>interleaved))?
        (?:\.(?:fastq|fq)(?:\.gz)?|(?:[._](?:unaligned|unmapped|u))?(?P<alignments>\.(?:bam|cram)))""",
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)
_ENDING = re.compile(r"\.(?:fastq|fq|bam|cram)(?:\.gz)?", re.IGNORECASE)
# Files that no layout makes an input: index reads, and copies.
_NEVER = re.compile(r".*(?:[_.-]I[12](?:_\d{3})?\.|\(\d+\)).*", re.ASCII)


def parse(key: str) -> FastqName | None:
    """Parse the key of a mate, or of a file without a mate in its name; None for all others."""
    return fastq_names.parse(key) or parse_unmarked(key)


def parse_unmarked(key: str) -> FastqName | None:
    """Parse the key of a FASTQ without a mate in its name, or of a BAM or CRAM; None for all others."""
    folder, name = key[: key.rfind("/") + 1], key[key.rfind("/") + 1 :]
    match = _NAME.fullmatch(name)
    if not match or _NEVER.fullmatch(name) or fastq_names.is_unwanted(key) or fastq_names.parse(key):
        return None
    lane, barcode = (match["lane"] or "").upper(), match["barcode"] or ""
    written = fastq_names.without_sample_number(match["stem"]) if lane else match["stem"]
    sample = fastq_names.harmless(f"{written}{barcode}")
    if not SAMPLE.fullmatch(sample):
        return None
    return FastqName(
        key,
        sample,
        lane=lane,
        chunk="",
        mate=NO_MATE,
        written_sample=f"{written}{barcode}",
        stem=folder + match["stem"],
        barcode=barcode,
        mate_places=(),
        _ends=(_ENDING.sub("", key), ""),
    )


def is_alignments(key: str) -> bool:
    """Return whether a key is that of a BAM or CRAM."""
    return key.lower().endswith((".bam", ".cram"))


def layout_in_name(key: str) -> str:
    """Return the layout that a name states: "interleaved", or "" without one."""
    match = _NAME.fullmatch(key[key.rfind("/") + 1 :])
    return INTERLEAVED if match and match["interleaved"] else ""
