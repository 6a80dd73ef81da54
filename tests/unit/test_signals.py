"""seqdrop.signals: small programs that get a stop signal, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time

PATIENCE = 300.0  # seconds; a program takes about a tenth of one
START = """
import signal, threading, time
from seqdrop import signals
from seqdrop.signals import StoppedError, defer_signals
def say(text): print(text, flush=True)
signals.GRACE_PERIOD = {grace}
signals.install_handlers()
"""


def run(program: str, grace: float = PATIENCE) -> tuple[int, list[str]]:
    """Return the exit code of a program and the lines that it prints."""
    command = [sys.executable, "-c", START.format(grace=grace) + program]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.stderr == ""
    return result.returncode, result.stdout.splitlines()


def test_a_signal_stops_the_program_at_once() -> None:
    program = """
try:
    signal.raise_signal(signal.SIGTERM)
    say("the program continued")
except StoppedError:
    say("stopped")
"""
    assert run(program) == (0, ["stopped"])


def test_a_signal_in_nested_blocks_stops_the_program_at_the_end_of_the_outer_block() -> None:
    program = """
try:
    with defer_signals():
        with defer_signals():
            signal.raise_signal(signal.SIGTERM)
            say("rest of the inner block")
        say("rest of the outer block")
    say("the program continued")
except StoppedError:
    say("stopped")
"""
    assert run(program) == (0, ["rest of the inner block", "rest of the outer block", "stopped"])


def test_a_signal_in_the_outer_block_is_not_raised_at_the_end_of_an_inner_block() -> None:
    program = """
try:
    with defer_signals():
        signal.raise_signal(signal.SIGINT)
        with defer_signals():
            say("inner block")
        say("rest of the outer block")
    say("the program continued")
except StoppedError:
    say("stopped")
"""
    assert run(program) == (0, ["inner block", "rest of the outer block", "stopped"])


def test_a_block_without_a_signal_changes_nothing() -> None:
    program = """
with defer_signals():
    pass
say("the program continued")
try:
    signal.raise_signal(signal.SIGTERM)
    say("the program continued after the signal")
except StoppedError:
    say("stopped")
"""
    assert run(program) == (0, ["the program continued", "stopped"])


def test_a_second_signal_does_not_interrupt_the_clean_up() -> None:
    program = """
try:
    signal.raise_signal(signal.SIGTERM)
except StoppedError:
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    say("cleaned up")
"""
    assert run(program) == (0, ["cleaned up"])


def test_a_block_in_another_thread_does_not_delay_the_signal() -> None:
    program = """
entered, leave = threading.Event(), threading.Event()
def work():
    with defer_signals():
        entered.set()
        leave.wait()
thread = threading.Thread(target=work)
thread.start()
entered.wait()
try:
    signal.raise_signal(signal.SIGTERM)
    say("the program continued")
except StoppedError:
    say("stopped")
leave.set()
thread.join()
"""
    assert run(program) == (0, ["stopped"])


def test_worker_threads_learn_that_a_signal_came() -> None:
    program = """
say(signals.stop_requested())
try:
    signal.raise_signal(signal.SIGTERM)
except StoppedError:
    threading.Thread(target=lambda: say(signals.stop_requested())).start()
"""
    assert run(program) == (0, ["False", "True"])


def test_a_program_that_does_not_end_is_ended_with_the_grace_period() -> None:
    program = f"""
try:
    signal.raise_signal(signal.SIGTERM)
except StoppedError:
    say("stopped")
time.sleep({PATIENCE})
"""
    start = time.monotonic()
    assert run(program, grace=0.5) == (143, ["stopped"])
    assert time.monotonic() - start >= 0.5
