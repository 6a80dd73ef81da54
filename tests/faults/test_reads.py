"""Invalid reads"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq.one_file import Interleaved, Single
from seqdrop.fastq.pairs import Pairs
from seqdrop.runs import precheck
from seqdrop_cli.stack import Stack
from support.catalogue import case, more
from support.function_aws import Deployed
from support.job_runs import PUBLISH, Batch
from support.made_reads import (
    Record,
    bgzf,
    edit_read,
    flip_byte,
    read_records,
    records,
    text,
    to_bam,
    to_gzip,
    write_pair,
)
from support.pipeline_runs import Sample, fetch_json, run_pair

COUNT = 60
ONE, TWO = records(1, COUNT), records(2, COUNT)
VALID_1, VALID_2 = to_gzip(text(ONE)), to_gzip(text(TWO))
PHRED64 = to_gzip(text([(head, seq, "h" * len(seq)) for head, seq, _ in ONE]))
ENDS = (
    "If the first reads show the error, refuses the pair before an instance starts. Otherwise ends the alignment "
    "before anything is published. Does not retry."
)
FIRST = "Checks the first reads of both files and refuses the pair before an instance starts."
ORIGINALS = "Upload the original files from the sequencer."
MAX_MEMORY = 160  # MiB of a checker for any file: Python and some batches; the files of these tests are larger


def check(folder: Path, one: bytes, two: bytes) -> tuple[str, str]:
    """Check an invalid pair; return the failure class and the message."""
    with pytest.raises(BadInputError) as raised:
        for _ in Pairs(*write_pair(folder, one, two)).batches():
            pass
    return raised.value.failure_class, str(raised.value)


@case(
    happens="A FASTQ is truncated by an incomplete copy or upload.",
    see="`BAD_INPUT.TRUNCATED`, and the file.",
    does=ENDS,
    do=ORIGINALS,
)
@pytest.mark.parametrize("kept", [len(VALID_2) // 2, len(VALID_2) - 1, len(VALID_2) - 8])
def test_a_truncated_gzip_file_is_refused(tmp_path: Path, kept: int) -> None:
    message = "lane1_R2.fastq.gz is truncated: its gzip data has no end"
    assert check(tmp_path, VALID_1, VALID_2[:kept]) == ("BAD_INPUT.TRUNCATED", message)


@case(
    happens="A FASTQ ends in the middle of a read, in a valid gzip file.",
    see="`BAD_INPUT.TRUNCATED`, and the number of the read.",
    does=ENDS,
    do="Find the processing step that truncated the file, then upload the complete file.",
)
def test_a_file_with_a_truncated_last_read_is_refused(tmp_path: Path) -> None:
    message = f"lane1_R1.fastq.gz ends in the middle of read {COUNT}"
    assert check(tmp_path, to_gzip(text(ONE)[:-40]), VALID_2) == ("BAD_INPUT.TRUNCATED", message)


@case(
    happens="A byte of a FASTQ changed on a disk or during a transfer.",
    see="`BAD_INPUT.CORRUPT_GZIP`, and the position of the damage in bytes.",
    does=ENDS,
    do=ORIGINALS,
)
@pytest.mark.parametrize("place", [200, len(VALID_1) // 2, len(VALID_1) - 6])
def test_a_file_with_a_flipped_byte_is_refused(tmp_path: Path, place: int) -> None:
    failure_class, message = check(tmp_path, flip_byte(VALID_1, place), VALID_2)
    assert failure_class in {"BAD_INPUT.CORRUPT_GZIP", "BAD_INPUT.TRUNCATED"}  # the damage can hide the end of the file
    assert "lane1_R1.fastq.gz is" in message


@case(
    happens="Extra bytes follow the end of the gzip data. (Zeros are accepted: tapes and disks add them.)",
    see="`BAD_INPUT.CORRUPT_GZIP`, and the number of bytes.",
    does=ENDS,
    do="Check the program that wrote the file: reads may be missing.",
)
def test_extra_bytes_after_the_gzip_data_are_refused(tmp_path: Path) -> None:
    message = "lane1_R1.fastq.gz has 5 extra bytes after the end of the gzip data"
    assert check(tmp_path, VALID_1 + b"junk!", VALID_2) == ("BAD_INPUT.CORRUPT_GZIP", message)


@case(
    happens="R1 and R2 have different numbers of reads.",
    see="`BAD_INPUT.MATE_COUNT`, and both numbers.",
    does=ENDS,
    do="Upload the original files from the sequencer. If you filter or trim reads, process both files together.",
)
def test_mates_with_different_numbers_of_reads_are_refused(tmp_path: Path) -> None:
    failure_class, message = check(tmp_path, VALID_1, to_gzip(text(TWO[:-7])))
    assert failure_class == "BAD_INPUT.MATE_COUNT"
    assert message.endswith("contain different numbers of reads: 60 and 53")


@case(
    happens="R1 and R2 contain the same read pairs in a different order.",
    see="`BAD_INPUT.MATE_NAMES`, and the number of the first read with a different name.",
    does=ENDS,
    do="Sort both files by name in the same way, or upload the original files from the sequencer.",
)
def test_mates_in_a_different_order_are_refused(tmp_path: Path) -> None:
    failure_class, message = check(tmp_path, VALID_1, to_gzip(text([*TWO[:9], TWO[10], TWO[9], *TWO[11:]])))
    assert failure_class == "BAD_INPUT.MATE_NAMES"
    assert message.startswith("read 10 has different names in lane1_R1.fastq.gz")


@case(
    happens="R1 and R2 are from different samples or lanes: their reads have different names.",
    see="`BAD_INPUT.MATE_NAMES`, and the number of the first read with a different name.",
    does=FIRST,
    do="Find the two files of one pair, then upload them.",
)
def test_files_of_different_lanes_are_refused(tmp_path: Path) -> None:
    failure_class, _ = check(tmp_path, VALID_1, to_gzip(text(records(2, COUNT, lane=2))))
    assert failure_class == "BAD_INPUT.MATE_NAMES"


@case(
    happens="The same file was uploaded as R1 and as R2.",
    see="`BAD_INPUT.SAME_FILE`.",
    does=FIRST,
    do="Upload the missing file.",
)
@pytest.mark.parametrize("two", [VALID_1, bgzf(text(ONE))], ids=["a copy", "other compression"])
def test_the_same_file_as_r1_and_r2_is_refused(tmp_path: Path, two: bytes) -> None:
    assert check(tmp_path, VALID_1, two)[0] == "BAD_INPUT.SAME_FILE"


@case(
    happens="A raw R1 and its trimmed copy were uploaded as a pair.",
    see="`BAD_INPUT.SAME_FILE`, and in how many of the first pairs the bases of one read are in the other.",
    does=FIRST,
    do="Upload R1 and R2, both raw or both trimmed.",
)
def test_a_raw_and_a_trimmed_r1_are_refused(tmp_path: Path) -> None:
    trimmed = to_gzip(text([(head.replace(" 1:", " 2:"), seq[:25], qual[:25]) for head, seq, qual in ONE]))
    failure_class, message = check(tmp_path, VALID_1, trimmed)
    assert failure_class == "BAD_INPUT.SAME_FILE"
    assert "in 60 of the first 60 pairs, the bases of one read are in the other" in message


@case(
    happens="An interleaved FASTQ has the layout `single`, or a single-end one the layout `interleaved`.",
    see="`BAD_INPUT.LAYOUT`, and the two reads that show it.",
    does=ENDS,
    do="Upload the file again with the other `seqdrop-layout`.",
)
def test_a_wrong_layout_is_refused(tmp_path: Path) -> None:
    mixed = [read for pair in zip(ONE, TWO, strict=True) for read in pair]
    for kind, reads, message in ((Single, mixed, "reads 1 and 2 are a pair"), (Interleaved, ONE, "is not interleaved")):
        path = tmp_path / "lane1.fastq.gz"
        path.write_bytes(to_gzip(text(reads)))
        with pytest.raises(BadInputError, match=message) as raised:
            list(kind(path).batches())
        assert raised.value.failure_class == "BAD_INPUT.LAYOUT"


@case(
    happens="A BAM of the layout `single` or `paired` has alignments.",
    see="`BAD_INPUT.ALIGNED`, and the name of the first aligned read.",
    does=ENDS + " Without a layout, an aligned BAM is `IGNORED`.",
    do="Upload the FASTQs that it was made from, or an unaligned BAM of all reads (`samtools collate`, then "
    "`samtools reset`).",
)
def test_an_aligned_bam_is_refused() -> None:
    assert check_bam(sam("c\t1\t60\t4M", 0)) == (
        "BAD_INPUT.ALIGNED",
        "a.bam has alignments: read 1 is not an unaligned one",
    )


@case(
    happens="By their names, the reads of a single-end file are R2 of pairs.",
    see="`SUCCEEDED`, and the warning `MATE_MISSING`.",
    does="Reads them as single-end reads.",
    do="If there is an R1, upload both without a layout.",
)
def test_r2_as_a_single_end_file_causes_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "lane1.fastq.gz"
    path.write_bytes(VALID_2)
    reads = Single(path)
    assert sum(len(batch) for (batch,) in reads.batches()) == COUNT
    assert [code for code, _ in reads.warnings] == ["MATE_MISSING"]


@case(
    happens="The read groups of an unaligned BAM are of another sample than the run.",
    see="`SUCCEEDED`, and the warning `OTHER_SAMPLE` with both names.",
    does="Gives the reads the sample of the run, which is that of the file name or of the samplesheet.",
    do="Check that the file has the right name.",
)
def test_a_bam_of_another_sample_causes_a_warning(batch: Batch) -> None:
    data = sam("*\t0\t0\t*", 4, "@RG\tID:a\tSM:NA12891\n")
    body = f"""
