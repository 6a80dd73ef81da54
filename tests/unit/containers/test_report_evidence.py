"""The reads at variants: those that samtools finds in the whole file, read from parts of a BAM and of a CRAM."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from seqdrop.jobs import file_ranges, partial_reads
from seqdrop.jobs.file_ranges import Span
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from containers.report import aligned as aligned_module
from containers.report import sample
from containers.report.aligned import Aligned, Contig, read_fai
from containers.report.sample import Place

LENGTHS = {"a": 60_000, "b": 60_000, "empty": 60_000}


@pytest.fixture(scope="module")
def bam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a BAM of two contigs with reads of every kind and of many blocks, beside its genome."""
    folder, random_ = tmp_path_factory.mktemp("bam"), random.Random(14)  # noqa: S311  made reads
    genome = {name: "".join(random_.choices("ACGT", k=length)) for name, length in LENGTHS.items()}
    with (folder / "genome.fa").open("w") as file:
        for name, bases in genome.items():
            file.write(f">{name}\n" + "".join(f"{bases[at : at + 70]}\n" for at in range(0, len(bases), 70)))
    subprocess.run(["samtools", "faidx", folder / "genome.fa"], check=True)
    rows = [f"@SQ\tSN:{name}\tLN:{length}" for name, length in LENGTHS.items()]
    for number in range(6_000):
        flag = random_.choice([0, 0, 16, 16, 99, 147, 4, 256, 512, 1024, 2048])
        cigar = random_.choice(["50M", "5S45M", "20M3D30M", "20M4I26M", "10M500N40M"])
        bases = "".join(random_.choices("ACGTN", k=50))
        start, contig = random_.randrange(20_000, 50_000), random_.choice("ab")
        cigar = "*" if flag == 4 else cigar
        rows.append(f"r{number}\t{flag}\t{contig}\t{start}\t40\t{cigar}\t*\t0\t0\t{bases}\t{'5' * 50}")
    (folder / "r.sam").write_text("\n".join(rows) + "\n")
    path = folder / "r.bam"
    subprocess.run(["samtools", "sort", "--no-PG", "-o", path, folder / "r.sam"], check=True, stderr=subprocess.DEVNULL)
    return path


def convert(bam: Path, form: str, folder: Path) -> Path:
    """Return the reads as a file of this format, with options of samtools after a comma, with its index."""
    path = folder / f"whole.{form.partition(',')[0]}"
    command = ["samtools", "view", "--no-PG", "-O", form, "-T", bam.with_name("genome.fa"), "-o", path, bam]
    subprocess.run([str(word) for word in command], check=True)
    subprocess.run(["samtools", "index", path], check=True)
    return path


def store(bucket: str, whole: Path, genome: Path, folder: Path) -> Aligned:
    """Return the reads in S3 with their indexes and empty places for the copies."""
    uri, source = S3Uri(bucket, whole.name), S3Uri(bucket, "genome.fa")
    s3.store().write(uri, whole.read_bytes())
    s3.store().write(source, genome.read_bytes())
    (folder / "genome.fa.fai").write_bytes(Path(f"{genome}.fai").read_bytes())
    [index] = whole.parent.glob(f"{whole.name}.*")
    copy = folder / f"copy{whole.suffix}"
    copy.with_name(f"{copy.name}{index.suffix}").write_bytes(index.read_bytes())
    stored, stored_genome = (s3.store().head(one) for one in (uri, source))
    found = partial_reads.open_index(index, stored.size)
    fai = read_fai(Path(f"{genome}.fai"))
    return Aligned(stored, found, copy, stored_genome, folder / "genome.fa", list(LENGTHS), fai)


def view(path: Path, genome: Path, region: Span) -> str:
    place = f"{list(LENGTHS)[region.contig]}:{region.start + 1}-{region.end}"
    command = ["samtools", "view", "--no-PG", "-T", str(genome), str(path), place]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.mark.parametrize(
    "form",
    [
        "bam",
        "cram,seqs_per_slice=300",
        "cram,seqs_per_slice=2000",  # a container has half of a contig: htslib reads the whole contig
        "cram,seqs_per_slice=300,multi_seq_per_slice=1",
        "cram,seqs_per_slice=10000,multi_seq_per_slice=1",  # a container has several contigs
    ],
)
def test_the_reads_of_a_region_are_those_of_the_whole_file(
    bucket: str, bam: Path, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_ranges, "MAX_GAP", 0)
    if "multi_seq" not in form:
        monkeypatch.setattr(aligned_module, "SMALL_CONTIG", 0)
    whole, genome = convert(bam, form, tmp_path), bam.with_name("genome.fa")
    folder = tmp_path / "job"
    folder.mkdir()
    aligned, total = store(bucket, whole, genome, folder), 0
    for contig in range(3):
        for start in (0, 19_990, 32_766, 32_767, 32_768, 40_000, 49_999, 50_500, 59_900):
            region = Span(contig, start, start + 60)
            if not aligned.index.part(region):
                assert view(whole, genome, region) == ""
                continue
            aligned.copy_reads([region])
            bases = aligned.bases(region)
            aligned.copy_genome([region, *bases])
            found = view(aligned.reads, aligned.genome, region)
            assert found == view(whole, genome, region)
            total += len(found.splitlines())
            assert f">{list(LENGTHS)[contig]}:" in aligned.fasta([region, *bases])
    assert total > 50
    read = aligned.size_of(Span(0, 40_000, 40_060))
    assert 0 < read < whole.stat().st_size + genome.stat().st_size


