"""Start the run of complete pairs, or record why it cannot start."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seqdrop.failure import advice
from seqdrop.failure.verdict import BadInputError
from seqdrop.plan import fastq_names, forms, layout, steps
from seqdrop.plan.choices import MAX_COST, ChoiceError, Choices
from seqdrop.plan.extras import PADDING
from seqdrop.plan.fastq_names import FastqName
from seqdrop.plan.names import INTERVALS_CHECKSUM, QC_DEFAULT, QC_HOLD, REFERENCE_JSON, printable
from seqdrop.plan.sheet import ALIGNMENTS
from seqdrop.plan.steps import Tool
from seqdrop.runs import (
    commands,
    estimate,
    executions,
    lanes,
    layouts,
    notify,
    outcome,
    pairing,
    prices,
    reference,
    table,
)
from seqdrop.runs.executions import NotResumableError, Renew
from seqdrop.runs.pairing import Chunks, Pair, Pairing
from seqdrop.runs.reference import IntervalsError, PinnedReference, UnpreparedError
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

Entry = dict[str, Any]  # of reads.json
Result = dict[str, str]  # `outcome` is one word; then the run and the reason


class NotReadyError(Exception):
    """The stack is deployed without an image of a tool of the run."""


@dataclass(frozen=True, slots=True)
class OfSheet:
    """What a samplesheet says about a run: its choices, and what its row and its reads.json have besides."""

    choices: Choices
    row: dict[str, Any]
    reads: dict[str, Any]


FUSED = {steps.FUSED.name: steps.FUSED.tools[0]}  # the tool of the job with all steps
NO_PAIR = "not R1 or R2 of a pair; its row in the run table says why"
REFUSALS = {
    ChoiceError: "BAD_INPUT.CHOICES",
    IntervalsError: "BAD_INPUT.INTERVALS",
    UnpreparedError: "REFERENCE",
    NotReadyError: "NOT_READY",
}


def submit(
    sample: str, pairs: Sequence[Pair], group: str = "", of_sheet: OfSheet | None = None, max_cost: str = ""
) -> Result:
    """Start the run of these pairs, once; a refused run gets a row and a message.

    `group` is that of a run which has waited for other lanes: a later lane makes a run that supersedes it. `of_sheet`
    has what a samplesheet says about the run; without it, the choices are in the metadata of the files. `max_cost` is a
    budget in USD instead of the chosen one.
    """
    entries, choices, pinned = [pair.entry() for pair in pairs], Choices(), PinnedReference()
    try:
        choices = with_defaults(of_sheet.choices if of_sheet else pairing.common_choices(pairs, max_cost))
        pinned = pin_first(choices)  # first: a refusal has the run id that the command line waits for
        choices = replace(choices, layout=layouts.resolve(pairs, choices))
        check_choices(choices)
        run = run_id(sample, entries, choices, pinned)
        if has_ended(run):
            return {"outcome": "duplicate", "run": run}
        pairing.check_storage(pairs)
        content = content_of(sample, pairs, choices, pinned)
        if first := find_copied(content):
            return ignore_copy(sample, run, first, pairs)
        stated = {"layout": choices.layout} if choices.layout else {}
        reads = {"sample": sample, **stated, "lanes": pairing.checked_entries(sample, entries, choices.layout)}
        if of_sheet:
            reads |= of_sheet.reads
            joined = of_sheet.row
        else:
            joined = lanes.attributes(run, pairs, group, run_id(sample, [], choices, pinned)) if group else {}
            warnings = [*pairing.warnings(pairs, joined=bool(group)), *lanes.warnings(joined)]
            reads |= {"warnings": warnings} if warnings else {}
        return start(run, reads, choices, pinned, {**content, **joined})
    except (ChoiceError, UnpreparedError, IntervalsError, NotReadyError, BadInputError) as error:
        upload, sheet = ("", of_sheet.row.get("sheet", "")) if of_sheet else (str(pairs[0].fastq_1.uri), "")
        return refuse(sample, run_id(sample, entries, choices, pinned), choices, error, upload, sheet)


def with_defaults(choices: Choices) -> Choices:
    """Return the choices with the reference, panel and format of this deployment where the FASTQs choose none."""
    chosen = replace(
        choices,
        reference=choices.reference or os.environ["DEFAULT_REFERENCE"],
        alignment_format=choices.alignment_format or os.environ["ALIGNMENT_FORMAT"],
    )
    return chosen.with_panel(os.environ["DEFAULT_REFERENCE"], os.environ["DEFAULT_PANEL"])


def check_choices(choices: Choices) -> None:
    """Raise ChoiceError, NotReadyError unless budget, options, tools and form are possible in this deployment."""
    choices.check_budget(os.environ["MAX_RUN_COST"])
    choices.check_options(default_tools())
    check_images_of(choices)


def pin_first(choices: Choices) -> PinnedReference:
    """Read the reference of a run; raise NotReadyError in a stack that has no images to prepare it with."""
    try:
        return pin_reference(choices)
    except UnpreparedError:
        check_images_of(choices)
        raise


def pin_reference(choices: Choices) -> PinnedReference:
    """Read the reference of a run and its regions; raise UnpreparedError, IntervalsError."""
    aligner = choices.tools(default_tools())["aligner"]
    return reference.pin(s3.store(), os.environ["REFERENCE_BUCKET"], choices, aligner)


def has_ended(run: str) -> bool:
    """Return whether the first execution of a run has ended.

    The row says it: the name of an execution is free again after 90 days, the row stays.
    """
    row = table.get(run) or {}
    return "execution" in row and (row["status"] != table.RUNNING or row["execution"] != executions.arn(run))


def content_of(sample: str, pairs: Sequence[Pair], choices: Choices, pinned: PinnedReference) -> dict[str, str]:
    """Return the attributes of a row that identify a copy: the hash of what the run reads and does, and of its keys.

    The first is a run id with checksums for addresses. S3 keeps the CRC64NVME of a copied object. Where it has none,
    the ETag is compared, which a copy under a KMS key changes: such a copy is another content.
    """
    entries = [
        {word: {"uri": file.crc64nvme or file.etag, "version_id": str(file.size)} for word, file in pair.words.items()}
        for pair in pairs
    ]
    keys = sorted(key for pair in pairs for key in pair.keys)
    return {"content": run_id(sample, entries, choices, pinned), "place": table.file_id("place", "", keys)}


def find_copied(content: Mapping[str, str]) -> str:
    """Return the run that has read, or reads, the same bytes under other keys; "" if there is none or it failed.

    The same bytes uploaded again under the same keys are a new version, which was asked for.
    """
    rows = list(table.with_content(content["content"]))
    if any(row["place"] == content["place"] for row in rows):
        return ""
    return next((str(row["run"]) for row in rows if row["status"] in {table.RUNNING, *outcome.WITH_RESULTS}), "")


def ignore_copy(sample: str, run: str, first: str, pairs: Sequence[Pair]) -> Result:
    """Write the row of FASTQs that are copies of those of an earlier run."""
    names = " and ".join(map(printable, pairs[0].keys))
    have = "have" if len(pairs[0].keys) > 1 else "has"
    table.create_ignored(run, sample, f"{names} {have} the same bytes and choices as the FASTQs of run {first}")
    return {"outcome": "ignored", "run": run, "reason": f"a copy of the FASTQs of run {first}"}


def form_of(reads: Mapping[str, Any], choices: Choices, pinned: PinnedReference) -> tuple[str, int]:
    """Return the form of a run and the number of jobs that call its variants.

    They follow from its choice, the size of its files, the bases to call, and the parameters of this deployment.
    """
    size, tools = estimate.size_of(reads["lanes"]), choices.tools(default_tools())
    has_alignments = any(word in lane for lane in reads["lanes"] for word in ALIGNMENTS)
    parts = forms.number_of_parts(size, pinned.bases, targets=bool(pinned.regions))
    form = forms.of_run(form_settings(), choices.form, tools, size, parts, has_alignments=has_alignments)
    return form, max(forms.MIN_PARTS, parts) if form == forms.SCATTERED else 1


def form_settings() -> forms.Deployment:
    """Return what the parameters of this deployment say about forms."""
    fused, scattered = (int(os.environ[name]) << 20 for name in ("FUSED_LIMIT_MIB", "SCATTER_FROM_MIB"))
    return forms.Deployment(os.environ["FORM"], fused, scattered, has_fused_image())


def has_fused_image() -> bool:
    """Return whether this deployment has the image of the job with all steps."""
    return bool(json.loads(os.environ["IMAGE_TAGS"])[steps.FUSED.tools[0].name] != "none")


def check_images_of(choices: Choices) -> None:
    """Raise NotReadyError if a tool of a run with these choices has no image."""
    tools = choices.tools(default_tools())
    check_images(tools, forms.of_images(choices.form, os.environ["FORM"], tools, has_fused=has_fused_image()))


def check_images(tools: Mapping[str, str], form: str = "") -> None:
    """Raise NotReadyError if a tool of a run with this aligner and caller, or of its form, has no image."""
    require_images(FUSED if form == forms.FUSED else steps.tools_of_run(tools))


def require_images(used: Mapping[str, Tool]) -> None:
    """Raise NotReadyError if a tool has no image; `used` has the tool of each step."""
    tags = json.loads(os.environ["IMAGE_TAGS"])
    without = [tool.name for tool in used.values() if tags[tool.name] == "none"]
    if missing := list(dict.fromkeys(without)):
        stack = os.environ["STACK"]
        push = f"`make push STACK={stack} TOOLS='{' '.join(missing)}'`"
        deploy = f"`sam deploy --config-file stacks/{stack}.toml`"
        raise NotReadyError(f"the stack has no image of {', '.join(missing)} yet: run {push} and {deploy}")


def job_definitions(tools: Mapping[str, str]) -> dict[str, str]:
    """Return the ARN of the job definition of each step of a run with these tools, and of the job with all steps."""
    return definitions_of({**steps.tools_of_run(tools), **FUSED})


def definitions_of(used: Mapping[str, Tool]) -> dict[str, str]:
    """Return the ARN of the job definition of each step; `used` has its tool."""
    prefix, names = os.environ["JOB_DEFINITION_PREFIX"], json.loads(os.environ["JOB_DEFINITIONS"])
    return {step: f"{prefix}{names[tool.name]}" for step, tool in used.items()}


def start(
    run: str,
    reads: Mapping[str, Any],
    choices: Choices,
    pinned: PinnedReference,
    attributes: Mapping[str, Any],
) -> Result:
    """Write the inputs, start the execution, write the row: in this order, so that each step can be repeated.

    `attributes` are those of the row that identify a copy and other lanes.
    """
    form, parts = form_of(reads, choices, pinned)
    plan = layout.plan(
        reads["sample"],
        run,
        choices,
        results_bucket=os.environ["RESULTS_BUCKET"],
        reference_bucket=os.environ["REFERENCE_BUCKET"],
        genome=pinned.fingerprint,
        regions=pinned.checksum,
        sources=pinned.sources,
        supersedes=attributes.get("supersedes", ""),
        padding=pinned.padding,
        known=pinned.known,
        **choices.tools(default_tools()),
        form=form,
        parts=parts,
        jobs=job_settings(choices),
    )
    execution = executions.arn(run)
    row = {**row_of(reads["sample"], run, choices), **attributes, "lanes": len(reads["lanes"])}
    row |= {"max_cost": choices.max_cost} if choices.max_cost else {}
    row |= {"parts": parts} if form == forms.SCATTERED else {}
    row |= estimate_of(reads, choices, {name: plan[name] for name in estimate.KIND}, parts)
    write_inputs(plan, reads, pinned)
    is_new = executions.start(execution, plan)
    table.create_or_complete({**row, "execution": execution, "results": plan["results"]})
    if "supersedes" in row:
        table.set_superseded(row["supersedes"], run)
    return {"outcome": "started" if is_new else "duplicate", "run": run}


def estimate_of(reads: Mapping[str, Any], choices: Choices, kind: Mapping[str, str], parts: int) -> dict[str, Any]:
    """Return what later estimates use of a run, and its own estimated price and time, as attributes of its row.

    `kind` has its form and its alignment format; `parts` is the number of jobs that call its variants.
    """
    size = estimate.size_of(reads["lanes"])
    row = {**row_of(reads["sample"], "", choices), **kind, "parts": parts}
    past = estimate.alike(table.newest({"SUCCEEDED"}, table.run_table()), row)
    queue = os.environ[f"{choices.priority.upper()}_QUEUE"]
    found = estimate.of_run(size, row, past, job_sizes(), queue, prices.of_deployment())
    return {**kind, **found.row(size)}


def write_inputs(plan: Mapping[str, Any], reads: Mapping[str, Any], pinned: PinnedReference) -> None:
    """Write the pinned FASTQs, regions and reference of a run; raise UnpreparedError if the reference is changing.

    The reference is written once: a later event of the same files must not pin another version of it. The regions are
    copied, since the BED beside the reference can be replaced. `reference.json` has besides: the QC policy of the
    deployment, and whether the one beside the reference holds VCFs until there is a verdict.
    """
    genome = S3Uri.parse(plan["reference"])
    files = reference.pin_files(s3.store(), genome, pinned.summary)  # first: a run that is refused has no files
    if pinned.regions:
        s3.store().write(S3Uri.parse(plan["intervals"]), pinned.regions)
    s3.store().write_json(S3Uri.parse(plan["reads"]), reads)
    qc = {QC_DEFAULT: os.environ["QC_POLICY"], QC_HOLD: reference.holds(s3.store(), genome)}
    s3.store().write_json_once(
        S3Uri.parse(plan["results"]) / REFERENCE_JSON,
        {
            **pinned.summary,
            "files": files,
            INTERVALS_CHECKSUM: pinned.checksum,
            **({PADDING: pinned.padding} if pinned.padding else {}),
            **qc,
        },
    )


def resume(run: str, renew: Renew | None = None, max_cost: str = "") -> Result:
    """Start an ended run again with the plan that `renew` returns; steps that have a receipt end at once.

    `max_cost` is its new budget, if it gets one, which `check_new_budget` has accepted.
    """
    try:
        execution = executions.resume(run, renew or renew_plan, max_cost)
    except (NotResumableError, NotReadyError) as error:
        return {"outcome": "refused", "run": run, "reason": str(error)}
    return {"outcome": "resumed", "run": run, "execution": execution}


def check_new_budget(max_cost: str) -> None:
    """Raise NotResumableError or BudgetError unless a resumed run may have this budget in USD; "" is none."""
    if max_cost and not MAX_COST.fullmatch(max_cost):
        raise NotResumableError(f"its budget must be an amount in USD such as 12.50, not {max_cost}")
    Choices(max_cost=max_cost).check_budget(os.environ["MAX_RUN_COST"])


def renew_plan(plan: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan of an ended run for another execution: its own tools, with their images and sizes of today.

    More memory may be what it needs. Plans of older versions have no tools; the row of the run has them.
    """
    tools = {word: plan.get(word) or row.get(word) or default for word, default in default_tools().items()}
    try:
        steps.tools_of_run(tools)
    except KeyError as error:
        raise NotResumableError(f"this version of seqdrop has no tool {error.args[0]}") from None
    check_images(tools, plan.get("form", ""))
    return layout.resumed_plan(plan, job_sizes(), tools, job_definitions(tools))


