"""Told to stop: SIGTERM ends a job wherever it is, but cuts nothing in two that belongs together."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from seqdrop.failure.verdict import STOPPED_EXIT

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LAST_MOMENT = 27  # seconds: a container is killed 30 after its SIGTERM
NUDGE = 0.2  # seconds


class StoppedError(BaseException):
    """A person, a time limit, or a Spot host that is taken away.

    No Exception: libraries that catch those and try again (botocore, s3transfer) must not swallow it.
    """


class _Moment:
    held = 0  # how many blocks that must not be cut the main thread is in
    waiting = False  # a signal came meanwhile
    heard = threading.Event()  # Python's handler has run


def is_told() -> bool:
    """For work in other threads, which no signal reaches and the end of the job waits for."""
    return _Moment.heard.is_set()


def listen() -> None:
    """From here on a signal raises StoppedError in the main thread."""
    ears, mouth = os.pipe()
    os.set_blocking(mouth, False)
    signal.set_wakeup_fd(mouth)  # the kernel's handler writes here at once, whatever the main thread does
    threading.Thread(target=_insist, args=[ears], daemon=True).start()
    for number in SIGNALS:
        signal.signal(number, _on_signal)


def _insist(ears: int) -> None:
    """See to it that a signal ends the job.

    One that arrives just before the main thread begins to wait (for a tool, for a lock) does not wake it up: Python
    looks for signals between its own instructions only. Another one does.
    """
    os.read(ears, 1)
    deadline = time.monotonic() + LAST_MOMENT
    while not _Moment.heard.wait(NUDGE) and time.monotonic() < deadline:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    time.sleep(max(0.0, deadline - time.monotonic()))
    os._exit(STOPPED_EXIT)


def ignore() -> None:
    """One signal is enough: the clean-up must not be interrupted."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """What must not be cut in two: a program started and noted down, a directory made and locked.

    Signals reach the main thread only, so the others need no protection.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Moment.held += 1
    try:
        yield
    finally:
        _Moment.held -= 1
        if _Moment.waiting and not _Moment.held:
            _raise()


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    _Moment.heard.set()
    if _Moment.held:
        _Moment.waiting = True
    else:
        _raise()


def _raise() -> None:
    _Moment.waiting = False
    ignore()
    raise StoppedError
