"""The role of a job may read the inputs of its step and write the outputs, and nothing else; every right is used."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from embedded_aws.rights import Need
from seqdrop.plan import layout, steps
from seqdrop.plan.choices import Choices
from seqdrop.plan.names import ALIGNMENT_FORMATS
from seqdrop.plan.steps import CALL, FUSED, JOIN, MERGE, PREPARE, SCATTER, STEPS, Step, Tool
from seqdrop.storage.uri import S3Uri
from support import rights
from support.pipeline_parts import ROOT, template
from support.rights import Right

from containers.reference.run import GENE_INDEXES, INDEXES
from containers.report.run import SOURCES
from containers.report.sources import MOSDEPTH
from containers.strelka.workflow import STATISTICS

# The role of JOIN is that of MERGE too, and that of CALL that of SCATTER.
ROWS = [(step, tool) for step in (*STEPS, FUSED, JOIN, PREPARE) for tool in step.tools]
IDS = [f"{step.name}-{tool.name}" for step, tool in ROWS]
FASTQS, RESULTS, REFERENCES = (f"seqdrop-{name}bucket" for name in ("fastq", "results", "reference"))
FOLDER = S3Uri(RESULTS, "S.1/0123456789abcdef0123")
CHILD = "7"  # the index of a child of an array job
ARRAYS = {JOIN.name: MERGE.name, CALL.name: SCATTER.name}  # step -> the array job whose role it has
# The suffixes in the calls of `publish` in wrappers and shared code: a test compares both.
COMPANIONS = {
    "bam": (".md5",),
    "vcf": (".tbi", ".stats", ".all.stats"),
    "gvcf": (".tbi",),
    "annotated_vcf": (".tbi", ".csv"),
    "stats": (".flagstat", ".idxstats", *MOSDEPTH),
    "report": (".json",),
    "reference": (".dict",),
}
# What those calls publish besides, under names that are not written there. Aligned reads are BAM or CRAM.
ALIGNMENT_INDEXES = {".bam": ".bai", ".cram": ".crai"}
MORE_COMPANIONS = {
    ("isaac", "bam"): (".BuildStats.xml", ".DemultiplexingStats.xml"),
    ("strelka", "vcf"): tuple(f".{name}" for name in STATISTICS),
    ("reference", "reference"): (".fai", *(suffix for suffixes in INDEXES.values() for suffix in suffixes)),
    ("reference", "reference of genes"): tuple(GENE_INDEXES.values()),
}
READ_COMPANIONS = {
    "vcf": (".tbi",),
    "reference": (".fai", *MORE_COMPANIONS["reference", "reference"]),
}
TAGGED = {"bam"}  # the lifecycle of the bucket archives them
WRITE = ("s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload")  # GetObject: HEAD after the upload, and receipts
ALL_RESULTS = re.compile(r"\{ResultsBucket\.Arn\}/[*/]*'")
# Rights that no run of `make rights` uses, and why they stay.
BUCKET, MACHINE = "arn:aws:s3:::seqdrop-", "arn:aws:states:*:stateMachine:seqdrop-pipeline"
JOINT_MACHINE = MACHINE.replace("pipeline", "joint")
JOINT_RUNS = f"{JOINT_MACHINE.replace('stateMachine', 'execution')}:*"
ONLY_ON_AWS = {
    Right("*", "kms:*", "*"): "objects, rows and messages are encrypted on AWS; the embedded AWS has no KMS",
    Right("StateMachineRole", "logs:*", "*"): "the log of the state machine; the embedded AWS writes none",
    Right("StateMachineRole", "xray:*", "*"): "tracing; the embedded AWS has none",
    Right("StateMachineRole", "events:*", "*StepFunctionsGetEventsForBatchJobsRule"): "the rule behind `.sync` on AWS",
    Right("*JobRole", "s3:AbortMultipartUpload", "*"): "only large files are uploaded in parts, and few uploads fail",
    Right("*JobRole", "s3:ListBucket", f"{BUCKET}*"): "404, not 403, for an input that is deleted during a run",
    Right("PrepareJobRole", "s3:GetObject", f"{BUCKET}*/source/*"): "an execution started by hand may pin no versions",
    Right("FusedJobRole", "*", "*"): "the rights of all steps, which runs with a job for each step use; see ROWS",
    Right("AnnotateJobRole", "*", f"{BUCKET}results*/failures/annotate.*"): "no run of the tests fails in this step",
    Right("RecordRunFunctionRole", "ec2:DescribeSpotPriceHistory", "*"): "this machine is no Spot instance",
    Right("DiagnoseFunctionRole", "s3:ListBucket", f"{BUCKET}referencebucket"): "a preparation that left no verdict",
    Right("StartRunFunctionRole", "s3:ListBucket", f"{BUCKET}resultsbucket"): "a manifest that was deleted",
    Right("StartRunFunctionRole", "states:StartExecution", MACHINE): "not tried on AWS: whether the alias is enough",
    Right("StartRunFunctionRole", "states:StartExecution", JOINT_MACHINE): "the same",
    Right("StartRunFunctionRole", "states:DescribeExecution", JOINT_RUNS): "no joint run of the tests is resumed",
    Right("RecordRunFunctionRole", "states:*", JOINT_RUNS): "no joint run of the tests is repaired or costs its budget",
    Right("ApiFunctionRole", "states:*", JOINT_RUNS): "no joint run of the tests is stopped through the API",
    Right("ApiFunctionRole", "s3:ListBucket", "*"): "404, not 403, for a receipt that is not there yet",
    Right("JoinJobRole", "*", f"{BUCKET}results*/failures/*"): "no joint run of the tests leaves a verdict",
}


def plan(alignment_format: str = "") -> dict[str, Any]:
    jobs = {step: {"job_queue": "q", "vcpus": "1", "memory": "1"} for step in steps.names()}
    buckets = {"results_bucket": RESULTS, "reference_bucket": REFERENCES}
    choices = Choices("hg", "panel.bed", alignment_format=alignment_format)
    return layout.plan("S.1", FOLDER.name, choices, **buckets, genome="", jobs=jobs)


def addresses(word: str, *suffixes: str) -> Iterator[str]:
    """Yield the addresses of an input or output with its companions, aligned reads in both formats."""
    for uri in dict.fromkeys(plan(form)[word] for form in ALIGNMENT_FORMATS):
        index = [ALIGNMENT_INDEXES[f".{uri.rpartition('.')[2]}"]] if word == "bam" else []
        yield from (f"{uri}{suffix}" for suffix in ("", *index, *suffixes))


def fused_rows() -> list[tuple[Step, Tool]]:
    """Return the steps and tools of the job that runs all steps."""
    return [(step, tool) for step in STEPS for tool in step.tools if tool.fusible]


def verdicts(step: Step, attempt: str) -> list[str]:
    """Return the addresses of the verdicts that a job writes: one for each of its steps."""
    names = steps.names() if step is FUSED else [step.name]
    own = [str(layout.verdict_uri(results_of(step), name, attempt, attempt)) for name in names]
    array = ARRAYS.get(step.name)
    return [*own, str(layout.verdict_uri(FOLDER, array, attempt, attempt, CHILD))] if array else own


def parts(step: Step) -> list[str]:
    """Return the address of what a child of the array job of a step publishes for it; none for other steps."""
    return [str(layout.part_uri(FOLDER, ARRAYS[step.name], CHILD))] if step.name in ARRAYS else []


def results_of(step: Step) -> S3Uri:
    return S3Uri(REFERENCES, f"hg/preparation/{FOLDER.name}") if step is PREPARE else FOLDER


def outputs(step: Step, tool: Tool) -> Iterator[str]:
    """Yield the address of every object that a job publishes, with its receipt."""
    if step is FUSED:
        yield from (uri for each, own in fused_rows() for uri in outputs(each, own))
        return
    for word in ["reference"] if step is PREPARE else step.writes:
        more = [
            suffix
            for (name, kind), suffixes in MORE_COMPANIONS.items()
            if (name, kind.split()[0]) == (tool.name, word)
            for suffix in suffixes
        ]
        yield from addresses(word, *COMPANIONS[word], *more)
    if step is PREPARE:
        yield f"s3://{REFERENCES}/hg/reference.json"
    yield str(layout.receipt_uri(results_of(step), step.name))


def published_by(step: Step, tool: Tool) -> Iterator[str]:
    """Yield what `outputs` does and, of a job with the role of an array job, what its children publish."""
    yield from outputs(step, tool)
    yield from parts(step)
    if step.name in ARRAYS:
        yield str(layout.receipt_uri(FOLDER, ARRAYS[step.name], CHILD))


def inputs(step: Step) -> Iterator[str]:
    """Yield the address of every object that a job reads."""
    if step is FUSED:
        yield from (uri for each in STEPS for uri in inputs(each))
        return
    if step is PREPARE:
        yield from (f"s3://{REFERENCES}/hg/source/{name}" for name in ("genome.fa.gz", "genes.gtf"))
        yield from (f"s3://{REFERENCES}/hg/{name}" for name in ("genome.fa", "genome.fa.fai"))  # for known variants
        return
    if step.name == "compose":  # outputs of other steps alone
        yield from (str(FOLDER / name) for name in ("reference.json", "reads.json"))
        yield from (f"s3://{REFERENCES}/hg/{name}" for name in ("qc.yaml", "genome.fa", "genome.fa.fai"))
        yield from addresses("bam")  # the reads at variants
        yield from (f"{plan()[word]}{suffix}" for word, suffix, _ in SOURCES)
        yield from (str(layout.receipt_uri(FOLDER, name)) for name in steps.names())
        return
    if step is JOIN:
        yield from (
            f"s3://{RESULTS}/S.2/r/S.2.{kind}.gz{suffix}" for kind in ("vcf", "g.vcf") for suffix in ("", ".tbi")
        )
        yield from (str(FOLDER / "reads.json"), str(FOLDER / "reference.json"))
        return
    for word in step.reads:
        if word not in {"sample", "parts"}:
            yield from addresses(word, *READ_COMPANIONS.get(word, ()))
    yield str(FOLDER / "reference.json")
    if "reads" in step.reads:
        yield f"s3://{FASTQS}/folder/S.1_R1.fastq.gz"
    if step.name == "annotate":
        yield from (f"{plan()['reference']}{suffix}" for suffix in GENE_INDEXES.values())


def tagged(step: Step) -> set[str]:
    """Return the outputs of a step that get a tag."""
    words = FUSED.reads if step is FUSED else step.writes
    return {plan(form)[word] for form in ALIGNMENT_FORMATS for word in words if word in TAGGED} | set(parts(step))


def missing_rights(step: Step, tool: Tool, stack: dict[str, Any]) -> list[str]:
    """Return what a job must do and its role does not allow."""
    roles, role = rights.roles(stack), rights.job_role(stack, tool)
    needed = [(action, uri) for uri in published_by(step, tool) for action in WRITE]
    read = [*inputs(step), *parts(step)]
    needed += [(action, uri) for uri in read for action in ("s3:GetObject", "s3:GetObjectVersion")]
    needed += [(action, uri) for uri in verdicts(step, "2") for action in ("s3:PutObject", "s3:PutObjectTagging")]
    needed += [("s3:PutObjectTagging", uri) for uri in tagged(step)]
    buckets = {S3Uri.parse(uri).bucket for _, uri in needed}  # missing objects are 403 without this right
    needed += [("s3:ListBucket", f"s3://{bucket}") for bucket in sorted(buckets)]
    return [f"{action} {uri}" for action, uri in needed if not rights.may(roles, role, action, uri)]


@pytest.mark.parametrize(("step", "tool"), ROWS, ids=IDS)
def test_a_job_may_read_its_inputs_and_write_its_outputs(step: Step, tool: Tool) -> None:
    assert missing_rights(step, tool, template()) == []


@pytest.mark.parametrize(("step", "tool"), ROWS, ids=IDS)
def test_a_job_may_write_nothing_else(step: Step, tool: Tool) -> None:
    roles, role = rights.roles(template()), rights.job_role(template(), tool)
    own = {uri for each in step.tools for uri in published_by(step, each)}
    others = {uri for other, each in ROWS for uri in published_by(other, each)} - own
    others |= {str(FOLDER / name) for name in ("reads.json", "reference.json", "intervals.bed", "manifest.json")}
    others |= {uri for other, _ in ROWS for uri in verdicts(other, "1")} - set(verdicts(step, "1"))
    others |= {
        f"s3://{FASTQS}/S.1_R1.fastq.gz",
        f"s3://{REFERENCES}/panel.bed",
        f"s3://{REFERENCES}/hg/source/genome.fa.gz",
    }
    everything = [
        (action, uri) for uri in sorted(others | own) for action in ("s3:DeleteObject", "s3:DeleteObjectVersion")
    ]
    tags = [
        ("s3:PutObjectTagging", uri) for uri in sorted(own - tagged(step))
    ]  # a result with the tag of verdicts expires
    writes = [(action, uri) for uri in sorted(others) for action in ("s3:PutObject", "s3:AbortMultipartUpload")]
    assert [pair for pair in writes + tags + everything if rights.may(roles, role, *pair)] == []


def published() -> dict[str, set[str]]:
    """Return the suffixes in all calls of `publish`: output -> suffixes that are written there."""
    found: dict[str, set[str]] = {}
    for path in [*(ROOT / "containers").glob("*/*.py"), *(ROOT / "layers/common/seqdrop/jobs").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "publish":
                words = [
                    word.value for word in node.args if isinstance(word, ast.Constant) and isinstance(word.value, str)
                ]
                if words:
                    found.setdefault(words[0], set()).update(words[1:])
    return found


def test_other_buckets_of_a_parameter_can_be_read_and_not_written() -> None:
    stack = copy.deepcopy(template())
    for name, arns in (("InputBucketArns", ["arn:aws:s3:::lab"]), ("InputKeyArns", ["arn:aws:kms:::key/lab"])):
        stack["Parameters"][name]["Default"] = arns
    for role in ("AlignJobRole", "FusedJobRole", "StartRunFunctionRole", "PrepareJobRole"):
        for table, allowed in ((template(), False), (stack, True)):
            roles = rights.roles(table)
            assert roles.may(role, Need("s3:GetObjectVersion", "arn:aws:s3:::lab/x_1.fq.gz")) is allowed
            assert roles.may(role, Need("s3:ListBucket", "arn:aws:s3:::lab")) is allowed
            assert roles.may(role, Need("kms:Decrypt", "arn:aws:kms:::key/lab")) is allowed
            assert not roles.may(role, Need("s3:PutObject", "arn:aws:s3:::lab/x_1.fq.gz"))
            assert not roles.may(role, Need("s3:GetObjectVersion", "arn:aws:s3:::lab-2/x_1.fq.gz"))


def test_no_job_may_read_or_write_all_results() -> None:
    """Each pattern names the kind of its files; the job with all steps could otherwise have one for all of them."""
    found = [str(row) for row in patterns(template()) if ALL_RESULTS.search(row[-1])]
    assert found == []


def test_record_run_may_ask_for_the_price_of_spot_instances() -> None:
    assert rights.roles(template()).may("RecordRunFunctionRole", Need("ec2:DescribeSpotPriceHistory", "*"))


def test_the_table_of_companions_is_that_of_the_wrappers() -> None:
    assert published() == {word: set(suffixes) for word, suffixes in COMPANIONS.items()}


def patterns(stack: dict[str, Any]) -> Iterator[tuple[Tool, Step, str, int, int, str]]:
    """Yield every resource pattern of the roles of jobs: where it is, and the pattern."""
    for step, tool in ROWS:
        if tool is step.tools[-1]:
            [policy] = stack["Resources"][rights.job_role(stack, tool)]["Properties"]["Policies"]
            for number, statement in enumerate(policy["PolicyDocument"]["Statement"]):
                resources = statement.get("Resource")  # none of a statement for a parameter that is empty
                if isinstance(resources, list):
                    for place, resource in enumerate(resources):
                        yield tool, step, rights.job_role(stack, tool), number, place, str(resource)


PATTERNS = list(patterns(template()))


@pytest.mark.parametrize(
    ("tool", "step", "role", "number", "place", "pattern"), PATTERNS, ids=[f"{row[2]}-{row[5]}" for row in PATTERNS]
)
def test_a_right_that_is_taken_away_is_missed(
    tool: Tool, step: Step, role: str, number: int, place: int, pattern: str
) -> None:
    """A planted fault: without any one resource of a role, a job cannot do its work, or may do more."""
    stack = copy.deepcopy(template())
    statement = stack["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][number]
    del statement["Resource"][place]
    missed = [missing for each in step.tools for missing in missing_rights(step, each, stack)]
    if statement["Effect"] == "Deny":
        files = [f"{plan()[word]}{suffix}" for word in ("annotated_vcf", "gvcf") for suffix in ("", ".tbi")]
        denied = files[place] if step is not PREPARE else f"s3://{REFERENCES}/hg/source/genome.fa"
        assert rights.may(rights.roles(stack), role, "s3:PutObject", denied)
    else:
        assert missed


def is_exception(right: Right, exception: Right) -> bool:
    """Return whether a right is an exception: its role, all its actions, all its resources match."""
    return (
        fnmatchcase(right.role, exception.role)
        and all(fnmatchcase(action, exception.action) for action in right.action.split())
        and all(fnmatchcase(resource, exception.resource) for resource in right.resource.split())
    )


def test_every_right_was_used_by_a_run_or_is_needed_on_aws_alone() -> None:
    """`make rights` runs the pipeline and writes the used rights down."""
    unused = rights.unused(template())
    assert [right for right in unused if not any(is_exception(right, exception) for exception in ONLY_ON_AWS)] == []


def test_every_exception_is_of_a_right_that_no_run_uses() -> None:
    unused = rights.unused(template())
    assert [each for each in ONLY_ON_AWS if not any(is_exception(right, each) for right in unused)] == []


def test_every_right_that_a_run_used_is_still_there() -> None:
    assert rights.lost(template()) == []


OTHERS = ("DiagnoseFunction", "RecordRunFunction", "StartRunFunction", "StateMachineRole")


@pytest.mark.parametrize("name", OTHERS)
def test_a_right_that_is_taken_from_a_function_or_a_state_machine_is_missed(name: str) -> None:
    """A planted fault in each statement: without any one action, a run that used it fails."""
    places = range(len(statements(template(), name)))
    for number in places:
        stack = copy.deepcopy(template())
        removed = statements(stack, name).pop(number)
        if "Fn::If" in removed:  # of a parameter that is empty
            continue
        actions = removed["Action"] if isinstance(removed["Action"], list) else [removed["Action"]]
        if not any(fnmatchcase(action, each.action) for each in ONLY_ON_AWS for action in actions):
            assert rights.lost(stack), removed


def statements(stack: dict[str, Any], name: str) -> list[Any]:
    [policy] = stack["Resources"][name]["Properties"]["Policies"]
    found: list[Any] = policy.get("PolicyDocument", policy)["Statement"]
    return found


def test_a_right_that_nothing_uses_is_named() -> None:
    stack = copy.deepcopy(template())
    [policy] = stack["Resources"]["AlignJobRole"]["Properties"]["Policies"]
    policy["PolicyDocument"]["Statement"].append({"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "*"})
    named = Right("AlignJobRole", "s3:DeleteObject", "*")
    assert named in rights.unused(stack)
    assert named not in rights.unused(template())


def test_a_part_of_the_runs_adds_its_rights_to_the_recorded_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, unknown = *sorted(rights.used())[:2], Right("NoRole", "s3:GetObject", "*")
    recorded, written = tmp_path / "recorded", tmp_path / "written"
    monkeypatch.setattr(rights, "USED", written)
    rights.write(written, [first])
    rights.write(recorded, [second, unknown])
    rights.main(recorded, "--add")
    assert rights.used() == {first, second}
    rights.main(recorded)
    assert rights.used() == {second}