def update_waiting(bucket: str, sample: str, found: Pairing) -> None:
    """Write the row of files that wait for others, and delete the rows of those that are complete."""
    for names in found.complete:
        table.delete_waiting(bucket, names)
    if found.missing:
        table.create_waiting(bucket, found.missing.names, sample, found.missing.message)


def ignore(bucket: str, key: str, reason: str) -> Result:
    """Write the row of a file of reads whose name makes no run."""
    row, name = table.file_id("ignored", bucket, [key]), fastq_names.harmless(key.rpartition("/")[2])
    table.create_ignored(row, name[: fastq_names.MAX_SAMPLE] or "-", f"{printable(key)} is ignored: {reason}")
    return {"outcome": "ignored", "reason": NO_PAIR}


def refuse_chunks(bucket: str, name: FastqName, chunks: Chunks) -> Result:
    """Refuse a lane that is in several chunks, once, and stop the runs that read a chunk alone."""
    runs = [run for run in (started_run(name.sample, [pair]) for pair in chunks.pairs) if run]
    for run in runs:
        executions.stop(executions.arn(run), "it read one chunk of a lane alone")
    read = f"; run {' and run '.join(runs)} read one chunk alone: do not use its results" if runs else ""
    lane = table.file_id("chunks", bucket, [name.group, name.lane])
    return refuse(name.sample, lane, Choices(), BadInputError("CHUNKS", chunks.message + read))


