"""Call the variants of a part of the genome in a child of an array job, and gather the parts of all children."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqdrop import __version__
from seqdrop.failure.verdict import JobError
from seqdrop.jobs import partial_reads, regions
from seqdrop.jobs.regions import Piece
from seqdrop.jobs.step import INTERMEDIATE
from seqdrop.jobs.workspace import Workspace, array_index
from seqdrop.plan import layout
from seqdrop.plan.names import is_readable
from seqdrop.plan.steps import CALL, SCATTER
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

RECORDS = "records"  # a count of a part
IMAGE = "SEQDROP_IMAGE"  # variable with the image of the job definition


def step_options() -> dict[str, Any]:
    """Return the arguments of `step` for this job: it is a child of an array job, or `call`."""
    if not array_index():
        return {"name": CALL.name}
    return {"name": SCATTER.name, "is_current": is_current, "gathered_by": CALL.name}


def is_current(work: Workspace, receipt: Mapping[str, Any]) -> bool:
    """Return whether the earlier receipt of a part is that of the same part of the same reads."""
    expected = identify(work, fetch_pieces(work), int(array_index()), describe_inputs(work))
    return not find_differences(work, receipt, expected)


def fetch_pieces(work: Workspace) -> list[Piece]:
    """Return the pieces of the genome, or of the targets of the run, without the genome itself."""
    index = work.fetch_reference_file(work.args.reference.companion(".fai"))
    reference = index.with_suffix("")
    targets = regions.fetch_intervals(work, reference, padded=True) if work.args.intervals else None
    return regions.write_pieces(work, reference, targets)


def describe_inputs(work: Workspace) -> dict[str, Any]:
    """Return the inputs that all parts share."""
    return {
        "reads": s3.store().head(work.args.bam).etag,
        "args": work.args.args,
        "bcftools": work.version("bcftools"),
        "seqdrop": __version__,
        "image": os.environ.get(IMAGE, ""),
    }


def identify(work: Workspace, pieces: Sequence[Piece], index: int, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity of a part: its regions, and the `inputs` of the run."""
    own = regions.of_part(pieces, index, work.args.parts)
    text = "".join(piece.targets.read_text() for piece in own)
    return {
        "index": index,
        "parts": work.args.parts,
        "pieces": len(own),
        "regions_sha256": hashlib.sha256(text.encode()).hexdigest(),
        **inputs,
    }


def find_differences(work: Workspace, receipt: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields in which the receipt of a part differs from the expected identity."""
    address = str(layout.part_uri(work.args.results, SCATTER.name, str(expected["index"])))
    found = {**receipt.get("part", {}), "files": [output["uri"] for output in receipt["outputs"]]}
    wanted = {**expected, "files": [address] if expected["pieces"] else []}
    return [word for word, value in wanted.items() if found.get(word) != value]


def fetch_reads(work: Workspace, reference: Path, pieces: Sequence[Piece], index: int) -> None:
    """Download the reads of a part, and record the ETag of their file for the receipt.

    A part without pieces has no reads.
    """
    work.part = identify(work, pieces, index, describe_inputs(work))
    if spans := regions.spans_of(regions.of_part(pieces, index, work.args.parts)):
        partial_reads.fetch(work, list(regions.contig_lengths(reference)), spans, work.part["reads"])


def publish_part(work: Workspace, pieces: Sequence[Piece], index: int, call: Callable[[Piece], Path]) -> None:
    """Call the pieces of a part in parallel, and publish them as one BCF; a part without pieces has none.

    `--naive` copies the records and the first header as they are: so the gathered calls have the header that they have
    without parts.
    """
    own = regions.of_part(pieces, index, work.args.parts)
    if not own:
        return
    called = work.processes.run_parallel(call, own, work.vcpus)
    part, file_list = work / "part.bcf", work / "parts.txt"
    file_list.write_text("".join(f"{one}\n" for one in called))
    work.run("bcftools", "concat", "--naive", "--file-list", file_list, "-Ob", "-o", part)
    work.run("bcftools", "index", part)
    work.counts[RECORDS] = int(work.processes.output("bcftools", "index", "--nrecords", part))
    work.publish_to(part, layout.part_uri(work.args.results, work.name, str(index)), INTERMEDIATE)


def fetch_parts(work: Workspace, pieces: Sequence[Piece]) -> tuple[list[Path], int]:
    """Download the parts of all children in order; return them with the number of their records.

    Raise JobError unless each is the part that its child would publish now.
    """
    parts, records, inputs = list[Path](), 0, describe_inputs(work)
    for index in range(work.args.parts):
        receipt = _read_receipt(work, identify(work, pieces, index, inputs), index)
        for output in receipt["outputs"]:
            parts.append(work.fetch(S3Uri.parse(output["uri"]), name=f"part{index}.bcf", **s3.expected_of(output)))
        records += receipt["counts"].get(RECORDS, 0)
        work.seconds_of_parts += receipt["seconds"]
    return parts, records


def _read_receipt(work: Workspace, expected: Mapping[str, Any], index: int) -> Mapping[str, Any]:
    """Return the receipt of a child; raise JobError unless it is that of the expected part, with its file."""
    which = f"part {index + 1} of {work.args.parts}"
    try:
        receipt: Mapping[str, Any] = s3.store().read_json(
            layout.receipt_uri(work.args.results, SCATTER.name, str(index))
        )
    except s3.MissingError:
        raise JobError("RESULTS_CHANGED", f"{which} of the genome is missing: it has no receipt") from None
    if not is_readable(receipt.get("version")):
        raise JobError("RESULTS_CHANGED", f"{which} of the genome is from another version of seqdrop")
    if other := find_differences(work, receipt, expected):
        raise JobError(
            "RESULTS_CHANGED",
            f"{which} of the genome was called with other inputs than this job has: {', '.join(other)}",
        )
    return receipt
