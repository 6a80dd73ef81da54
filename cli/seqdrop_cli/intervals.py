"""Resolve `--intervals`: the name of a BED file beside the reference, or a BED file of this machine to upload there."""

from __future__ import annotations

from pathlib import Path

from seqdrop.plan import bed, layout
from seqdrop.plan.choices import Choices
from seqdrop.plan.names import NAME
from seqdrop.runs.reference import IntervalsError, contig_lengths, read_intervals, read_summary

from seqdrop_cli.errors import CliError, describe_os_error
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack


def resolve(stack: Stack, text: str, reference: str) -> tuple[str, str]:
    """Return the name of the BED file beside the reference and the checksum of its regions; ("", "") without one.

    A file of this machine is checked first, then uploaded. Raises CliError, before any FASTQ is uploaded.
    """
    if not text:
        return "", ""
    bucket = stack["ReferenceBucket"]
    summary = read_summary(stack.store, bucket, reference)
    if summary is None:
        raise CliError(f"Reference {reference} is not prepared.")
    path = Path(text)
    if path.name != text and not path.is_file():
        raise CliError(f"{path}: no such file, or it is a directory.")
    own = _read_file(path, contig_lengths(summary)) if path.is_file() else b""
    name = path.name if own else text
    if not NAME.fullmatch(name):
        raise CliError(f"{name!r}: rename the BED file to at most 64 letters, digits, '.', '_' and '-'.")
    uri = layout.reference_uri(bucket, reference).parent / name
    try:
        if own and not stack.store.find(uri):
            stack.store.upload(path, uri)
            say(f"Uploaded {path} to {uri}")
        regions = read_intervals(stack.store, bucket, Choices(reference, intervals=name), summary)
    except IntervalsError as error:
        raise CliError(f"{error}.") from None
    if own and regions != own:
        raise CliError(f"{uri} has other regions than {path}: rename your file, or replace that one with `aws s3 cp`.")
    return name, bed.checksum(regions)


def _read_file(path: Path, lengths: dict[str, int]) -> bytes:
    """Return the regions of a BED file of this machine."""
    try:
        with path.open("rb") as file:
            return bed.read(file, path.name, lengths)
    except bed.BedError as error:
        raise CliError(f"{error}.") from None
    except OSError as error:
        raise CliError(describe_os_error(error)) from None