from seqdrop.jobs import unaligned
(work / "lane1.bam").write_bytes(bytes.fromhex("{data.hex()}"))
unaligned.read_groups(work, work / "lane1.bam", "NA12878", "g", 1)
(work / "lane1.bam").unlink()
"""
    code, log = batch.run(body + PUBLISH)
    assert code == 0, log
    message = "lane1.bam names the sample 'NA12891', but the sample of this run is NA12878"
    assert batch.read("jobs/align.json")["warnings"] == [{"warning": "OTHER_SAMPLE", "message": message}]


@case(
    happens="A file with the name of a BAM or CRAM has another format, or is damaged.",
    see="`BAD_INPUT.CORRUPT_BAM`, and what samtools says.",
    does=ENDS,
    do="Copy the file again, and check it with `samtools quickcheck -u`.",
)
def test_a_file_that_is_no_bam_is_refused() -> None:
    assert check_bam(VALID_1) == ("BAD_INPUT.CORRUPT_BAM", "a.bam is neither a BAM nor a CRAM")


def sam(place: str, flag: int, header: str = "") -> bytes:
    """Return a BAM of one record with this contig, position, mapping quality and CIGAR."""
    return to_bam(f"{header}@SQ\tSN:c\tLN:9\nr\t{flag}\t{place}\t*\t0\t0\tACGT\tFFFF\n")


def check_bam(data: bytes) -> tuple[str, str]:
    with pytest.raises(BadInputError) as raised:
        precheck.layout_of_head("a.bam", data)
    return raised.value.failure_class, str(raised.value)


@case(
    happens="R1 and R2 are swapped: each has the file name of the other.",
    see="`BAD_INPUT.SWAPPED`, if the read names contain the mate number (`/1` or ` 1:N:0`).",
    does=FIRST,
    do="Rename both files, then upload them again.",
)
@pytest.mark.parametrize("header", ["casava", "slash"])
def test_swapped_mates_are_refused(tmp_path: Path, header: str) -> None:
    one, two = (to_gzip(text(records(mate, 3, header=header))) for mate in (1, 2))
    assert check(tmp_path, two, one)[0] == "BAD_INPUT.SWAPPED"


@case(
    happens="R2 and R3 were uploaded as a pair: R2 may be an index, a barcode or a UMI.",
    see="`BAD_INPUT.MATE_NAMES`, and which mates the reads of both files are.",
    does=FIRST,
    do="Upload R1 with its mate as R2: if R2 of the sequencer is an index, a barcode or a UMI, the mate is R3.",
)
@pytest.mark.parametrize("ending", ["/{}", " {}:N:0:ACGT"])
def test_r2_and_r3_are_no_pair(functions: Deployed, ending: str) -> None:
    pair = [to_gzip(text([(head.split()[0] + ending.format(mate), *rest) for head, *rest in reads]))
            for mate, reads in ((2, ONE), (3, TWO))]  # fmt: skip
    failure_class, message = upload_invalid(functions, *pair)
    assert failure_class == "BAD_INPUT.MATE_NAMES"
    assert message == "NA12878_R1.fastq.gz contains R2 reads and NA12878_R2.fastq.gz contains R3 reads: R1 is missing"
    assert functions.rows()[0]["advice"].endswith("the mate is R3.")


@case(
    happens="A FASTQ has sequences of several lines.",
    see="`BAD_INPUT.MALFORMED`, the number of the read and the command that writes each sequence on one line.",
    does=FIRST,
    do="Write each sequence on one line: `seqtk seq in.fastq.gz | gzip > out.fastq.gz`, for both mates.",
)
def test_sequences_of_several_lines_are_refused(functions: Deployed) -> None:
    wrapped = "".join(f"@{head}\n{seq[:20]}\n{seq[20:]}\n+\n{qual[:20]}\n{qual[20:]}\n" for head, seq, qual in ONE)
    failure_class, message = upload_invalid(functions, to_gzip(wrapped.encode()), VALID_2)
    assert failure_class == "BAD_INPUT.MALFORMED"
    assert message.startswith(
        "NA12878_R1.fastq.gz: read 1 has a sequence of several lines: write each on one line with"
    )


@case(
    happens="The files contain no reads: 0 bytes, or an empty gzip file.",
    see="`BAD_INPUT.EMPTY`.",
    does=FIRST,
    do="Check the sequencing run: the sample may have no reads.",
)
@pytest.mark.parametrize("empty", [b"", to_gzip(b""), bgzf(b"")], ids=["0 bytes", "gzip", "BGZF"])
def test_files_without_reads_are_refused(tmp_path: Path, empty: bytes) -> None:
    assert check(tmp_path, empty, empty)[0] == "BAD_INPUT.EMPTY"


@case(
    happens="The name of a file ends in `.gz`, but the file is neither gzip nor plain FASTQ.",
    see="`BAD_INPUT.NOT_GZIP`.",
    does=FIRST,
    do="Upload a gzip file or plain text.",
)
def test_a_file_in_another_format_is_refused(tmp_path: Path) -> None:
    assert check(tmp_path, b"PK\3\4" + bytes(99), VALID_2)[0] == "BAD_INPUT.NOT_GZIP"


@case(
    happens="The qualities are encoded as Phred+64 (sequencers before 2011).",
    see='`BAD_INPUT.MALFORMED`, with "Phred+64" in the message.',
    does=FIRST,
    do="Convert them to Phred+33 (`seqtk seq -VQ64`).",
)
def test_phred64_qualities_are_refused(tmp_path: Path) -> None:
    failure_class, message = check(tmp_path, PHRED64, VALID_2)
    assert failure_class == "BAD_INPUT.MALFORMED"
    assert "Phred+64" in message


@case(
    happens="The qualities may be encoded as Phred+64, but are possible in Phred+33 too: Q70 of consensus reads.",
    see="`SUCCEEDED`, and the warning `QUALITY_OFFSET`.",
    does="Reads the qualities as Phred+33.",
    do="Check how the qualities are encoded. If it is Phred+64, convert them (`seqtk seq -VQ64`) and run them again.",
)
def test_consensus_reads_that_may_be_phred64_are_accepted_with_a_warning(tmp_path: Path) -> None:
    """Case 08-consensus-quality: Q32 to Q70 in Phred+33."""
    letters = [chr(33 + quality) for quality in range(32, 71)]
    one = [(head, seq, "".join(letters[(n + i) % 39] for i in range(30))) for n, (head, seq, _) in enumerate(ONE)]
    pairs = Pairs(*write_pair(tmp_path, to_gzip(text(one)), VALID_2))
    assert sum(len(batch) for batch, _ in pairs.batches()) == COUNT
    assert [code for code, _ in pairs.warnings] == ["QUALITY_OFFSET"]


@case(
    happens="R2 is a UMI or a barcode: its reads are shorter than 30 bases and than a third of those of R1.",
    see="`BAD_INPUT.MATE_LENGTHS`, and both lengths. Mates of 30 bases or more that differ as much give the warning "
    "`MATE_LENGTHS` instead.",
    does=FIRST,
    do="Upload the two mates: if R2 is a UMI or a barcode, the mate is usually R3.",
)
@pytest.mark.parametrize(("long", "short"), [(150, 8), (91, 28)])
def test_a_umi_as_r2_is_refused(functions: Deployed, long: int, short: int) -> None:
    """Case 07-umi-in-r2."""
    one, two = (to_gzip(text(records(mate, COUNT, length=length))) for mate, length in ((1, long), (2, short)))
    failure_class, message = upload_invalid(functions, one, two)
    assert failure_class == "BAD_INPUT.MATE_LENGTHS"
    assert message.startswith(
        f"the reads of NA12878_R2.fastq.gz have {short} bases, those of NA12878_R1.fastq.gz {long}"
    )


@case(
    happens="The reads were downloaded with `fastq-dump --readids`: the names of the mates end with .1 and .2.",
    see="`BAD_INPUT.MATE_NAMES`, the two endings and how to remove them.",
    does=FIRST,
    do="Download the reads again without `--readids`, or remove the endings.",
)
def test_names_of_readids_are_refused_with_their_advice(functions: Deployed) -> None:
    """Case 18-readids."""
    one, two = (
        to_gzip(text([(f"SRR1.{n}.{mate} {n} length=30", seq, qual) for n, (_, seq, qual) in enumerate(reads, 1)]))
        for mate, reads in ((1, ONE), (2, TWO))
    )
    failure_class, message = upload_invalid(functions, one, two)
    assert (failure_class, "`fastq-dump --readids`" in message) == ("BAD_INPUT.MATE_NAMES", True)
    assert "without `--readids`" in functions.rows()[0]["advice"]


@case(
    happens="A read has no bases, different numbers of bases and qualities, or characters that SAM does not allow.",
    see="`BAD_INPUT.MALFORMED`, the number of the read and its error.",
    does=ENDS,
    do="Check the program that wrote the file, or upload the original files from the sequencer.",
)
@pytest.mark.parametrize(
    ("one", "message"),
    [
        (edit_read(ONE, 30, qual="F"), "read 31 has 30 bases but 1 qualities"),
        (
            edit_read(ONE, 30, seq="", qual=""),
            "read 31 has no bases: trim again with a minimum length (`cutadapt -m`, `fastp -l`), both mates together",
        ),
        (edit_read(ONE, 30, head="a\0b"), r"read 31 has '\x00' in its name, which SAM does not allow"),
        (edit_read(ONE, 30, head="@ME"), "read 31 has '@' in its name, which SAM does not allow"),
        (edit_read(ONE, 30, seq="AC\t" * 10), r"read 31 has '\t' in its sequence, which is not a base"),
    ],
)
def test_a_malformed_read_is_reported_with_its_number(tmp_path: Path, one: bytes, message: str) -> None:
    assert check(tmp_path, one, VALID_2) == ("BAD_INPUT.MALFORMED", f"lane1_R1.fastq.gz: {message}")


def upload_invalid(functions: Deployed, one: bytes, two: bytes) -> tuple[str, str]:
    """Upload a pair that start_run must refuse; return the failure class and the message."""
    functions.prepare()
    start_run = functions.load("start_run")
    for event in [functions.put("NA12878_R2.fastq.gz", two), functions.put("NA12878_R1.fastq.gz", one)]:
        assert [result["outcome"] for result in start_run.call(event)["outcomes"]] == ["refused"]
    assert functions.executions() == []
    (row,) = functions.rows()
    assert row["status"] == "FAILED"
    assert len(functions.messages()) == 1
    return row["class"], row["message"]


@more
@pytest.mark.parametrize(
    ("one", "two", "kind"),
    [
        (b"", VALID_2, "EMPTY"),
        (to_gzip(b""), to_gzip(b""), "EMPTY"),
        (bgzf(b""), VALID_2, "EMPTY"),
        (b"PK\3\4" + bytes(99), VALID_2, "NOT_GZIP"),
        (VALID_1, to_gzip(text(records(2, COUNT, lane=2))), "MATE_NAMES"),
        (VALID_2, VALID_1, "SWAPPED"),
        (*(to_gzip(text(records(mate, 3, header="slash"))) for mate in (2, 1)), "SWAPPED"),
        (VALID_1, VALID_1, "SAME_FILE"),
        (VALID_1, bgzf(text(ONE)), "SAME_FILE"),
        (PHRED64, VALID_2, "MALFORMED"),
        (edit_read(ONE, 30, qual="F"), VALID_2, "MALFORMED"),
        (edit_read(ONE, 3, head="n" * 255), VALID_2, "LIMIT"),
        (flip_byte(VALID_1, 200), VALID_2, "CORRUPT_GZIP"),
        (text(ONE)[:-40], VALID_2, "TRUNCATED"),
    ],
)
def test_an_error_in_the_first_reads_is_refused_before_an_instance_starts(
    functions: Deployed, one: bytes, two: bytes, kind: str
) -> None:
    failure_class, message = upload_invalid(functions, one, two)
    assert failure_class == f"BAD_INPUT.{kind}"
    assert "NA12878_R1.fastq.gz" in message


@case(
    happens="One file is more than ten times as large as its mate: the small file is probably incomplete.",
    see="`BAD_INPUT.MATE_COUNT`, and the ratio of the sizes.",
    does="Compares both sizes and refuses the pair before an instance starts.",
    do="Upload the smaller file again.",
)
def test_a_pair_with_very_different_sizes_is_refused_before_an_instance_starts(functions: Deployed) -> None:
    failure_class, message = upload_invalid(functions, text(ONE) * 250, text(TWO))
    assert failure_class == "BAD_INPUT.MATE_COUNT"
    assert message.startswith("NA12878_R1.fastq.gz is 250 times as large as NA12878_R2.fastq.gz")


CHECK = """
import sys
from pathlib import Path
from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq.one_file import Interleaved, Single
from seqdrop.fastq.pairs import Pairs
from seqdrop.runs import precheck
try:
    for _ in Pairs(Path(sys.argv[1]), Path(sys.argv[2])).batches():
        pass
