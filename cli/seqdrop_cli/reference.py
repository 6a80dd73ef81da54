"""`seqdrop reference`: prepare a genome, so that runs can use it by its name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqdrop.plan import extras, layout
from seqdrop.plan import ploidy as ploidies
from seqdrop.plan.extras import KNOWN, PANELS
from seqdrop.plan.names import DIPLOID, NAME, REFERENCE_JSON, canonical
from seqdrop.plan.ploidy import Region
from seqdrop.runs import executions
from seqdrop.runs.reference import describe_missing_index, index_command, prepared_names, read_summary
from seqdrop.storage.uri import S3Uri
from seqdrop.text import count_warnings

from seqdrop_cli import ploidy_file, reference_files, why
from seqdrop_cli.errors import INTERRUPTED_EXIT, CliError
from seqdrop_cli.follow import follow
from seqdrop_cli.reference_files import Extra, File, Pinned
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack

MAX_PREPARATIONS = 100  # of the same files, after failures


@dataclass(frozen=True, slots=True)
class Source:
    """The files that a reference is prepared from, the ploidy of its genotypes, and what is beside its genome."""

    name: str
    fasta: File | None  # None: panels and known variants are added to a prepared reference
    genes: File | None
    ploidy: int = DIPLOID
    regions: Sequence[Region] = ()  # with a ploidy of their own
    extras: Mapping[str, Mapping[str, Extra]] = field(default_factory=dict)  # kind -> name -> file

    @classmethod
    def of(
        cls,
        fasta: Path | str,
        genes: Path | str | None,
        name: str | None,
        ploidy: int = DIPLOID,
        regions: Path | None = None,
        extra: Mapping[str, Mapping[str, Extra]] | None = None,
    ) -> Source:
        """Check the files; without a name, use that of the FASTA. `regions` is a ploidy file. Raise CliError."""
        genome = reference_files.parse(fasta, "FASTA")
        annotation = reference_files.parse(genes, "GTF, GFF3 or GenBank") if genes else None
        name = name or genome.name.removesuffix(".gz").rsplit(".", 1)[0]
        check_name(name)
        parts: Sequence[Region] = (
            ploidy_file.read(regions, genome if isinstance(genome, Path) else None) if regions else ()
        )
        return cls(name, genome, annotation, ploidy, parts, extra or {})

    @property
    def args(self) -> list[str]:
        """The options of the job that prepares it."""
        args = [] if self.ploidy == DIPLOID else ["--ploidy", str(self.ploidy)]
        return [*args, *(["--ploidy-regions", ploidies.to_text(self.regions)] if self.regions else [])]


def only_extras(name: str | None, extra: Mapping[str, Mapping[str, Extra]], *, others: bool) -> Source:
    """Return what adds panels and known variants to a prepared reference; raise CliError if something else is given."""
    if not name or not any(extra.values()) or others:
        raise CliError(
            "Give a GENOME.fa, with --genes and --ploidy-file if it has some; or --fetch; or, for a prepared "
            "reference, its --name with --panel or --known."
        )
    check_name(name)
    return Source(name, None, None, extras=extra)


def check_name(name: str) -> None:
    """Raise CliError unless a text can be the name of a reference."""
    if not NAME.fullmatch(name):
        raise CliError(
            f"{name!r} is not a valid name of a reference: "
            "give a --name of at most 64 letters, digits, '.', '_' and '-'."
        )


@dataclass(frozen=True, slots=True)
class Pins:
    """The files of a preparation, each with its version."""

    fasta: Pinned | None
    genes: Pinned | None
    extras: Mapping[str, Mapping[str, tuple[Pinned, Mapping[str, Any]]]]  # kind -> name -> pin and settings

    @property
    def main(self) -> dict[str, Pinned]:
        """The genome and its genes."""
        return {kind: pin for kind, pin in (("fasta", self.fasta), ("genes", self.genes)) if pin}

    @property
    def identity(self) -> list[Any]:
        """What makes this preparation another one than that of other files."""
        added = [
            [kind, name, pin.identity, dict(settings)]
            for kind, files in self.extras.items()
            for name, (pin, settings) in files.items()
        ]
        return [*(pin and pin.identity for pin in (self.fasta, self.genes)), *added]

    @property
    def sources(self) -> dict[str, Any]:
        """The sources of the preparation."""
        added = {
            kind: {name: {**pin.source, **settings} for name, (pin, settings) in files.items()}
            for kind, files in self.extras.items()
            if files
        }
        return {**{kind: dict(pin.source) for kind, pin in self.main.items()}, **added}

    def are_in(self, summary: Mapping[str, Any] | None) -> bool:
        """Return whether a reference has the bytes of these files: it may have been made of others since then.

        What is on the web without a checksum may be other bytes now. A genome is not downloaded again for that.
        """
        if summary is None:
            return False
        sources = summary.get("sources")  # none in what was prepared before reference.json had its sources
        if self.fasta and sources:
            same = sources.keys() == self.main.keys()
            if not same or not all(pin.is_source(sources[kind]) for kind, pin in self.main.items()):
                return False
        return all(
            not pin.can_change and pin.is_source(entry.get("source", {})) and settings.items() <= entry.items()
            for kind, files in self.extras.items()
            for name, (pin, settings) in files.items()
            for entry in [summary.get(kind, {}).get(name, {})]
        )


def prepare(stack: Stack, source: Source, aligner: str = "") -> dict[str, Any]:
    """Upload the files, prepare them, follow that to its end; return reference.json. Raise CliError.

    Without `aligner`, the index is that of the default aligner of the stack.
    """
    aligner = aligner or stack["Aligner"]
    prepared = _summary(stack, source.name)
    if source.fasta is None and prepared is None:
        raise CliError(f"Reference {source.name} is not prepared: give its GENOME.fa too.")
    reference_files.check_panels(source.extras.get(PANELS, {}), prepared)
    run, execution = _find_or_start(stack, source, aligner, _pin(stack, source))
    try:
        status, _ = follow(stack, execution, run)
    except KeyboardInterrupt:
        stack.stepfunctions.stop_execution(executionArn=execution, error="STOPPED", cause="Interrupted.")
        raise CliError(f"Interrupted: the preparation of {source.name} was stopped.", INTERRUPTED_EXIT) from None
    if status != "SUCCEEDED":
        why.explain(stack, _as_row(stack, execution, status))
        raise CliError(f"Reference {source.name} could not be prepared.")
    summary = _summary(stack, source.name)
    if summary is None:
        raise CliError(f"Reference {source.name} was prepared, but its {REFERENCE_JSON} is missing: prepare it again.")
    return summary


def _pin(stack: Stack, source: Source) -> Pins:
    """Upload the files that are not there yet; return all with their versions."""
    folder = S3Uri(stack["ReferenceBucket"], f"{source.name}/source")
    fasta, genes = (reference_files.pin(stack, file, folder) if file else None for file in (source.fasta, source.genes))
    extra = {
        kind: {name: (reference_files.pin(stack, one.file, folder), one.settings) for name, one in files.items()}
        for kind, files in source.extras.items()
    }
    return Pins(fasta, genes, extra)


def _find_or_start(stack: Stack, source: Source, aligner: str, pins: Pins) -> tuple[str, str]:
    """Return run and execution. The same files are prepared once; after a failure again, under the next number."""
    name = source.name
    identity = [name, aligner if source.fasta else "", *pins.identity, *source.args]
    first = f"reference-{hashlib.sha256(canonical(identity).encode()).hexdigest()[:16]}"
    for number in range(1, MAX_PREPARATIONS):
        run = first if number == 1 else f"{first}-{number}"
        execution = executions.arn(run, stack["PrepareReferenceStateMachine"])
        status = stack.status_of(execution)
        if status is None:
            _start(stack, run, source, aligner, pins)
            return run, execution
        if status == "RUNNING" or (status == "SUCCEEDED" and pins.are_in(_summary(stack, name))):
            return run, execution
    raise CliError(f"The preparation of {name} failed {MAX_PREPARATIONS} times: give it another --name to start again.")


def _start(stack: Stack, run: str, source: Source, aligner: str, pins: Pins) -> None:
    plan = layout.preparation(
        run,
        source.name,
        pins.fasta.address if pins.fasta else None,
        pins.genes.address if pins.genes else None,
        reference_bucket=stack["ReferenceBucket"],
        aligner=aligner,
        sources=pins.sources,
        args=source.args,
    )
    state_machine = stack["PrepareReferenceAlias"]
    stack.stepfunctions.start_execution(stateMachineArn=state_machine, name=run, input=json.dumps(plan))


def _as_row(stack: Stack, execution: str, status: str) -> dict[str, Any]:
    """Return the end of a preparation as a row of the run table, where preparations have none."""
    description: Any = stack.stepfunctions.describe_execution(executionArn=execution)
    return {
        "status": status,
        "results": json.loads(description["input"])["results"],
        "class": description.get("error"),
        "message": description.get("cause"),
    }


def _summary(stack: Stack, name: str) -> dict[str, Any] | None:
    return read_summary(stack.store, stack["ReferenceBucket"], name)


def fingerprint(stack: Stack, name: str) -> str:
    """Return the fingerprint of a reference, a part of the run id: a name can be prepared again."""
    return extras.fingerprint(_summary(stack, name) or {})


def resolve(stack: Stack, name: str | None, aligner: str) -> str:
    """Return the reference that a run will use; raise CliError unless it is prepared for its aligner."""
    name = name or stack.outputs.get("DefaultReference", "")
    if name and (summary := _summary(stack, name)):
        if aligner in summary["indexes"]:
            return name
        command = f"`{index_command(name, summary, aligner)}{stack.option}`"
        problem = describe_missing_index(name, summary, aligner)
        raise CliError(
            f"R{problem[1:]}: {command}, with the files that the reference was prepared from, adds the index."
        )
    problem = f"Reference {name!r} is not prepared" if name else "No reference was chosen"
    names = ", ".join(prepared_names(stack.store, stack["ReferenceBucket"])) or "none"
    raise CliError(
        f"{problem} (prepared: {names}): `seqdrop reference GENOME.fa --name NAME{stack.option}` prepares one."
    )


def show(name: str, summary: Mapping[str, Any]) -> None:
    """Print what a reference consists of, and the warnings of its preparation."""
    contigs = summary.get("contigs", [])
    bases = sum(contig.get("length", 0) for contig in contigs)
    number = "1 contig" if len(contigs) == 1 else f"{len(contigs)} contigs"
    indexes = ", ".join(map(str, summary.get("indexes", []))) or "no aligner"
    warnings = summary.get("warnings", [])
    added = [warning for known in summary.get(KNOWN, {}).values() for warning in known.get("warnings", [])]
    ready = f"ready{count_warnings(len(warnings) + len(added), ' with ')}"
    ploidy = ploidies.describe(summary)
    say(
        f"Reference {name} is {ready}: {number}, {bases:,} bases, ploidy {ploidy}, indexed for {indexes}.",
        style="bold yellow" if warnings or added else "green",
    )
    for warning in warnings:
        say(f"  {warning['warning']}: {warning['message']}.")
    for line in describe_extras(summary):
        say(f"  {line}")


def describe_extras(summary: Mapping[str, Any]) -> list[str]:
    """Return a line for each panel and for each VCF of known variants, and for its warnings."""
    lines = [
        f"Panel {name}: {panel['targets']:,} targets, {panel['bases']:,} bases, called with {panel['padding']} more on "
        "each side."
        for name, panel in summary.get(PANELS, {}).items()
    ]
    for name, known in summary.get(KNOWN, {}).items():
        lines.append(f"Known variants {name}: {known['records']:,} alleles; fields: {', '.join(known['fields'])}.")
        lines += [f"{warning['warning']}: {warning['message']}." for warning in known.get("warnings", [])]
    return lines
