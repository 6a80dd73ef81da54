"""Hostile plans and tools"""

from __future__ import annotations

import csv
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.catalogue import case, more
from support.function_aws import REFERENCES, RESULTS, Deployed
from support.job_runs import FOLDER, PUBLISH, Batch, in_this_process
from support.made_reads import FLOWCELL, bases, records, text, to_gzip
from support.pipeline_parts import batch_states, job_definitions

from containers.isaac import run as isaac

OTHER = f"s3://{RESULTS}/NA12891/other"
SECRET, TOKEN = f"wJalr{'XUtnFEMI' * 4}", f"IQoJb{'3JpZ2lu' * 4}=="  # as long as real ones
STAND_INS = Path(__file__).parents[1] / "support/stand_ins"
# What a spreadsheet takes for a formula when a cell begins with it.
FORMULA = tuple("=+-@\t\r")
WRAPPERS = {
    "bwa": ("sample", "reference", "reads", "bam"),
    "bwa_mem3": ("sample", "reference", "reads", "bam"),
    "isaac": ("sample", "reference", "reads", "bam"),
    "strelka": ("sample", "reference", "intervals", "bam", "vcf"),
    "bcftools": ("sample", "reference", "intervals", "bam", "vcf"),
    "snpeff": ("reference", "vcf", "annotated_vcf"),
    "samtools_stats": ("reference", "bam", "stats"),
    "multiqc": ("sample", "stats", "vcf", "annotated_vcf", "report"),
    "reference": ("fasta", "genes", "aligner", "reference"),
}


def words_of(wrapper: str, **changed: str) -> dict[str, str]:
    """The command line that a plan makes of a wrapper."""
    folder = f"s3://{RESULTS}/{FOLDER}"
    known = {word: f"{folder}/NA12878.{word}" for word in ("bam", "vcf", "annotated_vcf", "stats", "report")}
    known |= {"sample": "NA12878", "reference": f"s3://{RESULTS}/demo/genome.fa", "reads": f"{folder}/reads.json"}
    known |= {"intervals": "all", "fasta": f"s3://{RESULTS}/a.fa", "genes": "none", "aligner": "bwa"}
    common = {"results": folder, "run": "r", "attempt": "1", "vcpus": "2", "memory": "400", "args": "[]"}
    if wrapper == "reference":
        common["results"] = f"s3://{RESULTS}/demo/preparation/r"
    return {**{word: known[word] for word in WRAPPERS[wrapper]}, **common, **changed}


@case(
    happens="A plan made by hand names files of another run.",
    see="The job ends with 64; the log says which address.",
    does="Compares every address with the run's own folder before anything is read or written.",
    do="Correct the plan.",
)
@pytest.mark.parametrize(
    ("wrapper", "changed"),
    [
        ("bcftools", {"results": OTHER}),
        ("bcftools", {"results": OTHER, "run": "other"}),
        ("bcftools", {"vcf": f"{OTHER}/NA12891.vcf.gz"}),
        ("bcftools", {"bam": f"{OTHER}/NA12891.bam"}),
        ("bcftools", {"vcf": f"s3://{RESULTS}/{FOLDER}/../../NA12891/other/NA12891.vcf.gz"}),
        ("bcftools", {"vcf": f"s3://canary-bucket/{FOLDER}/NA12878.vcf.gz"}),
        ("bcftools", {"vcf": f"s3://{RESULTS}/{FOLDER}/manifest.json"}),
        ("bcftools", {"vcf": f"s3://{RESULTS}/{FOLDER}/reads.json"}),
        ("bcftools", {"vcf": f"s3://{RESULTS}/{FOLDER}/jobs/align.json"}),
        ("bcftools", {"sample": "r", "run": "jobs", "results": f"s3://{RESULTS}/{FOLDER}/jobs"}),
        ("bcftools", {"run": "../other", "results": f"s3://{RESULTS}/NA12878/../other"}),
        ("bcftools", {"attempt": "../../../NA12891/other/jobs/align"}),
        ("bcftools", {"intervals": f"{OTHER}/secret.bed"}),
        ("bcftools", {"reference": f"{OTHER}/-o"}),
        ("bcftools", {"sample": "NA12891"}),
        ("bcftools", {"sample": "NA\t12878"}),
        ("bcftools", {"vcpus": "-1"}),
        ("bwa", {"reads": f"{OTHER}/reads.json"}),
        ("samtools_stats", {"stats": f"{OTHER}/x.stats.txt"}),
        ("multiqc", {"report": f"{OTHER}/x.report.html"}),
        ("reference", {"reference": f"s3://{RESULTS}/hg38/genome.fa"}),
        ("reference", {"aligner": "$(touch {canary})"}),
    ],
)
def test_a_plan_reaches_no_other_run(batch: Batch, wrapper: str, changed: dict[str, str], tmp_path: Path) -> None:
    batch.s3.create_bucket(Bucket="canary-bucket")
    batch.s3.put_object(Bucket=RESULTS, Key="NA12891/other/jobs/call.json", Body=b"theirs")
    before = batch.versions()
    harmful = {word: value.replace("{canary}", str(tmp_path / "canary")) for word, value in changed.items()}
    code, log = batch.wrapper(wrapper, words_of(wrapper, **harmful))
    assert code == 64, log
    assert not (tmp_path / "canary").exists()
    assert {key for key, _ in batch.versions() - before} <= {
        f"{FOLDER}/failures/{step}.1.2.json" for step in ("align", "call", "collect", "compose")
    } | {"demo/preparation/r/failures/prepare.1.2.json"}
    assert "Contents" not in batch.s3.list_objects_v2(Bucket="canary-bucket")
    assert list(batch.scratch.iterdir()) == []


