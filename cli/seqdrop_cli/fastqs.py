"""Check the FASTQs of a run, and give each its name in the bucket."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqdrop.plan import fastq_names, input_names
from seqdrop.plan.fastq_names import FastqName
from seqdrop.plan.input_names import NO_MATE
from seqdrop.plan.names import ONE_FILE, RESERVED, SAMPLE

from seqdrop_cli import layouts
from seqdrop_cli.errors import CliError

_EXTENSION = re.compile(r"\.(?:(?:fastq|fq)(?:\.gz)?|bam|cram)$", re.IGNORECASE)
Pair = tuple[Path, ...]  # R1 and R2, or the one file of a lane


@dataclass(frozen=True, slots=True)
class Fastqs:
    """The files of one run: one pair, or one file, for each lane."""

    sample: str
    pairs: tuple[Pair, ...]
    names: tuple[tuple[str, ...], ...]  # in the bucket
    layout: str = ""  # "": R1 and R2

    @classmethod
    def of(cls, paths: Sequence[Path], sample: str | None, layout: str = "") -> Fastqs:
        """Return the pairs of these files, in the order R1 R2; raise CliError unless they make one run.

        With a layout of one file for each lane, or of a BAM or CRAM, each file is a lane.
        """
        for path in paths:
            if not path.is_file():
                raise CliError(f"{path}: no such file, or it is a directory.")
        if sample is not None and (layout in ONE_FILE or any(_is_one_file(path) for path in paths)):
            pairs: tuple[Pair, ...] = tuple((path,) for path in paths)
            return cls(sample, pairs, _renamed(sample, pairs), layouts.of_files(paths, layout))
        if len(paths) % 2:
            number = "1 file" if len(paths) == 1 else f"{len(paths)} files"
            raise CliError(f"{number}: R1 and R2 are needed, for each lane, or --layout single or interleaved.")
        pairs = tuple(zip(paths[::2], paths[1::2], strict=True))
        for r1, r2 in pairs:
            if r1.samefile(r2):
                raise CliError(f"{r1} was given as R1 and as R2: give both files.")
        if sample is not None:
            return cls(sample, pairs, _renamed(sample, pairs))
        lanes = [_parse_pair(r1, r2) for r1, r2 in pairs]
        _check_lanes(lanes)
        return cls(lanes[0].sample, pairs, tuple((r1.name, r2.name) for r1, r2 in pairs))

    @property
    def has_lanes(self) -> bool:
        """Whether the names in the bucket have lanes."""
        return any(name and name.lane for pair in self.names for name in map(input_names.parse, pair))

    @property
    def lanes(self) -> list[str]:
        """The name of each lane, "" for files without one."""
        names = [input_names.parse(pair[0]) for pair in self.names]
        return [name.lane_and_chunk if name else "" for name in names]

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(path.stat().st_size for pair in self.pairs for path in pair)

    @property
    def files(self) -> list[tuple[Path, str]]:
        """Every file with its name in the bucket, R1 before R2, lane by lane."""
        paths = [path for pair in self.pairs for path in pair]
        names = [name for pair in self.names for name in pair]
        return list(zip(paths, names, strict=True))


def _is_one_file(path: Path) -> bool:
    """Return whether the name of a file says that it is all of a lane."""
    name = input_names.parse_unmarked(path.name)
    return bool(name and layouts.is_one_file(name, ""))


def _renamed(sample: str, pairs: Sequence[Pair]) -> tuple[tuple[str, ...], ...]:
    """Return names for a sample id: `S_R1.fastq.gz`, or `S.fastq.gz`; with several lanes `S_L001_R1.fastq.gz`."""
    if not SAMPLE.fullmatch(sample):
        raise CliError(
            f"{sample!r} is not a valid sample id: use at most 64 letters, digits, '.', '_' and '-', "
            f"begin with a letter or digit, and do not end with '{RESERVED}'."
        )
    names = []
    for number, pair in enumerate(pairs, start=1):
        lane = f"_L{number:03}" if len(pairs) > 1 else ""
        mates = ("_R1", "_R2") if len(pair) > 1 else ("",)
        names.append(tuple(f"{sample}{lane}{mate}{_extension(path)}" for mate, path in zip(mates, pair, strict=True)))
    marked = len(pairs[0]) > 1
    parsed = [
        fastq_names.parse(name) if marked else input_names.parse_unmarked(name) for pair in names for name in pair
    ]
    if any(name is None or name.sample != sample for name in parsed):
        raise CliError(f"{sample!r} looks like a name with a lane or without a sample: choose another --sample.")
    return tuple(names)


def _extension(path: Path) -> str:
    match = _EXTENSION.search(path.name)
    if match is None:
        reason = fastq_names.ignored_because(path.name) or "expected .fastq.gz or .fq.gz"
        raise CliError(f"{path.name} is not named like a FASTQ: {reason}.")
    return match[0]


def _parse_pair(r1: Path, r2: Path) -> FastqName:
    one, two = (parse_path(path) for path in (r1, r2))
    if not one.is_of_pair(two) or one.mate == two.mate:
        raise CliError(f"{r1.name} and {r2.name} are not a pair by their names: rename them or give --sample.")
    if one.mate == 2:
        raise CliError(f"{r1.name} is R2 by its name: give R1 first.")
    return one


def parse_path(path: Path, layout: str = "") -> FastqName:
    """Return what the name of a file says; raise CliError unless it names a sample and a mate, or is all of a lane."""
    parsed = input_names.parse(path.name)
    if parsed is None or (parsed.mate == NO_MATE and not layouts.is_one_file(parsed, layout)):
        reason = fastq_names.ignored_because(path.name) or "it has no name of a FASTQ"
        raise CliError(
            f"{path.name} does not name a sample and a mate (as NA12878_R1.fastq.gz does): {reason}. "
            "Rename it or give --sample; for single-end or interleaved reads give --layout."
        )
    return parsed


def _check_lanes(lanes: Sequence[FastqName]) -> None:
    if len(lanes) == 1:
        return
    if len({lane.group for lane in lanes}) > 1 or not all(lane.lane or lane.chunk for lane in lanes):
        names = ", ".join(Path(lane.key).name for lane in lanes)
        raise CliError(f"{names} are not lanes of one sample by their names: give --sample to run them as one.")
    if len({lane.lane_and_chunk for lane in lanes}) < len(lanes):
        raise CliError("Two pairs are of the same lane: give each lane once.")
