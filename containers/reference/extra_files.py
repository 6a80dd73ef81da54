"""Add panels and known variants to a reference: files beside its genome, and their entries in reference.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqdrop.jobs.workspace import Workspace, companion_path
from seqdrop.plan import extras
from seqdrop.plan.extras import DEFAULT_PADDING, FILES, KNOWN, PADDING, PANELS
from seqdrop.plan.names import GENOME, REFERENCE_JSON
from seqdrop.storage import s3

from containers.reference import known, panels, source_files
from containers.reference.fasta import refused


def prepare(work: Workspace, lengths: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Write the panels and known variants of a preparation; return their entries for reference.json, by kind.

    The genome and its `.fai` must be in the directory of the job if there are known variants. Raises BadInputError.
    """
    return {PANELS: _prepare_panels(work, lengths), KNOWN: _prepare_known(work)}


def _prepare_panels(work: Workspace, lengths: Mapping[str, int]) -> dict[str, Any]:
    entries = {}
    for name, pin in source_files.extra_pins(work, PANELS).items():
        path, source = _fetch(work, f"panel_{name}", pin)
        target = companion_path(work / GENOME, extras.panel_suffix(name))
        padding = pin.get(PADDING, DEFAULT_PADDING)
        entries[name] = {**panels.write(path, target, name, padding, lengths), "source": source}
    return entries


def _prepare_known(work: Workspace) -> dict[str, Any]:
    entries = {}
    for name, pin in source_files.extra_pins(work, KNOWN).items():
        work.version("bcftools")
        path, source = _fetch(work, f"known_{name}", pin)
        target = companion_path(work / GENOME, extras.known_suffix(name))
        converted = known.convert(work, path, target, name, {**pin, **source}, work / GENOME)
        entries[name] = {**converted, "source": source}
    return entries


def _fetch(work: Workspace, kind: str, pin: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    try:
        address = source_files.parse_address(pin["uri"])
    except ValueError as error:
        raise refused(str(error)) from None
    path, source = source_files.fetch_pinned(work, kind, address, pin)
    return path, {word: value for word, value in source.items() if word not in {PADDING, "fields"}}


def publish(work: Workspace, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Upload the files of these entries beside the genome, an index before its file.

    The entries of known variants get the checksums of both: a run refuses a VCF with an index or an entry of another.
    """
    for name in entries[PANELS]:
        _publish(work, extras.panel_suffix(name))
    for name, entry in entries[KNOWN].items():
        entry[FILES] = {companion: _publish(work, extras.known_suffix(name) + companion) for companion in (".tbi", "")}


def _publish(work: Workspace, suffix: str) -> str:
    """Upload a file beside the genome; return its CRC-64/NVME."""
    work.publish_to(companion_path(work / GENOME, suffix), work.args.reference.companion(suffix))
    return str(work.outputs[-1]["crc64nvme"])


def merge(prepared: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the panels and known variants of a reference with those of `entries`, which replace others of their name.

    Kinds without any are left out, as in references that were prepared before there were such files.
    """
    merged = {kind: {**prepared.get(kind, {}), **entries[kind]} for kind in (PANELS, KNOWN)}
    return {kind: found for kind, found in merged.items() if found}


def add(work: Workspace) -> dict[str, Any]:
    """Add the files of a preparation without a genome to a prepared reference; return its new reference.json.

    Its genome, genes and indexes stay as they are. Raises BadInputError.
    """
    prepared = read_prepared(work)
    if prepared is None:
        name = work.args.reference.parent.name
        raise refused(
            f"reference {name} is not prepared: give its genome too (`seqdrop reference GENOME.fa --name {name}`)"
        )
    if work.args.sources.get(KNOWN):
        work.fetch(work.args.reference, ".fai")
    entries = prepare(work, {contig["name"]: contig["length"] for contig in prepared["contigs"]})
    if not any(entries.values()):
        raise refused("there is nothing to add: give a genome, a panel or known variants")
    publish(work, entries)
    latest = read_prepared(work) or prepared  # another preparation may have added something meanwhile
    return {**latest, **merge(latest, entries)}


def read_prepared(work: Workspace) -> dict[str, Any] | None:
    """Return reference.json of the reference; None if it is not prepared."""
    try:
        summary: dict[str, Any] = s3.store().read_json(work.args.reference.parent / REFERENCE_JSON)
    except s3.MissingError:
        return None
    return summary