def started_run(sample: str, pairs: Sequence[Pair]) -> str:
    """Return the run that these pairs have started; "" if there is none."""
    try:
        choices = with_defaults(pairing.common_choices(pairs))
        choices = replace(choices, layout=layouts.resolve(pairs, choices))
        pinned = pin_reference(choices)
    except (ChoiceError, UnpreparedError, IntervalsError, BadInputError):
        return ""
    run = run_id(sample, [pair.entry() for pair in pairs], choices, pinned)
    return run if has_ended(run) or executions.describe(executions.arn(run)) else ""


def job_settings(choices: Choices) -> dict[str, dict[str, str]]:
    """Return the queue, job definition and size of each step, of the children that call, and of the job with all."""
    queue, tools = os.environ[f"{choices.priority.upper()}_QUEUE"], steps.tools_of_run(choices.tools(default_tools()))
    return settings_of({**tools, steps.SCATTER.name: tools[steps.CALL.name], **FUSED}, queue)


def settings_of(used: Mapping[str, Tool], queue: str) -> dict[str, dict[str, str]]:
    """Return the queue, job definition and size of each step that has a size; `used` has its tool."""
    definitions, sizes = definitions_of(used), job_sizes()
    return {
        step: {"job_queue": queue, "job_definition": definitions[step], **sizes[step]} for step in used if step in sizes
    }


