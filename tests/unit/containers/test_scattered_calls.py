"""Calling by the children of an array job: the same bytes as in one job, and no part that is not of this run."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import pytest
from seqdrop.jobs import file_ranges, partial_reads, regions
from seqdrop.jobs.file_ranges import BamIndex, Range, Span
from seqdrop.jobs.workspace import Workspace
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from support.job_runs import in_this_process
from support.made_reads import bases
from support.stored_run import StoredRun

from containers.bcftools import run as bcftools
from containers.strelka import run as strelka

CONTIGS = {"chr1": 40_000, "HLA-A*01:01": 400, "chr2": 20_000, "unread": 3_000}
READ, DEPTH = 100, 8
RESULTS = [f"NA12878.{name}" for name in ("vcf.gz", "vcf.gz.tbi", "vcf.gz.stats", "vcf.gz.all.stats", "g.vcf.gz")]
TARGETS = "chr1\t150\t9000\nchr1\t12000\t12500\nHLA-A*01:01\t0\t100\nchr2\t4000\t19990\n"
PARTS = 3


@pytest.fixture
def run(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredRun:
    """Return a run whose genome has 4 pieces, and whose BAM has blocks that no other part needs."""
    in_this_process(monkeypatch, tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.setattr(regions, "MIN_PIECE_SIZE", 20_000)
    monkeypatch.setattr(file_ranges, "MAX_GAP", 0)
    monkeypatch.setattr(partial_reads, "REQUEST_SIZE", 50_000)
    stored = StoredRun(bucket, tmp_path)
    stored.put_genome(genome())
    return stored


def genome() -> dict[str, str]:
    return {name: bases(length, seed=length) for name, length in CONTIGS.items()}


def reads() -> str:
    """Return the lines of sorted reads with a variant every 500 bases, and reads without a place at the end."""
    rng, lines = random.Random(7), []  # noqa: S311
    for name, reference in genome().items():
        sample = list(reference)
        for at in range(250, len(sample), 500):
            sample[at] = "A" if reference[at] == "C" else "C"
        text = "".join(sample)
        number = 0 if name == "unread" else len(text) * DEPTH // READ
        starts = sorted(rng.randrange(len(text) - READ + 1) for _ in range(number))
        for start in starts:
            qualities = "".join(rng.choices("#,:F", k=READ))  # so that a block has few reads
            place = f"{name}\t{start + 1}\t60\t{READ}M"
            lines.append(f"r{len(lines)}\t0\t{place}\t*\t0\t0\t{text[start : start + READ]}\t{qualities}\tRG:Z:1\n")
    unplaced = f"u\t4\t*\t0\t0\t*\t*\t0\t0\t{bases(READ, 1)}\t{'F' * READ}\tRG:Z:1\n"
    return "".join([*lines, unplaced])


def put_reads(run: StoredRun, form: str) -> S3Uri:
    bam = run.put_bam(CONTIGS, reads())
    return bam if form == "bam" else run.put_cram("seqs_per_slice=300")


def call(
    run: StoredRun, uri: S3Uri, index: int | None = None, parts: int = PARTS, bed: str = "", caller: Any = bcftools
) -> int:
    """Run a child of the array job, or the job that gathers the parts; return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        if index is not None:
            patch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", str(index))
        try:
            run.call(caller, uri, bed, parts=parts)
        except SystemExit as exited:
            return int(exited.code or 0)
    return 0


def call_parts(run: StoredRun, uri: S3Uri, parts: int = PARTS, bed: str = "", caller: Any = bcftools) -> None:
    assert [call(run, uri, index, parts, bed, caller) for index in range(parts)] == [0] * parts


def receipt(run: StoredRun, name: str) -> dict[str, Any]:
    found: dict[str, Any] = s3.store().read_json(run.results / f"jobs/{name}.json")
    return found


def results(run: StoredRun) -> dict[str, bytes]:
    return {name: s3.store().read_start(run.results / name, 1 << 24) for name in RESULTS}


def delete(run: StoredRun, name: str, version: str = "") -> None:
    """Delete an object as a user does, or a version of it as the lifecycle does."""
    chosen = {"VersionId": version} if version else {}
    s3.store().client.delete_object(Bucket=run.results.bucket, Key=f"{run.results.key}/{name}", **chosen)


