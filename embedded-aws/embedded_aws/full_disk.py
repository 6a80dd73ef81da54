"""Report a full disk in a sentence: moto's answer is an internal error, which clients retry."""

import errno
import logging
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

from .faults.error_responses import refuse

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
log = logging.getLogger(__name__)
STATUS = 507  # Insufficient Storage; SDKs do not retry it


def message() -> str:
    """Return the sentence on a full disk, with what to do."""
    return (
        f"No space is left in {tempfile.gettempdir()}, where the embedded AWS keeps objects and code: free some "
        "space there, or set TMPDIR to another folder and start it again."
    )


def report_full_disk(application: Wsgi) -> Wsgi:
    """Wrap an application that raises OSError where the disk is full."""

    def wrapped(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return application(environ, start)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        log.error(message())
        return refuse(environ, STATUS, "InsufficientStorage", message(), start)

    return wrapped
