"""Recognise the files that say that an upload is complete."""

from __future__ import annotations

import re

_MARKER = re.compile(r"_READY|CopyComplete\.txt|Demultiplex(?:ing)?_?Stats[^/]*", re.IGNORECASE)
# The folders of statistics in the output of bcl2fastq and BCL Convert: the FASTQs are beside them.
_STATISTICS = re.compile(r"(?:Stats|Reports)", re.IGNORECASE)


def marked_folder(key: str) -> str | None:
    """Return the folder whose FASTQs are complete, as a prefix; None unless the key is that of a marker.

    Markers are `_READY`, `CopyComplete.txt` of a sequencer, and the `Demultiplex_Stats.csv` of BCL Convert or the
    `DemultiplexingStats.xml` of bcl2fastq. The folder has a `/` at its end; it is "" for the bucket itself.
    """
    folder, _, name = key.rpartition("/")
    if not _MARKER.fullmatch(name):
        return None
    parent, _, last = folder.rpartition("/")
    folder = parent if _STATISTICS.fullmatch(last) else folder
    return f"{folder}/" if folder else ""
