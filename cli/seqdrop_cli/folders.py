"""Group the FASTQs of folders and of the command line by sample, in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from seqdrop.plan import fastq_names
from seqdrop.plan.fastq_names import FastqName

from seqdrop_cli.errors import CliError, warn
from seqdrop_cli.fastqs import Fastqs, parse_path

File = tuple[Path, FastqName]
MAX_SHOWN = 5  # files in an error


def group(paths: Sequence[Path]) -> list[Fastqs]:
    """Return the samples of these files and of those below these folders, by name; raise CliError for a lone mate.

    A file below a folder whose name makes no run is left out with a warning; one that was named is an error.
    """
    files = [file for path in paths for file in _files(path)]
    groups: dict[tuple[Path, str, bool], list[File]] = {}
    for path, name in {path.resolve(): (path, name) for path, name in files}.values():
        groups.setdefault((path.parent, name.group, bool(name.lane)), []).append((path, name))
    samples = [_sample(group) for group in groups.values()]
    if not samples:
        raise CliError(f"{', '.join(map(str, paths))}: there are no FASTQs with the names of pairs.")
    return sorted(samples, key=lambda one: (one.sample, one.names))


def _files(path: Path) -> Iterator[File]:
    if not path.is_dir():
        if not path.is_file():
            raise CliError(f"{path}: no such file or directory.")
        yield path, parse_path(path)
        return
    for file in sorted(path.rglob("*")):
        if not file.is_file() or any(part.startswith(".") for part in file.relative_to(path).parts):
            continue
        if name := fastq_names.parse(file.name):
            yield file, name
        elif reason := fastq_names.ignored_because(file.name):
            warn(f"{file} is left out: {reason}.")


def _sample(files: Sequence[File]) -> Fastqs:
    """Return the pairs of one sample, lane by lane."""
    pairs: dict[str, dict[int, File]] = {}
    for path, name in files:
        mates = pairs.setdefault(name.lane_and_chunk, {})
        if name.mate in mates:
            raise CliError(f"{mates[name.mate][0]} and {path} are the same mate of one lane: give one of them.")
        mates[name.mate] = path, name
    alone = [path for mates in pairs.values() if len(mates) == 1 for path, _ in mates.values()]
    if alone:
        shown = ", ".join(map(str, alone[:MAX_SHOWN]))
        raise CliError(f"The other mate of {shown}{' and more' if len(alone) > MAX_SHOWN else ''} is missing.")
    ordered = [pairs[lane] for lane in sorted(pairs)]
    for mates in ordered:
        if mates[1][0].samefile(mates[2][0]):
            raise CliError(f"{mates[1][0]} was given as R1 and as R2: give both files.")
    sample = ordered[0][1][1].sample
    return Fastqs(
        sample,
        tuple((mates[1][0], mates[2][0]) for mates in ordered),
        tuple((mates[1][0].name, mates[2][0].name) for mates in ordered),
    )
