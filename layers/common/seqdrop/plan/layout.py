"""Build the plan of a run: its id and every address. No other module builds a key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from seqdrop.plan import forms, steps
from seqdrop.plan.choices import Choices
from seqdrop.plan.extras import KNOWN, PADDING
from seqdrop.plan.names import (
    BAM,
    FILES,
    GENOME,
    INTERVALS,
    MANIFEST,
    NO_GENES,
    NO_GENOME,
    PAIRED,
    QC_POLICY,
    READS,
    VERSION,
    WHOLE_GENOME,
    canonical,
)
from seqdrop.storage.uri import S3Uri
from seqdrop.storage.web_address import WebAddress

ANNOTATOR = "snpeff"  # part of the identity of a run, since another annotator would give other results
Sizes = Mapping[str, Mapping[str, str]]  # step -> vcpus and memory (MiB), as text


def run_id(
    sample: str,
    pairs: Sequence[Mapping[str, Any]],
    choices: Choices,
    *,
    genome: str,
    regions: str = "",
    aligner: str,
    caller: str,
) -> str:
    """Return the id of a run: the hash of everything that changes its results, and of nothing else.

    `pairs` are the entries of reads.json. `genome` is the fingerprint in reference.json: a reference can be prepared
    again under the same name. `regions` is the checksum of the BED file, which can be replaced, with the padding of a
    panel; "" without one. Runs with BAM, of paired reads, or of a sample without a sex have the id that they had before
    there was another format or layout, or a check of the sex.
    """
    pins = [[[pair[word]["uri"], pair[word]["version_id"]] for word in FILES if word in pair] for pair in pairs]
    args = {step: list(words) for step, words in choices.args.items() if words}
    intervals = f"{choices.intervals}:{regions}" if choices.intervals else ""
    intervals = f"panel {choices.panel}:{regions}" if choices.panel else intervals
    identity = [sample, sorted(pins), choices.reference, genome, intervals, args, aligner, caller, ANNOTATOR]
    if (alignment_format := choices.alignment_format or BAM) != BAM:
        identity.append(alignment_format)
    if choices.layout not in {"", PAIRED}:
        identity.append(choices.layout)
    if choices.sex:
        identity.append(choices.sex)
    return hashlib.sha256(canonical(identity).encode()).hexdigest()[:20]


def reference_uri(bucket: str, name: str) -> S3Uri:
    """Return the address of a prepared genome; its indexes and its reference.json are beside it."""
    return S3Uri(bucket, f"{name}/{GENOME}")


def policy_uri(reference: S3Uri) -> S3Uri:
    """Return the address of the QC policy of a genome: the report reads it when it is built, if it exists."""
    return reference.parent / QC_POLICY


def plan(
    sample: str,
    run: str,
    choices: Choices,
    *,
    results_bucket: str,
    reference_bucket: str,
    genome: str,
    regions: str = "",
    sources: Mapping[str, Any] | None = None,
    aligner: str = "",
    caller: str = "",
    supersedes: str = "",
    padding: int = 0,
    known: Mapping[str, Any] | None = None,
    form: str = forms.SPLIT,
    parts: int = 1,
    jobs: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Return the plan of a run, the input of its execution. Pure: both mates' events give the same bytes.

    `genome`, `regions`, `aligner` and `caller` are those of the run id. The regions themselves are in the folder of the
    run. `sources` has the versions and checksums of the files that the reference was prepared from. `supersedes` is an
    earlier run of fewer lanes of the sample; "" without one. `padding` (bases) is that of the panel of the run, `known`
    what reference.json has about the known variants that annotate its calls.
    `jobs` has job_queue, job_definition (of the tool of the run), vcpus and memory (MiB) of each step as text, as Batch
    takes them. An optional step that is not in `jobs` is left out. `form` is that of plan/forms.py: the job of all
    steps is in `jobs` too. `parts` is the number of jobs that call the variants, 1 unless the form is scattered.
    """
    selected = [step for step in steps.STEPS if not step.optional or step.name in jobs]
    results = S3Uri(results_bucket, f"{sample}/{run}")
    reference = reference_uri(reference_bucket, choices.reference)
    alignment_format = choices.alignment_format or BAM
    settings = {
        step.name: {**jobs[step.name], "attempt": "1", "args": canonical(list(choices.args.get(step.name, ())))}
        for step in selected
    }
    return {
        "version": VERSION,
        "sample": sample,
        "run": run,
        "lanes": choices.lanes,
        **({"layout": choices.layout} if choices.layout not in {"", PAIRED} else {}),
        **({"supersedes": supersedes} if supersedes else {}),
        **({"panel": choices.panel, PADDING: padding} if choices.panel else {}),
        **({KNOWN: dict(known)} if known else {}),
        "form": form,
        **({"parts": parts} if form == forms.SCATTERED else {}),
        "steps": steps_of_form([step.name for step in selected], form),
        "reference": str(reference),
        "fingerprint": genome,
        "sources": dict(sources or {}),
        "aligner": aligner,
        "caller": caller,
        "alignment_format": alignment_format,
        "intervals": str(results / INTERVALS) if choices.intervals or choices.panel else WHOLE_GENOME,
        "intervals_name": choices.intervals or choices.panel,
        "intervals_sha256": regions,
        "results": str(results),
        "reads": str(results / READS),
        **outputs(results, sample, choices.lanes, selected, alignment_format),
        "manifest": str(manifest_uri(results)),
        **settings,
        **call_jobs(form, parts, settings, jobs.get(steps.SCATTER.name, {})),
        **fused_job(form, settings, jobs.get(steps.FUSED.name, {})),
    }


