"""The bytes of a BAM or CRAM that have the reads of parts of the genome: samtools finds the same reads in them."""

from __future__ import annotations

import gzip
import random
import subprocess
from pathlib import Path

import pytest
from seqdrop.jobs import file_ranges
from seqdrop.jobs.file_ranges import BamIndex, CramIndex, Range, Span
from support.made_reads import bases, write_genome

# Small contigs share slices of a CRAM; the last one and the third one have no reads.
CONTIGS = {"big": 300_000, "one": 700, "unread": 500, "two": 900, "three": 40_000, "end": 100}
READS = {"big": 9_000, "one": 40, "two": 50, "three": 2_000}
READ = 150
NAMES = list(CONTIGS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the same reads as BAM and as CRAM, some of them without a place, and a file without any."""
    folder, rng = tmp_path_factory.mktemp("ranges"), random.Random(3)  # noqa: S311
    genome = {name: bases(length, seed=length) for name, length in CONTIGS.items()}
    write_genome(folder / "genome.fa", genome)
    subprocess.run(["samtools", "faidx", "genome.fa"], cwd=folder, check=True)
    lines = [f"@SQ\tSN:{name}\tLN:{length}\n" for name, length in CONTIGS.items()]
    subprocess.run(
        ["samtools", "view", "-b", "-o", "none.bam", "-"], input="".join(lines).encode(), cwd=folder, check=True
    )
    for name, number in READS.items():
        starts = (rng.randrange(CONTIGS[name] - READ + 1) for _ in range(number))
        for start in sorted(int(start**1.2 % (CONTIGS[name] - READ + 1)) for start in starts):  # not evenly
            qualities = "".join(rng.choices("#,:F", k=READ))
            lines.append(
                f"r\t0\t{name}\t{start + 1}\t9\t{READ}M\t*\t0\t0\t{genome[name][start : start + READ]}\t{qualities}\n"
            )
    lines += [f"u\t4\t*\t0\t0\t*\t*\t0\t0\t{bases(READ, number)}\t{'F' * READ}\n" for number in range(300)]
    sam = "".join(lines).encode()
    cram = ["-C", "-T", "genome.fa", "--output-fmt-option", "seqs_per_slice=100", "--output-fmt-option", "version=3.0"]
    for options, name in ((["-b"], "reads.bam"), (cram, "reads.cram")):
        subprocess.run(["samtools", "view", *options, "-o", name, "-"], input=sam, cwd=folder, check=True)
        subprocess.run(["samtools", "index", name], cwd=folder, check=True)
    subprocess.run(["samtools", "index", "none.bam"], cwd=folder, check=True)
    return folder


def ranges_of(file: Path, spans: list[Span]) -> list[Range]:
    size = file.stat().st_size
    if file.suffix == ".bam":
        return BamIndex(Path(f"{file}.bai").read_bytes(), size).ranges(spans)
    return CramIndex(gzip.decompress(Path(f"{file}.crai").read_bytes()).decode(), size).ranges(spans)


def take(file: Path, ranges: list[Range]) -> Path:
    """Return a copy with these bytes alone, the others 0."""
    data, copy = file.read_bytes(), file.with_name(f"part{file.suffix}")
    with copy.open("wb") as target:
        target.truncate(len(data))
        for start, end in ranges:
            target.seek(start)
            target.write(data[start:end])
    index = next(file.parent.glob(f"{file.name}.?*ai"))
    copy.with_name(f"{copy.name}{index.suffix}").write_bytes(index.read_bytes())
    return copy


def find(file: Path, spans: list[Span]) -> str:
    """Return the reads that overlap the spans; raise CalledProcessError if a place has no bytes."""
    bed = file.parent / "spans.bed"
    bed.write_text("".join(f"{NAMES[contig]}\t{start}\t{end}\n" for contig, start, end in spans))
    command = ["samtools", "view", "--no-PG", "-T", "genome.fa", "-M", "-L", bed, file.name]
    return subprocess.run(command, cwd=file.parent, capture_output=True, text=True, check=True).stdout


def random_spans(seed: int) -> list[Span]:
    """Return up to four spans in order, short or long, also where there are no reads."""
    rng, spans = random.Random(seed), set[Span]()  # noqa: S311
    for _ in range(rng.randint(1, 4)):
        contig = rng.choice([0, 0, 0, *range(len(NAMES))])
        length = CONTIGS[NAMES[contig]]
        start = rng.randrange(length)
        spans.add(Span(contig, start, min(length, start + rng.choice([1, 50, 5_000, 40_000, length]))))
    return sorted(spans)


@pytest.mark.parametrize("name", ["reads.bam", "reads.cram"])
def test_the_ranges_have_all_reads_of_the_spans(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_ranges, "MAX_GAP", 0)
    file, found, shares = folder / name, 0, list[float]()
    for seed in range(25):
        spans = random_spans(seed)
        ranges = ranges_of(file, spans)
        whole = find(file, spans)
        assert find(take(file, ranges), spans) == whole, spans
        found += bool(whole)
        shares.append(sum(end - start for start, end in ranges) / file.stat().st_size)
    assert found > 15
    assert min(shares) < 0.5


@pytest.mark.parametrize("name", ["reads.bam", "reads.cram"])
def test_samtools_fails_at_a_place_that_has_no_bytes(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes it safe to read a part: a range that is too short is an error, not a loss of reads."""
    monkeypatch.setattr(file_ranges, "MAX_GAP", 0)
    file, spans = folder / name, [Span(0, 100_000, 200_000)]
    middle = max(ranges_of(file, spans), key=lambda one: one.end - one.start)
    half = (middle.start + middle.end) // 2
    hole = [Range(middle.start, half), Range(half + 5_000, middle.end)]
    others = [one for one in ranges_of(file, spans) if one != middle]
    with pytest.raises(subprocess.CalledProcessError):
        find(take(file, [*others, *hole]), spans)


def test_a_file_without_reads_that_have_a_place_is_read_whole(folder: Path) -> None:
    file = folder / "none.bam"
    assert ranges_of(file, [Span(0, 0, 100)]) == [Range(0, file.stat().st_size)]
    assert CramIndex("", 50_000).ranges([Span(0, 0, 100)]) == [Range(0, 50_000)]


def test_a_part_of_a_cram_has_no_more_than_the_containers_with_reads_of_the_span() -> None:
    crai = "".join(f"0\t{first}\t100\t{place}\t9\t99\n" for first, place in ((101, 10), (301, 20), (501, 30)))
    index = CramIndex(f"{crai}1\t1\t50\t30\t9\t99\n", 40)
    assert index.part(Span(0, 399, 500)) == [Range(20, 30)]
    assert index.part(Span(0, 200, 300)) == index.part(Span(2, 0, 9)) == []
    assert index.bases(Span(0, 399, 400)) == [Span(0, 300, 400)]
    assert index.bases(Span(1, 0, 1)) == [Span(0, 0, file_ranges.NO_END), Span(1, 0, file_ranges.NO_END)]


def test_ranges_are_joined_over_short_gaps_and_cut_into_requests() -> None:
    near, far = file_ranges.MAX_GAP, file_ranges.MAX_GAP + 1
    ranges = [Range(10 + far, 20 + far), Range(-5, 10), Range(5 + near, 6 + near)]
    assert file_ranges.merge(ranges, 15 + far, near) == [Range(0, 15 + far)]
    assert file_ranges.merge([Range(0, 10), Range(10 + far, 10**9)], 30 + far, near) == [
        Range(0, 10),
        Range(10 + far, 30 + far),
    ]
    assert list(file_ranges.cut([Range(0, 25), Range(30, 31)], 10)) == [(0, 10), (10, 20), (20, 25), (30, 31)]