HOSTILE = [
    ["$(touch {canary})"],
    ["--ploidy", "1;touch {canary}"],
    ["--ploidy=`touch {canary}`"],
    ["--ploidy", "-1"],
    ["--ploidy", "0x2"],
    ["--ploidy", "\N{ARABIC-INDIC DIGIT ONE}"],
    ["--ploidy", "9" * 5000],
    ["--min-quality", "nan"],
    ["--min-quality", "inf"],
    ["--min-quality", "1e3"],
    ["--min-share", "-0.5"],
    ["--min-quality", "1 || system('touch {canary}')"],
    ["-o", "{canary}"],
    ["-o", "../../canary"],
    ["--output", "s3://canary-bucket/canary"],
    ["--\nploidy", "2"],
    ["--ploidy\x00", "2"],
    ["--", "|curl http://127.0.0.1:{port}"],
    ["x"] * 10_000,
]


@case(
    happens="The words of a step (`seqdrop-args`) try to be a command, a path or a number out of all bounds.",
    see="`FAILED`, `BAD_INPUT.ARGS`, and the word, harmlessly written.",
    does="Takes only options of its list, with values in bounds; no shell ever sees them.",
    do="Correct the words.",
)
@pytest.mark.parametrize(
    ("wrapper", "args"),
    [*(("bcftools", args) for args in HOSTILE), *((wrapper, HOSTILE[0]) for wrapper in WRAPPERS)],
    ids=[*(f"words{place}" for place in range(len(HOSTILE))), *WRAPPERS],
)
def test_hostile_words_reach_no_tool(batch: Batch, wrapper: str, args: list[str], tmp_path: Path) -> None:
    batch.s3.create_bucket(Bucket="canary-bucket")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        text = json.dumps(args).replace("{port}", str(listener.getsockname()[1]))
        text = text.replace("{canary}", str(tmp_path / "canary"))
        code, log = batch.wrapper(wrapper, words_of(wrapper, args=text))
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert code == 64, log
    assert max(map(len, log.splitlines())) < 5000
    assert [json.loads(line) for line in log.splitlines()]
    assert not (tmp_path / "canary").exists()
    assert list(batch.scratch.iterdir()) == []
    assert "Contents" not in batch.s3.list_objects_v2(Bucket="canary-bucket")


def words_of_states() -> list[tuple[str, Any]]:
    """Every setting of every job that the state machines submit, by where it stands."""
    return [
        (f"{name}.{path}", value)
        for name, state in batch_states()
        for path, value in leaves(state["Parameters"])
        if not path.startswith(("Parameters.", "Tags."))
    ]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, below in inner:
        yield from leaves(below, f"{path}.{name}" if path else str(name))
    if not isinstance(value, dict | list):
        yield path, value


