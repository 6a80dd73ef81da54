"""Compare seqdrop with what its users have today: `make bench`, or `make bench LINE=stage` for the lines so named.

Each line is measured only while its gate holds: all sides have the same, right output.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
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
from measure import Line, compare, write_table

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


def main(wanted: str = "", repeats: str = "3") -> None:
    """Measure the lines whose name begins with `wanted`."""
    scratch = SCRATCH
    scratch.mkdir(parents=True, exist_ok=True)
    log, rows = scratch / "log", []
    for line in all_lines(scratch, log, wanted):
        if line.name.startswith(wanted):
            rows += compare(line, log, int(repeats))
            sys.stderr.write(f"{line.name}: done\n")
    if rows:
        write_table(rows)
    if "feed".startswith(wanted):
        fastqs = reads.make(scratch)
        for _ in range(int(repeats)):
            subprocess.run([sys.executable, Path(__file__).with_name("feeding.py"), *fastqs, "2"], check=True)
    if "sort".startswith(wanted):
        sorting.main(scratch, int(repeats))
    if any(name.startswith(wanted) for name in ("price", "idle")):
        sizes.main()
    # Half an hour, and twenty minutes: not of all lines.
    if wanted == "human":
        human.main(str(scratch))
    if wanted == "many":
        many.main(scratch)


if __name__ == "__main__":
    main(*sys.argv[1:])
