"""seqdrop.jobs.alignment: lanes become one sorted, indexed and verified BAM; with the real samtools."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from botocore.response import StreamingBody
from moto.s3.models import s3_backends
from seqdrop.failure.verdict import BadInputError, JobError
from seqdrop.jobs import alignment
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.redaction import Redactor
from seqdrop.jobs.workspace import Workspace, companion_path
from seqdrop.storage import s3, transfers
from seqdrop.storage.uri import S3Uri
from support.function_aws import ACCOUNT, FASTQS, Deployed
from support.made_reads import bases, fastq, records, text, to_gzip, write_genome

READ_LENGTH = len(records(1, 1)[0][1])
CONTIG, LENGTH = "chr1", 1_000
SAM_HEADER = f"@HD\tVN:1.6\tSO:unsorted\tGO:query\n@SQ\tSN:{CONTIG}\tLN:{LENGTH}\n"


def parse_arguments(bucket: str, suffix: str = ".bam") -> argparse.Namespace:
    folder = f"s3://{bucket}/NA12878/r"
    addresses = {"reference": f"s3://{bucket}/demo/genome.fa", "reads": f"{folder}/reads.json", "results": folder}
    values = {"sample": "NA12878", **addresses, "bam": f"{folder}/NA12878{suffix}", "run": "r", "attempt": "1"}
    values |= {"vcpus": "2", "memory": "400", "args": "[]"}
    return alignment.parse_arguments([arg for name, value in values.items() for arg in (f"--{name}", value)], None)


@pytest.fixture
def work(bucket: str, tmp_path: Path) -> Workspace:
    return Workspace("align", parse_arguments(bucket), tmp_path, Processes(tmp_path, Redactor("NA12878")))


def lane(work: Workspace, number: int = 1) -> alignment.Lane:
    paths = work / f"lane{number}_R1.fastq.gz", work / f"lane{number}_R2.fastq.gz"
    return alignment.Lane("NA12878", f"HXYZTDSXX.{number}", f"L00{number}", *paths)


def pair(name: str, start: int) -> str:
    """Return two alignments of 50 bases, 100 apart, as an aligner writes them: mates together, without mate tags."""
    one = f"{name}\t99\t{CONTIG}\t{start}\t60\t50M\t=\t{start + 100}\t150\t{'A' * 50}\t{'F' * 50}\n"
    return one + f"{name}\t147\t{CONTIG}\t{start + 100}\t60\t50M\t=\t{start}\t-150\t{'C' * 50}\t{'F' * 50}\n"


def feed_of(work: Workspace, sam: str, reads: int) -> Callable[[BinaryIO], None]:
    def feed(out: BinaryIO) -> None:
        out.write(sam.encode())
        work.counts |= {"reads": reads, "bases": 50 * reads}

    return feed


SAM = SAM_HEADER + pair("b", 500) + pair("a", 100) + pair("a_copy", 100)


def test_the_command_line_of_an_aligner_is_parsed(bucket: str) -> None:
    args = parse_arguments(bucket)
    assert vars(args) == {
        "sample": "NA12878",
        "reference": S3Uri(bucket, "demo/genome.fa"),
        "reads": S3Uri(bucket, "NA12878/r/reads.json"),
        "bam": S3Uri(bucket, "NA12878/r/NA12878.bam"),
        "results": S3Uri(bucket, "NA12878/r"),
        "run": "r",
        "attempt": "1",
        "vcpus": 2,
        "memory": 400,
        "args": [],
    }
    assert alignment.INTERFACE == ("sample", "reference", "reads", "bam")


def test_a_lane_has_a_read_group_line(work: Workspace) -> None:
    assert lane(work).rg_line == ("@RG\tID:HXYZTDSXX.1\tSM:NA12878\tLB:NA12878\tPL:ILLUMINA\tPU:HXYZTDSXX.1.NA12878")


def test_the_pinned_reads_are_fetched_under_names_without_the_sample_id_and_their_warnings_repeated(
    aws: Deployed, work: Workspace
) -> None:
    lanes = []
    for number in (1, 2):
        entry: dict[str, Any] = {"lane": f"L00{number}", "read_group": f"HXYZTDSXX.{number}"}
        for mate in (1, 2):
            key = f"NA12878_L00{number}_R{mate}.fastq" + (".gz" if number == 1 else "")
            aws.put(key, fastq(mate, lane=number))
            entry[f"fastq_{mate}"] = s3.store().head(S3Uri(FASTQS, key)).pin()
            aws.put(key, b"a later version")
        lanes.append(entry)
    warning = {"warning": "ONE_LANE", "message": "the file names have lane L001"}
    s3.store().write_json(work.args.reads, {"sample": "NA12878", "lanes": lanes, "warnings": [warning]})
    first, second = alignment.fetch_lanes(work)
    assert work.warnings == [warning]
    assert first == lane(work, 1)
    assert [path.name for path in (second.fastq_1, second.fastq_2)] == ["lane2_R1.fastq", "lane2_R2.fastq"]
    assert second.fastq_2.read_bytes() == fastq(2, lane=2)
    assert work.bytes_in == sum(len(fastq(mate, lane=number)) for number in (1, 2) for mate in (1, 2))


@pytest.mark.parametrize(
    ("name", "body", "sse", "warned"),
    [
        ("S_R1.fastq", text(records(1, 3)), "aws:kms", True),
        ("S_R1.fastq.gz", text(records(1, 3)), "aws:kms", True),  # its name is wrong: a sequencer core does that
        ("S_R1.fastq", to_gzip(text(records(1, 3))), "aws:kms", False),
        ("S_R1.fastq", text(records(1, 3)), "AES256", False),  # the ETag is an MD5
    ],
    ids=["plain", "plain named gz", "gzip", "with an MD5"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_plain_fastq_of_which_s3_has_no_checksum_gives_a_warning(
    aws: Deployed, work: Workspace, name: str, body: bytes, sse: str, warned: bool, stream: bool
) -> None:
    entry: dict[str, Any] = {"lane": "", "read_group": "g"}
    for mate in (1, 2):
        key = name.replace("R1", f"R{mate}")
        aws.s3.put_object(Bucket=FASTQS, Key=key, Body=body, ServerSideEncryption=sse)
        s3_backends[ACCOUNT]["aws"].buckets[FASTQS].keys[key].checksum_algorithm = None  # as before 2025
        entry[f"fastq_{mate}"] = s3.store().head(S3Uri(FASTQS, key)).pin()
    s3.store().write_json(work.args.reads, {"sample": "S", "lanes": [entry]})
    alignment.fetch_lanes(work, stream=stream)
    assert [warning["warning"] for warning in work.warnings] == ["UNVERIFIED"] * 2 * warned
    assert all(warning["message"].startswith(f"S_R{n}.fastq") for n, warning in enumerate(work.warnings, start=1))


def test_the_header_has_the_contigs_of_the_reference_and_all_read_groups(work: Workspace) -> None:
    contigs = [{"name": "chr2", "length": 7, "md5": "x"}, {"name": "chr1", "length": 9, "md5": "y"}]
    s3.store().write_json(work.args.reference.parent / "reference.json", {"contigs": contigs})
    work.tools["bwa"] = "0.7.17"
    assert alignment.sam_header(work, [lane(work, 1), lane(work, 2)], "bwa") == (
        "@HD\tVN:1.6\tSO:unsorted\tGO:query\n"
        "@SQ\tSN:chr2\tLN:7\tM5:x\n"
        "@SQ\tSN:chr1\tLN:9\tM5:y\n"
        "@RG\tID:HXYZTDSXX.1\tSM:NA12878\tLB:NA12878\tPL:ILLUMINA\tPU:HXYZTDSXX.1.NA12878\n"
        "@RG\tID:HXYZTDSXX.2\tSM:NA12878\tLB:NA12878\tPL:ILLUMINA\tPU:HXYZTDSXX.2.NA12878\n"
        "@PG\tID:bwa\tPN:bwa\tVN:0.7.17\n"
    )


def view(work: Workspace) -> list[list[str]]:
    done = subprocess.run(["samtools", "view", work / "aligned.bam"], capture_output=True, check=True)
    return [line.split("\t") for line in done.stdout.decode().splitlines()]


@pytest.mark.parametrize(("mark_duplicates", "duplicates"), [(True, 2), (False, 0)])
def test_alignments_become_a_sorted_published_bam(work: Workspace, mark_duplicates: bool, duplicates: int) -> None:
    alignment.sort_and_publish(work, feed_of(work, SAM, 6), mark_duplicates=mark_duplicates)
    records = view(work)
    assert [int(record[3]) for record in records] == [100, 100, 200, 200, 500, 600]
    assert len([record for record in records if int(record[1]) & 0x400]) == duplicates
    assert all(any(tag.startswith("MC:Z:") for tag in record) for record in records)  # written by fixmate
    assert work.counts == {"reads": 6, "primary_records": 6, "bases": 300, "primary_bases": 300}
    assert [output["name"] for output in work.outputs] == ["bam.bai", "bam.md5", "bam"]
    assert s3.store().head(work.args.bam).size == (work / "aligned.bam").stat().st_size


def test_the_bam_alone_has_the_tag_by_which_it_can_be_archived(aws: Deployed, work: Workspace) -> None:
    alignment.sort_and_publish(work, feed_of(work, SAM, 6), mark_duplicates=True)
    uri: S3Uri = work.args.bam
    for name, tags in ((uri.key, [{"Key": "seqdrop", "Value": "alignment"}]), (f"{uri.key}.bai", [])):
        assert aws.s3.get_object_tagging(Bucket=uri.bucket, Key=name)["TagSet"] == tags


def test_md5sum_verifies_a_downloaded_bam(work: Workspace, tmp_path_factory: pytest.TempPathFactory) -> None:
    alignment.sort_and_publish(work, feed_of(work, SAM, 6), mark_duplicates=True)
    folder = tmp_path_factory.mktemp("downloaded")
    for suffix in ("", ".md5"):
        s3.store().download(work.args.bam.companion(suffix), folder / f"NA12878.bam{suffix}")
    md5sum = subprocess.run(
        ["md5sum", "-c", "NA12878.bam.md5"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (md5sum.returncode, md5sum.stdout) == (0, "NA12878.bam: OK\n")


def test_the_same_reads_give_the_same_bam(work: Workspace, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("other")
    other = Workspace("align", work.args, directory, Processes(directory))
    for each in (work, other):
        alignment.sort_and_publish(each, feed_of(each, SAM, 6), mark_duplicates=True)
    assert (work / "aligned.bam").read_bytes() == (other / "aligned.bam").read_bytes()


def send_every_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send each BAM of these tests in parts, while it is written."""
    monkeypatch.setattr(transfers, "PART_SIZE", 1)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)