@case(
    happens="Somebody who may start the state machine writes an image, a role or a command into the plan.",
    see="Nothing comes of it.",
    does="Takes of a plan a job's name, queue, size and words; what runs, and as whom, is the deployment's.",
)
def test_a_plan_chooses_no_image_role_or_command() -> None:
    of_the_plan = {path.partition(".")[2] for path, _ in words_of_states() if path.endswith(".$")}
    sizes = {f"ContainerOverrides.ResourceRequirements.{place}.Value.$" for place in (0, 1)}
    assert of_the_plan == {"JobName.$", "JobQueue.$", *sizes}
    of_the_stack = {path.partition(".")[2] for path, _ in words_of_states()} - of_the_plan
    kinds = {f"ContainerOverrides.ResourceRequirements.{place}.Type" for place in (0, 1)}
    assert of_the_stack == {"JobDefinition", "PropagateTags", *kinds}
    definitions = [value for path, value in words_of_states() if path.endswith(".JobDefinition")]
    assert all(re.fullmatch(r"\$\{[A-Za-z]+JobDefinition\}", value) for value in definitions)
    assert not any("jobRoleArn" in str(path) or "Ref::" in str(value) for path, value in settings_of_definitions())


def settings_of_definitions() -> list[tuple[str, Any]]:
    """What the job definitions say, without their commands, the only place where a plan's words go."""
    every = [found for definition in job_definitions().values() for found in leaves(definition)]
    return [(path, value) for path, value in every if not path.startswith("ContainerProperties.Command.")]


@case(
    happens="A sample or a flowcell has a name that a spreadsheet would take for a formula.",
    see="A run like any other; in Isaac's sheet (a CSV) no cell begins with `=`, `+`, `-` or `@`.",
    does="Makes the sample's name harmless; what cannot be a flowcell's name does not become one.",
)
@pytest.mark.parametrize("flowcell", ["=cmd|'!A0", "+1", "-1"])
def test_no_cell_of_isaacs_sheet_is_a_formula(
    functions: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flowcell: str
) -> None:
    sheet = stand_in_that_keeps_its_sheet(tmp_path, monkeypatch)
    functions.prepare()
    genome = {"genome.fa": f">1\n{bases(2000, seed=1)}\n", "genome.fa.fai": "1\t2000\t3\t2000\t2001\n"}
    for name, body in genome.items():
        functions.s3.put_object(Bucket=REFERENCES, Key=f"demo/{name}", Body=body.encode())
    for mate in (1, 2):
        reads = [(head.replace(FLOWCELL, f"=A1:45:{flowcell}"), *rest) for head, *rest in records(mate, 9)]
        told = functions.put(f"=1+1@A1_R{mate}.fastq.gz", to_gzip(text(reads)))
    functions.load("start_run").call(told)
    (run,) = functions.executions()
    plan = json.loads(functions.input_of(run))
    words = {name: plan[name] for name in ("sample", "reference", "reads", "bam", "results", "run")} | plan["align"]
    isaac.main([word for name, value in words.items() if name != "job_queue" for word in (f"--{name}", value)])
    cells = [cell for row in csv.reader(sheet.open()) for cell in row]
    assert "1_1_A1" in cells
    assert [cell for cell in cells if cell.startswith(FORMULA)] == []


def stand_in_that_keeps_its_sheet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Isaac's stand-in on PATH; what it was given as its sheet will lie at the address that comes back."""
    sheet, program = folder / "sheet.csv", folder / "bin/isaac-align"
    keep = f'for word; do [ "$last" = -s ] && cp "$word" {sheet}; last=$word; done'
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n{keep}\nexec {STAND_INS}/isaac-align "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    in_this_process(monkeypatch, folder)
    return sheet


def shell(script: str) -> str:
    return f"work.run('sh', '-c', {script!r})\n"


