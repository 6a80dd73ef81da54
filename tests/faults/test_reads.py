"""Reads that are not what they should be"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq.pairs import Pairs
from seqdrop_cli.stack import Stack
from support.catalogue import case, more
from support.function_aws import Deployed
from support.made_reads import Record, bgzf, edit_read, flip_byte, records, text, to_gzip, write_pair
from support.pipeline_runs import Sample, drop, ended, fetch_json

COUNT = 60
ONE, TWO = records(1, COUNT), records(2, COUNT)
WHOLE_1, WHOLE_2 = to_gzip(text(ONE)), to_gzip(text(TWO))
OLD = to_gzip(text([(head, seq, "h" * len(seq)) for head, seq, _ in ONE]))  # Phred+64
ENDS = (
    "Ends the alignment before anything is published; no instance starts where the beginning of the file shows it. "
    "The same bytes are never tried again."
)
FIRST = "Looks at the beginning of both before any instance starts, and starts none. A job would refuse them too."
AGAIN = "Send the files again as they left the sequencer."
FLAT = 160  # MiB that a checker takes of any file: Python itself and some batches; what it is given here is far more


def refused(folder: Path, one: bytes, two: bytes) -> tuple[str, str]:
    """The class a pair is refused with, and the sentence."""
    with pytest.raises(BadInputError) as raised:
        for _ in Pairs(*write_pair(folder, one, two)).batches():
            pass
    return raised.value.failure_class, str(raised.value)


@case(
    happens="A FASTQ is cut off: an upload or a copy that did not end.",
    see="`BAD_INPUT.TRUNCATED`, and which file it is.",
    does=ENDS,
    do=AGAIN,
)
@pytest.mark.parametrize("kept", [len(WHOLE_2) // 2, len(WHOLE_2) - 1, len(WHOLE_2) - 8])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, kept: int) -> None:
    sentence = "lane1_R2.fastq.gz is truncated: its gzip data has no end"
    assert refused(tmp_path, WHOLE_1, WHOLE_2[:kept]) == ("BAD_INPUT.TRUNCATED", sentence)


@case(
    happens="A FASTQ ends in the middle of a read, though its gzip is whole.",
    see="`BAD_INPUT.TRUNCATED`, and at which read.",
    does=ENDS,
    do="Find the step before the upload that cut it; send the whole file.",
)
def test_a_file_whose_last_read_is_cut_is_refused(tmp_path: Path) -> None:
    sentence = f"lane1_R1.fastq.gz ends in the middle of read {COUNT}"
    assert refused(tmp_path, to_gzip(text(ONE)[:-40]), WHOLE_2) == ("BAD_INPUT.TRUNCATED", sentence)


@case(
    happens="A byte of a FASTQ changed on a disk or on its way.",
    see="`BAD_INPUT.CORRUPT_GZIP`, and between which bytes, even where the damage looks like a bad read.",
    does=ENDS,
    do=AGAIN,
)
@pytest.mark.parametrize("place", [200, len(WHOLE_1) // 2, len(WHOLE_1) - 6])
def test_a_flipped_byte_is_seen(tmp_path: Path, place: int) -> None:
    failure_class, sentence = refused(tmp_path, flip_byte(WHOLE_1, place), WHOLE_2)
    assert failure_class in {"BAD_INPUT.CORRUPT_GZIP", "BAD_INPUT.TRUNCATED"}  # the end may be what is lost
    assert "lane1_R1.fastq.gz is" in sentence


@case(
    happens="Something stands behind the end of a gzip file. (Zeros may: tapes and disks leave them.)",
    see="`BAD_INPUT.CORRUPT_GZIP`, and how many bytes.",
    does=ENDS,
    do="Look at what wrote the file: what should have been reads may be lost.",
)
def test_bytes_behind_the_end_are_refused(tmp_path: Path) -> None:
    sentence = "lane1_R1.fastq.gz has 5 extra bytes after the end of the gzip data"
    assert refused(tmp_path, WHOLE_1 + b"junk!", WHOLE_2) == ("BAD_INPUT.CORRUPT_GZIP", sentence)


@case(
    happens="The mates have different numbers of reads.",
    see="`BAD_INPUT.MATE_COUNT`, and how many each has.",
    does=ENDS,
    do="Send both mates as they left the sequencer; filter them together or not at all.",
)
def test_mates_of_different_length_are_refused(tmp_path: Path) -> None:
    failure_class, sentence = refused(tmp_path, WHOLE_1, to_gzip(text(TWO[:-7])))
    assert failure_class == "BAD_INPUT.MATE_COUNT"
    assert sentence.endswith("contain different numbers of reads: 60 and 53")


@case(
    happens="The mates hold the same reads in another order.",
    see="`BAD_INPUT.MATE_NAMES`, and the first read that has no mate beside it.",
    does=ENDS,
    do="Sort both by name in the same way, or send them as they left the sequencer.",
)
def test_mates_in_another_order_are_refused(tmp_path: Path) -> None:
    failure_class, sentence = refused(tmp_path, WHOLE_1, to_gzip(text([*TWO[:9], TWO[10], TWO[9], *TWO[11:]])))
    assert failure_class == "BAD_INPUT.MATE_NAMES"
    assert sentence.startswith("read 10 has different names in lane1_R1.fastq.gz")


@case(
    happens="The files are of different samples or lanes: their reads have different names.",
    see="`BAD_INPUT.MATE_NAMES`, and the first such read.",
    does=FIRST,
    do="Look which mate belongs to which; drop the right two.",
)
def test_files_of_different_lanes_are_refused(tmp_path: Path) -> None:
    failure_class, _ = refused(tmp_path, WHOLE_1, to_gzip(text(records(2, COUNT, lane=2))))
    assert failure_class == "BAD_INPUT.MATE_NAMES"


@case(
    happens="One file was uploaded as both mates.",
    see="`BAD_INPUT.SAME_FILE`.",
    does=FIRST,
    do="Upload the other mate.",
)
@pytest.mark.parametrize("two", [WHOLE_1, bgzf(text(ONE))], ids=["a copy", "packed otherwise"])
def test_the_same_reads_twice_are_refused(tmp_path: Path, two: bytes) -> None:
    assert refused(tmp_path, WHOLE_1, two)[0] == "BAD_INPUT.SAME_FILE"


@case(
    happens="R1 and R2 have each other's names.",
    see="`BAD_INPUT.SWAPPED`, where the reads say which mate they are.",
    does=FIRST,
    do="Rename the files, then upload them again.",
)
@pytest.mark.parametrize("header", ["casava", "slash"])
def test_swapped_mates_are_refused(tmp_path: Path, header: str) -> None:
    one, two = (to_gzip(text(records(mate, 3, header=header))) for mate in (1, 2))
    assert refused(tmp_path, two, one)[0] == "BAD_INPUT.SWAPPED"


@case(
    happens="The files hold no reads: no bytes, or gzip of nothing.",
    see="`BAD_INPUT.EMPTY`.",
    does=FIRST,
    do="Look at the run of the sequencer: the sample may have none.",
)
@pytest.mark.parametrize("nothing", [b"", to_gzip(b""), bgzf(b"")], ids=["no bytes", "gzip", "BGZF"])
def test_files_without_reads_are_refused(tmp_path: Path, nothing: bytes) -> None:
    assert refused(tmp_path, nothing, nothing)[0] == "BAD_INPUT.EMPTY"


@case(
    happens="A file is named `.gz` and is something else. (Plain reads under that name are read.)",
    see="`BAD_INPUT.NOT_GZIP`.",
    does=FIRST,
    do="Send gzip, or plain text.",
)
def test_what_is_no_gzip_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, b"PK\3\4" + bytes(99), WHOLE_2)[0] == "BAD_INPUT.NOT_GZIP"


@case(
    happens="Reads have Phred+64 qualities, as sequencers wrote them before 2011.",
    see="`BAD_INPUT.MALFORMED`, and that it is Phred+64.",
    does=FIRST,
    do="Convert them to Phred+33 (`seqtk seq -VQ64`).",
)
def test_old_qualities_are_refused(tmp_path: Path) -> None:
    failure_class, sentence = refused(tmp_path, OLD, WHOLE_2)
    assert failure_class == "BAD_INPUT.MALFORMED"
    assert "Phred+64" in sentence


@case(
    happens="A read has more bases than qualities, none at all, or letters that SAM does not allow.",
    see="`BAD_INPUT.MALFORMED`, what is wrong and in which read.",
    does=ENDS,
    do="Look at what wrote the file; send reads as they left the sequencer.",
)
@pytest.mark.parametrize(
    ("one", "words"),
    [
        (edit_read(ONE, 30, qual="F"), "read 31 has 30 bases but 1 qualities"),
        (edit_read(ONE, 30, seq="", qual=""), "read 31 has no bases"),
        (edit_read(ONE, 30, head="a\0b"), "read 31 has a name with a character that SAM does not allow"),
        (edit_read(ONE, 30, head="@ME"), "read 31 has a name with a character that SAM does not allow"),
        (edit_read(ONE, 30, seq="AC\t" * 10), "read 31 has a character that is not a base"),
    ],
)
def test_a_malformed_read_is_named(tmp_path: Path, one: bytes, words: str) -> None:
    assert refused(tmp_path, one, WHOLE_2) == ("BAD_INPUT.MALFORMED", f"lane1_R1.fastq.gz: {words}")


def dropped(functions: Deployed, one: bytes, two: bytes) -> tuple[str, str]:
    """Class and sentence with which start_run refuses a pair, of which it has started nothing."""
    functions.prepare()
    start_run = functions.load("start_run")
    for told in [functions.put("NA12878_R2.fastq.gz", two), functions.put("NA12878_R1.fastq.gz", one)]:
        assert [found["outcome"] for found in start_run.call(told)["outcomes"]] == ["refused"]
    assert functions.executions() == []
    (row,) = functions.rows()
    assert row["status"] == "FAILED"
    assert len(functions.messages()) == 1
    return row["class"], row["message"]


@more
@pytest.mark.parametrize(
    ("one", "two", "kind"),
    [
        (b"", WHOLE_2, "EMPTY"),
        (to_gzip(b""), to_gzip(b""), "EMPTY"),
        (bgzf(b""), WHOLE_2, "EMPTY"),
        (b"PK\3\4" + bytes(99), WHOLE_2, "NOT_GZIP"),
        (WHOLE_1, to_gzip(text(records(2, COUNT, lane=2))), "MATE_NAMES"),
        (WHOLE_2, WHOLE_1, "SWAPPED"),
        (*(to_gzip(text(records(mate, 3, header="slash"))) for mate in (2, 1)), "SWAPPED"),
        (WHOLE_1, WHOLE_1, "SAME_FILE"),
        (WHOLE_1, bgzf(text(ONE)), "SAME_FILE"),
        (OLD, WHOLE_2, "MALFORMED"),
        (edit_read(ONE, 30, qual="F"), WHOLE_2, "MALFORMED"),
        (edit_read(ONE, 3, head="n" * 255), WHOLE_2, "LIMIT"),
        (flip_byte(WHOLE_1, 200), WHOLE_2, "CORRUPT_GZIP"),
        (text(ONE)[:-40], WHOLE_2, "TRUNCATED"),
    ],
)
def test_what_the_beginning_shows_is_refused_before_anything_starts(
    functions: Deployed, one: bytes, two: bytes, kind: str
) -> None:
    failure_class, sentence = dropped(functions, one, two)
    assert failure_class == f"BAD_INPUT.{kind}"
    assert "NA12878_R1.fastq.gz" in sentence


@case(
    happens="One file is more than ten times as large as its mate: the small one is most likely not whole.",
    see="`BAD_INPUT.MATE_COUNT`, and how many times.",
    does="Looks at both sizes before any instance starts, and starts none.",
    do="Upload the small one again.",
)
def test_a_mate_of_a_tenth_of_the_size_is_refused_before_anything_starts(functions: Deployed) -> None:
    failure_class, sentence = dropped(functions, text(ONE) * 250, text(TWO))
    assert failure_class == "BAD_INPUT.MATE_COUNT"
    assert sentence.startswith("NA12878_R1.fastq.gz is 250 times as large as NA12878_R2.fastq.gz")


CHECK = """
import sys
from pathlib import Path
from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq.pairs import Pairs
try:
    for _ in Pairs(Path(sys.argv[1]), Path(sys.argv[2])).batches():
        pass
