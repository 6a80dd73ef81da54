"""Determine the layout of the files of a run: it is stated, in the name, or in the flags of a BAM."""

from __future__ import annotations

from collections.abc import Sequence

from seqdrop.failure.verdict import BadInputError
from seqdrop.plan import fastq_names, input_names
from seqdrop.plan.choices import HOLD, ChoiceError, Choices
from seqdrop.plan.fastq_names import FastqName
from seqdrop.plan.names import INTERLEAVED, ONE_FILE, PAIRED, SINGLE, UNALIGNED, printable
from seqdrop.runs import pairing, precheck
from seqdrop.runs.pairing import Pair
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

NEEDED = f"has no layout: upload it with the metadata seqdrop-layout={SINGLE} or seqdrop-layout={{other}}"


def resolve(pairs: Sequence[Pair], choices: Choices) -> str:
    """Return the layout of a run, "" for paired; raise ChoiceError, BadInputError.

    All lanes have the same: pairs of files, single FASTQs, or unaligned BAMs and CRAMs.
    """
    kinds = {tuple(pair.words) for pair in pairs}
    if len(kinds) > 1:
        raise ChoiceError("this sample has files of different layouts: give one part of them another sample id")
    [kind] = kinds
    if kind == (UNALIGNED,):
        return _of_alignments(pairs, choices.layout)
    file = printable(pairs[0].fastq_1.uri.name)
    if len(kind) > 1:
        if choices.layout in ONE_FILE:
            raise ChoiceError(f"the layout is {choices.layout}, but R1 and R2 are both there: upload them without it, "
                              f"or delete the one that does not belong to {file}")  # fmt: skip
        return ""
    layout = choices.layout or pairing.layout_of_name(pairs[0].fastq_1.uri.key)
    if layout not in ONE_FILE:
        raise ChoiceError(f"{file} {NEEDED.format(other=INTERLEAVED)}")
    return layout


def why_ignored(uri: S3Uri, name: FastqName) -> str:
    """Return why a file without a mate in its name starts no run; "" if it does, or waits for a samplesheet."""
    stored = s3.store().find(uri)
    if stored and HOLD in stored.metadata:
        return ""
    if not stored or not pairing.is_one_file(name, stored):
        return fastq_names.ignored_because(uri.key)
    if "seqdrop-layout" in stored.metadata or stored.archived or not input_names.is_alignments(uri.key):
        return ""
    try:
        return "" if precheck.layout_of_alignments(stored) else fastq_names.ignored_because(uri.key)
    except BadInputError as error:  # nobody has said that it is an input
        return str(error)


def _of_alignments(pairs: Sequence[Pair], stated: str) -> str:
    """Return the layout of BAMs by the flags of their first reads; that of a CRAM must be stated."""
    if stated == INTERLEAVED:
        raise ChoiceError(f"a BAM or CRAM is {SINGLE} or {PAIRED}, by the flags of its reads, not {stated}")
    pairing.check_storage(pairs)
    found = {layout for pair in pairs if (layout := precheck.layout_of_alignments(pair.fastq_1))}
    if len(found | ({stated} - {""})) > 1:
        message = f"the layout is {stated}, but" if stated else "this sample has files of both layouts:"
        raise BadInputError("LAYOUT", f"{message} the reads are {' and '.join(sorted(found))} by their flags")
    layout = stated or next(iter(found), "")
    if not layout:
        raise ChoiceError(f"{printable(pairs[0].fastq_1.uri.name)} {NEEDED.format(other=PAIRED)}")
    return layout if layout == SINGLE else ""
