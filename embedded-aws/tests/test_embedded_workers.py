"""The pool of Lambda workers: bounded, shared fairly, free of deadlocks, and empty again after some time."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from embedded_aws.adapters import lambda_pool
from embedded_aws.adapters.lambda_pool import Limits, Pool, PoolClosedError, memory
from embedded_server import PATIENCE, Server, Start


class FakeWorker:
    """Counts itself among the live workers of its pool."""

    def __init__(self, function: str, live: list["FakeWorker"], most: list[int], lock: threading.Lock) -> None:
        self.function, self._live, self._lock = function, live, lock
        self.dead = False
        with lock:
            live.append(self)
            most.append(len(live))

    def alive(self) -> bool:
        return not self.dead

    def close(self) -> None:
        self.dead = True
        with self._lock:
            if self in self._live:
                self._live.remove(self)


class Machine:
    """A pool of fake workers, on a clock that the test sets."""

    def __init__(self, total: int, per_function: int) -> None:
        self.now = 0.0
        self.live: list[FakeWorker] = []
        self.most: list[int] = []  # live workers after each start
        lock = threading.Lock()
        self.pool = Pool(
            Limits(total, per_function, idle_seconds=60, old_seconds=6000),
            lambda function: FakeWorker(function, self.live, self.most, lock),
            str,
            lambda: self.now,
        )

    def functions(self) -> list[str]:
        return sorted(worker.function for worker in self.live)

    def use(self, function: str) -> FakeWorker:
        with self.pool.worker(function) as worker:
            assert isinstance(worker, FakeWorker)
            return worker


@pytest.fixture
def in_threads() -> Iterator[Callable[..., list[Any]]]:
    """Run calls at the same time; fail the test where one of them does not end."""
    with ThreadPoolExecutor(64) as executor:

        def run(call: Callable[[Any], Any], arguments: list[Any]) -> list[Any]:
            return [future.result(PATIENCE) for future in [executor.submit(call, argument) for argument in arguments]]

        yield run


def test_many_calls_never_exceed_the_limits_and_all_are_answered(in_threads: Callable[..., list[Any]]) -> None:
    machine = Machine(total=6, per_function=4)
    busy = {"a": 0, "b": 0}
    most = {"a": 0, "b": 0}
    lock = threading.Lock()

    def call(function: str) -> str:
        with machine.pool.worker(function):
            with lock:
                busy[function] += 1
                most[function] = max(most[function], busy[function])
            with lock:
                busy[function] -= 1
        return function

    calls = ["a", "b"] * 500
    assert in_threads(call, calls) == calls
    assert max(machine.most) <= 6
    assert max(most.values()) <= 4


def test_a_call_beyond_the_limit_waits_for_a_worker() -> None:
    machine = Machine(total=2, per_function=1)
    answered = threading.Event()

    def call() -> None:
        machine.use("a")
        answered.set()

    with machine.pool.worker("a"):
        thread = threading.Thread(target=call)
        thread.start()
        assert not answered.is_set()
    thread.join(PATIENCE)
    assert answered.is_set()
    assert machine.most == [1]  # the same worker answered both


def test_a_worker_is_used_again() -> None:
    machine = Machine(total=4, per_function=4)
    assert machine.use("a") is machine.use("a")


def test_the_worker_that_was_idle_longest_is_evicted_first() -> None:
    machine = Machine(total=3, per_function=3)
    for machine.now, function in enumerate(["a", "b", "c", "a"]):
        machine.use(function)
    machine.use("d")
    assert machine.functions() == ["a", "c", "d"]
    machine.use("e")
    assert machine.functions() == ["a", "d", "e"]


def test_a_busy_worker_is_not_evicted() -> None:
    machine = Machine(total=2, per_function=2)
    with machine.pool.worker("a"):
        machine.use("b")
        machine.use("c")
        assert machine.functions() == ["a", "c"]


def test_functions_that_wait_for_each_other_do_not_wait_for_ever(in_threads: Callable[..., list[Any]]) -> None:
    """Every worker but the first of each function is taken, and the chain a, b, c still ends."""
    machine = Machine(total=2, per_function=2)

    def chain(_: int) -> str:
        with machine.pool.worker("a"), machine.pool.worker("b"), machine.pool.worker("c") as last:
            assert isinstance(last, FakeWorker)
            return last.function

    assert in_threads(chain, list(range(32))) == ["c"] * 32
    assert max(machine.most) <= 4  # two, and the first workers of b and c


def test_idle_workers_end_after_the_limit() -> None:
    machine = Machine(total=4, per_function=4)
    machine.use("a")
    machine.now = 30.0
    machine.use("b")
    machine.now = 60.0
    machine.pool.end_idle()
    assert machine.functions() == ["b"]
    machine.now = 90.0
    machine.pool.end_idle()
    assert machine.functions() == []
    assert machine.use("a").alive()


def test_a_worker_that_works_longer_than_the_idle_limit_is_not_ended() -> None:
    machine = Machine(total=4, per_function=4)
    with machine.pool.worker("a"):
        machine.now = 1000.0
        machine.pool.end_idle()
        assert machine.functions() == ["a"]
    machine.pool.end_idle()
    assert machine.functions() == ["a"]  # its idle time begins at the end of the call


def test_an_old_worker_is_replaced_even_if_it_is_never_idle() -> None:
    machine = Machine(total=2, per_function=2)
    first = machine.use("a")
    for machine.now in range(0, 6000, 50):
        assert machine.use("a") is first
    machine.now = 6000.0
    assert machine.use("a") is first  # its last call ends after its time
    assert not first.alive()
    assert machine.use("a") is not first
    assert (len(machine.live), max(machine.most)) == (1, 1)


def test_a_dead_worker_is_replaced() -> None:
    machine = Machine(total=1, per_function=1)
    with machine.pool.worker("a") as first:
        first.dead = True
    assert machine.use("a") is not first
    assert len(machine.live) == 1


def test_a_worker_that_does_not_start_takes_no_place() -> None:
    def start(_: Any) -> Any:
        raise OSError("no memory")

    pool = Pool(Limits(1, 1), start, str)
    for _ in range(3):
        with pytest.raises(OSError, match="no memory"), pool.worker("a"):
            pass


def test_a_closed_pool_ends_its_workers_and_refuses_calls() -> None:
    machine = Machine(total=1, per_function=1)
    refused = threading.Event()

    def call() -> None:
        with pytest.raises(PoolClosedError):
            machine.use("a")
        refused.set()

    machine.use("b")
    with machine.pool.worker("a"):
        thread = threading.Thread(target=call)
        thread.start()
        machine.pool.close()
        thread.join(PATIENCE)
    assert refused.is_set()
    assert machine.live == []


def test_the_limits_follow_the_memory_and_the_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambda_pool, "memory", lambda: 8 << 30)
    monkeypatch.setattr(lambda_pool.os, "cpu_count", lambda: 2)
    assert Limits.of_this_machine() == Limits(8, 4)
    monkeypatch.setattr(lambda_pool.os, "cpu_count", lambda: 64)
    assert Limits.of_this_machine() == Limits(16, 8)
    monkeypatch.setattr(lambda_pool, "memory", lambda: 1 << 30)
    assert Limits.of_this_machine() == Limits(4, 2)
    assert Limits.of(1) == Limits(1, 1)


def test_the_limit_of_a_container_counts_as_its_memory(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    machine = memory(limit)
    limit.write_text("1048576\n")
    assert memory(limit) == 1 << 20
    limit.write_text("max\n")
    assert memory(limit) == machine


# A function that starts an execution and waits for its end, as `startExecution.sync` would.
STARTER = """
import boto3, json, time
def handler(event, context):
    states = boto3.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=event["machine"], input=json.dumps(event))["executionArn"]
    while True:
        found = states.describe_execution(executionArn=execution)
        if found["status"] != "RUNNING":
            return found["status"]
        time.sleep(0.05)
"""


def test_a_server_answers_more_calls_than_it_has_workers(
    start_server: Start, tmp_path: Path, in_threads: Callable[..., list[Any]]
) -> None:
    """Also where each call waits for a state machine that invokes another function."""
    server = start_server(tmp_path, "--executor", "process", "--workers", "3")
    echoes = in_threads(lambda number: invoke(server, server.output("Echo"), {"number": number}), list(range(24)))
    assert [echo["event"] for echo in echoes] == [{"number": number} for number in range(24)]
    assert len({echo["pid"] for echo in echoes}) <= 2
    server.create_function("starter", STARTER, Timeout=int(PATIENCE))
    event = {"machine": server.output("Ask"), "x": 1}
    assert in_threads(lambda _: invoke(server, "starter", event), list(range(6))) == ["SUCCEEDED"] * 6


def invoke(server: Server, name: str, event: Any) -> Any:
    return json.load(server.functions.invoke(FunctionName=name, Payload=json.dumps(event))["Payload"])