except BadInputError as error:
    # not ru_maxrss: that of whoever started this process counts in it
    [peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
    print(error.failure_class, int(peak) >> 10, error)
"""


def checked_alone(one: Path, two: Path) -> tuple[str, int, str]:
    """Class, most memory in MiB and sentence of a checker in a process of its own."""
    done = subprocess.run([sys.executable, "-c", CHECK, one, two], capture_output=True, text=True, check=True)
    failure_class, memory, sentence = done.stdout.split(maxsplit=2)
    return failure_class, int(memory), sentence


@case(
    happens="A file has a line of 300 MB.",
    see="`BAD_INPUT.LIMIT`, and the limit.",
    does="Ends the alignment, with no more memory than for any file.",
    do="Look at what wrote the file: it is no FASTQ of short reads.",
)
def test_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    line = to_gzip(b"@r\n") + to_gzip(b"A" * 10_000_000) * 30
    failure_class, memory, sentence = checked_alone(*write_pair(tmp_path, line, WHOLE_2))
    assert (failure_class, sentence.strip()) == (
        "BAD_INPUT.LIMIT", "lane1_R1.fastq.gz has a line longer than 1,048,576 bytes"
    )  # fmt: skip
    assert memory < FLAT, memory


@case(
    happens="A gzip bomb: a small file that unpacks to many gigabytes.",
    see="`BAD_INPUT.LIMIT`, that it grows more than 200 times.",
    does="Ends the alignment after the first 256 MiB, with no more memory than for any file.",
    do="Ask where the file comes from.",
)
def test_a_file_that_unpacks_without_end_takes_no_memory(tmp_path: Path) -> None:
    read = b"@r\n%b\n+\n" + b"F" * 250 + b"\n"
    one, two = (to_gzip((read % (base * 250)) * 40_000) * 15 for base in (b"A", b"C"))  # 300 MB
    failure_class, memory, sentence = checked_alone(*write_pair(tmp_path, one, two))
    assert failure_class == "BAD_INPUT.LIMIT"
    assert "expands to more than 200 times its compressed size" in sentence
    assert memory < FLAT, memory


@case(
    happens="Reads are long ones, or a name has more than the 254 bytes that a BAM has room for.",
    see="`BAD_INPUT.LIMIT`, and which limit.",
    does=ENDS,
    do="This pipeline is for short paired reads: use one for long reads; shorten names.",
)
@pytest.mark.parametrize(
    "one",
    [to_gzip((b"@r\n" + b"A" * 90_000 + b"\n+\n" + b"F" * 90_000 + b"\n") * 200), edit_read(ONE, 3, head="n" * 255)],
)
def test_long_reads_and_long_names_are_refused(tmp_path: Path, one: bytes) -> None:
    assert refused(tmp_path, one, WHOLE_2)[0] == "BAD_INPUT.LIMIT"


def written(folder: Path, one: list[Record], two: list[Record], *, newline: str = "\n") -> tuple[Path, Path]:
    paths = folder / "1.gz", folder / "2.gz"
    paths[0].write_bytes(bgzf(text(one, newline), 30_000))
    half = len(two) // 2
    paths[1].write_bytes(to_gzip(text(two[:half], newline)) + to_gzip(text(two[half:], newline)[: -len(newline)]))
    return paths


def records_of(path: Path) -> list[Record]:
    lines = subprocess.run(["gzip", "-dc", path], capture_output=True, check=True).stdout.decode().splitlines()
    return [(head[1:], seq, qual) for head, seq, qual in zip(lines[0::4], lines[1::4], lines[3::4], strict=True)]


@case(
    happens="FASTQs as people have them: BGZF, several gzip members, CRLF, no newline at the end, `_1`/`_2`; blanks, "
    "`+` and umlauts in their keys.",
    see="`SUCCEEDED`; in the sample id each blank, `+` or umlaut has become `_`.",
    does="Reads all of it.",
)
def test_oddities_that_can_be_read_are_read(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    one, two = (records_of(path) for path in sample.few)
    for mate, path in enumerate(written(tmp_path, one, two, newline="\r\n"), 1):
        drop(stack, path, f"Proben März + mehr/Müller 7+B_{mate}.fq.gz")
    row = ended(stack, "M_ller_7_B")
    assert (row["status"], row["reads"]) == ("SUCCEEDED", 2 * len(one))


@case(
    happens="Two pairs share a name, or a file was joined to itself.",
    see="`SUCCEEDED`, and the warning `DUPLICATE_NAMES` in `manifest.json` with how many.",
    does="Runs on: some tools write such names.",
    do="Look whether reads are there twice; if so, send each once.",
)
def test_names_that_come_twice_are_warned_of(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    mates = [records_of(path) for path in sample.few]
    twice = [[*made, (made[0][0], *made[1][1:])] for made in mates]
    for mate, path in enumerate(written(tmp_path, twice[0], twice[1]), 1):
        drop(stack, path, f"TWICE_R{mate}.fastq.gz")
    row = ended(stack, "TWICE")
    assert row["status"] == "SUCCEEDED"
    [warning] = fetch_json(stack, row, "jobs/align.json")["warnings"]
    assert warning["warning"] == "DUPLICATE_NAMES"
    assert warning["message"].startswith(f"1 of {len(twice[0]):,} pairs of TWICE_R1.fastq.gz")
    assert [each["warning"] for each in fetch_json(stack, row, "manifest.json")["warnings"]] == ["DUPLICATE_NAMES"]


@case(
    happens="The reads are not of the reference that they are aligned to.",
    see="`SUCCEEDED`, hardly a variant, and the warning `FEW_MAPPED` in `manifest.json` and in the message.",
    does="Runs on: there are samples of which so little is expected.",
    do="If this is none of them, choose the right reference and drop the reads again.",
)
def test_reads_of_another_genome_are_warned_of(stack: Stack, tmp_path: Path) -> None:
    for mate, path in enumerate(write_pair(tmp_path, WHOLE_1, WHOLE_2), 1):
        drop(stack, path, f"FOREIGN_R{mate}.fastq.gz")
    row = ended(stack, "FOREIGN")
    assert (row["status"], row["variants"]) == ("SUCCEEDED", 0)
    [warning] = fetch_json(stack, row, "manifest.json")["warnings"]
    assert (warning["step"], warning["warning"]) == ("collect", "FEW_MAPPED")
    assert warning["message"].startswith(f"only 0 of {2 * COUNT} reads align to the reference")
