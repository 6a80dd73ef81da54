"""Group the FASTQs of folders and of the command line by sample, in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from seqdrop.plan import fastq_names, input_names
from seqdrop.plan.fastq_names import FastqName
from seqdrop.plan.input_names import NO_MATE

from seqdrop_cli import layouts
from seqdrop_cli.errors import CliError, warn
from seqdrop_cli.fastqs import Fastqs, parse_path

File = tuple[Path, FastqName]
MAX_SHOWN = 5  # files in an error


def group(paths: Sequence[Path], layout: str = "") -> list[Fastqs]:
    """Return the samples of these files and of those below these folders, by name; raise CliError for a lone mate.

    `layout` is that of all files, "" if their names say it.

    A file below a folder whose name makes no run is left out with a warning; one that was named is an error.
    """
    files = [file for path in paths for file in _files(path, layout)]
    groups: dict[tuple[Path, str, bool], list[File]] = {}
    for path, name in {path.resolve(): (path, name) for path, name in files}.values():
        groups.setdefault((path.parent, name.group, bool(name.lane)), []).append((path, name))
    samples = [_sample(group, layout) for group in groups.values()]
    if not samples:
        raise CliError(f"{', '.join(map(str, paths))}: no FASTQs with names of pairs were found.")
    return sorted(samples, key=lambda one: (one.sample, one.names))


def _files(path: Path, layout: str) -> Iterator[File]:
    if not path.is_dir():
        if not path.is_file():
            raise CliError(f"{path}: no such file or directory.")
        yield path, parse_path(path, layout)
        return
    for file in sorted(path.rglob("*")):
        if not file.is_file() or any(part.startswith(".") for part in file.relative_to(path).parts):
            continue
        name = input_names.parse(file.name)
        if name and (name.mate != NO_MATE or layouts.is_one_file(name, layout)):
            yield file, name
        elif reason := fastq_names.ignored_because(file.name):
            warn(f"{file} is left out: {reason}.")


def _sample(files: Sequence[File], layout: str) -> Fastqs:
    """Return the pairs, or the single files, of one sample, lane by lane."""
    alone = [layouts.is_one_file(name, layout) for _, name in files]
    if all(alone):
        return _of_one_file(files, layout)
    if any(alone):
        one, other = (files[alone.index(kind)][0] for kind in (True, False))
        raise CliError(f"{one} and {other} are of one sample, but of different layouts: run them separately.")
    pairs: dict[str, dict[int, File]] = {}
    for path, name in files:
        mates = pairs.setdefault(name.lane_and_chunk, {})
        if name.mate in mates:
            raise CliError(f"{mates[name.mate][0]} and {path} are the same mate of one lane: give one of them.")
        mates[name.mate] = path, name
    lone = [path for mates in pairs.values() if len(mates) == 1 for path, _ in mates.values()]
    if lone:
        shown = ", ".join(map(str, lone[:MAX_SHOWN]))
        more = " and more" if len(lone) > MAX_SHOWN else ""
        raise CliError(f"The other mate of {shown}{more} is missing (single-end reads: --layout single).")
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


def _of_one_file(files: Sequence[File], layout: str) -> Fastqs:
    """Return the files of a sample of which each is a lane."""
    lanes: dict[str, File] = {}
    for path, name in files:
        if name.lane_and_chunk in lanes:
            raise CliError(f"{lanes[name.lane_and_chunk][0]} and {path} are of one lane: give one of them, or run them "
                           "apart.")  # fmt: skip
        lanes[name.lane_and_chunk] = path, name
    ordered = [lanes[lane][0] for lane in sorted(lanes)]
    found = layouts.of_files(ordered, layout)
    return Fastqs(
        files[0][1].sample, tuple((path,) for path in ordered), tuple((path.name,) for path in ordered), found
    )
