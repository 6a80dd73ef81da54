"""Fuzz the FASTQ checker for a number of seconds.

    python tests/fuzz/check_reads.py SECONDS [SEED]

The exit code is 1 if the checker raises anything but BadInputError, if it disagrees with a simple reader, or if its
memory grows. On an error or a disagreement the files are written to stderr.
"""

from __future__ import annotations

import resource
import secrets
import sys
import time
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, given, settings

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.fastq_files import assert_readers_agree, fastq_pairs

MAX_INPUT = 4_096  # random bytes that hypothesis turns into a pair of files
WARM_UP = 200  # pairs until every module is imported and every cache is full
MAX_GROWTH = 64 << 10  # KiB of memory after the warm-up


@settings(database=None, suppress_health_check=list(HealthCheck), deadline=None)
@given(fastq_pairs())
def check(files: tuple[bytes, bytes]) -> None:
    """Compare the checker with the simple reader on one pair of files."""
    try:
        assert_readers_agree(files)
    except Exception:
        sys.stderr.write(f"the checker fails on {files!r}\n")
        raise


def main(seconds: float, seed: int) -> None:
    """Check pairs until the time is over."""
    random, end, count, warm_peak = Random(seed), time.monotonic() + seconds, 0, 0  # noqa: S311
    while time.monotonic() < end:
        check.hypothesis.fuzz_one_input(random.randbytes(random.randrange(MAX_INPUT)))
        count += 1
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        warm_peak = peak if count <= WARM_UP else warm_peak
        assert peak - warm_peak < MAX_GROWTH, f"memory grew from {warm_peak >> 10} to {peak >> 10} MiB"
    sys.stdout.write(f"{count} inputs in {seconds:.0f} s, seed {seed}: no failure\n")


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else secrets.randbits(32))
