"""Invalid plans and unexpected output of tools"""

from __future__ import annotations

import csv
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from seqdrop.plan.steps import PREPARE, STEPS
from support.aligner_runs import SMALL_TABLE
from support.catalogue import case, more
from support.function_aws import REFERENCES, RESULTS, Deployed
from support.job_runs import FOLDER, PUBLISH, Batch, in_this_process
from support.made_reads import FLOWCELL, bases, records, text, to_gzip
from support.pipeline_parts import batch_states, job_definitions, template

from containers.isaac import run as isaac

OTHER = f"s3://{RESULTS}/NA12891/other"
SECRET, TOKEN = f"wJalr{'XUtnFEMI' * 4}", f"IQoJb{'3JpZ2lu' * 4}=="  # as long as real ones
STAND_INS = Path(__file__).parents[1] / "support/stand_ins"
# A spreadsheet evaluates a cell that starts with one of these as a formula.
FORMULA = tuple("=+-@\t\r")
WRAPPERS = {tool.name: (*step.reads, *step.writes) for step in (*STEPS, PREPARE) for tool in step.tools}


def arguments(wrapper: str, **changes: str) -> dict[str, str]:
    """Return the arguments that a plan has for a wrapper, with changes."""
    folder = f"s3://{RESULTS}/{FOLDER}"
    values = {word: f"{folder}/NA12878.{word}" for step in STEPS for word in step.writes}
    values |= {"sample": "NA12878", "reference": f"s3://{RESULTS}/demo/genome.fa", "reads": f"{folder}/reads.json"}
    values |= {
        "intervals": "all",
        "fasta": f"s3://{RESULTS}/a.fa",
        "genes": "none",
        "aligner": "bwa",
        "sources": "{}",
        "parts": "1",
    }
    common = {"results": folder, "run": "r", "attempt": "1", "vcpus": "2", "memory": "400", "args": "[]"}
    if wrapper == "reference":
        common["results"] = f"s3://{RESULTS}/demo/preparation/r"
    return {**{word: values[word] for word in WRAPPERS[wrapper]}, **common, **changes}


@case(
    happens="A plan that was written by hand names files of another run.",
    see="The job ends with exit code 64. The log has the name of the invalid argument.",
    does="Compares every address with the folder of the run before anything is read or written.",
    do="Correct the plan.",
)
@pytest.mark.parametrize(
    ("wrapper", "changes"),
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
        ("report", {"report": f"{OTHER}/x.report.html"}),
        ("reference", {"reference": f"s3://{RESULTS}/hg38/genome.fa"}),
        ("reference", {"aligner": "$(touch {canary})"}),
    ],
)
def test_a_job_reads_and_writes_no_files_of_another_run(
    batch: Batch, wrapper: str, changes: dict[str, str], tmp_path: Path
) -> None:
    batch.s3.create_bucket(Bucket="canary-bucket")
    batch.s3.put_object(Bucket=RESULTS, Key="NA12891/other/jobs/call.json", Body=b"other")
    before = batch.versions()
    hostile = {word: value.replace("{canary}", str(tmp_path / "canary")) for word, value in changes.items()}
    code, log = batch.wrapper(wrapper, arguments(wrapper, **hostile))
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
    ["--min-depth", "2"],
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
    happens="The options of a step in a plan written by hand contain a command, a path or a number outside the limits.",
    see="`FAILED`, `BAD_INPUT.ARGS`, and the option, shortened and with printable characters only.",
    does="Accepts only the options of the tool, with values within their limits. No shell reads them.",
    do="Upload the reads with correct options: start_run writes the plan.",
)
@pytest.mark.parametrize(
    ("wrapper", "args"),
    [*(("bcftools", args) for args in HOSTILE), *((wrapper, HOSTILE[0]) for wrapper in WRAPPERS)],
    ids=[*(f"options{place}" for place in range(len(HOSTILE))), *WRAPPERS],
)
def test_hostile_options_reach_no_tool(batch: Batch, wrapper: str, args: list[str], tmp_path: Path) -> None:
    batch.s3.create_bucket(Bucket="canary-bucket")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        text = json.dumps(args).replace("{port}", str(listener.getsockname()[1]))
        text = text.replace("{canary}", str(tmp_path / "canary"))
        code, log = batch.wrapper(wrapper, arguments(wrapper, args=text))
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert code == 64, log
    assert max(map(len, log.splitlines())) < 5000
    assert [json.loads(line) for line in log.splitlines()]
    assert not (tmp_path / "canary").exists()
    assert list(batch.scratch.iterdir()) == []
    assert "Contents" not in batch.s3.list_objects_v2(Bucket="canary-bucket")


