"""Convert a VCF of known variants to what runs annotate with: one allele a record, left-aligned, its fields renamed."""

from __future__ import annotations

import hashlib
import itertools
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from seqdrop.failure.verdict import BadInputError
from seqdrop.jobs import regions
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.processes import Command
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan import extras
from seqdrop.plan.names import canonical

from containers.reference.fasta import refused
from containers.reference.gene_check import named

FORM = 1  # of the converted file: another one would annotate runs differently, and so is another fingerprint
MAX_DEFAULT_FIELDS = 40  # of a VCF whose user chooses none: dbSNP has 31, gnomAD has hundreds
MAX_OTHER_REF = 0.01  # share of the records whose REF is not in the genome: more is another version of the genome
INFO = re.compile(r"^##INFO=<ID=([^,>]+)", re.MULTILINE)
DECLARED = re.compile(rb"##contig=<ID=([^,>]+)")
HAS_ALLELE = ("-e", 'ALT="."')
NO_END = (1 << 31) - 2  # of a contig: records past its end are refused later, not left out
SOME_CONTIGS = 5  # in a message
MITOCHONDRIA = {"M", "MT"}


def convert(
    work: Workspace, source: Path, target: Path, name: str, pin: Mapping[str, Any], genome: Path
) -> dict[str, Any]:
    """Write the VCF of known variants and its index; return what reference.json has about it. Raise BadInputError.

    `pin` has the SHA-256 of the source, and the fields that the user chose: `ID`, and fields in INFO. Without a choice,
    all are copied if they are few. The source is deleted, since the disk may not hold it twice.
    """
    if not extras.KNOWN_NAME.fullmatch(name):
        raise refused(f"the name of known variants must be at most 32 letters and digits, not {name!r}")
    before = len(work.warnings)
    chosen = choose_fields(name, list(pin.get("fields", ())), INFO.findall(_header(work, source, name)))
    try:
        checked = _check_alleles(work, _sort(work, source, name, chosen, genome), name, genome)
        _split(work, checked, target, name, chosen, genome)
    except ToolError as error:
        raise _unreadable(error, name) from None
    return {
        "fields": chosen,
        "records": int(work.processes.output("bcftools", "index", "--nrecords", target)),
        "fingerprint": hashlib.sha256(canonical([FORM, pin["sha256"], chosen]).encode()).hexdigest()[:20],
        "warnings": work.warnings[before:],
    }


def choose_fields(name: str, chosen: list[str], declared: Sequence[str]) -> list[str]:
    """Return the fields to copy; raise BadInputError for one that the VCF does not have."""
    if not chosen:
        if len(declared) > MAX_DEFAULT_FIELDS:
            raise refused(f"known variants {name} have {len(declared)} fields in INFO: choose some of them with "
                          f"`--known-fields {name}=ID,...`; they are {named(declared)}")  # fmt: skip
        chosen = ["ID", *declared]
    for field in chosen:
        if not extras.FIELD.fullmatch(field) or (field != "ID" and field not in declared):
            raise refused(f"known variants {name} have no field {field}: choose ID or some of {named(declared)}")
    return list(dict.fromkeys(chosen))


def _header(work: Workspace, source: Path, name: str) -> str:
    """Return the header of a VCF or BCF; raise BadInputError for another file."""
    try:
        return work.processes.output("bcftools", "view", "--header-only", source)
    except ToolError as error:
        raise _unreadable(error, name) from None


def _unreadable(error: ToolError, name: str) -> ToolError | BadInputError:
    """Return the error for a file that bcftools refuses; a full disk or a kill stays what it is."""
    if error.failure_class != "TOOL_FAILED":
        return error
    reason = error.tail[-1] if error.tail else "no reason given"
    return refused(f"known variants {name}: bcftools cannot read or normalise the VCF ({reason}): check the file")


def _sort(work: Workspace, source: Path, name: str, fields: Sequence[str], genome: Path) -> Path:
    """Write the records on contigs of the genome that have an alternate allele: sorted, with the chosen fields."""
    counts = _count_contigs(work, source)
    contigs = _check_contigs(work, counts, name, regions.contig_lengths(genome))
    targets, kept = work / f"known.{name}.bed", work / f"known.{name}.kept.bcf"
    targets.write_text("".join(f"{contig}\t0\t{NO_END}\n" for contig in contigs))
    info = [field for field in fields if field != "ID"]
    removed = ["QUAL", "FILTER", *([] if "ID" in fields else ["ID"])]
    removed.append("^" + ",".join(f"INFO/{field}" for field in info) if info else "INFO")
    select: list[Command] = [
        ["bcftools", "view", "--no-version", "--drop-genotypes", "-T", targets, "-Ou", "-"],
        ["bcftools", "annotate", "--no-version", "-x", ",".join(removed), "-Ou", "-"],
        ["bcftools", "sort", "-T", work / f"known.{name}.sort", "-Ob", "-o", kept, "-"],
    ]
    work.processes.read(
        lambda stream: work.processes.pipe(lambda stdin: _copy_with_contigs(stream, stdin, counts), *select),
        "bcftools", "view", "--no-version", *HAS_ALLELE, source,
    )  # fmt: skip
    source.unlink()
    return kept


