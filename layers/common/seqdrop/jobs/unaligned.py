"""Read the reads of a lane from an unaligned BAM or CRAM, with its read groups."""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence, Set
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import bam_header, bam_reads, mates, one_file, pairs, reader
from seqdrop.fastq.inflate import inflate
from seqdrop.fastq.one_file import Single
from seqdrop.fastq.pairs import Check, Facts, Mates, Pairs, Start
from seqdrop.fastq.prefetch import prefetch
from seqdrop.fastq.reader import Text
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.processes import Processes
from seqdrop.plan.names import NAME

if TYPE_CHECKING:
    from seqdrop.jobs.workspace import Workspace

CHUNK_SIZE = 1 << 20  # bytes
AT_END = {"BAD_INPUT.TRUNCATED", "BAD_INPUT.EMPTY"}  # of data that ends too early
KEPT = ("LB", "PL", "PU")  # the fields of a read group that are kept; its sample is that of the run
VALUE = re.compile(r"[!-~][ -~]{0,199}")  # printable: it is written to the header of the aligned reads


@dataclass(frozen=True, slots=True)
class Groups:
    """The read groups of a file."""

    ids: Mapping[bytes, bytes]  # in the file -> in the run; b"" is for reads without one, in a file without any
    lines: Sequence[str]  # @RG lines


def rg_line(group: str, sample: str, **fields: str) -> str:
    """Return an @RG line; `fields` are those that the file of the reads has."""
    values = {"LB": sample, "PL": "ILLUMINA", "PU": f"{group}.{sample}", **fields}
    return "\t".join(["@RG", f"ID:{group}", f"SM:{sample}", *(f"{name}:{value}" for name, value in values.items())])


def read_groups(
    work: Workspace, path: Path, sample: str, default: str, number: int, used: Set[str] = frozenset()
) -> Groups:
    """Return the read groups in the header of a file; `default` is for a file that has none.

    An id that is not a valid name, or that another file of the run has too (`used` are the lines of those files), gets
    the number of its lane.
    """
    with path.open("rb") as file:
        if not bam_header.format_of(file.read(CHUNK_SIZE)):  # samtools reads FASTQ and SAM too
            raise BadInputError("CORRUPT_BAM", f"{path.name} is neither a BAM nor a CRAM")
    try:
        header = work.processes.output("samtools", "view", "-H", "--no-PG", path)
    except ToolError as error:
        raise _damaged(path, error) from None
    found = [dict(field.split(":", 1) for field in line.split("\t")[1:] if ":" in field)
             for line in header.splitlines() if line.startswith("@RG\t")]  # fmt: skip
    if not found:
        return Groups({b"": default.encode()}, [rg_line(default, sample)])
    taken = {line.split("\t")[1].removeprefix("ID:") for line in used}
    ids, lines = dict[bytes, bytes](), list[str]()
    for place, fields in enumerate(found, start=1):
        written = fields.get("ID", "")
        group = written if NAME.fullmatch(written) else f"{default}.{place}"
        group = f"{group}.{number}" if group in taken else group
        kept = {name: fields[name] for name in KEPT if VALUE.fullmatch(fields.get(name, ""))}
        ids[written.encode()] = group.encode()
        lines.append(rg_line(group, sample, **kept))
    if others := sorted({fields["SM"] for fields in found if fields.get("SM", sample) != sample}):
        work.warn("OTHER_SAMPLE", f"{path.name} names the sample {others[0]!a}, but the sample of this run is {sample}")
    return Groups(ids, lines)


class Unaligned(Pairs):
    """Read the reads of one lane from a BAM or CRAM, once. samtools verifies the checksums of its blocks."""

    def __init__(
        self, processes: Processes, path: Path, number: int, groups: Mapping[bytes, bytes], threads: int
    ) -> None:
        """Set the file of a lane; it is opened by `batches` or `texts`."""
        super().__init__(path)
        self.mates, self._groups = number, groups
        self._processes, self._path, self._threads = processes, path, threads

    @property
    def check(self) -> Check:
        """The function that verifies a batch of records. It can be sent to another process."""
        return checker(self._path.name, self.mates, self._groups)

    @contextmanager
    def texts(self) -> Iterator[Iterator[tuple[Text, ...]]]:
        """Read the records of batches, as `Pairs.texts` does."""
        path, name = self._path, self._path.name
        try:
            self._processes.run("samtools", "quickcheck", "-u", path)  # a file without its last block has no other sign
            with self._processes.stream("samtools", "view", "-u", "--no-PG", "-@", self._threads, path) as stream:
                records = bam_reads.divide(name, _chunks(stream), reader.BATCH_SIZE * self.mates)
                truncated = None
                with closing(prefetch(records)) as texts:
                    try:
                        yield ((text,) for text in texts)
                        if self.count == 0:
                            raise BadInputError("EMPTY", f"{name} contains no reads")
                    except BadInputError as error:
                        if error.failure_class not in AT_END:
                            raise
                        truncated = error  # the exit code of samtools has the reason, if it failed
            if truncated:
                raise truncated
        except ToolError as error:
            if error.tool != "samtools":  # of the aligner
                raise
            raise _damaged(path, error) from None


def checker(file: str, number: int, groups: Mapping[bytes, bytes]) -> Check:
    """Return the function that verifies a batch of records. It can be sent to another process.

    `groups` has the read groups of the run by those in the file; b"" is for reads without one, if they may have none.
    """
    return partial(check, file, number, groups)


def check(
    file: str, number: int, groups: Mapping[bytes, bytes], texts: Sequence[Text], before: int, start: Start | None
) -> tuple[Mates, Facts]:
    """Verify a batch of records; raise BadInputError. `before` is the number of pairs, or of single reads."""
    reads, flags = bam_reads.parse(file, b"".join(texts[0]), number * before, groups)
    bam_reads.check_flags(file, number, flags, number * before)
    if number == Single.mates:
        mates.check_no_mates(file, reads, before, bam_reads.IMPORT)
        return one_file.check_single(file, reads, before, start)
    bam_reads.check_mates(file, reads, flags, number * before)
    one, two = mates.divide(reads)
    if one.groups != two.groups:
        raise BadInputError("MALFORMED", f"{file} has a pair whose mates are of two read groups")
    return pairs.check_mates((f"R1 of {file}", f"R2 of {file}"), one, two, before, start)


def _damaged(path: Path, error: ToolError) -> Exception:
    """Return the error of a file that samtools cannot read, or the failure of samtools itself."""
    if error.failure_class != "TOOL_FAILED":
        return error
    reason = error.sentence.replace(str(path), path.name) or "samtools cannot read it"
    return BadInputError("CORRUPT_BAM", f"{path.name} is damaged or incomplete: {reason}")


def _chunks(stream: BinaryIO) -> Generator[bytes]:
    """Yield the bytes of an uncompressed BAM. Those of a program that fails end early: its exit code says so."""
    with suppress(zlib.error):
        for text, _ in inflate(iter(lambda: stream.read(CHUNK_SIZE), b""), CHUNK_SIZE):
            yield text
