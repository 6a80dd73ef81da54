"""Check the FASTQs of a run, and give each its name in the bucket."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqdrop.plan import fastq_names
from seqdrop.plan.fastq_names import FastqName
from seqdrop.plan.names import RESERVED, SAMPLE

from seqdrop_cli.errors import CliError

_EXTENSION = re.compile(r"\.(?:fastq|fq)(?:\.gz)?$", re.IGNORECASE)
Pair = tuple[Path, Path]  # R1 and R2


@dataclass(frozen=True, slots=True)
class Fastqs:
    """The FASTQs of one run: one pair of files for each lane."""

    sample: str
    pairs: tuple[Pair, ...]
    names: tuple[tuple[str, str], ...]  # in the bucket

    @classmethod
    def of(cls, paths: Sequence[Path], sample: str | None) -> Fastqs:
        """Return the pairs of these files, in the order R1 R2; raise CliError unless they make one run."""
        for path in paths:
            if not path.is_file():
                raise CliError(f"{path}: no such file, or it is a directory.")
        if len(paths) % 2:
            number = "1 file" if len(paths) == 1 else f"{len(paths)} files"
            raise CliError(f"{number}: R1 and R2 are needed, for each lane.")
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
        return any(name and name.lane for pair in self.names for name in map(fastq_names.parse, pair))

    @property
    def lanes(self) -> list[str]:
        """The name of each lane, "" for files without one."""
        names = [fastq_names.parse(one) for one, _ in self.names]
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


def _renamed(sample: str, pairs: Sequence[Pair]) -> tuple[tuple[str, str], ...]:
    """Return names for a sample id: `S_R1.fastq.gz`, with several lanes `S_L001_R1.fastq.gz`."""
    if not SAMPLE.fullmatch(sample):
        raise CliError(
            f"{sample!r} is not a valid sample id: use at most 64 letters, digits, '.', '_' and '-', "
            f"begin with a letter or digit, and do not end with '{RESERVED}'."
        )
    names = []
    for number, (r1, r2) in enumerate(pairs, start=1):
        lane = f"_L{number:03}" if len(pairs) > 1 else ""
        names.append((f"{sample}{lane}_R1{_extension(r1)}", f"{sample}{lane}_R2{_extension(r2)}"))
    if any(parsed is None or parsed.sample != sample for pair in names for parsed in map(fastq_names.parse, pair)):
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


def parse_path(path: Path) -> FastqName:
    """Return what the name of a file says; raise CliError unless it names a sample and a mate."""
    parsed = fastq_names.parse(path.name)
    if parsed is None:
        reason = fastq_names.ignored_because(path.name) or "it has no name of a FASTQ"
        raise CliError(
            f"{path.name} does not name a sample and a mate (as NA12878_R1.fastq.gz does): {reason}. "
            "Rename it or give --sample."
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
