"""Call a function in processes that share the memory of this one, such as the index of an aligner."""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import pickle
import queue
import signal
import socket
import struct
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, cycle, islice, pairwise
from typing import Any, Generic, TypeVar

from seqdrop.jobs.child import ToolError

Result = TypeVar("Result")
# Of a message: the number of its slot, whether its buffers are in it, the size of its pickle, how many buffers it has.
HEAD = struct.Struct("<IBII")
# Of memory for the buffers of a call, and then for those of its result. Larger ones go through the socket, which takes
# more CPU time. Batches of 2x250 bases fit. A page that no call has used takes no memory.
SLOT_SIZE = 16 << 20


class Forked(Generic[Result]):
    """Processes that call one function. They are forked when this is made: threads must not be running a call then."""

    def __init__(self, name: str, function: Callable[..., Result], number: int, ahead: int) -> None:
        """Fork `number` processes; `name` is what a failure of one of them is reported as.

        At most `ahead` results wait. The result of a call has no buffer of its arguments.
        """
        self._name, self._number, self._ahead = name, number, ahead
        self._memory = memoryview(mmap.mmap(-1, SLOT_SIZE * (ahead + 1)))  # shared with the children
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
            self._serve(theirs, function)
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

    def map(self, calls: Iterable[tuple[Any, ...]]) -> Generator[Result]:
        """Yield the results of calls with these arguments in order. The buffers of a result hold until the next one.

        Raises what a call raises, and ToolError if its process died.
        """
        rest = zip(cycle(range(self._ahead + 1)), calls, strict=False)  # a slot is free again when its result was used
        with ThreadPoolExecutor(self._number) as threads:
            waiting = [threads.submit(self._call, *call) for call in islice(rest, self._ahead)]
            try:
                while waiting:
                    result = waiting.pop(0).result()
                    waiting += [threads.submit(self._call, *call) for call in islice(rest, 1)]
                    yield result
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)  # do not begin calls that wait
                self.stop()  # the threads wait for these processes
                raise

    def call_each(self, *arguments: Any) -> None:
        """Call the function once in each process, while no other call runs; raise as `map` does."""
        for _ in range(self._number):  # the process that was idle for longest is the next one
            self._call(0, arguments)

    def _call(self, slot: int, arguments: tuple[Any, ...]) -> Result:
        """Call the function in an idle process."""
        process = self._idle.get()
        connection = self._alive[process]
        try:
            self._send(connection, slot, arguments)
            _, (succeeded, answer) = self._receive(connection)
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

    def _serve(self, connection: socket.socket, function: Callable[..., Any]) -> None:
        """Answer calls until the parent ends or closes the connection."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                slot, arguments = self._receive(connection)
                try:
                    answer: tuple[bool, Any] = True, function(*arguments)
                except Exception as error:  # noqa: BLE001  raised in the parent
                    answer = False, error
                self._send(connection, slot, answer)

    def _send(self, connection: socket.socket, slot: int, value: Any) -> None:
        """Send a value; each `pickle.PickleBuffer` in it goes through the slot, or through the socket if it is full."""
        buffers = list[memoryview]()
        head = pickle.dumps(value, protocol=5, buffer_callback=lambda buffer: buffers.append(buffer.raw()))
        sizes = list(map(len, buffers))
        fits = sum(sizes) <= SLOT_SIZE
        at = slot * SLOT_SIZE
        for buffer in buffers if fits else ():
            self._memory[at : at + len(buffer)] = buffer
            at += len(buffer)
        message = HEAD.pack(slot, fits, len(head), len(sizes)) + struct.pack(f"<{len(sizes)}I", *sizes) + head
        for part in (message, *(() if fits else buffers)):
            connection.sendall(part)

    def _receive(self, connection: socket.socket) -> tuple[int, Any]:
        """Receive a slot and a value; its buffers become memoryviews. EOFError: the other process has ended."""
        slot, fits, length, number = HEAD.unpack(_read(connection, HEAD.size))
        sizes = struct.unpack(f"<{number}I", _read(connection, 4 * number))
        head = _read(connection, length)
        data = self._memory[slot * SLOT_SIZE :] if fits else _read(connection, sum(sizes))
        ends = list(accumulate(sizes, initial=0))
        parts = [data[start:end] for start, end in pairwise(ends)]
        return slot, pickle.loads(head, buffers=parts)  # noqa: S301  of a process that this one forked


def _read(connection: socket.socket, size: int) -> memoryview:
    data, at = memoryview(bytearray(size)), 0
    while at < size:
        count = connection.recv_into(data[at:])
        if not count:
            raise EOFError
        at += count
    return data
