"""Options of pytest's command line, and what test processes of `make test` share: order of the files, signals."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Here and not in the folders of their tests: each process of `make test` deploys one stack for all of them.
from support.pipeline_stacks import bwa_stack, original_stack, sample, stack  # noqa: F401

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

# In the order in which `make test` starts them: the longest file does not begin when all others are done.
LONGEST_FIRST = (
    "tests/containers/test_images.py",
    "tests/pipeline/test_public_data.py",
    "tests/pipeline/test_runs.py",
    "tests/faults/test_hosts.py",
    "tests/faults/test_many.py",
    "embedded-aws/tests/test_embedded_docker.py",
    "tests/faults/test_service_calls.py",
    "tests/pipeline/test_deployment.py",
    "tests/pipeline/test_many_samples.py",
    "embedded-aws/tests/test_embedded_faults.py",
    "tests/unit/containers/test_wrappers.py",
    "tests/containers/test_invoke.py",
    "embedded-aws/tests/test_embedded_server.py",
)
# They wait for jobs a part of their time. Between them are files that do not: then no core is ever without work.
WAITING = ("tests/pipeline", "tests/faults", "tests/containers", "embedded-aws")
WAITING_ALONE = (  # in folders that do not
    "tests/contract/test_certificates.py",
    *(f"tests/unit/cli/test_cli_{name}.py" for name in ("embedded", "interrupt", "redrive")),
)
BETWEEN_LONGEST, BETWEEN_OTHERS = 5, 70  # files; the rest is last, so that all processes end together
MEMORY = Path("/dev/shm")  # noqa: S108  each session has a folder of its own in it
ROOM = 4 << 30  # bytes; the tests of three processes have 0.7 at a time
# Objects that are new before the garbage collector looks at them, instead of 700: it takes a third less time.
MANY_OBJECTS = 50_000
BUILD = pytest.StashKey[subprocess.Popen[str]]()


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until all tests are collected: looking for garbage after each import takes a fifth of that time
    if "PYTEST_XDIST_WORKER" in os.environ:
        # xdist's processes ignore SIGINT, and every program that a test starts would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        config.args = _from_own_place(config.args)
        return
    if "TMPDIR" not in os.environ and _has_room(MEMORY):
        _use(MEMORY, config)
    if config.getoption("make_build"):
        command = ["make", "--silent", "build"]
        config.stash[BUILD] = subprocess.Popen(
            command, cwd=config.rootpath, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


def _from_own_place(arguments: list[str]) -> list[str]:
    """Return the test files of the arguments; each process of `make test` begins with other ones.

    What one process compiles, the others then find compiled: otherwise, each compiles all files of a fresh clone.
    """
    paths = map(Path, arguments)
    found = [sorted(path.rglob("test_*.py")) if path.is_dir() else [path] for path in paths]
    files = [str(file) for some in found for file in some]
    number = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    place = len(files) * number // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    return files[place:] + files[:place]


def _has_room(folder: Path) -> bool:
    """Return whether the files of tests can be in memory, which takes a twentieth less time than on a disk."""
    if not folder.is_dir():
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_NOEXEC


def _use(memory: Path, config: pytest.Config) -> None:
    """Keep the files of tests in a folder there; those of tests that fail stay until the next session."""
    for old in memory.glob("seqdrop-tests-*"):
        if not Path("/proc", old.name.split("-")[2]).exists():
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"seqdrop-tests-{os.getpid()}-", dir=memory))
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    config.add_cleanup(lambda: any(folder.glob("pytest-of-*/pytest-*/*")) or shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        files = sorted(set(map(_file, items)))
        turns = {name: turn for turn, name in enumerate(_in_turn(files))}
        items.sort(key=lambda item: turns[_file(item)])


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _in_turn(files: list[str]) -> Iterator[str]:
    """Yield the longest files first, and files that do not wait between those that do."""
    longest = [name for name in LONGEST_FIRST if name in files]
    others = [name for name in files if name not in longest]
    units = [name for name in others if not name.startswith(WAITING)]
    alone = [name for name in units if name in WAITING_ALONE]
    quick = iter(_mix([alone, [name for name in units if name not in alone]]))
    for name in longest:
        yield name
        yield from islice(quick, BETWEEN_LONGEST)
    folders = [[name for name in others if name.startswith(folder)] for folder in WAITING]
    yield from _mix([*folders, list(islice(quick, BETWEEN_OTHERS))])
    yield from quick


def _mix(groups: list[list[str]]) -> list[str]:
    """Return the files of all groups, those of each at equal distances."""
    places = [((place + 0.5) / len(group), name) for group in groups for place, name in enumerate(group)]
    return [name for _, name in sorted(places)]


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()  # the modules and tests stay to the end: the garbage collector need not look through them again
    gc.set_threshold(MANY_OBJECTS)
    gc.enable()
    _wait_for_build(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: WorkerController) -> None:
    """No test starts before this has returned for every process."""
    _wait_for_build(node.config)


def _wait_for_build(config: pytest.Config) -> None:
    if build := config.stash.get(BUILD, None):
        del config.stash[BUILD]
        output, _ = build.communicate()
        if build.returncode:
            pytest.exit(f"`make build` failed:\n{output}", pytest.ExitCode.USAGE_ERROR)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--make-build", action="store_true", help="run `make build` while the tests are collected")
    parser.addoption(
        "--sfn-endpoint",
        metavar="URL",
        help="run the paths through the state machines on Step Functions Local there, not on the embedded AWS",
    )


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """A step that runs in this process hears signals in its own way, and at its end none: not what comes after it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)
