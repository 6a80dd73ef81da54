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
from containers.report.calls import CLIPPED, Variant
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
OTHER_BASES = "Not shown: the bases read from the genome are not the REF of this variant. Check the FASTA."
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
    sites = find_sites(work, aligned, variants)
    shown = [site for site in sites if site.shown]
    if not shown:
        return Evidence(sites)
    regions = [around(aligned, site.variant, SIDE) for site in shown]
    pieces = [around(aligned, site.variant, MORE) for site in shown]
    work.bytes_in += aligned.copy_reads(regions)
    bam, totals = choose_reads(work, aligned, [Place(aligned.contigs[one.contig], *one[1:]) for one in regions])
    for site, total in zip(shown, totals, strict=True):
        site.note = sample.describe(total)
    return Evidence(sites, bam, aligned.fasta(pieces))


def find_sites(work: Workspace, aligned: Aligned, variants: Sequence[Variant]) -> list[Site]:
    """Copy the bases around variants; return a site for each, with a note if its reads cannot be shown."""
    sites = [Site(one, note := why_not(aligned, one), not note) for one in variants]
    work.bytes_in += copy_genome(aligned, [site.variant for site in sites if site.shown])
    for site in sites:
        if site.shown and not has_ref(aligned, site.variant):
            site.note, site.shown = OTHER_BASES, False
    return sites


def around(aligned: Aligned, variant: Variant, side: int) -> Span:
    """Return the bases around a variant."""
    start = variant.position - 1
    return aligned.region(variant.contig, start - side, start + len(variant.ref) + side)


def copy_genome(aligned: Aligned, variants: Sequence[Variant]) -> int:
    """Copy the bases around variants, and those that decoding their reads needs; return the number of bytes."""
    pieces = [around(aligned, one, MORE) for one in variants]
    needed = [bases for one in variants for bases in aligned.bases(around(aligned, one, SIDE))]
    return aligned.copy_genome([*pieces, *needed])


def has_ref(aligned: Aligned, variant: Variant) -> bool:
    """Return whether the bases that were copied are the REF of a variant, of which the list has the first."""
    ref = variant.ref.removesuffix(CLIPPED)
    start = variant.position - 1
    return aligned.read_bases(variant.contig, start, start + len(ref)).upper() == ref.upper()


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
