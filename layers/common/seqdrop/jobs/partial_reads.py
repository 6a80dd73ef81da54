"""Download the aligned reads of parts of the genome, without the rest of their file."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

from seqdrop.jobs import alignment_file, file_ranges, regions
from seqdrop.jobs.file_ranges import BamIndex, CramIndex, Range, Span
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan.bed import Interval
from seqdrop.plan.names import CRAM
from seqdrop.storage import s3
from seqdrop.storage.s3 import IntegrityError, StoredObject

REQUEST_SIZE = 8 << 20  # bytes


def fetch(work: Workspace, contigs: Sequence[str], spans: Sequence[Interval], etag: str) -> Path:
    """Return a file with the aligned reads that overlap the spans, with its index; `contigs` are those of the header.

    Raise ReplacedError if the file of all reads has another ETag. The bytes that its index names are written to their
    places in an empty file of the same size. samtools copies the reads from there: it fails at a place that has no
    bytes, while bcftools would end there without an error. A CRAM needs the reference in the directory.
    """
    uri = work.args.bam
    form, suffix = alignment_file.format_of(uri), alignment_file.index_of(uri)
    whole, part = work / f"whole.{form}", alignment_file.path(work)
    index = work.fetch(uri.companion(suffix), name=f"{whole.name}{suffix}")
    stored = s3.store().expected(uri, "", etag, "")
    numbers = {contig: number for number, contig in enumerate(contigs)}
    wanted = [Span(numbers[contig], start, end) for contig, start, end in spans]
    work.bytes_in += download(stored, whole, open_index(index, stored.size).ranges(wanted))
    index.touch()  # else samtools warns that it is older than the file
    bed = regions.write_bed(work / "reads.bed", spans)
    work.run("samtools", "view", "--no-PG", "-@", work.vcpus, *alignment_file.OUTPUT[form], "-M", "-L", bed,
             "--write-index", "-o", alignment_file.with_index(part), whole)  # fmt: skip
    work.usage.measure_scratch()
    whole.unlink()
    return part


def open_index(path: Path, size: int) -> BamIndex | CramIndex:
    """Read the index of a BAM or CRAM of `size` bytes: its suffix says which."""
    if path.suffix == alignment_file.INDEXES[CRAM]:
        return CramIndex(gzip.decompress(path.read_bytes()).decode(), size)
    return BamIndex(path.read_bytes(), size)


def download(stored: StoredObject, path: Path, ranges: Sequence[Range]) -> int:
    """Write parts of an object to their places in a file of its size; return the number of their bytes.

    The bytes themselves are verified where they are read: each block of a BAM or CRAM has a CRC. A FASTA has none.
    """
    requests = list(file_ranges.cut(ranges, REQUEST_SIZE))

    def read(request: Range) -> bytes:
        size = request.end - request.start
        data = s3.store().read_range(stored.uri, request.start, size, stored.version_id, stored.etag)
        if len(data) != size:
            raise IntegrityError(f"{stored.uri}: {len(data)} of {size} bytes arrived")
        return data

    with path.open("wb") as file:
        file.truncate(stored.size)
        for request, data in zip(requests, s3.store().each(read, requests), strict=True):
            file.seek(request.start)
            file.write(data)
    return sum(request.end - request.start for request in requests)
