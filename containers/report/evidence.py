"""Fetch the reads at the first variants of the list, and the reference around them, for IGV in the page."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from seqdrop.failure.verdict import BadInputError
from seqdrop.jobs.alignment_file import index_of
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.file_ranges import Span
from seqdrop.jobs.workspace import Workspace
from seqdrop.log import logger
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from containers.report import sample
from containers.report.aligned import Aligned, open_aligned
from containers.report.calls import Variant
from containers.report.sample import Place
from containers.report.sites import Evidence, Site
from containers.report.sources import Measured

MAX_SITES = 100  # variants with their reads; at a depth of 30 each takes some 12 kB of the page
SIDE = 100  # bases on each side of a variant: the reads there are in the page
MORE = 300  # the same, of bases of the reference
MAX_BYTES = 4 << 20  # of the file, and of the genome for a CRAM, for one variant
IGNORED = "0x704"  # flags: unmapped, secondary, failed, duplicate. Callers ignore these reads too
TOO_DEEP = f"Not shown: the reads around this variant take more than {MAX_BYTES >> 20} MiB of the file and the genome."
NO_READS = "Not shown: no reads are around this variant."
COLON = "Not shown: IGV cannot read the name of this contig, which has a colon."
NOT_READ = "The aligned reads could not be read: {}."


def add_evidence(work: Workspace, measured: Measured) -> None:
    """Add the reads at the first variants, or why there are none: the page is complete without them."""
    outputs = {one["name"]: one for receipt in measured.receipts for one in receipt.get("outputs", [])}
    aligned = outputs.get("bam")
    if not measured.calls or not measured.calls.listed or not aligned:
        return
    if f"bam{index_of(S3Uri.parse(aligned['uri']))}" not in outputs:
        measured.evidence_note = NOT_READ.format("they have no index")
        return
    try:
        measured.evidence = collect(work, open_aligned(work, outputs), measured.calls.listed[:MAX_SITES])
    except (BadInputError, ToolError, s3.MissingError, s3.ArchivedError, s3.IntegrityError, s3.ReplacedError,
            struct.error, zlib.error) as error:  # fmt: skip
        logger.warning("the reads at variants could not be read", error=type(error).__name__)
        measured.evidence_note = NOT_READ.format(error)


def collect(work: Workspace, aligned: Aligned, variants: Sequence[Variant]) -> Evidence:
    """Return the reads at variants, of each at most sample.MAX_READS, and the reference around them."""
    sites = [Site(one, note := why_not(aligned, one), not note) for one in variants]
    shown = [site for site in sites if site.shown]
    if not shown:
        return Evidence(sites)
    regions = [around(aligned, site.variant, SIDE) for site in shown]
    pieces = [around(aligned, site.variant, MORE) for site in shown]
    bases = [one for region in regions for one in aligned.bases(region)]
    work.bytes_in += aligned.copy_reads(regions) + aligned.copy_genome([*pieces, *bases])
    bam, totals = choose_reads(work, aligned, [Place(aligned.contigs[one.contig], *one[1:]) for one in regions])
    for site, total in zip(shown, totals, strict=True):
        site.note = sample.describe(total)
    return Evidence(sites, bam, aligned.fasta(pieces))


def around(aligned: Aligned, variant: Variant, side: int) -> Span:
    """Return the bases around a variant."""
    start = variant.position - 1
    return aligned.region(variant.contig, start - side, start + len(variant.ref) + side)


def why_not(aligned: Aligned, variant: Variant) -> str:
    """Return why the reads at a variant cannot be shown; "" if they can."""
    if ":" in variant.contig:
        return COLON
    size = aligned.size_of(around(aligned, variant, SIDE))
    return TOO_DEEP if size > MAX_BYTES else "" if size else NO_READS


def choose_reads(work: Workspace, aligned: Aligned, places: Sequence[Place]) -> tuple[bytes, list[int]]:
    """Return a BAM with the reads at these places, and how many reads each of them has."""
    bed, found, chosen, bam = (work / f"evidence.{kind}" for kind in ("bed", "found.sam", "chosen.sam", "bam"))
    bed.write_text("".join(f"{one.contig}\t{one.start}\t{one.end}\n" for one in places))
    work.run(
        "samtools", "view", "--no-PG", "-h", "-M", "-L", bed, "-F", IGNORED, "--keep-tag", "RG,NM,SA",
        "-T", aligned.genome, aligned.reads, stdout=found,
    )  # fmt: skip
    with found.open() as reads:
        selection = sample.select(reads, places)
    chosen.write_text("".join(selection.lines))
    work.run("samtools", "view", "--no-PG", "-b", "-o", bam, chosen)
    return bam.read_bytes(), selection.totals
