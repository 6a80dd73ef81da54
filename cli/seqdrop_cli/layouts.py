"""Determine the layout of files of this machine: it is chosen, in the name, or in the flags of a BAM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqdrop.failure.verdict import BadInputError
from seqdrop.plan import input_names
from seqdrop.plan.fastq_names import FastqName
from seqdrop.plan.input_names import NO_MATE
from seqdrop.plan.names import INTERLEAVED, ONE_FILE, PAIRED, SINGLE
from seqdrop.runs import precheck

from seqdrop_cli.errors import CliError


def is_one_file(name: FastqName, chosen: str) -> bool:
    """Return whether a file is all of a lane; `chosen` is the layout on the command line, or ""."""
    if name.mate != NO_MATE:
        return chosen in ONE_FILE
    known = chosen in ONE_FILE or input_names.layout_in_name(name.key)
    return bool(known) or input_names.is_alignments(name.key)


def of_files(paths: Sequence[Path], chosen: str) -> str:
    """Return the layout of files that are each a lane; raise CliError unless they all have the same."""
    if len({input_names.is_alignments(path.name) for path in paths}) > 1:
        raise CliError(f"{paths[0].name} and the other files of this sample have different formats: run each alone.")
    layouts = {_of_file(path, chosen) for path in paths}
    if len(layouts) > 1:
        raise CliError(f"{paths[0].name} and the other files of this sample have different layouts: run each alone.")
    return layouts.pop()


def _of_file(path: Path, chosen: str) -> str:
    if not input_names.is_alignments(path.name):
        return chosen or input_names.layout_in_name(path.name)
    if chosen == INTERLEAVED:
        raise CliError(f"{path.name}: a BAM or CRAM is {SINGLE} or {PAIRED}, by the flags of its reads.")
    with path.open("rb") as file:
        head = file.read(precheck.BAM_READ_SIZE)
    found = of_head(path.name, head)
    if chosen and found and chosen != found:
        raise CliError(f"{path.name} is {found} by the flags of its reads, not {chosen}.")
    if not (chosen or found):
        raise CliError(f"{path.name}: give --layout {SINGLE} or --layout {PAIRED}: a CRAM must be decoded to know it.")
    return chosen or found


def of_head(name: str, head: bytes) -> str:
    """Return the layout of a BAM by its first bytes, "" for a CRAM; raise CliError for aligned reads."""
    try:
        return precheck.layout_of_head(name, head)
    except BadInputError as error:
        raise CliError(f"{error}.") from None