@pytest.mark.parametrize("caller", [bcftools], ids=["bcftools"])
@pytest.mark.parametrize(("form", "bed"), [("bam", ""), ("cram", ""), ("bam", TARGETS)])
def test_parts_of_the_genome_have_the_same_bytes_as_the_whole(
    run: StoredRun, monkeypatch: pytest.MonkeyPatch, form: str, bed: str, caller: Any
) -> None:
    """The genome has 8 pieces here, and the targets have 6."""
    monkeypatch.setattr(regions, "MIN_PIECE_SIZE", 9_000)
    monkeypatch.setattr(regions, "MIN_PIECE_SIZE_OF_TARGETS", 5_000)
    uri, fetched, download = put_reads(run, form), list[int](), partial_reads.download
    monkeypatch.setattr(
        partial_reads, "download", lambda *arguments: fetched.append(download(*arguments)) or fetched[-1]
    )
    assert call(run, uri, parts=1, bed=bed, caller=caller) == 0
    whole, counts, warnings = results(run), receipt(run, "call")["counts"], receipt(run, "call")["warnings"]
    delete(run, "jobs/call.json")
    call_parts(run, uri, bed=bed, caller=caller)
    assert call(run, uri, bed=bed, caller=caller) == 0
    assert results(run) == whole
    assert (receipt(run, "call")["counts"], receipt(run, "call")["warnings"]) == (counts, warnings)
    assert counts["variants"] > 40
    assert len(fetched) == PARTS
    assert sum(fetched) < PARTS * s3.store().head(uri).size


def test_more_parts_than_pieces_have_the_same_bytes_too(run: StoredRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "MIN_PIECE_SIZE", 30_000)
    uri = put_reads(run, "bam")
    assert call(run, uri, parts=1) == 0
    whole = results(run)
    delete(run, "jobs/call.json")
    call_parts(run, uri, parts=5)
    assert [len(receipt(run, f"scatter.{index}")["outputs"]) for index in range(5)].count(0) >= 1
    assert call(run, uri, parts=5) == 0
    assert results(run) == whole


def test_a_part_is_tagged_for_the_lifecycle_and_its_receipt_says_what_it_is(run: StoredRun) -> None:
    uri = put_reads(run, "bam")
    assert call(run, uri, 1) == 0
    part, key = receipt(run, "scatter.1"), f"{run.results.key}/jobs/scatter.1.bcf"
    tags = s3.store().client.get_object_tagging(Bucket=run.results.bucket, Key=key)["TagSet"]
    assert tags == [{"Key": "seqdrop", "Value": "intermediate"}]
    assert [output["uri"] for output in part["outputs"]] == [f"s3://{run.results.bucket}/{key}"]
    assert (part["part"]["index"], part["part"]["parts"], part["part"]["reads"]) == (
        1,
        PARTS,
        s3.store().head(uri).etag,
    )
    assert part["counts"]["records"] > 0