def _count_contigs(work: Workspace, source: Path) -> dict[str, int]:
    """Return how many records each contig has, in the order of the VCF."""

    def count(stream: BinaryIO) -> dict[str, int]:
        counts = dict[str, int]()
        for line, lines in itertools.groupby(stream):
            contig = line.decode(errors="replace").strip()
            counts[contig] = counts.get(contig, 0) + sum(1 for _ in lines)
        return counts

    return work.processes.read(count, "bcftools", "query", *HAS_ALLELE, "-f", r"%CHROM\n", source)


def _copy_with_contigs(stream: BinaryIO, stdin: BinaryIO, contigs: Iterable[str]) -> None:
    """Copy a VCF with a header line for each contig: without it, bcftools refuses to write a record as BCF."""
    declared = set[str]()
    for line in stream:
        if match := DECLARED.match(line):
            declared.add(match[1].decode(errors="replace"))
        if line.startswith(b"#CHROM"):
            missing = (contig for contig in contigs if contig not in declared)
            stdin.write("".join(f"##contig=<ID={contig}>\n" for contig in missing).encode() + line)
            break
        stdin.write(line)
    shutil.copyfileobj(stream, stdin, 1 << 20)


def _check_contigs(work: Workspace, counts: Mapping[str, int], name: str, lengths: Mapping[str, int]) -> list[str]:
    """Return the contigs with known variants that the genome has; raise BadInputError if the names are others."""
    if not counts:
        raise refused(f"known variants {name} have no records with an alternate allele")
    others = {contig: count for contig, count in counts.items() if contig not in lengths}
    short = {_short(contig): contig for contig in lengths}
    if renamed := {contig: short[_short(contig)] for contig in others if _short(contig) in short}:
        pairs = named(f"{contig} for {genome}" for contig, genome in renamed.items())
        raise refused(
            f"known variants {name} have other names of contigs than the genome ({pairs}): rename them with "
            "`bcftools annotate --rename-chrs NAMES.txt`, where each line of NAMES.txt has the old and the new name"
        )
    if len(others) == len(counts):
        has, needed = named(others), named(list(lengths)[:SOME_CONTIGS])
        raise refused(f"known variants {name} are on contigs that the genome does not have ({has}); it has {needed}")
    if others:
        total, missing = sum(counts.values()), sum(others.values())
        work.warn("KNOWN_WITHOUT_CONTIG", f"{missing:,} of {total:,} known variants of {name} are left out: the genome "
                  f"has no {named(others)}")  # fmt: skip
    return [contig for contig in lengths if contig in counts]


def _short(contig: str) -> str:
    """Return the name of a contig without what naming conventions add: `chr`, and T for the mitochondria."""
    plain = contig.lower().removeprefix("chr").upper()
    return "M" if plain in MITOCHONDRIA else plain


def _check_alleles(work: Workspace, kept: Path, name: str, genome: Path) -> Path:
    """Write the records whose REF is that of the genome; raise BadInputError if many others show another genome."""
    checked = work / f"known.{name}.checked.bcf"
    total = _count(work, kept)
    work.run("bcftools", "norm", "--no-version", "-c", "x", "-f", genome, "-Ob", "-o", checked, kept)
    kept.unlink()
    missing = total - _count(work, checked)
    if missing > MAX_OTHER_REF * total:
        raise refused(f"{missing:,} of {total:,} known variants of {name} have another REF than the genome: they are "
                      "of another version of the genome")  # fmt: skip
    if missing:
        work.warn("KNOWN_OTHER_REF", f"{missing:,} of {total:,} known variants of {name} are left out: the genome has "
                  "other bases there than their REF, or an ambiguity code")  # fmt: skip
    return checked


def _count(work: Workspace, bcf: Path) -> int:
    work.run("bcftools", "index", "--force", bcf)
    return int(work.processes.output("bcftools", "index", "--nrecords", bcf))


def _split(work: Workspace, checked: Path, target: Path, name: str, fields: Sequence[str], genome: Path) -> None:
    """Write one record for each allele, as the calls of a run have them, with its own names of fields."""
    info = [field for field in fields if field != "ID"]
    norm: Command = ["bcftools", "norm", "--no-version", "-m", "-any", "-f", genome, "-Ou", checked]
    rename: list[Command] = []
    if info:
        names = work / f"known.{name}.names.txt"
        names.write_text("".join(f"INFO/{field} {extras.info_name(name, field)}\n" for field in info))
        rename = [["bcftools", "annotate", "--no-version", "--rename-annots", names, "-Ou", "-"]]
    # norm may leave records in another order where it has moved indels far.
    work.processes.pipe(
        None, norm, *rename, ["bcftools", "sort", "-T", work / f"known.{name}.sort", "-Oz", "-o", target, "-"]
    )
    checked.unlink()
    work.run("bcftools", "index", "--tbi", "--force", target)
