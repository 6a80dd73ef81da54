"""Resolve `--intervals`: the name of a BED file beside the reference, or a BED file of this machine to upload there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from seqdrop.plan import bed, extras, layout
from seqdrop.plan.choices import Choices
from seqdrop.plan.names import NAME
from seqdrop.runs.reference import (
    IntervalsError,
    PinnedReference,
    UnpreparedError,
    contig_lengths,
    find_panel,
    read_intervals,
    read_panel,
    read_summary,
)

from seqdrop_cli.errors import CliError, describe_os_error
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack


def pin(stack: Stack, choices: Choices) -> tuple[Choices, str]:
    """Return the choices with the panel or the BED file of a run, and what its id has about these regions.

    `choices` name the reference. Raises CliError, before any FASTQ is uploaded.
    """
    choices = choices.with_panel(
        stack.outputs.get("DefaultReference", ""), stack.outputs.get("DefaultPanel", extras.NO_PANEL)
    )
    if not choices.panel:
        name, regions = resolve(stack, choices.intervals, choices.reference)
        return replace(choices, intervals=name), regions
    bucket = stack["ReferenceBucket"]
    summary = read_summary(stack.store, bucket, choices.reference) or {}
    try:
        panel = find_panel(choices, summary)
        pinned = PinnedReference(summary, read_panel(stack.store, bucket, choices, panel), panel[extras.PADDING])
    except UnpreparedError as error:
        command = f"`seqdrop reference --name {choices.reference} --panel {choices.panel}=FILE.bed{stack.option}`"
        raise CliError(f"{str(error)[0].upper()}{str(error)[1:]}: {command} adds it.") from None
    except IntervalsError as error:
        raise CliError(f"{error}.") from None
    return choices, pinned.regions_id


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
