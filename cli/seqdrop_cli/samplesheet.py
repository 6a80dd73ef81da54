"""Read a samplesheet of this machine and check it, before anything is uploaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seqdrop.plan import fastq_names, illumina_sheet, sheet
from seqdrop.plan.choices import ChoiceError, Choices
from seqdrop.plan.csv_table import Problem, SheetError
from seqdrop.plan.sheet import Lane, Sample
from seqdrop.runs import sheets
from seqdrop.runs.precheck import BAM_READ_SIZE
from seqdrop.storage.uri import S3Uri

from seqdrop_cli import intervals, preflight, reference
from seqdrop_cli.errors import CliError
from seqdrop_cli.layouts import of_head
from seqdrop_cli.stack import Stack

Files = Mapping[str, Path | S3Uri]  # by the text in the sheet


@dataclass(frozen=True, slots=True)
class Checked:
    """A sample with the names of its reference and its tools, and the pins of its run id."""

    sample: Sample
    choices: Choices
    genome: str
    regions: str


def read(path: Path) -> list[Sample]:
    """Return the samples of a sheet of this machine; raise SheetError."""
    if not path.is_file():
        raise CliError(f"{path}: no such file, or it is a directory.")
    data = path.read_bytes()
    return _of_illumina(path, data) if illumina_sheet.is_illumina(data) else sheet.parse(data)


def _of_illumina(path: Path, data: bytes) -> list[Sample]:
    """Return the samples of an Illumina sheet with the FASTQs below its folder."""
    names = [(file, name) for file in sorted(path.parent.rglob("*")) if (name := fastq_names.parse(file.name))]
    samples, problems = [], []
    for expected in illumina_sheet.parse(data):
        files = {
            (name.lane_and_chunk, name.mate): str(file.relative_to(path.parent))
            for file, name in names
            if name.sample == expected.name
        }
        lanes = sorted({lane for lane, _ in files})
        missing = sorted(expected.lanes - {int(lane.partition("_")[0][1:]) for lane in lanes if lane.startswith("L")})
        if not files or missing or len(files) != 2 * len(lanes):
            what = f"of lane {missing[0]}" if missing and files else "R1 and R2 of each lane" if files else "of it"
            problems.append(
                Problem(expected.line, "", f"sample {expected.name}: FASTQs {what} are missing below the sheet")
            )
            continue
        pairs = tuple(Lane(expected.line, lane, files[lane, 1], files[lane, 2]) for lane in lanes)
        samples.append(Sample(expected.name, expected.line, pairs, Choices(lanes=len(pairs))))
    if problems:
        raise SheetError(problems)
    return samples


def files_of(path: Path, samples: Sequence[Sample]) -> Iterator[tuple[str, Path | S3Uri]]:
    """Yield each file by its text in the sheet: a path is relative to the folder of the sheet."""
    for sample in samples:
        for text in (text for lane in sample.lanes for text in lane.files.values()):
            bucket, _, key = text.removeprefix("s3://").partition("/")
            yield text, S3Uri(bucket, key) if text.startswith("s3://") else path.parent / text


def check(stack: Stack, samples: Sequence[Sample], files: Files) -> list[Checked]:
    """Check files and choices as start_run does, before anything is uploaded; raise SheetError with all problems."""
    problems, checked, known = list[Problem](), [], dict[str, Checked]()
    for one in samples:
        sample = one
        for lane in sample.lanes:
            for column, text in lane.files.items():
                if message := _file_problem(stack, files[text]):
                    problems.append(Problem(lane.line, column, message))
        if not problems:  # the files can be read
            sample, found = _with_layout(stack, sample, files)
            problems += found
        key = repr(replace(sample.choices, lanes=1))
        try:
            known[key] = replace(known[key], sample=sample) if key in known else _check(stack, sample)
            checked.append(known[key])
        except (CliError, ChoiceError) as error:
            problems.append(Problem(sample.line, _column(sample.choices, error), str(error).strip().rstrip(".")))
    if problems:
        raise SheetError(sorted(problems))
    return checked


def _with_layout(stack: Stack, sample: Sample, files: Files) -> tuple[Sample, list[Problem]]:
    """Return a sample with the layout of its BAMs by their flags, and a problem for each that is not as it should be.

    The id of its run has the layout, so it must be known before the run starts.
    """
    layouts, problems = {sample.choices.layout} - {""}, list[Problem]()
    for lane in sample.lanes:
        if not lane.bam:
            continue
        file = files[lane.bam]
        try:
            layouts |= {of_head(lane.bam.rpartition("/")[2], _read_start(stack, file))}
        except CliError as error:
            problems.append(Problem(lane.line, "bam", str(error).rstrip(".")))
    if len(layouts) > 1:
        problems.append(Problem(sample.line, "layout", f"the files are {' and '.join(sorted(layouts))} by their flags"))
    return replace(sample, choices=replace(sample.choices, layout=next(iter(layouts), ""))), problems


def _read_start(stack: Stack, file: Path | S3Uri) -> bytes:
    if isinstance(file, S3Uri):
        return stack.store.read_start(file, BAM_READ_SIZE)
    with file.open("rb") as opened:
        return opened.read(BAM_READ_SIZE)


def _column(choices: Choices, error: Exception) -> str:
    """Return the column of a choice that is not possible."""
    if isinstance(error, ChoiceError):
        return error.column
    if choices.panel and f"panel {choices.panel} " in str(error):
        return "panel"
    return "intervals" if choices.intervals and choices.intervals in str(error) else "reference"


def _file_problem(stack: Stack, file: Path | S3Uri) -> str:
    if isinstance(file, Path):
        if not file.is_file():
            return f"{file}: no such file, or it is a directory"
        return "" if file.stat().st_size else f"{file} is empty"
    buckets = [stack["FastqBucket"], *sheets.input_buckets(stack.parameters.get("InputBucketArns", ""))]
    if file.bucket not in buckets:
        return f"{file} is in none of the buckets for FASTQs: {', '.join(buckets)} (see InputBucketArns of the stack)"
    return "" if stack.store.find(file) else f"{file} does not exist"


def _check(stack: Stack, sample: Sample) -> Checked:
    tools = sample.choices.tools(stack.default_tools)
    sample.choices.check_budget(stack.max_run_cost)
    sample.choices.check_options(stack.default_tools)
    preflight.check_images(stack, tools, sample.choices.form)
    preflight.check_tools(stack, tools, sample.choices.form)
    name = reference.resolve(stack, sample.choices.reference or None, tools["aligner"])
    choices, regions = intervals.pin(stack, replace(sample.choices, reference=name))
    return Checked(sample, choices, reference.fingerprint(stack, name), regions)