except BadInputError as error:
    # not ru_maxrss: it includes the memory of the parent process
    [peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
    print(error.failure_class, int(peak) >> 10, error)
"""


def check_in_process(one: Path, two: Path) -> tuple[str, int, str]:
    """Check a pair in another process; return the failure class, its peak memory in MiB, and the message."""
    process = subprocess.run([sys.executable, "-c", CHECK, one, two], capture_output=True, text=True, check=True)
    failure_class, memory, message = process.stdout.split(maxsplit=2)
    return failure_class, int(memory), message


@case(
    happens="A file has a line of 300 MB.",
    see="`BAD_INPUT.LIMIT`, and the limit.",
    does="Ends the alignment. The memory of the job stays the same as for any file.",
    do="Check the program that wrote the file: it is not a FASTQ of short reads.",
)
def test_a_line_of_300_mb_is_refused_without_much_memory(tmp_path: Path) -> None:
    line = to_gzip(b"@r\n") + to_gzip(b"A" * 10_000_000) * 30
    failure_class, memory, message = check_in_process(*write_pair(tmp_path, line, VALID_2))
    assert (failure_class, message.strip()) == (
        "BAD_INPUT.LIMIT",
        "lane1_R1.fastq.gz: line 2 is longer than 1,048,576 bytes: it is not of a FASTQ of short reads",
    )  # fmt: skip
    assert memory < MAX_MEMORY, memory


@case(
    happens="A gzip bomb: a small file that expands to many gigabytes.",
    see="`BAD_INPUT.LIMIT`: the file expands to more than 200 times its size.",
    does="Ends the alignment after 256 MiB. The memory of the job stays the same as for any file.",
    do="Check where the file comes from.",
)
def test_a_gzip_bomb_is_refused_without_much_memory(tmp_path: Path) -> None:
    read = b"@r\n%b\n+\n" + b"F" * 250 + b"\n"
    one, two = (to_gzip((read % (base * 250)) * 40_000) * 15 for base in (b"A", b"C"))  # 300 MB
    failure_class, memory, message = check_in_process(*write_pair(tmp_path, one, two))
    assert failure_class == "BAD_INPUT.LIMIT"
    assert "expands to more than 200 times its compressed size" in message
    assert memory < MAX_MEMORY, memory


@case(
    happens="The file contains long reads, or a read name is longer than 254 bytes, the limit of BAM.",
    see="`BAD_INPUT.LIMIT`, and the limit.",
    does=ENDS,
    do="Long reads: use another pipeline, this one is for short paired reads. Long names: shorten them.",
)
@pytest.mark.parametrize(
    "one",
    [to_gzip((b"@r\n" + b"A" * 90_000 + b"\n+\n" + b"F" * 90_000 + b"\n") * 200), edit_read(ONE, 3, head="n" * 255)],
)
def test_long_reads_and_long_names_are_refused(tmp_path: Path, one: bytes) -> None:
    assert check(tmp_path, one, VALID_2)[0] == "BAD_INPUT.LIMIT"


def write_formats(folder: Path, one: list[Record], two: list[Record], *, newline: str = "\n") -> tuple[Path, Path]:
    """Write R1 as BGZF, and R2 as two gzip members without a final newline."""
    paths = folder / "1.gz", folder / "2.gz"
    paths[0].write_bytes(bgzf(text(one, newline), 30_000))
    half = len(two) // 2
    paths[1].write_bytes(to_gzip(text(two[:half], newline)) + to_gzip(text(two[half:], newline)[: -len(newline)]))
    return paths


@case(
    happens="FASTQs have unusual but valid formats: BGZF, several gzip members, CRLF, no final newline, `_1`/`_2`, or "
    "blanks, `+` and umlauts in the key.",
    see="`SUCCEEDED`. In the sample id, `_` replaces each blank, `+` and umlaut.",
    does="Reads all these formats completely.",
)
def test_unusual_but_valid_formats_are_read_completely(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    one, two = (read_records(path) for path in sample.small_pair)
    files = write_formats(tmp_path, one, two, newline="\r\n")
    row = run_pair(stack, files, "M_ller_7_B", key="Proben März + mehr/Müller 7+B_{mate}.fq.gz")
    assert (row["status"], row["reads"]) == ("SUCCEEDED", 2 * len(one))


@case(
    happens="Several read pairs have the same name, for example in a file that was concatenated with itself.",
    see="`SUCCEEDED`, and the warning `DUPLICATE_NAMES` in `manifest.json` with their number.",
    does="Continues the run: some tools write such names.",
    do="Check whether reads are duplicated. If so, upload files with each read once.",
)
def test_duplicate_read_names_cause_a_warning(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    mates = [read_records(path) for path in sample.small_pair]
    twice = [[*reads, (reads[0][0], *reads[1][1:])] for reads in mates]
    row = run_pair(stack, write_formats(tmp_path, twice[0], twice[1]), "TWICE")
    assert row["status"] == "SUCCEEDED"
    [warning] = fetch_json(stack, row, "jobs/align.json")["warnings"]
    assert warning["warning"] == "DUPLICATE_NAMES"
    assert warning["message"].startswith(f"1 of {len(twice[0]):,} pairs of TWICE_R1.fastq.gz")
    warnings = [entry["warning"] for entry in fetch_json(stack, row, "manifest.json")["warnings"]]
    assert warnings == ["DUPLICATE_NAMES", "LOW_DEPTH"]  # the sample is small
