"""Told to stop: SIGTERM ends a job wherever it is, but cuts nothing in two that belongs together."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOPPED_EXIT = 128 + signal.SIGTERM  # 143, the exit code of a process that SIGTERM ended
GRACE_PERIOD = 27  # seconds: a container is killed 30 after its SIGTERM
RESEND_INTERVAL = 0.2  # seconds


class StoppedError(BaseException):
    """A person, a time limit, or a Spot host that is taken away.

    No Exception: libraries that catch those and try again (botocore, s3transfer) must not swallow it.
    """


class _State:
    deferring = 0  # how many blocks that must not be cut the main thread is in
    pending = False  # a signal came meanwhile
    received = threading.Event()  # Python's handler has run


def stop_requested() -> bool:
    """For work in other threads, which no signal reaches and the end of the job waits for."""
    return _State.received.is_set()


def install_handlers() -> None:
    """From here on a signal raises StoppedError in the main thread."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)  # the kernel's handler writes here at once, whatever the main thread does
    threading.Thread(target=_ensure_stop, args=[read_end], daemon=True).start()
    for number in STOP_SIGNALS:
        signal.signal(number, _on_signal)


def _ensure_stop(read_end: int) -> None:
    """See to it that a signal ends the job.

    One that arrives just before the main thread begins to wait (for a tool, for a lock) does not wake it up: Python
    looks for signals between its own instructions only. Another one does.
    """
    os.read(read_end, 1)
    deadline = time.monotonic() + GRACE_PERIOD
    while not _State.received.wait(RESEND_INTERVAL) and time.monotonic() < deadline:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    time.sleep(max(0.0, deadline - time.monotonic()))
    os._exit(STOPPED_EXIT)


def ignore() -> None:
    """One signal is enough: the clean-up must not be interrupted."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """What must not be cut in two: a program started and noted down, a directory made and locked.

    Signals reach the main thread only, so the others need no protection.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _State.deferring += 1
    try:
        yield
    finally:
        _State.deferring -= 1
        if _State.pending and not _State.deferring:
            _raise_stopped()


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    _State.received.set()
    if _State.deferring:
        _State.pending = True
    else:
        _raise_stopped()


def _raise_stopped() -> None:
    _State.pending = False
    ignore()
    raise StoppedError
