"""Samplesheets: every problem with its line and its column."""

from __future__ import annotations

import codecs

import pytest
from seqdrop.plan import illumina_sheet, sheet
from seqdrop.plan.choices import Choices
from seqdrop.plan.csv_table import MAX_SIZE, SheetError
from seqdrop.plan.illumina_sheet import Expected
from seqdrop.plan.sheet import Lane

HEADER = "patient,sex,status,sample,lane,fastq_1,fastq_2"
TWO = f"""{HEADER},ward,reference,ploidy,priority
P1,XX,0,S1,L1,a_1.fq.gz,a_2.fq.gz,north,hg,1,high
P1,XX,0,S1,L2,b_1.fq.gz,b_2.fq.gz,north,hg,1,high
P2,NA,1,S2,L1,s3://x/c_1.fq.gz,s3://x/c_2.fq.gz,,,,
"""


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(SheetError) as raised:
        sheet.parse(text if isinstance(text, bytes) else text.encode())
    return [str(problem) for problem in raised.value.problems]


def test_the_rows_of_a_sample_are_one_run_and_unknown_columns_are_kept() -> None:
    one, two = sheet.parse(TWO.encode())
    assert (one.name, one.line, one.columns) == (
        "S1",
        2,
        {"patient": "P1", "sex": "XX", "status": "0", "ward": "north"},
    )
    assert one.lanes == (Lane(2, "L1", "a_1.fq.gz", "a_2.fq.gz"), Lane(3, "L2", "b_1.fq.gz", "b_2.fq.gz"))
    assert one.choices == Choices("hg", args={"call": ["--ploidy", "1"]}, lanes=2, priority="high", sex="XX")
    assert (two.name, two.choices) == ("S2", Choices())
    assert [warning["warning"] for warning in (*one.warnings, *two.warnings)] == ["TUMOR"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: codecs.BOM_UTF8 + text,
        lambda text: text.replace(b",", b";"),
        lambda text: b"sep=;\r\n" + text.replace(b",", b";").replace(b"\n", b"\r\n"),
        lambda text: text.replace(b",", b"\t"),
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.rstrip(),
        lambda text: text.replace(b"\n", b",,\n") + b",,,,,,,,,,,,\n\n",
        lambda text: b"\n".join(b",".join(b'"%s"' % cell for cell in line.split(b",")) for line in text.split(b"\n")),
        lambda text: text.replace(b"a_1.fq.gz", b" a_1.fq.gz "),
    ],
    ids=["BOM", "semicolons", "sep", "tabs", "CRLF", "no last line end", "empty cells", "quotes", "spaces"],
)
def test_the_forms_in_which_programs_write_csv_are_equal(change: object) -> None:
    assert callable(change)
    written = [(one.name, one.lanes[0].fastq_1, one.choices) for one in sheet.parse(change(TWO.encode()))]
    assert written == [(one.name, one.lanes[0].fastq_1, one.choices) for one in sheet.parse(TWO.encode())]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b"PK\x03\x04xx", "it is an Excel workbook: save it as CSV UTF-8"),
        ("a,b".encode("utf-16"), "it is UTF-16: save it as CSV UTF-8"),
        (b"\x1f\x8bx", "it is compressed: upload the plain CSV"),
        (b"a" * (MAX_SIZE + 1), "it has more than 1,048,576 bytes"),
        (f"{HEADER}\nP,XX,0,M\xfcller,1,a,b\n".encode("latin-1"),
         "line 2: a character is not UTF-8: save it as CSV UTF-8"),
        (f"{HEADER}\nP,XX,0,\"S1\"x,1,a.fq,b.fq".encode(), "line 2: it is not valid CSV: ',' expected after '\"'"),
        (f'{HEADER}\nP,XX,0,"S1,1,a.fq,b.fq\n'.encode(), "line 2: it is not valid CSV: unexpected end of data"),
        (f'{HEADER}\nP,XX,0,"S\n1",1,a.fq,b.fq'.encode(),
         "line 2: a cell has a line end, a tab or another character that cannot be printed"),
        (f"{HEADER}\n".encode(), "line 1: there is no sample below the header"),
        (b"sample,fastq_2\nS,a.fq", "line 1: the header has no column fastq_1; it has: sample, fastq_2"),
        (b"sample,,fastq_1,fastq_2\nS,,a.fq,b.fq", "line 1: column 2 has no name"),
        (b"sample,fastq_1,fastq_2,sample\nS,a.fq,b.fq,S", "line 1, column sample: is there twice"),
        (b"sample,fastq_1,fastq_2\nS,a.fq", "line 2: has 2 cells, the header has 3"),
        (b"sample,fastq_1,fastq_2\nS,a.fq,b.fq,c", "line 2: has 4 cells, the header has 3"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_sheet_is_refused_with_a_sentence(data: bytes, message: str) -> None:
    assert problems(data) == [message]


def test_every_problem_is_reported_with_its_line_and_column() -> None:
    text = f"""{HEADER},aligner,ploidy,priority
P1,XZ,0,S1,L1,a_1.fq.gz,a_2.fq.gz,,,
P1,XX,2,S 2,L 1,b_1.fq.gz,b_2.bam,star,3,now
P1,XX,0,S3,,c_1.fq.gz,,,,
P1,XX,0,S4,L1,a_1.fq.gz,d_2.fq.gz,,,
P2,XX,0,S4,L1,e_1.fq.gz,e_2.fq.gz,,1,
"""
    assert problems(text) == [
        "line 2, column sex: 'XZ' is not one of XX, XY, NA",
        "line 3, column aligner: 'star': it must be one of bwa_mem3, bwa, isaac",
        "line 3, column fastq_2: 'b_2.bam' does not end in .fastq.gz, .fq.gz, .fastq or .fq",
        "line 3, column lane: 'L 1' is not a lane: use letters, digits, '.', '_' and '-'",
        "line 3, column ploidy: '3' is not one of 1, 2",
        "line 3, column priority: 'now': it must be one of normal, high",
        "line 3, column sample: 'S 2' is not a valid sample id: use at most 64 letters, digits, '.', '_' and '-', "
        "and no '.annotated' at the end",
        "line 3, column status: '2' is not one of 0, 1",
        "line 4, column fastq_2: is empty: without mates, write single into the column layout; with both mates in "
        "one file, interleaved",
        "line 5, column fastq_1: 'a_1.fq.gz' is in line 2 too",
        "line 6, column lane: lane L1 of this sample is in line 5 too: each row of a sample is another lane",
        "line 6, column patient: 'P2' differs from 'P1' in line 5, same sample",
        "line 6, column ploidy: '1' differs from '' in line 5, same sample",
    ]


def test_the_format_of_the_alignments_is_a_choice() -> None:
    text = "sample,fastq_1,fastq_2,alignment_format\nS,a.fq,b.fq,{}\n"
    [sample] = sheet.parse(text.format("cram").encode())
    assert (sample.choices, sample.columns) == (Choices(alignment_format="cram"), {})
    [sample] = sheet.parse(text.format("").encode())
    assert sample.choices == Choices()
    assert problems(text.format("sam")) == [
        "line 2, column alignment_format: 'sam': it must be one of bam, cram",
    ]


def test_one_file_is_a_lane_of_single_end_reads_unless_the_layout_says_otherwise() -> None:
    rows = ["A,1,a.fq,,", "A,2,b.fq,,", "B,,c_interleaved.fq,,", "C,,d.fq,,interleaved", "D,,,e.bam,"]
    samples = sheet.parse("\n".join(["sample,lane,fastq_1,bam,layout", *rows]).encode())
    assert {one.name: one.choices.layout for one in samples} == {
        "A": "single",
        "B": "interleaved",
        "C": "interleaved",
        "D": "",
    }
    assert [lane.files for lane in samples[0].lanes] == [{"fastq_1": "a.fq"}, {"fastq_1": "b.fq"}]
    assert samples[3].lanes[0].files == {"bam": "e.bam"}


def test_files_that_do_not_fit_their_layout_are_problems() -> None:
    text = """sample,lane,fastq_1,fastq_2,bam,cram,layout
A,,a_1.fq,a_2.fq,,,single
B,,b.fq,,,,paired
C,,,,c.bam,,interleaved
D,,,,,d.cram,
E,,e.fq,,e.bam,,
F,1,f_1.fq,f_2.fq,,,
F,2,f.fq,,,,
G,,,,,,
H,,,,h.fq,,
"""
    assert problems(text) == [
        "line 2, column layout: is single, but fastq_2 is not empty",
        "line 3, column fastq_2: is empty: without mates, write single into the column layout; with both mates in "
        "one file, interleaved",
        "line 4, column layout: a BAM is single or paired, by the flags of its reads",
        "line 5, column layout: is empty: a CRAM needs single or paired",
        "line 6, column bam: is not empty, and fastq_1 neither: a lane is FASTQs, a BAM or a CRAM",
        "line 8, column sample: its rows have different columns of files, as in line 7",
        "line 9, column fastq_1: is empty",
        "line 10, column bam: 'h.fq' does not end in .bam",
    ]


def test_the_budget_is_a_choice() -> None:
    text = "sample,fastq_1,fastq_2,max_cost\nS,a.fq,b.fq,{}\n"
    [sample] = sheet.parse(text.format("7.25").encode())
    assert (sample.choices, sample.columns) == (Choices(max_cost="7.25"), {})
    assert problems(text.format("free")) == [
        "line 2, column max_cost: 'free': it must be an amount in USD such as 12.50, more than 0",
    ]


def test_the_message_of_an_error_has_the_first_problems() -> None:
    rows = "".join(f"S{number},a{number}_1.fq,\n" for number in range(20))
    with pytest.raises(SheetError, match=r"line 2, column fastq_2: is empty: .*; and 10 more$"):
        sheet.parse(f"sample,fastq_1,fastq_2\n{rows}".encode())


@pytest.mark.parametrize(
    ("key", "is_one"),
    [
        ("samplesheet.csv", True),
        ("a/b/SampleSheet.csv", True),
        ("run7_sample_sheet.csv", True),
        ("samplesheet-2026-11.csv", True),
        ("Demultiplex_Stats.csv", False),
        ("samplesheets.csv", False),
        ("samplesheet.csv.gz", False),
        ("samplesheet.tsv", False),
    ],
)
def test_a_sheet_is_known_by_its_name(key: str, is_one: bool) -> None:
    assert sheet.is_sheet(key) is is_one


V1 = b"""[Header]
IEMFileVersion,4

[Reads]
151
[Data]
Lane,Sample_ID,Sample_Name,index,Sample_Project
1,10,NA1,ACGT,p
2,10,NA1,ACGT,p
1,11,,TTTT,p
"""
V2 = b"""[Header],,
FileFormatVersion,2,
[BCLConvert_Settings],,
AdapterRead1,ACGT,
[BCLConvert_Data],,
Sample_ID,Index,Index2
NA1,ACGT,TTTT
NA2,CCCC,GGGG
[Cloud_Data],,
Sample_ID,ProjectName,
NA1,x,
"""


def test_samples_and_lanes_of_illumina_sheets() -> None:
    assert [illumina_sheet.is_illumina(text) for text in (V1, V2, TWO.encode())] == [True, True, False]
    assert illumina_sheet.parse(V1.replace(b"\n", b"\r\n")) == [
        Expected("NA1", 8, frozenset({1, 2})),
        Expected("11", 10, frozenset({1})),
    ]
    assert illumina_sheet.parse(V2) == [Expected("NA1", 7, frozenset()), Expected("NA2", 8, frozenset())]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"[Data]", b"[Date]", "it has 0 sections"),
        (b"Sample_ID", b"Name", "line 7, column Sample_ID: is missing"),
        (b"2,10", b"two,10", "line 9, column Lane: 'two' is not the number of a lane"),
    ],
)
def test_an_illumina_sheet_without_samples_is_refused(old: bytes, new: bytes, message: str) -> None:
    with pytest.raises(SheetError, match=message):
        illumina_sheet.parse(V1.replace(old, new))


def test_the_sex_that_the_report_checks_is_part_of_the_choices() -> None:
    samples = sheet.parse(b"sample,sex,fastq_1,fastq_2\nA,XX,a_1.fq,a_2.fq\nB,NA,b_1.fq,b_2.fq\n")
    assert [(one.choices.sex, one.columns["sex"]) for one in samples] == [("XX", "XX"), ("", "NA")]
