"""Log the progress of an alignment: the reads so far, and how many a second."""

from __future__ import annotations

import time

from seqdrop.log import logger

INTERVAL = 10  # seconds between two lines


class ReadRate:
    """Count reads, and log their number and rate every INTERVAL seconds, for `seqdrop run` and `seqdrop logs`."""

    def __init__(self) -> None:
        """Begin to count now."""
        self._reads = self._logged_reads = 0
        self._logged_at = time.monotonic()

    def add(self, reads: int) -> None:
        """Count reads that the aligner has taken."""
        self._reads += reads
        now = time.monotonic()
        if (seconds := now - self._logged_at) < INTERVAL:
            return
        rate = round((self._reads - self._logged_reads) / max(seconds, 1e-3))
        logger.info("progress", reads=self._reads, reads_per_second=rate)
        self._logged_reads, self._logged_at = self._reads, now
