"""Call a function in processes that share the memory of this one, such as the index of an aligner."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import queue
import signal
import socket
import struct
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Generic, TypeVar

from seqdrop.jobs.child import ToolError

Result = TypeVar("Result")
COUNT = struct.Struct("<I")  # of the parts of a message; a part has less than 4 GiB


class Forked(Generic[Result]):
    """Processes that call one function. They are forked when this is made: threads must not be running a call then."""

    def __init__(self, name: str, function: Callable[..., Result], number: int) -> None:
        """Fork `number` processes; `name` is what a failure of one of them is reported as."""
        self._name, self._number = name, number
        self._alive: dict[int, socket.socket] = {}
        self._ended: dict[int, int] = {}  # exit codes
        self._idle = queue.SimpleQueue[int]()
        gc.freeze()  # a collection in a child would copy the pages of objects that it only counts
        for _ in range(number):
            process, connection = self._fork(function)
            self._alive[process] = connection
            self._idle.put(process)
        gc.unfreeze()

    def _fork(self, function: Callable[..., Result]) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair()
        process = os.fork()
        if process:
            theirs.close()
            return process, ours
        try:  # never return: the code that follows is of the parent
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent ends its children
            for other in (ours, *self._alive.values()):
                other.close()  # so that each child sees the end of its parent
            _serve(theirs, function)
            os._exit(0)
        finally:
            os._exit(1)

    def close(self) -> None:
        """End the processes, and wait for them."""
        self.stop()
        for process, connection in self._alive.items():
            connection.close()
            self._exit_code(process)

    def stop(self) -> None:
        """End the processes, also those that are in a call."""
        for process in self._alive.keys() - self._ended.keys():  # the number of an ended one may be another process
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def map(self, calls: Iterable[tuple[Any, ...]], ahead: int) -> Generator[Result]:
        """Yield the results of calls with these arguments in order, with at most `ahead` of them in memory.

        Raises what a call raises, and ToolError if its process died.
        """
        rest = iter(calls)
        with ThreadPoolExecutor(self._number) as threads:
            waiting = [threads.submit(self._call, arguments) for arguments in islice(rest, ahead)]
            try:
                while waiting:
                    result = waiting.pop(0).result()
                    waiting += [threads.submit(self._call, arguments) for arguments in islice(rest, 1)]
                    yield result
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)  # do not begin calls that wait
                self.stop()  # the threads wait for these processes
                raise

    def _call(self, arguments: tuple[Any, ...]) -> Result:
        """Call the function in an idle process."""
        process = self._idle.get()
        connection = self._alive[process]
        try:
            _send(connection, arguments)
            succeeded, answer = _receive(connection)
        except (EOFError, OSError):
            raise ToolError(self._name, self._exit_code(process), []) from None
        finally:
            self._idle.put(process)  # also a dead one: the next call of it fails, and does not wait for ever
        if not succeeded:
            raise answer
        result: Result = answer
        return result

    def _exit_code(self, process: int) -> int:
        """Wait for a process; return how it ended as subprocess does: the negative number of a signal."""
        if process not in self._ended:
            with contextlib.suppress(ChildProcessError):  # a stopped job waits for all its children elsewhere
                self._ended[process] = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        return self._ended.get(process, -signal.SIGKILL)


def _serve(connection: socket.socket, function: Callable[..., Any]) -> None:
    """Answer calls until the parent ends or closes the connection."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            arguments = _receive(connection)
            try:
                answer: tuple[bool, Any] = True, function(*arguments)
            except Exception as error:  # noqa: BLE001  raised in the parent
                answer = False, error
            _send(connection, answer)


def _send(connection: socket.socket, value: Any) -> None:
    """Send a value; each `pickle.PickleBuffer` in it goes without a copy."""
    buffers = list[Any]()
    head = pickle.dumps(value, protocol=5, buffer_callback=lambda buffer: buffers.append(buffer.raw()))
    sizes = [len(head), *map(len, buffers)]
    connection.sendall(COUNT.pack(len(sizes)) + struct.pack(f"<{len(sizes)}I", *sizes))
    for part in (head, *buffers):
        connection.sendall(part)


def _receive(connection: socket.socket) -> Any:
    """Receive a value; its buffers become memoryviews. Raises EOFError at the end of the other process."""
    (number,) = COUNT.unpack(_read(connection, COUNT.size))
    sizes = struct.unpack(f"<{number}I", _read(connection, 4 * number))
    data, parts, start = _read(connection, sum(sizes)), list[memoryview](), 0
    for size in sizes:
        parts.append(data[start : start + size])
        start += size
    return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301  of a process that this one forked


def _read(connection: socket.socket, size: int) -> memoryview:
    data, at = memoryview(bytearray(size)), 0
    while at < size:
        count = connection.recv_into(data[at:])
        if not count:
            raise EOFError
        at += count
    return data
