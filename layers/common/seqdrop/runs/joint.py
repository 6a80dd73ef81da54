"""Start a joint run of samples whose runs have ended, or say why it cannot start."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqdrop.plan import extras, joint, options, steps
from seqdrop.plan.choices import ChoiceError, Choices
from seqdrop.plan.extras import KNOWN, PADDING
from seqdrop.plan.names import MANIFEST, REFERENCE_JSON, SAMPLE, is_readable
from seqdrop.runs import executions, reference, submit, table
from seqdrop.runs.outcome import QC_FAILED, WITH_RESULTS
from seqdrop.runs.reference import UnpreparedError
from seqdrop.runs.submit import NotReadyError, Result
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

CALLER = "bcftools"  # whose gVCFs and filters the job reads
CHOSEN = (("reference", "reference"), ("priority", "priority"), ("max_cost", "max-cost"))  # of a request, as metadata
REGIONS = ("intervals", "intervals_name", "intervals_sha256", PADDING)  # in manifests and in plans
TOOLS = {step.name: step.tools[0] for step in steps.JOINT}


class RefusedError(Exception):
    """The samples cannot be joined; the message names the run and says why."""


@dataclass(frozen=True, slots=True)
class Member:
    """A run whose calls are joined: its row and its manifest."""

    row: Mapping[str, Any]
    manifest: Mapping[str, Any]

    def __str__(self) -> str:
        """Return run and sample, for messages."""
        return f"run {self.row['run']} of {self.row['sample']}"

    @property
    def outputs(self) -> dict[str, Mapping[str, Any]]:
        """The published files by their names: `vcf`, `gvcf.tbi`."""
        return {output["name"]: output for output in self.manifest["outputs"]}

    @property
    def call_options(self) -> dict[str, Any]:
        """The options of the caller; None for those that were not chosen."""
        words = self.manifest["choices"]["args"].get("call", [])
        try:
            return vars(options.parse(CALLER, steps.tool(CALLER).options, words))
        except options.OptionError as error:  # of another version
            raise RefusedError(f"{self}: {error}; run the sample again") from None

    @property
    def entry(self) -> dict[str, Any]:
        """The entry of reads.json: the pinned files, and the depth below which a base without a call is unknown."""
        counts: Mapping[str, Any] = next((job["counts"] for job in self.manifest["jobs"] if job["step"] == "call"), {})
        share = self.call_options["min_depth"]
        least = counts.get("typical_depth", 0) * float(steps.MIN_DEPTH if share is None else share)
        pins = {name: self.outputs[name] for name in joint.FILES}
        return {"sample": self.row["sample"], "run": self.row["run"], "least_depth": least, **pins}

    @property
    def properties(self) -> dict[str, Any]:
        """What must be equal in all runs of a joint run, by its name for messages."""
        manifest = self.manifest
        return {
            "reference": S3Uri.parse(manifest["reference"]).parent.name,
            "fingerprint of the reference": manifest.get("fingerprint", ""),  # manifests of 0.1.0 have none
            "regions (BED file)": manifest.get("intervals_sha256") or "none",
            "padding of the panel": manifest.get(PADDING, 0),
            "ploidy": self.call_options["ploidy"] or "that of the reference",
        }


def submit_joint(request: Mapping[str, Any]) -> Result:
    """Start the joint run of a request, once.

    The request has `name`, `runs` (ids) and, if they are chosen, `reference`, `priority` and `max_cost` (USD).
    """
    try:
        choices = Choices.from_metadata(
            {f"seqdrop-{word}": str(request[name]) for name, word in CHOSEN if request.get(name)}
        )
        choices.check_budget(os.environ["MAX_RUN_COST"])
        return _submit(str(request["name"]), list(map(str, request["runs"])), choices)
    except UnpreparedError as error:
        return {"outcome": "refused", "reason": f"{error}; repeat the command when the preparation has ended"}
    except (RefusedError, NotReadyError, ChoiceError) as error:
        return {"outcome": "refused", "reason": str(error)}


def _submit(name: str, runs: Sequence[str], choices: Choices) -> Result:
    members = read_members(name, runs)
    check_equal(members, choices.reference)
    submit.require_images(TOOLS)
    first = members[0].manifest
    summary = _present_reference(members[0])
    entries = [member.entry for member in members]
    parts = joint.number_of_parts(sum(reference.contig_lengths(summary).values()))
    run = joint.run_id(name, entries, first["fingerprint"])
    if submit.has_ended(run):
        return {"outcome": "duplicate", "run": run}
    plan = joint.plan(
        name,
        run,
        [{"sample": entry["sample"], "run": entry["run"]} for entry in entries],
        results_bucket=os.environ["RESULTS_BUCKET"],
        reference=S3Uri.parse(first["reference"]),
        genome=first["fingerprint"],
        caller=CALLER,
        intervals={word: first[word] for word in REGIONS if word in first},
        sources=first["sources"],
        known=first.get(KNOWN, {}),
        parts=parts,
        jobs=submit.settings_of(TOOLS, os.environ[f"{choices.priority.upper()}_QUEUE"]),
    )
    reads = {"sample": name, "parts": parts, "samples": entries, "warnings": list(warnings(members))}
    return start(plan, reads, summary, choices.max_cost)


def read_members(name: str, runs: Sequence[str]) -> list[Member]:
    """Return the runs to join with their manifests; raise RefusedError for the first one that has none."""
    if not SAMPLE.fullmatch(name) or name.endswith(joint.RESERVED):
        letters = "at most 64 letters, digits, '.', '_' and '-', and no '.annotated' or '.g' at the end"
        raise RefusedError(f"{name!r} is not a valid name: use {letters}")
    if not joint.MIN_SAMPLES <= len(runs) <= joint.MAX_SAMPLES:
        raise RefusedError(f"{joint.MIN_SAMPLES} to {joint.MAX_SAMPLES} samples can be joined, not {len(runs)}")
    members = [_read_member(run) for run in runs]
    samples = Counter(member.row["sample"] for member in members)
    if twice := [sample for sample, number in samples.items() if number > 1]:
        raise RefusedError(f"{twice[0]} is there twice: give one run of each sample")
    if name in samples:
        raise RefusedError(f"{name} is one of the samples: give the joint run another --name")
    return members


def _read_member(run: str) -> Member:
    row = table.get(run)
    if row is None or "status" not in row:  # the row of files that a samplesheet has named
        raise RefusedError(f"run {run} does not exist")
    member = Member(row, {})
    if row["status"] not in WITH_RESULTS:
        raise RefusedError(f"{member} has no results: it is {row['status']}")
    try:
        manifest = s3.store().read_json(S3Uri.parse(str(row["results"])) / MANIFEST)
    except s3.MissingError:
        raise RefusedError(f"{member} has no {MANIFEST}: its results were deleted") from None
    if not is_readable(manifest.get("version")):
        raise RefusedError(f"{member} is from another version of seqdrop: run the sample again")
    member = Member(row, manifest)
    caller = manifest.get("choices", {}).get("caller") or "an unknown caller"
    if caller != CALLER:
        raise RefusedError(
            f"{member} was called with {caller}: gVCFs of {CALLER} alone can be joined; run the sample with "
            f"`--caller {CALLER}`"
        )
    if missing := [file for file in joint.FILES if file not in member.outputs]:
        held = " (its VCFs are held by its QC policy)" if row["status"] == QC_FAILED else ""
        raise RefusedError(f"{member} has published no {missing[-1].removesuffix('.tbi')}{held}")
    return member


def check_equal(members: Sequence[Member], wanted: str) -> None:
    """Raise RefusedError unless all runs have the reference `wanted` ("": any), regions and ploidy of the first one."""
    first = members[0]
    for member in members:
        for name, value in member.properties.items():
            other = wanted if wanted and name == "reference" else first.properties[name]
            if value != other:
                whose = "" if wanted and name == "reference" else f" of {first}"
                raise RefusedError(f"{member} has another {name} ({value}) than that{whose} ({other})")


def _present_reference(member: Member) -> dict[str, Any]:
    """Return reference.json of the reference of a run; raise RefusedError if it was prepared from other files since."""
    name = member.properties["reference"]
    summary = reference.read_summary(s3.store(), os.environ["REFERENCE_BUCKET"], name)
    if summary is None or extras.fingerprint(summary) != member.manifest.get("fingerprint", ""):
        raise RefusedError(f"reference {name} has changed since {member}: run the samples again")
    return summary


def warnings(members: Sequence[Member]) -> Iterator[dict[str, str]]:
    """Yield what a user should know of the runs before the joint calls are used."""
    first = members[0]
    for member in members:
        if member.row["status"] == QC_FAILED:
            yield {"warning": "QC_FAILED", "message": f"{member} failed its quality control"}
        if "superseded_by" in member.row:
            newer = member.row["superseded_by"]
            yield {"warning": "SUPERSEDED", "message": f"{member} lacks lanes that run {newer} has: join that one"}
        if member.call_options != first.call_options:
            message = f"{member} was called with other options than {first}: its filters have other limits"
            yield {"warning": "OTHER_OPTIONS", "message": message}


def start(plan: Mapping[str, Any], reads: Mapping[str, Any], summary: Mapping[str, Any], max_cost: str) -> Result:
    """Write the inputs, start the execution, write the row: in this order, so that each step can be repeated."""
    results = S3Uri.parse(plan["results"])
    files = reference.pin_files(s3.store(), S3Uri.parse(plan["reference"]), summary)
    s3.store().write_json(S3Uri.parse(plan["reads"]), reads)
    s3.store().write_json_once(results / REFERENCE_JSON, {**summary, "files": files})
    execution = executions.arn(plan["run"], os.environ["JOINT_STATE_MACHINE"])
    is_new = executions.start(execution, plan)
    row = {name: plan[name] for name in ("run", "sample", "kind", "caller", "results", "lanes", "parts")}
    row |= {"reference": S3Uri.parse(plan["reference"]).parent.name, "execution": execution}
    row |= {"max_cost": max_cost} if max_cost else {}
    table.create_or_complete({**row, "samples": [sample["sample"] for sample in plan["samples"]]})
    return {"outcome": "started" if is_new else "duplicate", "run": plan["run"], "execution": execution}


def renew_plan(plan: Mapping[str, Any], _row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan of an ended joint run for another execution: images and sizes of today. Raise NotReadyError."""
    submit.require_images(TOOLS)
    return joint.resumed_plan(plan, submit.settings_of(TOOLS, ""))