def job_sizes() -> Mapping[str, Mapping[str, str]]:
    """Return vcpus and memory (MiB) of each step in this deployment."""
    pairs: dict[str, tuple[str, str]] = json.loads(os.environ["SIZES"])  # short: Lambda has 4 KB for all variables
    return {step: {"vcpus": vcpus, "memory": memory} for step, (vcpus, memory) in pairs.items()}


def run_id(sample: str, entries: Sequence[Entry], choices: Choices, pinned: PinnedReference) -> str:
    """Return the id of a run with the tools that it chose, else those of this deployment."""
    tools = choices.tools(default_tools())
    return layout.run_id(sample, entries, choices, genome=pinned.fingerprint, regions=pinned.regions_id, **tools)


def default_tools() -> dict[str, str]:
    """Return the aligner and the caller of this deployment, for runs that choose none."""
    return {"aligner": os.environ["ALIGNER"], "caller": os.environ["CALLER"]}


def refuse(sample: str, run: str, choices: Choices, error: Exception, upload: str = "", sheet: str = "") -> Result:
    """Write a row and send a message about a run that cannot start: its owner does not read logs.

    `upload` is the address of one of its FASTQs, for `seqdrop resume`; "" if only other files can start it. `sheet` is
    that of the samplesheet that names it.
    """
    if isinstance(error, BadInputError):
        failure_class = error.failure_class
    else:
        failure_class = next(name for kind, name in REFUSALS.items() if isinstance(error, kind))
    what_to_do = commands.complete(getattr(error, "what_to_do", "") or advice.get(failure_class), run)
    places = {word: uri for word, uri in (("upload", upload), ("sheet", sheet)) if uri}
    row = {**row_of(sample, run, choices), **places}
    if table.create_refused(row, failure_class, str(error), what_to_do):
        lines = [f"Sample {sample} was not started: {error}.", f"Class: {failure_class}", what_to_do]
        try:
            notify.send(run, f"seqdrop run {run}: not started", [*lines, "More: `seqdrop why RUN`"])
        except Exception:
            table.release_notification(run)
            raise
    return {"outcome": "refused", "run": run, "failure_class": failure_class, "reason": str(error)}


def row_of(sample: str, run: str, choices: Choices) -> dict[str, str]:
    """Return the attributes that every row of a run has. Rows of paired reads have no layout."""
    stated = {"layout": choices.layout} if choices.layout else {}
    return {"run": run, "sample": sample, "reference": choices.reference, **stated, **choices.tools(default_tools())}