def state_settings() -> list[tuple[str, Any]]:
    """Return every setting of every job that the state machines submit, with its path."""
    return [
        (f"{name}.{path}", value)
        for name, state in batch_states()
        for path, value in leaves(state["Parameters"])
        if not path.startswith(("Parameters.", "Tags."))
    ]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is not a mapping or a list, with its path."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from leaves(item, f"{path}.{name}" if path else str(name))
    if not isinstance(value, dict | list):
        yield path, value


@case(
    happens="A person with permission to start the state machine writes an image, a role or a command into the plan.",
    see="These values have no effect.",
    does="Uses only the name, queue, size, number of parts, arguments and job definition of a job from a plan. The "
    "role of the state machines may submit the job definitions of the stack alone, which have its images, roles and "
    "commands.",
)
def test_a_plan_cannot_set_an_image_role_or_command() -> None:
    from_plan = {path.partition(".")[2] for path, _ in state_settings() if path.endswith(".$")}
    sizes = {f"ContainerOverrides.ResourceRequirements.{place}.Value.$" for place in (0, 1)}
    assert from_plan == {"JobName.$", "JobDefinition.$", "JobQueue.$", "ArrayProperties.Size.$", *sizes}
    from_stack = {path.partition(".")[2] for path, _ in state_settings()} - from_plan
    kinds = {f"ContainerOverrides.ResourceRequirements.{place}.Type" for place in (0, 1)}
    assert from_stack == {"JobDefinition", "PropagateTags", *kinds}
    definitions = [value for path, value in state_settings() if path.endswith(".JobDefinition")]
    assert definitions == ["${PrepareJobDefinition}"]
    assert set(submitted_definitions()) == {
        f"job-definition/${{AWS::StackName}}-{name.removesuffix('JobDefinition')}:*" for name in job_definitions()
    }
    assert not any("jobRoleArn" in str(path) or "Ref::" in str(value) for path, value in definition_settings())


def submitted_definitions() -> Iterator[str]:
    """Yield the job definitions that the role of the state machines may submit, in every revision."""
    [policy] = template()["Resources"]["StateMachineRole"]["Properties"]["Policies"]
    for statement in policy["PolicyDocument"]["Statement"]:
        if "batch:SubmitJob" in statement["Action"]:
            subs = [resource["Fn::Sub"] for resource in statement["Resource"] if "Fn::Sub" in resource]
            yield from (sub.rpartition("AccountId}:")[2] for sub in subs if "job-definition" in sub)


def definition_settings() -> list[tuple[str, Any]]:
    """Return the settings of the job definitions without their commands: only these use values of a plan."""
    settings = [setting for definition in job_definitions().values() for setting in leaves(definition)]
    return [(path, value) for path, value in settings if not path.startswith("ContainerProperties.Command.")]


