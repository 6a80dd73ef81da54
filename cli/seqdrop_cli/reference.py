"""Prepare a genome so that runs can use it by name, and say which names there are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from seqdrop.plan import layout
from seqdrop.plan.names import NAME, REFERENCE_JSON, canonical
from seqdrop.storage.uri import S3Uri

from seqdrop_cli import upload
from seqdrop_cli.follow import follow
from seqdrop_cli.problem import INTERRUPTED, Problem
from seqdrop_cli.runs import execution_arn, explain
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack

FASTA = (".fa", ".fasta", ".fna")
GENES = (".gtf", ".gff", ".gff3", ".gb", ".gbk")
STEP = "prepare"


@dataclass(frozen=True, slots=True)
class Source:
    """The files a reference is made of."""

    name: str
    fasta: Path
    genes: Path | None

    @classmethod
    def of(cls, fasta: Path, genes: Path | None, name: str | None) -> Source:
        """Raises Problem for files that are not there or not of their kind."""
        _check(fasta, FASTA, "a FASTA")
        if genes:
            _check(genes, GENES, "a file of genes")
        chosen = name or fasta.name.removesuffix(".gz").rsplit(".", 1)[0]
        if not NAME.fullmatch(chosen):
            raise Problem(f"{chosen!r} cannot name a reference: letters, digits, '.', '_' and '-'; give --name.")
        return cls(chosen, fasta, genes)


def _check(path: Path, suffixes: tuple[str, ...], kind: str) -> None:
    if not path.is_file():
        raise Problem(f"{path} is not there, or no file.")
    if not path.name.lower().removesuffix(".gz").endswith(suffixes):
        raise Problem(f"{path.name} is not {kind} by its name: expected {', '.join(suffixes)}, also with .gz.")


def prepare(stack: Stack, source: Source) -> dict[str, Any]:
    """Upload, start the machine that prepares, follow it; answers reference.json."""
    folder = S3Uri(stack["ReferenceBucket"], f"{source.name}/source")
    fasta = _stored(stack, source.fasta, folder)
    genes = _stored(stack, source.genes, folder) if source.genes else None
    run, execution = _started(stack, source.name, fasta, genes)
    try:
        status, _ = follow(stack, execution, run, (STEP,))
    except KeyboardInterrupt:
        stack.stepfunctions.stop_execution(executionArn=execution, error="STOPPED", cause="Interrupted.")
        raise Problem(f"Interrupted: the preparation of {source.name} was stopped.", INTERRUPTED) from None
    if status != "SUCCEEDED":
        explain(stack, _as_row(stack, execution, status))
        raise Problem(f"Reference {source.name} could not be prepared.")
    summary = read_summary(stack, source.name)
    if summary is None:
        raise Problem(f"Reference {source.name} was prepared but left no {REFERENCE_JSON}.")
    return summary


def _stored(stack: Stack, path: Path, folder: S3Uri) -> upload.Pinned:
    uri = folder / path.name
    there = upload.same(path, uri, upload.head(stack, uri), {})
    return there or upload.put(stack, [(path, uri)], {})[0]


def _started(stack: Stack, name: str, fasta: upload.Pinned, genes: upload.Pinned | None) -> tuple[str, str]:
    """Run and execution. The same inputs are prepared once; after a failure under the next free name."""
    identity = [
        name,
        stack["Aligner"],
        fasta["version_id"] or fasta["etag"],
        genes and (genes["version_id"] or genes["etag"]),
    ]
    base = f"reference-{hashlib.sha256(canonical(identity).encode()).hexdigest()[:16]}"
    for number in range(1, 100):
        run = base if number == 1 else f"{base}-{number}"
        execution = execution_arn(stack, run, "PrepareReferenceStateMachine")
        earlier = stack.status_of(execution)
        if earlier is None:
            _start(stack, run, name, fasta, genes)
            return run, execution
        if earlier == "RUNNING" or (earlier == "SUCCEEDED" and read_summary(stack, name)):
            return run, execution
    raise Problem(f"Reference {name} failed a hundred times: `seqdrop reference` with another --name starts afresh.")


def _start(stack: Stack, run: str, name: str, fasta: upload.Pinned, genes: upload.Pinned | None) -> None:
    plan = layout.preparation(
        run,
        name,
        S3Uri.parse(fasta["uri"]),
        S3Uri.parse(genes["uri"]) if genes else None,
        reference_bucket=stack["ReferenceBucket"],
    )
    machine = stack["PrepareReferenceAlias"]
    stack.stepfunctions.start_execution(stateMachineArn=machine, name=run, input=json.dumps(plan))


def _as_row(stack: Stack, execution: str, status: str) -> dict[str, Any]:
    """A preparation has no row in the run table; its failure reads like a run's."""
    ended: Any = stack.stepfunctions.describe_execution(executionArn=execution)
    results = json.loads(ended["input"])["results"]
    return {
        "status": status,
        "results": results,
        "class": ended.get("error"),
        "message": ended.get("cause"),
    }


def read_summary(stack: Stack, name: str) -> dict[str, Any] | None:
    uri = layout.reference_uri(stack["ReferenceBucket"], name).parent / REFERENCE_JSON
    try:
        body = stack.s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return None
    summary: dict[str, Any] = json.loads(body)
    return summary


def fingerprint(stack: Stack, name: str) -> str:
    """What tells one preparation of a name from another: part of a run's id."""
    return str((read_summary(stack, name) or {}).get("fingerprint", ""))


def known(stack: Stack) -> list[str]:
    """The names of prepared references."""
    pages = stack.s3.get_paginator("list_objects_v2").paginate(Bucket=stack["ReferenceBucket"], Delimiter="/")
    folders = [entry["Prefix"].rstrip("/") for page in pages for entry in page.get("CommonPrefixes", [])]
    return [name for name in folders if read_summary(stack, name)]


def resolve(stack: Stack, name: str | None) -> str:
    """The name a run will use; raises Problem, naming those there are."""
    chosen = name or stack.outputs.get("DefaultReference", "")
    if chosen and read_summary(stack, chosen):
        return chosen
    names = ", ".join(known(stack)) or "none yet"
    wanted = f"Reference {chosen!r} is not prepared" if chosen else "No reference was chosen"
    raise Problem(f"{wanted} (there: {names}): `seqdrop reference GENOME.fa --name NAME{stack.option}` prepares one.")


def show(name: str, summary: dict[str, Any]) -> None:
    contigs = summary.get("contigs", [])
    bases = sum(contig.get("length", 0) for contig in contigs)
    counted = "1 contig" if len(contigs) == 1 else f"{len(contigs)} contigs"
    indexes = ", ".join(map(str, summary.get("indexes", []))) or "nothing"
    say(f"Reference {name} is ready: {counted}, {bases:,} bases, indexed for {indexes}.", style="green")
