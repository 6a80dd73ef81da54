"""The documents of the API, as its OpenAPI description has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from seqdrop.plan import names, sheet
from seqdrop.plan.choices import MAX_LANES
from seqdrop.runs.manifest import figures_of_row

Status = Literal["RUNNING", "SUCCEEDED", "INCOMPLETE", "QC_FAILED", "FAILED", "ABORTED", "TIMED_OUT"]
Cell = Annotated[str, Field(max_length=1024)]
# an address, or a key of the bucket for FASTQs
Fastq = Annotated[str, Field(min_length=1, max_length=1024, examples=["s3://fastq-bucket/run7/NA12878_R1.fastq.gz"])]
RunId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$", description="Id of the run")]
TIME = r"^(\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}Z)?)?$"
NEXT_PAGE = r"^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z/[A-Za-z0-9-]{1,64})?$"
USD = r"^(\d{1,6}(\.\d{1,4})?)?$"
COLUMNS = sorted({*sheet.OF_SAMPLE} - {"sample"})


class Lane(BaseModel):
    """The files of one lane, in S3: `fastq_1` and perhaps `fastq_2`, or `bam`, or `cram`."""

    model_config = ConfigDict(extra="forbid")

    lane: Cell = Field("", description="Name of the lane; needed if there are several")
    fastq_1: Fastq | None = None
    fastq_2: Fastq | None = Field(None, description="Without it, the reads are single-end (see the choice `layout`)")
    bam: Fastq | None = Field(None, description="Unaligned reads as BAM")
    cram: Fastq | None = Field(None, description="Unaligned reads as CRAM")


class NewRun(BaseModel):
    """One sample: its lanes, and the choices of its run as in the columns of a samplesheet."""

    model_config = ConfigDict(extra="forbid")

    sample: Annotated[str, Field(pattern=f"^{names.NAME.pattern}$", description="Sample id")]
    lanes: Annotated[list[Lane], Field(min_length=1, max_length=MAX_LANES)]
    choices: dict[str, Cell] = Field(default_factory=dict, description=f"Some of {', '.join(COLUMNS)}")


class Started(BaseModel):
    """The run of a request."""

    run: str = Field(description="Id of the run")
    outcome: Literal["started", "duplicate"] = Field(description="duplicate: the same files and choices ran before")


class Run(BaseModel):
    """A row of the run table; fields that it lacks are empty."""

    run: str
    kind: str = Field("", description="joint: a run that joins the calls of several samples")
    sample: str = Field(description="Sample id, or the name of a joint run")
    status: Status
    started: str = Field(description="UTC")
    finished: str = Field("", description="UTC; empty while the run works")
    reference: str = ""
    aligner: str = ""
    caller: str = ""
    failure_class: str = Field("", description="Empty unless the run failed")
    step: str = Field("", description="The step that failed")
    message: str = Field("", description="Why it failed")
    advice: str = Field("", description="What to do")
    qc: str = Field("", description="Verdict of the QC policy: PASS, WARN or FAIL")
    warnings: list[str] = Field(default_factory=list)
    figures: dict[str, int] = Field(default_factory=dict, description="Reads, depth, variants")
    usd: float = Field(0, description="Estimated cost in US dollars")
    results: str = Field("", description="Address of the results folder")
    supersedes: str = ""
    superseded_by: str = ""


class Runs(BaseModel):
    """A page of runs, the newest first."""

    runs: list[Run]
    next: str = Field("", description="The token of the next page; empty on the last one")


class File(BaseModel):
    """A result, as the manifest has it."""

    name: str
    uri: str
    version_id: str
    etag: str
    size: int = Field(description="Bytes")
    crc64nvme: str = Field(description="Base64, of the whole file")


class Files(BaseModel):
    """The results that the manifest of a run names."""

    run: str
    complete: bool
    files: list[File]


class Report(BaseModel):
    """A link to the report."""

    url: str = Field(description="Opens the report without credentials: do not share it")
    expires: int = Field(description="Seconds that the link works")


class Stopped(BaseModel):
    """A run that is being stopped."""

    run: str


class Resumed(BaseModel):
    """A run that goes on."""

    run: str = Field(description="Another id if what a refused run reads has changed since")
    execution: str


class Problem(BaseModel):
    """What is wrong with a request, and where."""

    where: str = Field(description="A field of the request, or line and column of its rows: line 2 is the first lane")
    message: str


class Error(BaseModel):
    """Why a request was refused."""

    status_code: int
    message: str
    failure_class: str = Field("", description="As in the run table")
    problems: list[Problem] = Field(default_factory=list)


class Denied(BaseModel):
    """What API Gateway answers itself."""

    message: str


def run_of(row: dict[str, Any]) -> Run:
    """Return the document of a row of the run table."""
    fields = {name: value for name, value in row.items() if name in Run.model_fields}
    usd = float(row.get("cost", 0))
    return Run(**fields | {"failure_class": row.get("class", ""), "usd": usd, "figures": figures_of_row(row)})