LEFT: dict[str, tuple[str, str]] = {
    "a link out": ("ln -s /etc results", "the tool left a link that points outside its directory ('results')"),
    "a link out, deep": ("mkdir -p a/b; ln -s ../../../ a/b/c", "the tool left a link that points outside"),
    "a pipe": ("mkfifo a", "the tool left a pipe ('a')"),
    "a socket": (
        "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('s')\"",
        "the tool left a socket ('s')",
    ),
    "too many files": (
        "mkdir many; cd many; seq 100100 | xargs touch",
        "the tool left more than 100000 files",
    ),
    "too deep": (
        "i=0; while [ $i -lt 80 ]; do mkdir d; cd d; i=$((i+1)); done",
        "the tool left folders more than 64 deep",
    ),
    "a pipe for the output": ("rm -f aligned.bam; mkfifo aligned.bam", "the tool left a pipe"),
    "a link for the output": (
        "mv aligned.bam x; ln -s x aligned.bam",
        "bam is a link, not a file: it is not published",
    ),
    "a folder for the output": ("rm aligned.bam; mkdir aligned.bam", "bam is not a regular file: it is not published"),
}
DEVICE = pytest.param(
    "mknod d c 1 3",
    "the tool left a device ('d')",
    marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a device"),
)


@case(
    happens="A tool leaves links out of its directory, devices, or a flood of files.",
    see="`FAILED`, `TOOL_FAILED`, what it left, and where.",
    does="Looks through the directory before anything is published, and publishes nothing.",
    do="Look at the tool's log; report it.",
)
@pytest.mark.parametrize(("script", "sentence"), [*LEFT.values(), DEVICE], ids=[*LEFT, "a device"])
def test_what_no_tool_has_a_reason_to_leave_is_not_published(batch: Batch, script: str, sentence: str) -> None:
    body = "(work / 'aligned.bam').write_bytes(b'bam')\n" + shell(script) + "work.publish(work / 'aligned.bam', 'bam')"
    code, log = batch.run(body)
    verdict = batch.verdict()
    assert (code, verdict["class"]) == (70, "TOOL_FAILED"), log
    assert verdict["message"].startswith(sentence)
    assert batch.written() == ["failures/align.1.2.json"]
    assert list(batch.scratch.iterdir()) == []


@more
def test_a_file_below_a_linked_folder_is_not_published(batch: Batch, tmp_path: Path) -> None:
    (tmp_path / "aligned.bam").write_bytes(b"of somebody else")
    body = f"{shell(f'ln -s {tmp_path} results')}work.publish(work / 'results/aligned.bam', 'bam')"
    assert batch.run(body)[0] == 70
    assert batch.written() == ["failures/align.1.2.json"]


@case(
    happens="A tool leaves links from one of its files to another, as Isaac and Strelka do.",
    see="`SUCCEEDED`.",
    does="Lets links be that stay within the job's own directory; publishes none.",
)
def test_links_within_the_directory_are_nobodys_business(batch: Batch) -> None:
    """Isaac reads its lanes through links, Strelka leaves one to its genome VCF."""
    assert batch.run(shell("echo x > genome.S1.vcf.gz; ln -s genome.S1.vcf.gz genome.vcf.gz") + PUBLISH)[0] == 0


@case(
    happens="A tool leaves folders in each other, so deep that no path reaches the last.",
    see="`FAILED`, `TOOL_FAILED`.",
    does="Publishes nothing, and clears all of it from the scratch disk.",
    do="Look at the tool's log; report it.",
)
def test_a_tree_deeper_than_a_path_can_be_is_cleared_away(batch: Batch) -> None:
    deep = "import os\nfor _ in range(3000): os.mkdir('d' * 20); os.chdir('d' * 20)"
    code, log = batch.run(f"work.run('python3', '-c', {deep!r})\n" + PUBLISH)
    assert (code, batch.verdict()["class"]) == (70, "TOOL_FAILED"), log
    assert list(batch.scratch.iterdir()) == []


NOISE = {
    "colours": r"printf '\033[31mred\033[0m \007bell\rdone\n' >&2; ",
    "one line of 10 MB": "head -c 10000000 /dev/zero | tr '\\0' x >&2; echo >&2; ",
    "many lines": "seq 100000 >&2; ",
    "no UTF-8": r"printf '\377\376\000\n' >&2; ",
    "JSON in JSON": 'echo \'{"message": "forged", "level": "CRITICAL"}\' >&2; ',
    "deep JSON": "python3 -c \"print('[' * 60000)\" >&2; ",
}


