"""Find the files that a reference is prepared from: on this machine, in S3 or on the web; pin them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqdrop.plan import bed, extras
from seqdrop.plan.bed import BedError
from seqdrop.plan.extras import KNOWN, PADDING, PANELS
from seqdrop.plan.names import NAME
from seqdrop.runs import sheets
from seqdrop.runs.reference import contig_lengths
from seqdrop.storage.s3 import MissingError
from seqdrop.storage.uri import S3Uri
from seqdrop.storage.web_address import WebAddress, is_web

from seqdrop_cli import upload
from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack

File = Path | S3Uri | WebAddress
SUFFIXES = {
    "FASTA": (".fa", ".fasta", ".fna"),
    "GTF, GFF3 or GenBank": (".gtf", ".gff", ".gff3", ".gb", ".gbk"),
    "VCF or BCF": (".vcf", ".bcf", ".vcf.bgz"),
    "BED": (".bed", ".interval_list"),
}


@dataclass(frozen=True, slots=True)
class Extra:
    """A panel, or known variants: the file, and its settings in the sources of the preparation."""

    file: File
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pinned:
    """A file as the preparation gets it."""

    address: S3Uri | WebAddress
    identity: str  # its version; of a file on the web, which has none, its address
    source: Mapping[str, Any]

    @property
    def can_change(self) -> bool:
        """Whether the same pin can be other bytes later."""
        return isinstance(self.address, WebAddress) and not self.address.checksum

    def is_source(self, source: Mapping[str, Any]) -> bool:
        """Return whether a source in reference.json is this file."""
        if isinstance(self.address, WebAddress):
            return bool(source.get("uri") == self.address.shown)
        return bool(source.get("etag") == self.source["etag"])


def parse(text: str | Path, kind: str) -> File:
    """Return the file that a user names, with the file name of a kind in SUFFIXES; raise CliError."""
    file: File = Path(text)
    try:
        if is_web(str(text)):
            file = WebAddress.parse(str(text))
        elif str(text).startswith("s3://"):
            file = S3Uri.parse(str(text))
    except ValueError as error:
        raise CliError(f"{error}.") from None
    if isinstance(file, WebAddress) and file.scheme != "https":
        raise CliError(f"{file.shown} is not encrypted: give an address that begins with https.")
    if isinstance(file, Path) and not file.is_file():
        raise CliError(f"{file}: no such file, or it is a directory.")
    suffixes = SUFFIXES[kind]
    if not file.name.lower().removesuffix(".gz").endswith(suffixes):
        expected = f"expected {', '.join(suffixes)}, plain or with .gz"
        raise CliError(f"{file.name} is not named like a {kind} file: {expected}.")
    return file


def parse_extras(
    panels: Sequence[str], padding: int, known: Sequence[str], fields: Sequence[str]
) -> dict[str, dict[str, Extra]]:
    """Return the panels and the known variants of a command line (`NAME=FILE`), by kind and name; raise CliError."""
    chosen = {name: text.split(",") for name, text in _named(fields, "--known-fields", "ID,FIELD").items()}
    known_files = _named(known, "--known", "FILE.vcf.gz")
    if others := sorted(chosen.keys() - known_files.keys()):
        raise CliError(f"--known-fields {others[0]}=...: it needs --known {others[0]}=FILE.")
    for name in known_files:
        if not extras.KNOWN_NAME.fullmatch(name):
            raise CliError(f"--known {name}=...: the name must be at most 32 letters and digits, the first a letter.")
    for name in (panel_files := _named(panels, "--panel", "FILE.bed")):
        if not NAME.fullmatch(name) or name == extras.NO_PANEL:
            raise CliError(f"--panel {name}=...: use at most 64 letters, digits, '.', '_' and '-', and not 'none'.")
    return {
        PANELS: {name: Extra(parse(text, "BED"), {PADDING: padding}) for name, text in panel_files.items()},
        KNOWN: {
            name: Extra(parse(text, "VCF or BCF"), {"fields": chosen[name]} if name in chosen else {})
            for name, text in known_files.items()
        },
    }


def _named(texts: Sequence[str], option: str, example: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not name or not value:
            raise CliError(f"{option} {text!r}: expected NAME={example}.")
        if name in found:
            raise CliError(f"{option} {name} is given twice.")
        found[name] = value
    return found


def pin(stack: Stack, file: File, folder: S3Uri) -> Pinned:
    """Upload a file of this machine, unless it is there; return the version for the preparation. Raise CliError."""
    if isinstance(file, WebAddress):
        return Pinned(file, str(file), {"uri": str(file)})
    if isinstance(file, S3Uri):
        _check_readable(stack, file)
        try:
            stored = stack.store.head(file)
        except MissingError as error:
            raise CliError(f"{error}.") from None
    else:
        uri = folder / file.name
        found = stack.store.find(uri)
        same = found if found and upload.is_same(file, found, {}) else None
        stored = same or upload.upload_files(stack, [(file, uri)], {})[0]
    return Pinned(stored.uri, stored.version_id or stored.etag, stored.source())


def _check_readable(stack: Stack, file: S3Uri) -> None:
    """Raise CliError unless the role of preparations may read an object."""
    if file.bucket == stack["ReferenceBucket"] and "/source/" in file.key:
        return
    if file.bucket not in sheets.input_buckets(stack.parameters.get("InputBucketArns", "")):
        raise CliError(
            f"{file} cannot be read by the job: its bucket is not in InputBucketArns of the stack. Add it there, or "
            "give a file of this machine."
        )


def check_panels(panels: Mapping[str, Extra], summary: Mapping[str, Any] | None) -> None:
    """Check the targets of this machine against the contigs of a prepared reference, before any job; raise CliError."""
    for name, panel in panels.items():
        if summary and isinstance(panel.file, Path):
            try:
                with panel.file.open("rb") as file:
                    bed.read(file, panel.file.name, contig_lengths(summary))
            except BedError as error:
                raise CliError(f"--panel {name}: {error}.") from None