@case(
    happens="A spreadsheet would evaluate the name of a sample or of a flowcell as a formula.",
    see="`SUCCEEDED`. In Isaac's sample sheet (CSV), no cell starts with `=`, `+`, `-` or `@`.",
    does="Replaces these characters in the sample id, and ignores an invalid name of a flowcell.",
)
@pytest.mark.parametrize("flowcell", ["=cmd|'!A0", "+1", "-1"])
def test_no_cell_of_the_sample_sheet_is_a_formula(
    functions: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flowcell: str
) -> None:
    sheet = install_fake_isaac(tmp_path, monkeypatch)
    functions.prepare()
    genome = {"genome.fa": f">1\n{bases(2000, seed=1)}\n", "genome.fa.fai": "1\t2000\t3\t2000\t2001\n"}
    for name, body in genome.items():
        functions.s3.put_object(Bucket=REFERENCES, Key=f"demo/{name}", Body=body.encode())
    for mate in (1, 2):
        reads = [(head.replace(FLOWCELL, f"=A1:45:{flowcell}"), *rest) for head, *rest in records(mate, 9)]
        event = functions.put(f"=1+1@A1_R{mate}.fastq.gz", to_gzip(text(reads)))
    functions.load("start_run").call(event)
    (run,) = functions.executions()
    plan = json.loads(functions.input_of(run))
    values = {name: plan[name] for name in ("sample", "reference", "reads", "bam", "results", "run")} | plan["align"]
    values["args"] = SMALL_TABLE
    isaac.main([word for name, value in values.items() if not name.startswith("job_") for word in (f"--{name}", value)])
    cells = [cell for row in csv.reader(sheet.open()) for cell in row]
    assert "1_1_A1" in cells
    assert [cell for cell in cells if cell.startswith(FORMULA)] == []


