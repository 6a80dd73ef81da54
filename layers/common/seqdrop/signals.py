"""Stop a job on SIGTERM or SIGINT, at any point except inside blocks that must not be interrupted."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOPPED_EXIT = 128 + signal.SIGTERM  # 143: the shell's exit code for a process that SIGTERM ended
GRACE_PERIOD = 27  # seconds: Docker kills a container 30 seconds after its SIGTERM
RESEND_INTERVAL = 0.2  # seconds


class StoppedError(BaseException):
    """Report that the job must stop: by a user, by a time limit, or because its Spot instance is reclaimed.

    It is not an Exception, because botocore and s3transfer catch Exception and retry.
    """


class _State:
    deferrals = 0  # nested defer_signals blocks in the main thread
    pending = False  # a signal came inside such a block
    received = threading.Event()  # Python's signal handler has run


def stop_requested() -> bool:
    """Return True once a stop signal came: for worker threads, which receive no signals but delay the job's end."""
    return _State.received.is_set()


def install_handlers() -> None:
    """Raise StoppedError in the main thread when a stop signal comes."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)  # the C signal handler writes here at once, even if the main thread is blocked
    threading.Thread(target=_ensure_stop, args=[read_end], daemon=True).start()
    for number in STOP_SIGNALS:
        signal.signal(number, _on_signal)


def _ensure_stop(read_end: int) -> None:
    """Resend a signal until the main thread handles it, and end the process when the grace period is over.

    Python handles signals between bytecode instructions only. A signal that comes just before the main thread blocks
    (on a tool, on a lock) does not wake it up; the next signal does.
    """
    os.read(read_end, 1)
    deadline = time.monotonic() + GRACE_PERIOD
    while not _State.received.wait(RESEND_INTERVAL) and time.monotonic() < deadline:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    time.sleep(max(0.0, deadline - time.monotonic()))
    os._exit(STOPPED_EXIT)


def ignore() -> None:
    """Ignore all further stop signals, so that they do not interrupt the clean-up."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Delay StoppedError to the end of the block: for steps that belong together, such as start and register a child.

    Only the main thread receives signals, so the block has no effect in other threads.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _State.deferrals += 1
    try:
        yield
    finally:
        _State.deferrals -= 1
        if _State.pending and not _State.deferrals:
            _raise_stopped()


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    _State.received.set()
    if _State.deferrals:
        _State.pending = True
    else:
        _raise_stopped()


def _raise_stopped() -> None:
    _State.pending = False
    ignore()
    raise StoppedError
