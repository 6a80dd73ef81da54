"""Describe the first error of a FASTQ record: what is wrong, and what to do about it."""

from __future__ import annotations

MAX_LINE = 1 << 20  # bytes
MAX_NAME = 254  # bytes: the limit of a BAM record
# The characters that SAM allows in names, bases and qualities.
NAME_BYTES = bytes(byte for byte in range(33, 127) if byte != ord("@"))
BASE_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.="
QUALITY_BYTES = bytes(range(33, 127))
NO_HEADER = "has no '@' at the start of its header line"
_FASTA = "begins with '>': this is FASTA, which has no qualities; upload the FASTQ"
_WRAPPED = "has a sequence of several lines: write each on one line with `seqtk seq`, and compress with gzip"
_NO_BASES = "has no bases: trim again with a minimum length (`cutadapt -m`, `fastp -l`), both mates together"


def describe_error(header: bytes, sequence: bytes, plus: bytes, quality: bytes) -> tuple[str, str] | None:
    """Return the kind of a read's error and its description; None for a valid read.

    The rules are those by which `records` checks many reads at a time.
    """
    name = header[1:].replace(b"\t", b" ").partition(b" ")[0]
    rules = [
        (header[:1] == b">", "MALFORMED", _FASTA),
        (header[:1] != b"@", "MALFORMED", NO_HEADER),
        (not name, "MALFORMED", "has no name"),
        (
            len(name) > MAX_NAME,
            "LIMIT",
            f"has a name longer than {MAX_NAME} bytes, the limit of BAM: shorten the names",
        ),
        *_other_bytes(name, NAME_BYTES, "name, which SAM does not allow"),
        (_is_wrapped(sequence, plus, quality), "MALFORMED", _WRAPPED),
        (plus[:1] != b"+", "MALFORMED", "has no '+' line"),
        (not sequence, "MALFORMED", _NO_BASES),
        (len(sequence) > MAX_LINE, "LIMIT", f"has more than {MAX_LINE:,} bases: this pipeline is for short reads"),
        (len(sequence) != len(quality), "MALFORMED", f"has {len(sequence)} bases but {len(quality)} qualities"),
        *_other_bytes(sequence, BASE_BYTES, "sequence, which is not a base"),
        *_other_bytes(quality, QUALITY_BYTES, "qualities, which SAM does not allow"),
    ]
    return next(((kind, description) for broken, kind, description in rules if broken), None)


def _other_bytes(text: bytes, allowed: bytes, where: str) -> list[tuple[bool, str, str]]:
    """Return the rule that a text has allowed bytes alone; its description names the first other one."""
    other = text.translate(None, allowed)
    shown = repr(chr(other[0])) if other and other[0] < 128 else f"byte {other[0]:#04x}" if other else ""
    return [(bool(other), "MALFORMED", f"has {shown} in its {where}")]


def _is_wrapped(sequence: bytes, plus: bytes, quality: bytes) -> bool:
    """Return whether the line after the first bases continues them: the next one has more bases, or is the '+' line.

    Where the '+' line alone is missing, qualities may look like bases, but a header follows them.
    """
    continued = bool(sequence and plus) and not (sequence + plus).translate(None, BASE_BYTES)
    return continued and (quality[:1] == b"+" or (bool(quality) and not quality.translate(None, BASE_BYTES)))