def install_fake_isaac(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a fake isaac-align on PATH; it copies its sample sheet to the path that is returned."""
    sheet, program = folder / "sheet.csv", folder / "bin/isaac-align"
    copy = f'for word; do [ "$last" = -s ] && cp "$word" {sheet}; last=$word; done'
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n{copy}\nexec {STAND_INS}/isaac-align "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    in_this_process(monkeypatch, folder)
    return sheet


def shell(script: str) -> str:
    return f"work.run('sh', '-c', {script!r})\n"


LEFTOVERS: dict[str, tuple[str, str]] = {
    "a link to another folder": (
        "ln -s /etc results",
        "the tool left a link that points outside its directory ('results'): nothing is published",
    ),
    "a link to another folder, in a subfolder": (
        "mkdir -p a/b; ln -s ../../../ a/b/c",
        "the tool left a link that points outside its directory ('a/b/c')",
    ),
    "a pipe": ("mkfifo a", "the tool left a pipe ('a')"),
    "a socket": (
        "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('s')\"",
        "the tool left a socket ('s')",
    ),
    "too many files": (
        "mkdir many; cd many; seq 100100 | xargs touch",
        "the tool left more than 100000 files: nothing is published",
    ),
    "too deep": (
        "i=0; while [ $i -lt 80 ]; do mkdir d; cd d; i=$((i+1)); done",
        "the tool left folders more than 64 deep: nothing is published",
    ),
    "a pipe as output": ("rm -f aligned.bam; mkfifo aligned.bam", "the tool left a pipe"),
    "a link as output": (
        "mv aligned.bam x; ln -s x aligned.bam",
        "bam is a link, not a file: it is not published",
    ),
    "a folder as output": ("rm aligned.bam; mkdir aligned.bam", "bam is not a regular file: it is not published"),
}
DEVICE = pytest.param(
    "mknod d c 1 3",
    "the tool left a device ('d')",
    marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can create a device"),
)


CUT_READS = """
from seqdrop.jobs import alignment
sam = "@HD\\tVN:1.6\\tSO:coordinate\\n@SQ\\tSN:c\\tLN:99\\n"
sam += "r\\t0\\tc\\t1\\t60\\t35M\\t*\\t0\\t0\\t" + 35 * "A" + "\\t*\\n"
(work / "aligned.sam").write_text(sam)
out = work / "aligned.bam"
work.run("samtools", "view", "--write-index", "-o", f"{out}##idx##{out}.bai", work / "aligned.sam")
work.counts |= {"reads": 1, "bases": 148}
alignment.publish(work, out)
"""


@case(
    happens="An aligner cuts reads and exits with 0.",
    see="`FAILED`, `TOOL_FAILED`, the number of bases in the reads and in the BAM.",
    does="Counts the bases of all reads, as well as the reads, and publishes nothing.",
    do="Use another aligner, and report the failure.",
)
def test_an_aligner_that_cuts_reads_is_a_failure(batch: Batch) -> None:
    code, log = batch.run(CUT_READS)
    verdict = batch.verdict()
    assert (code, verdict["class"]) == (70, "TOOL_FAILED"), log
    assert verdict["message"] == "148 bases went in but 35 came out: the aligner cut reads"
    assert batch.written() == ["failures/align.1.2.json"]


DAMAGED_CRAM = """
from seqdrop.jobs import alignment
(work / "genome.fa").write_text(">c\\n" + 99 * "A" + "\\n")
sam = "@HD\\tVN:1.6\\tSO:coordinate\\n@SQ\\tSN:c\\tLN:99\\n"
sam += "r\\t0\\tc\\t1\\t60\\t35M\\t*\\t0\\t0\\t" + 35 * "A" + "\\t*\\n"
(work / "aligned.sam").write_text(sam)
out = work / "aligned.cram"
work.run("samtools", "view", "-C", "-T", work / "genome.fa", "-o", out, work / "aligned.sam")
work.run("samtools", "index", out)
work.counts |= {"reads": 1, "bases": 35}
DAMAGE
alignment.publish(work, out)
"""


@case(
    happens="A CRAM is truncated, or its index does not list all of it; `samtools view` reads both with exit code 0.",
    see="`FAILED`, `TOOL_FAILED`, and what is wrong.",
    does="Looks for the last block, and compares the index with a new one; publishes nothing.",
    do="`seqdrop resume RUN`; if it fails again, report the failure.",
)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("os.truncate(out, out.stat().st_size - 38)", "samtools ended with exit code"),
        (
            "import gzip; Path(f'{out}.crai').write_bytes(gzip.compress(b''))",
            "the index of the CRAM does not list its slices",
        ),
    ],
    ids=["truncated", "index"],
)
def test_a_truncated_cram_or_an_incomplete_index_is_not_published(batch: Batch, damage: str, message: str) -> None:
    batch.arguments["bam"] = batch.arguments["bam"].replace(".bam", ".cram")
    code, log = batch.run(DAMAGED_CRAM.replace("DAMAGE", damage))
    verdict = batch.verdict()
    assert (code, verdict["class"]) == (70, "TOOL_FAILED"), log
    assert verdict["message"].startswith(message)
    assert batch.written() == ["failures/align.1.2.json"]


@case(
    happens="A tool leaves links to other folders, devices, or too many files.",
    see="`FAILED`, `TOOL_FAILED`, the kind of file and its path.",
    does="Checks the directory of the job before anything is published, and publishes nothing.",
    do="Read the log of the step and report the failure.",
)
@pytest.mark.parametrize(("script", "message"), [*LEFTOVERS.values(), DEVICE], ids=[*LEFTOVERS, "a device"])
def test_unexpected_files_of_a_tool_are_not_published(batch: Batch, script: str, message: str) -> None:
    body = "(work / 'aligned.bam').write_bytes(b'bam')\n" + shell(script) + "work.publish(work / 'aligned.bam', 'bam')"
    code, log = batch.run(body)
    verdict = batch.verdict()
    assert (code, verdict["class"]) == (70, "TOOL_FAILED"), log
    assert verdict["message"].startswith(message)
    assert batch.written() == ["failures/align.1.2.json"]
    assert list(batch.scratch.iterdir()) == []


@more
def test_a_file_in_a_linked_folder_is_not_published(batch: Batch, tmp_path: Path) -> None:
    (tmp_path / "aligned.bam").write_bytes(b"of another user")
    body = f"{shell(f'ln -s {tmp_path} results')}work.publish(work / 'results/aligned.bam', 'bam')"
    assert batch.run(body)[0] == 70
    assert batch.written() == ["failures/align.1.2.json"]


@case(
    happens="A tool leaves links between its own files, as Isaac and Strelka do.",
    see="`SUCCEEDED`.",
    does="Accepts links within the directory of the job, and publishes none of them.",
)
def test_links_within_the_directory_of_the_job_are_accepted(batch: Batch) -> None:
    """Isaac reads its lanes through links; Strelka leaves a link to its genome VCF."""
    assert batch.run(shell("echo x > genome.S1.vcf.gz; ln -s genome.S1.vcf.gz genome.vcf.gz") + PUBLISH)[0] == 0


@case(
    happens="A tool leaves nested folders whose path is longer than the limit of Linux.",
    see="`FAILED`, `TOOL_FAILED`.",
    does="Publishes nothing, and deletes the folders from the scratch disk.",
    do="Read the log of the step and report the failure.",
)
def test_folders_deeper_than_the_longest_path_are_deleted(batch: Batch) -> None:
    deep = "import os\nfor _ in range(3000): os.mkdir('d' * 20); os.chdir('d' * 20)"
    code, log = batch.run(f"work.run('python3', '-c', {deep!r})\n" + PUBLISH)
    assert (code, batch.verdict()["class"]) == (70, "TOOL_FAILED"), log
    assert list(batch.scratch.iterdir()) == []


NOISE = {
    "colours": r"printf '\033[31mred\033[0m \007bell\rdone\n' >&2; ",
    "one line of 10 MB": "head -c 10000000 /dev/zero | tr '\\0' x >&2; echo >&2; ",
    "many lines": "seq 100000 >&2; ",
    "invalid UTF-8": r"printf '\377\376\000\n' >&2; ",
    "JSON in JSON": 'echo \'{"message": "forged", "level": "CRITICAL"}\' >&2; ',
    "nested JSON": "python3 -c \"print('[' * 60000)\" >&2; ",
}


@case(
    happens="A tool writes colours, a line of 10 MB, or 100,000 lines to its log.",
    see="Readable lines of limited length, and the number of omitted lines.",
    does="Truncates long lines, removes control characters, and keeps the last 20 lines for the verdict.",
)
@pytest.mark.parametrize("script", NOISE.values(), ids=NOISE)
def test_every_line_of_the_log_is_short_printable_json(batch: Batch, script: str) -> None:
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
    "a refusal": "raise failure.BadInputError('TRUNCATED', 'lane1_R1.fastq.gz is cut off')",
    "a bug": f"raise KeyError({KEY!r}, os.environ['AWS_SECRET_ACCESS_KEY'])",
    "a tool": f"work.run('sh', '-c', 'env >&2; echo \"$1\" NA12878 >&2; exit 1', 'x', {KEY!r})",
    "S3": f"s3.store().client.get_object(Bucket={RESULTS!r}, Key={KEY!r}, VersionId='NA12878')",
    "no connection": f"from urllib.parse import quote; raise OSError('http://s3/NA12878/' + quote({KEY!r}))",
    "a library": f"from seqdrop.log import logger; logger.warning({KEY!r}, extra={{'key': [{KEY!r}]}})",
}


@case(
    happens="A message of a tool, a library or S3 contains a sample id, a file name or a secret.",
    see="`<sample>`, `lane1_R1.fastq.gz` and `<secret>` in the log. The verdict has the original name of the file.",
    does="Redacts every line of the log. Tools get no credentials of the job.",
)
@pytest.mark.parametrize("body", LEAKS.values(), ids=LEAKS)
def test_samples_file_names_and_secrets_are_redacted_in_the_log(batch: Batch, body: str) -> None:
    batch.s3.put_object(Bucket=RESULTS, Key=KEY, Body=b"reads")
    batch.env |= {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}
    code, log = batch.run(STAGE + body + "\n" + PUBLISH)
    assert (code == 0) == (body == "" or "logger" in body), log
    text = " ".join(str(json.loads(line)) for line in log.splitlines()) + log
    for private in ("NA12878", "ller", "Anna", "1970", "clinic", SECRET, TOKEN):
        assert private not in text
    if "BadInputError" in body:
        assert batch.verdict()["message"] == f"{KEY.rpartition('/')[2]} is cut off"


@case(
    happens="A tool searches its environment for AWS credentials, or prints its environment.",
    see="Nothing.",
    does="Starts tools without the credentials of the job.",
)
def test_a_tool_gets_no_credentials_of_the_job(batch: Batch) -> None:
    batch.env |= {"AWS_SESSION_TOKEN": TOKEN, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x"}
    batch.env |= {"ECS_AGENT_URI": "http://169.254.170.2/api/x"}
    body = "env = work.processes.output('env')\nassert 'AWS_' not in env and 'ECS_' not in env and 'TMPDIR' in env\n"
    code, log = batch.run(body + PUBLISH)
    assert code == 0, log
    assert os.environ.get("AWS_SESSION_TOKEN") is None