@case(
    happens="A tool writes colours, megabytes in one line or a hundred thousand lines to its log.",
    see="Readable lines, none longer than a screen; the rest is counted.",
    does="Cuts lines, leaves out control characters, keeps the last twenty lines for the verdict.",
)
@pytest.mark.parametrize("script", NOISE.values(), ids=NOISE)
def test_what_a_tool_says_breaks_no_line_of_the_log(batch: Batch, script: str) -> None:
    rss = "import resource\nfirst = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    grown = "\nassert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first < 30_000\n"
    assert batch.run(rss + shell(script) + grown + PUBLISH)[0] == 0
    batch.s3.delete_object(Bucket=RESULTS, Key=f"{FOLDER}/jobs/align.json")
    code, log = batch.run(shell(script + "echo last >&2; exit 3"))
    lines: list[dict[str, Any]] = [json.loads(line) for line in log.splitlines()]
    assert code == 70
    assert all(len(line) < 3000 and line.isprintable() for line in log.splitlines())
    assert {line["level"] for line in lines} == {"INFO", "ERROR"}
    assert len(lines) < 20_100
    verdict = batch.verdict()
    assert verdict["stderr_tail"][-1] == "last"
    assert all(len(line) < 2100 for line in verdict["stderr_tail"])


KEY = "clinic/Müller, Anna 1970+(2)_R1.fastq.gz"
STAGE = f"work.fetch(S3Uri({RESULTS!r}, {KEY!r}), name='lane1_R1.fastq.gz')\n"
LEAKS = {
    "nothing": "",
    "an error of ours": "raise failure.BadInputError('TRUNCATED', 'lane1_R1.fastq.gz is cut off')",
    "a bug": f"raise KeyError({KEY!r}, os.environ['AWS_SECRET_ACCESS_KEY'])",
    "a tool": f"work.run('sh', '-c', 'env >&2; echo \"$1\" NA12878 >&2; exit 1', 'x', {KEY!r})",
    "S3": f"s3.store().client.get_object(Bucket={RESULTS!r}, Key={KEY!r}, VersionId='NA12878')",
    "no connection": f"from urllib.parse import quote; raise OSError('http://s3/NA12878/' + quote({KEY!r}))",
    "a library": f"from seqdrop.log import logger; logger.warning({KEY!r}, extra={{'key': [{KEY!r}]}})",
}


@case(
    happens="A message of a tool, a library or S3 holds a sample's name, a file's name or a secret.",
    see="`<sample>`, `lane1_R1.fastq.gz`, `<secret>` in the log; the file's own name in the verdict.",
    does="Filters every line of the log; gives the tools none of the job's credentials.",
)
@pytest.mark.parametrize("body", LEAKS.values(), ids=LEAKS)
def test_no_line_of_the_log_tells_whose_reads_they_are(batch: Batch, body: str) -> None:
    batch.s3.put_object(Bucket=RESULTS, Key=KEY, Body=b"reads")
    batch.env |= {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}
    code, log = batch.run(STAGE + body + "\n" + PUBLISH)
    assert (code == 0) == (body == "" or "logger" in body), log
    spoken = " ".join(str(json.loads(line)) for line in log.splitlines()) + log
    for private in ("NA12878", "ller", "Anna", "1970", "clinic", SECRET, TOKEN):
        assert private not in spoken
    if "BadInputError" in body:
        assert batch.verdict()["message"] == f"{KEY.rpartition('/')[2]} is cut off"


@case(
    happens="A tool looks for the job's AWS credentials, or prints all it finds in its environment.",
    see="Nothing.",
    does="Starts tools without any of them.",
)
def test_a_tool_has_none_of_the_jobs_credentials(batch: Batch) -> None:
    batch.env |= {"AWS_SESSION_TOKEN": TOKEN, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x"}
    batch.env |= {"ECS_AGENT_URI": "http://169.254.170.2/api/x"}
    body = (
        "told = work.processes.output('env')\nassert 'AWS_' not in told and 'ECS_' not in told and 'TMPDIR' in told\n"
    )
    code, log = batch.run(body + PUBLISH)
    assert code == 0, log
    assert os.environ.get("AWS_SESSION_TOKEN") is None
