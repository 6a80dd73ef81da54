"""The vCPUs of the compute environment, shared by many jobs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from embedded_aws.adapters.batch_capacity import Capacity

PATIENCE = 30.0


class FakeJob:
    """A job that holds vCPUs until it is told to end."""

    def __init__(self, capacity: Capacity, vcpus: float) -> None:
        self.granted, self.end, self.wake = threading.Event(), threading.Event(), threading.Event()
        self.cancelled = self.refused = False
        self._capacity, self._vcpus = capacity, vcpus
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def cancel(self) -> None:
        self.cancelled = True
        self.wake.set()

    def join(self) -> None:
        self.end.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with self._capacity.hold(self._vcpus, lambda: self.cancelled, self.wake) as granted:
            if granted:
                self.granted.set()
                self.end.wait(PATIENCE)
            self.refused = not granted


def test_a_job_waits_until_its_vcpus_are_free() -> None:
    capacity = Capacity(4)
    first, second = FakeJob(capacity, 3), FakeJob(capacity, 3)
    running = first if first.granted.wait(PATIENCE) else second
    waiting = second if running is first else first
    assert not waiting.granted.is_set()
    running.join()
    assert waiting.granted.wait(PATIENCE)
    waiting.join()


def test_a_job_that_asks_for_more_than_there_is_gets_all() -> None:
    job = FakeJob(Capacity(2), 64)
    assert job.granted.wait(PATIENCE)
    job.join()


def test_a_cancelled_job_leaves_the_queue_to_the_next_one() -> None:
    capacity = Capacity(4)
    running = FakeJob(capacity, 3)
    assert running.granted.wait(PATIENCE)
    large = FakeJob(capacity, 4)  # the next one in the queue, which nothing overtakes
    while not capacity._waiting:
        threading.Event().wait(0.01)
    small = FakeJob(capacity, 1)
    large.cancel()
    assert small.granted.wait(PATIENCE)
    for job in (large, small, running):
        job.join()
    assert large.refused


def test_hundreds_of_jobs_all_get_their_turn_and_never_more_than_there_is() -> None:
    capacity, lock, held, most = Capacity(3), threading.Lock(), 0, 0

    def run(_: int) -> None:
        nonlocal held, most
        with capacity.hold(1, lambda: False, threading.Event()):
            with lock:
                held += 1
                most = max(most, held)
            with lock:
                held -= 1

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(run, range(500)))
    assert most <= 3