def test_pieces_of_the_reference_that_overlap_are_one(bucket: str, bam: Path, tmp_path: Path) -> None:
    whole, genome = convert(bam, "bam", tmp_path), bam.with_name("genome.fa")
    folder = tmp_path / "job"
    folder.mkdir()
    aligned = store(bucket, whole, genome, folder)
    regions = [aligned.region("a", -5, 100), aligned.region("a", 90, 160), aligned.region("b", 59_990, 70_000)]
    aligned.copy_genome(regions)
    heads = [line for line in aligned.fasta(regions).splitlines() if line.startswith(">")]
    assert heads == [">a:1-160 @len=60000", ">b:59991-60000 @len=60000"]
    expected = subprocess.run(["samtools", "faidx", genome, "a:1-160"], check=True, capture_output=True, text=True)
    assert aligned.fasta(regions).splitlines()[1] == "".join(expected.stdout.splitlines()[1:])
    starts = (59_990, 59_995, 60_000, 70_000)
    assert [len(aligned.read_bases("b", start, start + 9)) for start in starts] == [9, 5, 0, 0]


def test_a_base_has_its_place_in_a_fasta() -> None:
    contig = Contig(length=25, offset=3, bases=10, width=11)
    assert contig.part(0, 25) == (3, 3 + 25 + 2)
    assert contig.part(10, 11) == (3 + 11, 3 + 12)
    assert contig.part(20, 90) == (3 + 22, 3 + 27)


def line(name: str, contig: str, position: int, cigar: str = "50M", mate: str = "=") -> str:
    return f"{name}\t0\t{contig}\t{position}\t60\t{cigar}\t{mate}\t0\t0\t*\t*\n"


def test_of_many_reads_a_sample_is_kept_with_its_mates_and_all_are_counted() -> None:
    header = ["@HD\tVN:1.6\n", *(f"@SQ\tSN:{name}\tLN:900\tUR:/x\n" for name in "abcd"), "@PG\tID:x\n"]
    deep = [line(f"r{number % 400}", "b", 100 + number // 100) for number in range(800)]
    sam = [*header, line("before", "b", 40), *deep, line("deleted", "c", 1, "10M300D10M", "a"), line("after", "c", 700)]
    places = [Place("c", 200, 210), Place("b", 120, 130), Place("b", 105, 121), Place("a", 5, 10)]
    found = sample.select(sam, places)
    assert found.totals == [1, 800, 800, 0]
    kept = [row.split("\t")[0] for row in found.lines if not row.startswith("@")]
    assert len(kept) == sample.MAX_READS + 1
    assert all(kept.count(name) == 2 for name in set(kept) - {"deleted"})
    assert [row for row in found.lines if row in sam] == [row for row in sam if row in found.lines]
    assert found.lines[:4] == ["@HD\tVN:1.6\n", "@SQ\tSN:a\tLN:900\n", "@SQ\tSN:b\tLN:900\n", "@SQ\tSN:c\tLN:900\n"]
    assert sample.describe(800) == "150 of the 800 reads around this variant are shown, chosen by their names."


def test_a_read_has_no_characters_that_are_html_but_in_its_qualities() -> None:
    """IGV writes the name and the tags of a read into the page as HTML."""
    header = ["@HD\tVN:1.6\n", "@SQ\tSN:a\tLN:900\n", "@RG\tID:<b>\tSM:<b>\n"]
    mates = [line("<a/href='x'>&`\"", "a", at).replace("\t*\t*\n", "\tACGTAC\t<>\"'&`\tRG:Z:<b>\n") for at in (5, 90)]
    found = sample.select([*header, *mates], [Place("a", 0, 100)])
    assert found.lines[:2] == header[:2]
    rows = [row.split("\t") for row in found.lines[2:]]
    assert [(row[0], row[10], row[11]) for row in rows] == [("_a/href=_x_____", "<>\"'&`", "RG:Z:_b_\n")] * 2
