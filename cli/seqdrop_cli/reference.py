"""`seqdrop reference`: prepare a genome, so that runs can use it by its name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqdrop.plan import layout
from seqdrop.plan import ploidy as ploidies
from seqdrop.plan.names import DIPLOID, NAME, REFERENCE_JSON, canonical
from seqdrop.plan.ploidy import Region
from seqdrop.runs import executions
from seqdrop.runs.reference import describe_missing_index, index_command, prepared_names, read_summary
from seqdrop.storage.s3 import StoredObject
from seqdrop.storage.uri import S3Uri
from seqdrop.text import count_warnings

from seqdrop_cli import ploidy_file, upload, why
from seqdrop_cli.errors import INTERRUPTED_EXIT, CliError
from seqdrop_cli.follow import follow
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack

FASTA_SUFFIXES = (".fa", ".fasta", ".fna")
GENES_SUFFIXES = (".gtf", ".gff", ".gff3", ".gb", ".gbk")
MAX_PREPARATIONS = 100  # of the same files, after failures


@dataclass(frozen=True, slots=True)
class Source:
    """The files that a reference is prepared from, and the ploidy of its genotypes."""

    name: str
    fasta: Path
    genes: Path | None
    ploidy: int = DIPLOID
    regions: Sequence[Region] = ()  # with a ploidy of their own

    @classmethod
    def of(
        cls,
        fasta: Path,
        genes: Path | None,
        name: str | None,
        ploidy: int = DIPLOID,
        regions: Path | None = None,
    ) -> Source:
        """Check the files; without a name, use that of the FASTA. `regions` is a ploidy file. Raise CliError."""
        _check(fasta, FASTA_SUFFIXES, "FASTA")
        if genes:
            _check(genes, GENES_SUFFIXES, "GTF, GFF3 or GenBank")
        name = name or fasta.name.removesuffix(".gz").rsplit(".", 1)[0]
        if not NAME.fullmatch(name):
            raise CliError(
                f"{name!r} is not a valid name of a reference: "
                "give a --name of at most 64 letters, digits, '.', '_' and '-'."
            )
        return cls(name, fasta, genes, ploidy, ploidy_file.read(regions, fasta) if regions else ())

    @property
    def args(self) -> list[str]:
        """The options of the job that prepares it."""
        args = [] if self.ploidy == DIPLOID else ["--ploidy", str(self.ploidy)]
        return [*args, *(["--ploidy-regions", ploidies.to_text(self.regions)] if self.regions else [])]


def _check(path: Path, suffixes: tuple[str, ...], kind: str) -> None:
    if not path.is_file():
        raise CliError(f"{path}: no such file, or it is a directory.")
    if not path.name.lower().removesuffix(".gz").endswith(suffixes):
        raise CliError(
            f"{path.name} is not named like a {kind} file: expected {', '.join(suffixes)}, plain or with .gz."
        )


def prepare(stack: Stack, source: Source, aligner: str = "") -> dict[str, Any]:
    """Upload the files, prepare them, follow that to its end; return reference.json. Raise CliError.

    Without `aligner`, the index is that of the default aligner of the stack.
    """
    aligner = aligner or stack["Aligner"]
    folder = S3Uri(stack["ReferenceBucket"], f"{source.name}/source")
    fasta = _upload(stack, source.fasta, folder)
    genes = _upload(stack, source.genes, folder) if source.genes else None
    run, execution = _find_or_start(stack, source, aligner, fasta, genes)
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


def _upload(stack: Stack, path: Path, folder: S3Uri) -> StoredObject:
    uri = folder / path.name
    stored = stack.store.find(uri)
    if stored and upload.is_same(path, stored, {}):
        return stored
    return upload.upload_files(stack, [(path, uri)], {})[0]


def _find_or_start(
    stack: Stack, source: Source, aligner: str, fasta: StoredObject, genes: StoredObject | None
) -> tuple[str, str]:
    """Return run and execution. The same files are prepared once; after a failure again, under the next number."""
    pins = [fasta.version_id or fasta.etag, genes and (genes.version_id or genes.etag)]
    name = source.name
    identity = [name, aligner, *pins, *source.args]
    first = f"reference-{hashlib.sha256(canonical(identity).encode()).hexdigest()[:16]}"
    for number in range(1, MAX_PREPARATIONS):
        run = first if number == 1 else f"{first}-{number}"
        execution = executions.arn(run, stack["PrepareReferenceStateMachine"])
        status = stack.status_of(execution)
        if status is None:
            _start(stack, run, source, aligner, fasta, genes)
            return run, execution
        if status == "RUNNING" or (status == "SUCCEEDED" and _is_prepared_from(_summary(stack, name), fasta, genes)):
            return run, execution
    raise CliError(f"The preparation of {name} failed {MAX_PREPARATIONS} times: give it another --name to start again.")


def _is_prepared_from(summary: Mapping[str, Any] | None, fasta: StoredObject, genes: StoredObject | None) -> bool:
    """Return whether a reference has the bytes of these files: it may have been made of others since then."""
    sources = (summary or {}).get("sources")
    if not sources:  # no reference, or one that was prepared before reference.json had its sources
        return summary is not None
    wanted = {kind: stored.etag for kind, stored in (("fasta", fasta), ("genes", genes)) if stored}
    return {kind: source["etag"] for kind, source in sources.items()} == wanted


def _start(
    stack: Stack, run: str, source: Source, aligner: str, fasta: StoredObject, genes: StoredObject | None
) -> None:
    bucket = stack["ReferenceBucket"]
    sources = {kind: stored.source() for kind, stored in (("fasta", fasta), ("genes", genes)) if stored}
    plan = layout.preparation(
        run,
        source.name,
        fasta.uri,
        genes.uri if genes else None,
        reference_bucket=bucket,
        aligner=aligner,
        sources=sources,
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
    return str((_summary(stack, name) or {}).get("fingerprint", ""))


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
    ready = f"ready{count_warnings(len(warnings), ' with ')}"
    ploidy = ploidies.describe(summary)
    say(
        f"Reference {name} is {ready}: {number}, {bases:,} bases, ploidy {ploidy}, indexed for {indexes}.",
        style="bold yellow" if warnings else "green",
    )
    for warning in warnings:
        say(f"  {warning['warning']}: {warning['message']}.")
