"""Fuzz the checker of reads for so many seconds.

An error that is no BadInputError, a word that a plain reader does not say, or memory that grows ends it with 1; the
files that did it are shown.

    python tests/fuzz/check_reads.py SECONDS [SEED]
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

ENTROPY = 4_096  # bytes that hypothesis turns into a pair of files
WARM = 200  # pairs until all is imported and every cache is full
MOST_GROWTH = 64 << 10  # KiB after that


@settings(database=None, suppress_health_check=list(HealthCheck), deadline=None)
@given(fastq_pairs())
def check(files: tuple[bytes, bytes]) -> None:
    try:
        assert_readers_agree(files)
    except Exception:
        sys.stderr.write(f"broken by {files!r}\n")
        raise


def main(seconds: float, seed: int) -> None:
    made, end, tried, warm = Random(seed), time.monotonic() + seconds, 0, 0  # noqa: S311
    while time.monotonic() < end:
        check.hypothesis.fuzz_one_input(made.randbytes(made.randrange(ENTROPY)))
        tried += 1
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        warm = peak if tried <= WARM else warm
        assert peak - warm < MOST_GROWTH, f"memory grew from {warm >> 10} to {peak >> 10} MiB"
    sys.stdout.write(f"{tried} inputs in {seconds:.0f} s, seed {seed}: none broke the checker\n")


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else secrets.randbits(32))