def test_the_scratch_of_a_child_has_the_bytes_that_it_fetched_and_the_reads_of_its_part(
    run: StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, download, fetch = put_reads(run, "bam"), partial_reads.download, partial_reads.fetch
    sizes, measured = list[int](), list[int]()

    def size_of(path: Path) -> int:
        return path.stat().st_blocks * 512

    def downloaded(stored: Any, path: Path, ranges: list[Range]) -> int:
        done = download(stored, path, ranges)
        sizes.append(size_of(path))
        return done

    def fetched(work: Workspace, *arguments: Any) -> Path:
        part = fetch(work, *arguments)
        sizes.append(size_of(part))
        measured.append(work.usage.scratch)
        return part

    monkeypatch.setattr(partial_reads, "download", downloaded)
    monkeypatch.setattr(partial_reads, "fetch", fetched)
    assert call(run, uri, 1) == 0
    assert len(sizes) == 2, "the fetched bytes, and the reads of the part"
    assert measured[0] >= sum(sizes) > 0


def edit(run: StoredRun, **changes: Any) -> None:
    """Change what the receipt of the second part has, or says about the part."""
    document = receipt(run, "scatter.1")
    for word, value in changes.items():
        place = document if word in document else document["part"]
        place[word] = value
    s3.store().write_json(run.results / "jobs/scatter.1.json", document)


NOT_NOW = "part 2 of 3 of the genome was called with other inputs than this job has: "
WRONG_PARTS: list[tuple[dict[str, Any], str]] = [
    ({"outputs": []}, f"{NOT_NOW}files"),
    ({"parts": 2}, f"{NOT_NOW}parts"),
    ({"index": 0}, f"{NOT_NOW}index"),
    ({"regions_sha256": "0"}, f"{NOT_NOW}regions_sha256"),
    ({"reads": "0"}, f"{NOT_NOW}reads"),
    ({"args": ["--min-mq", "20"]}, f"{NOT_NOW}args"),
    ({"bcftools": "1.9"}, f"{NOT_NOW}bcftools"),
    ({"part": {}, "version": 1_000}, "part 2 of 3 of the genome is from another version of seqdrop"),
    (
        {"part": {"seqdrop": "0"}},
        f"{NOT_NOW}index, parts, pieces, regions_sha256, reads, args, bcftools, seqdrop, image",
    ),
    ({"counts": {"records": 1}}, "came out of bcftools concat"),
]


def refusal(run: StoredRun, uri: S3Uri, exit_code: int = 70) -> tuple[str, str]:
    """Return class and message with which the parts are refused; nothing is published."""
    assert call(run, uri) == exit_code
    assert not [name for name in s3.store().list_names(run.results) if name.startswith(("NA12878.vcf", "NA12878.g"))]
    verdict = s3.store().read_json(run.results / "failures/call.1.1.json")
    return verdict["class"], verdict["message"]


def test_a_part_that_is_missing_or_not_of_this_run_is_refused(run: StoredRun) -> None:
    uri = put_reads(run, "bam")
    call_parts(run, uri)
    right = receipt(run, "scatter.1")
    for changes, message in WRONG_PARTS:
        edit(run, **changes)
        failure_class, found = refusal(run, uri)
        assert message in found
        assert failure_class == ("TOOL_FAILED" if "counts" in changes else "RESULTS_CHANGED")
        s3.store().write_json(run.results / "jobs/scatter.1.json", right)
    delete(run, "jobs/scatter.1.json")
    assert refusal(run, uri) == ("RESULTS_CHANGED", "part 2 of 3 of the genome is missing: it has no receipt")


def test_the_file_of_a_part_that_is_gone_is_no_fault_of_the_reads(run: StoredRun) -> None:
    uri = put_reads(run, "bam")
    call_parts(run, uri)
    version = receipt(run, "scatter.1")["outputs"][0]["version_id"]
    delete(run, "jobs/scatter.1.bcf", version)
    failure_class, message = refusal(run, uri, exit_code=65)
    assert failure_class == "RESULTS_CHANGED"
    assert "a result of this run was deleted before the run ended" in message
    assert call(run, uri, 1) == call(run, uri) == 0


def test_a_repeated_array_job_calls_only_those_parts_again_that_would_be_refused(run: StoredRun) -> None:
    uri = put_reads(run, "bam")
    call_parts(run, uri)
    first = [receipt(run, f"scatter.{index}") for index in range(PARTS)]
    edit(run, args=["--min-mq", "20"])
    s3.store().write(run.results / "jobs/scatter.2.bcf", b"of another part")
    assert call(run, uri) == 70
    call_parts(run, uri)
    second = [receipt(run, f"scatter.{index}") for index in range(PARTS)]
    assert [one == two for one, two in zip(first, second, strict=True)] == [True, False, False]
    assert call(run, uri) == 0


def test_parts_of_reads_that_were_replaced_are_refused_and_called_again(
    run: StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it happens while a child reads them: its part is of the reads that it has begun with."""
    uri, download = put_reads(run, "bam"), partial_reads.download

    def replaced(stored: Any, path: Path, ranges: list[Range]) -> int:
        run.put_bam(CONTIGS, reads().replace("\tRG:Z:1", ""))
        return download(stored, path, ranges)

    assert call(run, uri, 0) == call(run, uri, 2) == 0
    with monkeypatch.context() as patch:
        patch.setattr(partial_reads, "download", replaced)
        assert call(run, uri, 1) == 0
    assert refusal(run, uri) == (
        "RESULTS_CHANGED",
        "part 1 of 3 of the genome was called with other inputs than this job has: reads",
    )
    call_parts(run, uri)
    assert call(run, uri) == 0


def test_parts_that_the_lifecycle_deletes_after_they_were_gathered_are_not_called_again(run: StoredRun) -> None:
    uri = put_reads(run, "bam")
    call_parts(run, uri)
    assert call(run, uri) == 0
    delete(run, "jobs/scatter.1.bcf")
    call_parts(run, uri)
    assert s3.store().find(run.results / "jobs/scatter.1.bcf") is None
    delete(run, "jobs/call.json")
    call_parts(run, uri)
    assert s3.store().find(run.results / "jobs/scatter.1.bcf")


def test_bytes_of_the_reads_that_are_missing_are_an_error(run: StoredRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """bcftools mpileup would end there without an error, and the variants behind would be lost."""
    uri = put_reads(run, "bam")
    ranges = BamIndex.ranges

    def without_some(index: BamIndex, spans: list[Span]) -> list[Range]:
        found = ranges(index, spans)
        middle = max(found, key=lambda one: one.end - one.start)
        half = (middle.start + middle.end) // 2
        rest = [Range(middle.start, half), Range(half + 30_000, middle.end)]
        return sorted([*(one for one in found if one != middle), *rest])

    monkeypatch.setattr(BamIndex, "ranges", without_some)
    assert call(run, uri, 1) == 70
    verdict = s3.store().read_json(run.results / "failures/scatter.1.1.1.json")
    assert verdict["class"] == "TOOL_FAILED"
    assert "samtools" in verdict["message"]


@pytest.mark.parametrize("index", [None, 1])
def test_strelka_refuses_parts(run: StoredRun, index: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if index is not None:
        monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", str(index))
    with pytest.raises(SystemExit) as exited:
        run.call(strelka, run.results / "NA12878.bam", parts=2)
    assert exited.value.code == 64
