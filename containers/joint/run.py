"""Join the calls of several samples into one VCF: each site that one of them has, with the genotypes of all.

The children of an array job each merge a part of the genome; a job without an index joins the parts. `bcftools merge`
has an option for gVCFs, which is not used: it takes blocks with one read for proof of the reference, and version 1.16
loses fields and the last base of blocks (samtools/bcftools, issues 1891 and 1910).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from seqdrop.failure.verdict import JobError
from seqdrop.jobs import arguments, calling, regions
from seqdrop.jobs.step import INTERMEDIATE, step
from seqdrop.jobs.workspace import Workspace, array_index
from seqdrop.plan import layout
from seqdrop.plan.bed import Interval
from seqdrop.plan.names import is_readable
from seqdrop.storage import s3

from containers.joint.inputs import fetch, fetch_samples
from containers.joint.merge import join_piece


def main(argv: Sequence[str] | None = None) -> None:
    """Merge a part of the genome as a child of an array job, or join all parts."""
    args = arguments.parse(argv, __doc__, "sample", "reads", "vcf")
    index = array_index()
    with step("merge", args, gathered_by="join") if index else step("join", args) as work:
        arguments.parse_options(args.args, "joint")
        work.version("bcftools")
        reads = s3.store().read_json(args.reads)
        work.processes.redactor.add_samples(*(entry["sample"] for entry in reads["samples"]))
        merge_part(work, reads, index) if index else join_parts(work, reads)


def merge_part(work: Workspace, reads: Mapping[str, Any], index: str) -> None:
    """Merge the samples in the pieces of one part, and publish it for `join_parts`. A part may have no pieces."""
    pieces = regions.of_part(split_genome(work.reference["contigs"]), int(index), reads["parts"])
    if not pieces:
        return
    samples = fetch_samples(work, reads["samples"])
    files = [regions.write_bed(work / f"{number}.bed", piece) for number, piece in enumerate(pieces)]
    parts = work.processes.run_parallel(partial(join_piece, work, samples), files, work.vcpus)
    part = concatenate(work, parts, work / "part.bcf", "-Ob")
    work.publish_to(part, layout.part_uri(work.args.results, work.name, index), INTERMEDIATE)


def split_genome(contigs: Sequence[Mapping[str, Any]]) -> list[list[Interval]]:
    """Return the pieces of a genome in order; together they have each of its bases once."""
    whole = [Interval(contig["name"], 0, contig["length"]) for contig in contigs]
    return list(regions.split(whole, regions.MIN_PIECE_SIZE + regions.SIZE_PER_CONTIG * (len(whole) - 1)))


def join_parts(work: Workspace, reads: Mapping[str, Any]) -> None:
    """Concatenate the parts, verify and publish the joint VCF; repeat the warnings of the run."""
    for warning in reads["warnings"]:
        work.warn(warning["warning"], warning["message"])
    parts = [part for index in range(reads["parts"]) for part in fetch_part(work, str(index))]
    work.counts["samples"] = len(reads["samples"])
    calling.publish_vcf(work, concatenate(work, parts, work / "joint.vcf.gz", "-Oz"))


def fetch_part(work: Workspace, index: str) -> list[Path]:
    """Download the part of a child, as its receipt lists it; an empty list if it has none."""
    receipt = s3.store().read_json(layout.receipt_uri(work.args.results, "merge", index))
    if not is_readable(receipt["version"]):
        raise JobError("RESULTS_CHANGED", "a part of the genome is from another version of seqdrop")
    return [fetch(work, output, f"part{index}.bcf") for output in receipt["outputs"]]


def concatenate(work: Workspace, parts: Sequence[Path], target: Path, form: str) -> Path:
    """Write the records of parts of the genome, which are in order, to one file."""
    file_list = work / "parts.txt"
    file_list.write_text("".join(f"{part}\n" for part in parts))
    work.run("bcftools", "concat", "--file-list", file_list, form, "-o", target)
    return target


if __name__ == "__main__":
    main()
