"""Pin what a run reads besides its FASTQs: its reference and its regions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from seqdrop.plan import bed, extras, layout, ploidy
from seqdrop.plan.choices import Choices
from seqdrop.plan.extras import KNOWN, PADDING, PANELS
from seqdrop.plan.names import DIPLOID, REFERENCE_JSON
from seqdrop.storage import s3
from seqdrop.storage.s3 import Store
from seqdrop.storage.uri import S3Uri

# `publish: hold` in YAML or in JSON, outside of a comment
HOLDS = re.compile(r"""^[^#\n]*\bpublish["']?\s*:\s*["']?hold\b""", re.MULTILINE)
MAX_POLICY = 20_000  # bytes read; the report refuses a longer policy


class IntervalsError(Exception):
    """The BED file of a run does not exist, or does not fit the reference."""


class UnpreparedError(Exception):
    """The reference does not exist, or has no index for the aligner of the run."""

    def __init__(self, message: str, what_to_do: str = "") -> None:
        """Create the error; without `what_to_do`, the advice of its class holds."""
        super().__init__(message)
        self.what_to_do = what_to_do


@dataclass(frozen=True)
class PinnedReference:
    """The reference of a run and its regions, as they are when it starts: both can be replaced under their names."""

    summary: Mapping[str, Any] = field(default_factory=dict)  # reference.json
    regions: bytes = b""  # what `bed.read` returns; b"" for the whole genome
    padding: int = 0  # bases, of the panel of the run

    @property
    def fingerprint(self) -> str:
        """The hash of contigs, genes, ploidy and known variants; "" of a reference that is not prepared."""
        return extras.fingerprint(self.summary)

    @property
    def known(self) -> dict[str, Any]:
        """The known variants that annotate the calls, by name."""
        return dict(self.summary.get(KNOWN, {}))

    @property
    def sources(self) -> dict[str, Any]:
        """The versions and checksums of the FASTA and the genes that the reference was prepared from."""
        return dict(self.summary.get("sources", {}))

    @property
    def bases(self) -> int:
        """The bases to call: of the regions, or of the whole genome."""
        if not self.regions:
            return sum(contig_lengths(self.summary).values()) if self.summary else 0
        rows = (line.split(b"\t") for line in self.regions.splitlines())
        return sum(int(end) - int(start) for _, start, end in rows)

    @cached_property
    def checksum(self) -> str:
        """The SHA-256 of the regions; "" for the whole genome."""
        return bed.checksum(self.regions) if self.regions else ""

    @property
    def regions_id(self) -> str:
        """What the id of a run has about its regions: their checksum, and the padding of a panel."""
        return f"{self.checksum}+{self.padding}" if self.padding else self.checksum


def pin(store: Store, bucket: str, choices: Choices, aligner: str) -> PinnedReference:
    """Read the reference and the regions of a run; raise UnpreparedError, IntervalsError."""
    summary = check_reference(bucket, choices, aligner)
    if choices.panel:
        panel = find_panel(choices, summary)
        return PinnedReference(summary, read_panel(store, bucket, choices, panel), panel[PADDING])
    return PinnedReference(summary, read_intervals(store, bucket, choices, summary))


def pin_files(store: Store, reference: S3Uri, summary: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the present version of the genome and of each of its indexes, by file name.

    Raises UnpreparedError unless the known variants are those in `summary` (reference.json): a preparation replaces
    their index, their VCF and reference.json one after the other.
    """
    keys = store.list_keys(reference.bucket, reference.key)
    stored = [store.head(S3Uri(reference.bucket, key)) for key in keys]
    found = {one.uri: one.crc64nvme for one in stored}
    for suffix, (name, expected) in extras.known_files(summary).items():
        file = reference.companion(suffix)
        if found.get(file, "none") not in {expected, ""}:  # "": S3 has no checksum of a copy that others made
            raise UnpreparedError(
                f"known variants {name} of reference {reference.parent.name} are being replaced: {file.name} is not "
                f"the file that {REFERENCE_JSON} lists",
                "Wait until their preparation has ended; if it has failed, repeat it. Then run `seqdrop resume RUN`.",
            )
    return {one.uri.name: one.pin() for one in stored}


def holds(store: Store, reference: S3Uri) -> bool:
    """Return whether the QC policy beside a genome says `publish: hold`; False without a policy.

    Functions have no YAML parser, and an invalid policy has no report either: a line with these words is enough.
    """
    try:
        with store.open(layout.policy_uri(reference)) as file:
            text = file.read(MAX_POLICY).decode(errors="replace")
    except s3.MissingError:
        return False
    return bool(HOLDS.search(text))


def check_reference(bucket: str, choices: Choices, aligner: str) -> dict[str, Any]:
    """Return reference.json of the reference; raise UnpreparedError."""
    summary = read_summary(s3.store(), bucket, choices.reference)
    if summary is None:
        names = prepared_names(s3.store(), bucket)
        others = f"prepared are: {', '.join(names)}" if names else "none is prepared yet"
        raise UnpreparedError(f"reference {choices.reference} is not prepared; {others}")
    if aligner not in summary["indexes"]:
        command = index_command(choices.reference, summary, aligner)
        raise UnpreparedError(
            describe_missing_index(choices.reference, summary, aligner),
            f"Run `{command}` with the files that the reference was prepared from, then run `seqdrop resume RUN`.",
        )
    return summary


def describe_missing_index(name: str, summary: Mapping[str, Any], aligner: str) -> str:
    """Say that a reference has no index for an aligner, and which ones it has."""
    return f"reference {name} has no index for {aligner} (it has: {', '.join(summary['indexes'])})"


def index_command(name: str, summary: Mapping[str, Any], aligner: str) -> str:
    """Return the command that adds the index of an aligner: it needs the files and options of the preparation."""
    genes = " --genes GENES" if "genes" in summary.get("sources", {}) or "snpeff" in summary["indexes"] else ""
    copies = summary.get("ploidy", DIPLOID)
    number = f" --ploidy {copies}" if copies != DIPLOID else ""
    regions = " --ploidy-file FILE" if summary.get(ploidy.REGIONS) else ""
    return f"seqdrop reference GENOME.fa{genes}{number}{regions} --name {name} --aligner {aligner}"


def read_intervals(store: Store, bucket: str, choices: Choices, summary: Mapping[str, Any]) -> bytes:
    """Return the regions of the BED file beside the reference, as `bed.read` does; b"" without one.

    Raises IntervalsError if the file does not exist or does not fit the reference.
    """
    if not choices.intervals:
        return b""
    uri = layout.reference_uri(bucket, choices.reference).parent / choices.intervals
    try:
        with store.open(uri) as file:
            return bed.read(file, choices.intervals, contig_lengths(summary))
    except s3.MissingError:
        name = choices.reference
        raise IntervalsError(f"{choices.intervals} is not beside reference {name}: upload it to {uri}") from None
    except bed.BedError as error:
        raise IntervalsError(f"{error}. Correct {uri}") from None


def find_panel(choices: Choices, summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what reference.json has about the panel of a run; raise UnpreparedError."""
    panels: Mapping[str, Mapping[str, Any]] = summary.get(PANELS, {})
    if choices.panel not in panels:
        name, names = choices.reference, ", ".join(panels) or "none"
        raise UnpreparedError(
            f"reference {name} has no panel {choices.panel} (it has: {names})",
            f"Run `seqdrop reference --name {name} --panel {choices.panel}=FILE.bed`, then run `seqdrop resume RUN`.",
        )
    return panels[choices.panel]


def read_panel(store: Store, bucket: str, choices: Choices, panel: Mapping[str, Any]) -> bytes:
    """Return the targets of a panel, as `bed.read` does; raise IntervalsError unless they are those it was made of."""
    uri = layout.reference_uri(bucket, choices.reference).companion(extras.panel_suffix(choices.panel))
    try:
        with store.open(uri) as file:
            targets = file.read()
    except s3.MissingError:
        raise IntervalsError(f"panel {choices.panel} has no file: prepare it again, which writes {uri}") from None
    if bed.checksum(targets) != panel["sha256"]:
        raise IntervalsError(f"{uri} is not the file of panel {choices.panel}: prepare the panel again")
    return targets


def contig_lengths(summary: Mapping[str, Any]) -> dict[str, int]:
    """Return the length of every contig in reference.json."""
    return {contig["name"]: contig["length"] for contig in summary["contigs"]}


def read_summary(store: Store, bucket: str, name: str) -> dict[str, Any] | None:
    """Return reference.json of a prepared reference; None if it is not prepared."""
    try:
        summary: dict[str, Any] = store.read_json(layout.reference_uri(bucket, name).parent / REFERENCE_JSON)
    except s3.MissingError:
        return None
    return summary


def prepared_names(store: Store, bucket: str) -> list[str]:
    """Return the names of the prepared references."""
    keys = store.list_keys(bucket, "")
    return sorted({key.split("/")[0] for key in keys if key.endswith(f"/{REFERENCE_JSON}")})
