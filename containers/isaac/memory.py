"""Derive Isaac's memory limit, threads and batch size from the size of the job.

Isaac enforces `-m` on its address space and allocates its tables and batches at once, so the sizes are known before.
The records do not depend on the number of threads or on the limit. They may depend on the size of a batch, so that one
is never made smaller to save memory than the default or the largest lane.
"""

from __future__ import annotations

from typing import NamedTuple

from seqdrop.failure.verdict import JobError

SEED_LENGTH = 16  # the default
MAX_TABLE_SEED = 16  # from 17 on, Isaac needs a number of buckets; the table of 16 is the largest
DEFAULT_CLUSTERS, MIN_CLUSTERS = 8_000_000, 1_000  # read pairs in a batch
# Measured: 0.3 GB at seed length 12 and 16.3 GB at 16; 5 GB for 8,000,000 clusters. 64 MiB of buffers a thread are not
# enough: 16 threads fail with 2 GB, 32 with 3, 64 with 7.
BASE, CLUSTER_BYTES, THREAD = 300, 680, 128  # MiB, bytes, MiB
ENTRY_BYTES = 4
RESERVE = 1  # GiB, for this wrapper and the page tables


class Settings(NamedTuple):
    """Options of Isaac."""

    gigabytes: int
    threads: int
    seed_length: int
    buckets: int  # of the hash table; 0: one for each seed
    clusters: int


def clusters_for(pairs: int) -> int:
    """Return the batch size for lanes of at most this many read pairs: one batch for a lane, if it is small."""
    return min(DEFAULT_CLUSTERS, max(MIN_CLUSTERS, pairs))


def settings(memory: int, vcpus: int, seed_length: int, clusters: int) -> Settings:
    """Return the options for a job of `memory` MiB; raise JobError if that is not enough for one thread."""
    gigabytes = max(1, (memory >> 10) - RESERVE)
    table = ENTRY_BYTES * 4 ** min(seed_length, MAX_TABLE_SEED) >> 20
    fixed = BASE + table + (clusters * CLUSTER_BYTES >> 20)
    threads = min(vcpus, ((gigabytes << 10) - fixed) // THREAD)
    if threads < 1:
        least = (-(-(fixed + THREAD) // 1024) + RESERVE) << 10
        need = f"Isaac needs at least {least:,} MiB with a seed length of {seed_length} and {clusters:,} clusters"
        raise JobError("OUT_OF_MEMORY", f"{need}, the job has {memory:,}: --seed-length 12 needs less")
    buckets = 4**MAX_TABLE_SEED if seed_length > MAX_TABLE_SEED else 0
    return Settings(gigabytes, threads, seed_length, buckets, clusters)
