"""Compare seqdrop with what its users have today: `make bench`, or `make bench LINE=stage` for the lines so named.

Each line is measured only while its gate holds: all sides have the same, right output.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import align
import human
import jobs
import many
import reads
import sizes
import sorting
import staging
import startup
import whole
from measure import GateError, Line, compare, write_table

SCRATCH = Path(__file__).resolve().parents[1] / "build/bench"  # kept: the genome and the reads take a minute to make


def all_lines(scratch: Path, log: Path, wanted: str) -> Iterator[Line]:
    """Yield every line; make only the data of the wanted ones."""
    if any(name.startswith(wanted) for name in ("stage-get", "stage-put", "stage-many")):
        source = staging.make_objects(scratch / "source", [staging.ONE, *staging.MANY])
        with staging.server(source) as env:
            yield from staging.lines(scratch, env, source)
    if "prove".startswith(wanted):
        yield from reads.lines(scratch, log)
    if any(name.startswith(wanted) for name in ("align", "slow-link")):
        yield from align.lines(scratch, log, wanted)
    yield from startup.lines(wanted)
    yield from jobs.lines(scratch, wanted)
    yield from whole.lines(scratch, wanted)


def measure_lines(scratch: Path, wanted: str, repeats: int) -> int:
    """Print the table of all lines that compare commands; return how many failed."""
    log, rows, failed = scratch / "log", list[list[str]](), 0
    try:
        for line in all_lines(scratch, log, wanted):
            if line.name.startswith(wanted):
                failed += tried(line.name, lambda line=line: rows.extend(compare(line, log, repeats)))
    finally:
        if rows:
            write_table(rows)
    return failed


def tried(name: str, measure: Callable[[], object]) -> int:
    """Measure a line; return 1 and say why if it failed: the other lines are measured all the same."""
    try:
        measure()
    except (GateError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{name}: failed: {error}\n")
        return 1
    sys.stderr.write(f"{name}: done\n")
    return 0


def feed(repeats: int) -> None:
    """Measure the line `feed`; raise CalledProcessError."""
    fastqs = reads.make(SCRATCH)
    for _ in range(repeats):
        subprocess.run([sys.executable, Path(__file__).with_name("feeding.py"), *fastqs, "2"], check=True)


def main(wanted: str = "", repeats: str = "3") -> int:
    """Measure the lines whose name begins with `wanted`; return the status of the command."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    failed = measure_lines(SCRATCH, wanted, int(repeats))
    if "feed".startswith(wanted):
        failed += tried("feed", lambda: feed(int(repeats)))
    if "sort".startswith(wanted):
        failed += tried("sort", lambda: sorting.main(SCRATCH, int(repeats)))
    if any(name.startswith(wanted) for name in ("price", "idle")):
        failed += tried("price, idle", sizes.main)
    if "many".startswith(wanted):
        failed += tried("many", lambda: many.main(SCRATCH))
    if wanted == "human":  # half an hour: not of all lines
        failed += tried("human", lambda: human.main(str(SCRATCH)))
    sys.stderr.write(f"measured in {(time.perf_counter() - begin) / 60:.0f} minutes, {failed} lines failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