@pytest.mark.parametrize("mark_duplicates", [True, False])
def test_a_bam_is_uploaded_while_it_is_written(
    aws: Deployed, work: Workspace, monkeypatch: pytest.MonkeyPatch, mark_duplicates: bool
) -> None:
    """It is an object only when it is verified, and after its companions."""
    send_every_byte(monkeypatch)
    alignment.sort_and_publish(work, feed_of(work, SAM, 6), mark_duplicates=mark_duplicates)
    uri: S3Uri = work.args.bam
    assert "-" in s3.store().head(uri).etag  # so it really was in parts
    stored = aws.s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
    assert stored == (work / "aligned.bam").read_bytes()
    assert [output["name"] for output in work.outputs] == ["bam.bai", "bam.md5", "bam"]


def test_nothing_is_left_of_a_bam_that_lost_a_read(
    aws: Deployed, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_every_byte(monkeypatch)
    with pytest.raises(JobError, match="8 reads went in but 6 came out"):
        alignment.sort_and_publish(work, feed_of(work, SAM, 8), mark_duplicates=True)
    uri: S3Uri = work.args.bam
    assert aws.s3.list_multipart_uploads(Bucket=uri.bucket).get("Uploads", []) == []
    assert s3.store().find(uri) is None


def test_a_full_disk_is_noticed_while_the_bam_is_written(work: Workspace) -> None:
    (work / "aligned.bam").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        alignment.sort_and_publish(work, feed_of(work, SAM, 6), mark_duplicates=True)
    assert work.outputs == []


def test_secondary_and_supplementary_alignments_do_not_count_as_reads(work: Workspace) -> None:
    supplementary = f"b\t2147\t{CONTIG}\t50\t60\t20M30S\t{CONTIG}\t600\t0\t{'A' * 50}\t{'F' * 50}\n"
    sam = SAM_HEADER + pair("b", 500) + supplementary
    alignment.sort_and_publish(work, feed_of(work, sam, 2), mark_duplicates=False)
    assert (work.counts["primary_records"], len(view(work))) == (2, 3)


def test_a_lost_read_is_an_error(work: Workspace) -> None:
    with pytest.raises(JobError, match="8 reads went in but 6 came out") as raised:
        alignment.sort_and_publish(work, feed_of(work, SAM, 8), mark_duplicates=True)
    assert raised.value.failure_class == "TOOL_FAILED"
    with pytest.raises(s3.MissingError):
        s3.store().head(work.args.bam)


def test_a_read_that_came_out_twice_is_an_error(work: Workspace) -> None:
    sam = SAM + pair("a", 100)
    with pytest.raises(JobError, match="6 reads went in but 8 came out") as raised:
        alignment.sort_and_publish(work, feed_of(work, sam, 6), mark_duplicates=False)
    assert raised.value.failure_class == "TOOL_FAILED"
    assert s3.store().find(work.args.bam) is None


def test_nothing_is_published_if_the_aligner_fails(work: Workspace) -> None:
    def feed(out: BinaryIO) -> None:
        out.write(SAM.encode())
        raise BadInputError("TRUNCATED", "lane1_R1.fastq.gz is truncated")

    with pytest.raises(BadInputError):
        alignment.sort_and_publish(work, feed, mark_duplicates=True)
    assert work.outputs == []


def write_lane(work: Workspace, number: int, one: bytes, two: bytes) -> alignment.Lane:
    result = lane(work, number)
    result.fastq_1.write_bytes(one)
    result.fastq_2.write_bytes(two)
    return result


def test_reads_are_counted_in_all_lanes_and_both_mates(work: Workspace) -> None:
    for number, count in ((1, 3), (2, 4)):
        fastqs = write_lane(work, number, *(fastq(mate, count, lane=number) for mate in (1, 2)))
        assert sum(len(one) for one, _ in alignment.verified_batches(work, fastqs)) == count
    assert (work.counts["reads"], work.counts["bases"]) == (14, 14 * READ_LENGTH)
    assert work.warnings == []


def test_duplicate_read_names_are_a_warning(work: Workspace) -> None:
    one, two = (text([(f"r{number % 3}", bases, "FFFF") for number in range(5)]) for bases in ("ACGT", "CCCC"))
    list(alignment.verified_batches(work, write_lane(work, 1, to_gzip(one), to_gzip(two))))
    message = "2 of 5 pairs of lane1_R1.fastq.gz and lane1_R2.fastq.gz have the same name as another pair"
    assert work.warnings == [{"warning": "DUPLICATE_NAMES", "message": message}]


def test_doubts_about_the_reads_are_warnings(work: Workspace) -> None:
    one, two = (text([(f"r{number}", "ACGT"[mate] * length, "F" * length) for number in range(5)]) for mate, length in
                ((0, 100), (1, 33)))  # fmt: skip
    list(alignment.verified_batches(work, write_lane(work, 1, to_gzip(one), to_gzip(two))))
    assert [warning["warning"] for warning in work.warnings] == ["MATE_LENGTHS"]


def test_a_bam_with_fewer_bases_than_the_reads_is_not_published(work: Workspace) -> None:
    """Every read is there, but one is cut."""
    work.counts |= {"reads": 6, "bases": 301}
    with pytest.raises(JobError, match="301 bases went in but 300 came out: the aligner cut reads") as raised:
        alignment.publish(work, sorted_bam(work, SAM))
    assert raised.value.failure_class == "TOOL_FAILED"
    assert s3.store().find(work.args.bam) is None


@pytest.mark.parametrize(
    ("bases", "qualities", "known"),
    [("ACGT", "IIII", 4), ("NCGT", "#III", 3), ("ACGT", "!II!", 2), ("NCGn", "!III", 2), (".RYt", "IIII", 3)],
)
def test_bases_are_known_unless_they_are_n_or_have_no_quality(bases: str, qualities: str, known: int) -> None:
    assert alignment.count_known(bases.encode() * 2, qualities.encode() * 2) == 2 * known


@pytest.mark.parametrize("defect", ["no end", "no index", "a damaged index", "another index"])
def test_a_truncated_bam_or_a_bad_index_is_not_published(work: Workspace, defect: str) -> None:
    bam = sorted_bam(work, SAM)
    work.counts |= {"reads": 6, "bases": 300}
    if defect == "no end":
        bam.write_bytes(bam.read_bytes()[:-28])
    else:
        index = {
            "no index": b"",
            "a damaged index": bytes(range(96)),
            "another index": sorted_bam(work, SAM_HEADER + pair("b", 500), "other")
            .with_suffix(".bam.bai")
            .read_bytes(),
        }
        bam.with_suffix(".bam.bai").write_bytes(index[defect])
    with pytest.raises(ToolError, match="samtools"):
        alignment.publish(work, bam)
    with pytest.raises(s3.MissingError):
        s3.store().head(work.args.bam)


def sorted_bam(work: Workspace, sam: str, name: str = "aligned") -> Path:
    """Write a sorted BAM and its index."""
    bam = work / f"{name}.bam"
    command = ["samtools", "sort", "--write-index", "-o", f"{bam}##idx##{bam}.bai", "-"]
    subprocess.run(command, input=sam.encode(), capture_output=True, check=True)
    return bam


@pytest.mark.parametrize("pin", ["etag", "crc64nvme"])
def test_reads_that_were_replaced_after_pinning_are_not_aligned(aws: Deployed, work: Workspace, pin: str) -> None:
    """In a bucket without versioning, reads.json has only these two keys to recognise an object."""
    entry: dict[str, Any] = {"lane": "L001", "read_group": "HXYZTDSXX.1"}
    for mate in (1, 2):
        key = f"NA12878_L001_R{mate}.fastq.gz"
        aws.s3.put_object(Bucket=FASTQS, Key=key, Body=fastq(mate), ChecksumAlgorithm="CRC64NVME")
        stored = s3.store().head(S3Uri(FASTQS, key))
        pinned = {**stored.pin(), "crc64nvme": stored.crc64nvme, "version_id": ""}
        entry[f"fastq_{mate}"] = {key: value for key, value in pinned.items() if key in ("uri", "version_id", pin)}
        aws.s3.put_object(Bucket=FASTQS, Key=key, Body=fastq(mate, lane=2), ChecksumAlgorithm="CRC64NVME")
    s3.store().write_json(work.args.reads, {"sample": "NA12878", "lanes": [entry]})
    with pytest.raises((BadInputError, s3.IntegrityError)):
        alignment.fetch_lanes(work)


def store_lane(aws: Deployed, work: Workspace, **checksum: str) -> None:
    """Store a pair of FASTQs as the only lane of the run."""
    entry: dict[str, Any] = {"lane": "L001", "read_group": "HXYZTDSXX.1"}
    for mate in (1, 2):
        key = f"NA12878_L001_R{mate}.fastq.gz"
        aws.s3.put_object(Bucket=FASTQS, Key=key, Body=fastq(mate, 3), **checksum)  # type: ignore[arg-type]  # a Literal
        entry[f"fastq_{mate}"] = s3.store().head(S3Uri(FASTQS, key)).pin()
    s3.store().write_json(work.args.reads, {"sample": "NA12878", "lanes": [entry]})


@pytest.mark.parametrize(("algorithm", "on_disk"), [("CRC64NVME", 0), ("CRC32", 0), ("SHA256", 2)])
def test_reads_go_from_s3_to_the_aligner_without_a_file(
    aws: Deployed, work: Workspace, algorithm: str, on_disk: int
) -> None:
    store_lane(aws, work, ChecksumAlgorithm=algorithm)
    [fastqs] = alignment.fetch_lanes(work, stream=True)
    assert len(fastqs.paths) == on_disk
    [(one, two)] = alignment.verified_batches(work, fastqs)
    assert [one.sequences, two.sequences] == [[seq.encode() for _, seq, _ in records(mate, 3)] for mate in (1, 2)]
    assert work.bytes_in == sum(len(fastq(mate, 3)) for mate in (1, 2))
    assert len(list(work.directory.glob("*.fastq.gz"))) == on_disk


def test_reads_that_were_damaged_on_their_way_are_not_reported_as_bad_reads(
    aws: Deployed, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another attempt of the job reads them again; the files of the user are good."""
    store_lane(aws, work, ChecksumAlgorithm="CRC64NVME")
    [fastqs] = alignment.fetch_lanes(work, stream=True)
    read = StreamingBody.read

    def read_damaged(self: StreamingBody, amt: int | None = None) -> bytes:
        data = read(self, amt)
        return data[:-30] + b"x" + data[-29:] if len(data) > 100 else data

    monkeypatch.setattr(StreamingBody, "read", read_damaged)
    monkeypatch.setattr("botocore.httpchecksum.StreamingChecksumBody.read", read_damaged)
    with pytest.raises(s3.IntegrityError) as raised:
        list(alignment.verified_batches(work, fastqs))
    assert s3.is_transient(raised.value)


GENOME = bases(LENGTH, seed=21)
ONE, TWO = GENOME[99:149], GENOME[199:249]


@pytest.fixture
def cram_work(bucket: str, tmp_path: Path) -> Workspace:
    """Return the directory of a job that writes CRAM, with its reference."""
    work = Workspace("align", parse_arguments(bucket, ".cram"), tmp_path, Processes(tmp_path))
    write_genome(work / "genome.fa", {CONTIG: GENOME})
    subprocess.run(["samtools", "faidx", work / "genome.fa"], check=True)
    contigs = [
        {"name": CONTIG, "length": LENGTH, "md5": hashlib.md5(GENOME.encode(), usedforsecurity=False).hexdigest()}
    ]
    s3.store().write_json(work.args.reference.parent / "reference.json", {"contigs": contigs})
    return work


def sam_of_pairs(work: Workspace, pairs: int = 3) -> str:
    """Return alignments with all that a CRAM stores in another way: MD and NM, right and wrong ones, and an N."""
    md5 = work.reference["contigs"][0]["md5"]
    lines = [f"@HD\tVN:1.6\tSO:unsorted\tGO:query\n@SQ\tSN:{CONTIG}\tLN:{LENGTH}\tM5:{md5}\n@RG\tID:g\tSM:s\n"]
    for number in range(pairs):
        quality = "".join(chr(35 + (number + place) % 38) for place in range(50))
        tags = f"NM:i:{number}\tMD:Z:50\tAS:i:50\tXA:Z:x,+1,50M,0;\tRG:Z:g"
        lines.append(f"r{number}\t99\t{CONTIG}\t100\t60\t50M\t=\t200\t150\t{ONE}\t{quality}\t{tags}\n")
        lines.append(
            f"r{number}\t147\t{CONTIG}\t200\t60\t49M1S\t=\t100\t-150\t{TWO[:-1]}N\t{quality}\tNM:i:0\tRG:Z:g\n"
        )
    lines += [f"u\t{flag}\t*\t0\t0\t*\t*\t0\t0\t{ONE[::-1]}\t{'!' * 50}\tRG:Z:g\n" for flag in (77, 141)]
    return "".join(lines)


def records_of(path: Path) -> list[tuple[list[str], list[str]]]:
    """Return the records of a BAM or CRAM: the columns, and the sorted tags (CRAM has another order)."""
    done = subprocess.run(["samtools", "view", path], capture_output=True, check=True, cwd=path.parent)
    rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
    return [(row[:11], sorted(row[11:])) for row in rows]


@pytest.mark.parametrize("mark_duplicates", [True, False])
def test_a_cram_has_the_records_of_the_bam(bucket: str, cram_work: Workspace, mark_duplicates: bool) -> None:
    sam = sam_of_pairs(cram_work)
    alignment.sort_and_publish(cram_work, feed_of(cram_work, sam, 8), mark_duplicates=mark_duplicates)
    assert [output["name"] for output in cram_work.outputs] == ["bam.crai", "bam.md5", "bam"]
    assert s3.store().head(cram_work.args.bam).size == (cram_work / "aligned.cram").stat().st_size
    assert cram_work.counts == {"reads": 8, "primary_records": 8, "bases": 400, "primary_bases": 400}
    directory = cram_work.directory
    bam_work = Workspace("align", parse_arguments(bucket), directory, Processes(directory))
    alignment.sort_and_publish(bam_work, feed_of(bam_work, sam, 8), mark_duplicates=mark_duplicates)
    records = records_of(directory / "aligned.cram")
    assert len(records) == 8
    # samtools writes MD and NM for every mapped read of a CRAM, also for those that had none.
    added = {"MD:Z:49"}
    expected = [
        (row, sorted([*tags, *added]) if row[1] == "147" or row[1] == "1171" else tags)
        for row, tags in records_of(directory / "aligned.bam")
    ]
    assert records == expected


def test_a_cram_is_of_version_3_0_and_has_no_path_of_its_job(cram_work: Workspace) -> None:
    """Strelka cannot read 3.1, which samtools writes since 1.22."""
    alignment.sort_and_publish(cram_work, feed_of(cram_work, sam_of_pairs(cram_work), 8), mark_duplicates=True)
    cram = cram_work / "aligned.cram"
    assert cram.read_bytes()[:6] == b"CRAM\x03\x00"
    header = subprocess.run(["samtools", "view", "-H", cram], capture_output=True, check=True, cwd="/").stdout.decode()
    [contig] = [line.split("\t") for line in header.splitlines() if line.startswith("@SQ")]
    assert contig[-1] == "UR:/proc/self/cwd/genome.fa"
    assert str(cram_work.directory) not in header.replace(str(cram), "")


def write_cram(work: Workspace, sam: str, name: str = "aligned") -> Path:
    """Write a sorted CRAM of two slices and its index."""
    cram = work / f"{name}.cram"
    command = ["samtools", "sort", "-O", "cram,version=3.0,seqs_per_slice=4", "--reference", work / "genome.fa"]
    command += ["--write-index", "-o", f"{cram}##idx##{cram}.crai", "-"]
    subprocess.run(command, input=sam.encode(), capture_output=True, check=True)
    return cram


CRAM_END = 38  # bytes of the last block of CRAM 3.0
CRAM_DEFECTS = {
    "no end": "samtools",
    "no index": "samtools",
    "a damaged index": "samtools",
    "an index without a slice": "the index of the CRAM does not list its slices",
    "a flipped bit": "samtools",
}


@pytest.mark.parametrize("defect", CRAM_DEFECTS)
def test_a_truncated_cram_or_a_bad_index_is_not_published(cram_work: Workspace, defect: str) -> None:
    cram = write_cram(cram_work, sam_of_pairs(cram_work))
    index = companion_path(cram, ".crai")
    cram_work.counts |= {"reads": 8, "bases": 400}
    data, lines = bytearray(cram.read_bytes()), gzip.decompress(index.read_bytes()).splitlines(keepends=True)
    match defect:
        case "no end":
            del data[-CRAM_END:]
        case "a flipped bit":
            data[-CRAM_END - 60] ^= 1
        case _:
            index.write_bytes(
                {"no index": b"", "a damaged index": bytes(range(96))}.get(defect, gzip.compress(lines[0]))
            )
    cram.write_bytes(data)
    with pytest.raises(JobError, match=CRAM_DEFECTS[defect]):
        alignment.publish(cram_work, cram)
    assert s3.store().find(cram_work.args.bam) is None


def test_a_sound_cram_of_two_slices_is_published(cram_work: Workspace) -> None:
    """The planted defects above are of this file."""
    cram = write_cram(cram_work, sam_of_pairs(cram_work))
    cram_work.counts |= {"reads": 8, "bases": 400}
    alignment.publish(cram_work, cram)
    assert s3.store().find(cram_work.args.bam)


def test_a_cram_of_other_contigs_than_the_reference_is_not_published(cram_work: Workspace) -> None:
    cram = write_cram(cram_work, sam_of_pairs(cram_work).replace("\tM5:", "\tM5:f"))
    cram_work.counts |= {"reads": 8, "bases": 400}
    with pytest.raises(JobError, match=f"the contigs in the CRAM are not those of the reference: {CONTIG} has MD5 f"):
        alignment.publish(cram_work, cram)
    assert s3.store().find(cram_work.args.bam) is None


def test_a_lost_read_is_missed_in_a_cram(cram_work: Workspace) -> None:
    with pytest.raises(JobError, match="10 reads went in but 8 came out"):
        alignment.sort_and_publish(cram_work, feed_of(cram_work, sam_of_pairs(cram_work), 10), mark_duplicates=True)
    assert s3.store().find(cram_work.args.bam) is None


def test_no_tool_asks_a_server_for_the_reference_of_a_cram(cram_work: Workspace) -> None:
    """Without the genome in the directory of the job, reading ends at once: htslib looks nowhere else."""
    cram = write_cram(cram_work, sam_of_pairs(cram_work))
    renamed = cram_work / "other.cram"
    cram_work.run("samtools", "view", "-h", "--no-PG", "-C", "-O", "cram,version=3.0", "-o", renamed, cram)
    (cram_work / "genome.fa").unlink()
    with pytest.raises(ToolError, match="samtools"):
        cram_work.processes.output("samtools", "view", renamed)
    environment = cram_work.processes.output("env").splitlines()
    assert {f"REF_PATH={cram_work.directory}", "REF_CACHE="} <= set(environment)
