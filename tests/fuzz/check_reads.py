"""Fuzz the FASTQ reader for a number of seconds.

The exit code is 1 if the reader raises anything but BadInputError, if it reports an error that the slow reader does
not report, or if its memory use grows. The files of the failing case are printed.

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

ENTROPY = 4_096  # bytes of random data from which hypothesis generates a pair of files
WARM_UP = 200  # pairs, until all modules are imported and all caches are full
MAX_GROWTH = 64 << 10  # KiB of memory after the warm-up


@settings(database=None, suppress_health_check=list(HealthCheck), deadline=None)
@given(fastq_pairs())
def check(files: tuple[bytes, bytes]) -> None:
    try:
        assert_readers_agree(files)
    except Exception:
        sys.stderr.write(f"failed on {files!r}\n")
        raise


def main(seconds: float, seed: int) -> None:
    rng, end, count, warm = Random(seed), time.monotonic() + seconds, 0, 0  # noqa: S311
    while time.monotonic() < end:
        check.hypothesis.fuzz_one_input(rng.randbytes(rng.randrange(ENTROPY)))
        count += 1
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        warm = peak if count <= WARM_UP else warm
        assert peak - warm < MAX_GROWTH, f"memory grew from {warm >> 10} to {peak >> 10} MiB"
    sys.stdout.write(f"{count} inputs in {seconds:.0f} s, seed {seed}: no failure\n")


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else secrets.randbits(32))