def steps_of_form(names: Sequence[str], form: str) -> list[str]:
    """Return the steps of a run of a form; `names` are those that every form has."""
    return list(steps.with_scatter(names) if form == forms.SCATTERED else names)


def call_jobs(
    form: str, parts: int, settings: Mapping[str, Mapping[str, str]], size: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Return the job objects of `call` and of the children that call the parts, which the state machine always reads.

    Both have the same caller and options. In the scattered form, `call` has the size of a child: it gathers the parts.
    """
    call = {**settings[steps.CALL.name], "parts": str(parts)}
    child = {**call, **size}
    return {steps.CALL.name: child if form == forms.SCATTERED else call, steps.SCATTER.name: child}


def fused_job(form: str, settings: Mapping[str, Any], job: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the job object of the job that runs all steps, with the options of each; nothing in other forms."""
    if form != forms.FUSED:
        return {}
    args = {step: json.loads(of_step["args"]) for step, of_step in settings.items()}
    return {steps.FUSED.name: {**job, "attempt": "1", "args": canonical(args)}}


def outputs(
    results: S3Uri, sample: str, lanes: int, selected: Sequence[steps.Step], alignment_format: str = BAM
) -> dict[str, str]:
    """Return the address of every output of these steps, by its word in the plan.

    A step that writes one file for each lane has a JSON list of addresses: Batch parameters are text.
    """
    addresses = {}
    for step in selected:
        for word, name in step.writes.items():
            names = {"sample": sample, "alignment_format": alignment_format}
            if "{lane}" in name:
                files = [results / name.format(**names, lane=lane) for lane in range(1, lanes + 1)]
                addresses[word] = canonical([str(file) for file in files])
            else:
                addresses[word] = str(results / name.format(**names))
    return addresses


def resumed_plan(
    plan: Mapping[str, Any], sizes: Sizes, tools: Mapping[str, str], definitions: Mapping[str, str]
) -> dict[str, Any]:
    """Return the plan of an earlier execution for another one: today's steps and sizes, the run's own choices.

    `tools` has its aligner and caller, which old plans lack; `definitions` the job definition of each step with these
    tools. The state machine of today runs it. Steps that were added since the plan was made are added to it, with their
    addresses in the folder of the run; steps that were removed stay in it and are not run. Optional steps are neither
    added nor removed. The form stays.
    """
    results = S3Uri.parse(plan["results"])
    known = steps.of_plan(plan)
    selected = [step for step in steps.STEPS if step.name in known or not step.optional]
    queue = next(iter(plan[step]["job_queue"] for step in known))
    form = plan.get("form", forms.SPLIT)
    new = {"job_queue": queue, "attempt": "1", "args": canonical([])}
    addresses = outputs(results, plan["sample"], plan["lanes"], selected, plan.get("alignment_format", BAM))
    settings = {
        step.name: {
            **new,
            **plan.get(step.name, {}),
            "job_definition": definitions[step.name],
            **_size(step, sizes),
        }
        for step in selected
    }
    fused = steps.FUSED.name
    job = {"job_queue": queue, "job_definition": definitions.get(fused, ""), **sizes.get(fused, {})}
    return {
        **plan,
        "version": VERSION,
        **tools,
        "form": form,
        "steps": steps_of_form([step.name for step in selected], form),
        **{word: plan.get(word, uri) for word, uri in addresses.items()},
        **settings,
        **call_jobs(form, plan.get("parts", 1), settings, sizes.get(steps.SCATTER.name, {})),
        **fused_job(form, settings, job),
    }


def _size(step: steps.Step, sizes: Sizes) -> Mapping[str, str]:
    """Return the size of a step today; an optional step keeps its size where the deployment has none."""
    return sizes.get(step.name, {}) if step.optional else sizes[step.name]


def preparation(
    run: str,
    name: str,
    fasta: S3Uri | WebAddress | None,
    genes: S3Uri | WebAddress | None,
    *,
    reference_bucket: str,
    aligner: str,
    sources: Mapping[str, Mapping[str, Any]] | None = None,
    args: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the input of prepare_reference; the state machine adds nothing but its own sizes.

    `aligner` is the tool whose index is built; a reference can have those of several.
    `sources` has the version and the checksum of `fasta` and of `genes`: they can be replaced before the job
    reads them. It also has the panels and the known variants, each with its version and its settings; without
    `fasta`, these are added to a reference that is prepared.
    """
    return {
        "version": VERSION,
        "run": run,
        "fasta": str(fasta) if fasta else NO_GENOME,
        "genes": str(genes) if genes else NO_GENES,
        "sources": canonical(sources or {}),
        "aligner": aligner,
        "reference": str(reference_uri(reference_bucket, name)),
        "results": str(S3Uri(reference_bucket, f"{name}/preparation/{run}")),
        "args": canonical(list(args)),
    }


def manifest_uri(results: S3Uri) -> S3Uri:
    """Return the address of the manifest: written last, when the results are complete."""
    return results / MANIFEST


def receipt_uri(results: S3Uri, step: str, index: str = "") -> S3Uri:
    """Return the address of a step's receipt: written after every output that it lists.

    `index` is that of a child of an array job; "" for other jobs.
    """
    return results / f"jobs/{step}{index and f'.{index}'}.json"


def verdict_uri(results: S3Uri, step: str, attempt: str, batch_attempt: str, index: str = "") -> S3Uri:
    """Return the address of the verdict of a failed attempt: the plan's attempt, then Batch's within it."""
    return results / f"failures/{step}.{attempt}{index and f'.{index}'}.{batch_attempt}.json"


def part_uri(results: S3Uri, step: str, index: str) -> S3Uri:
    """Return the address of what a child of an array job has made, beside its receipt: no result of the run."""
    return results / f"jobs/{step}.{index}.bcf"
