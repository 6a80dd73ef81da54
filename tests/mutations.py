"""Measure the unit tests: change the code of the layer and of the functions, count the changes that no test notices.

    make .venv/ready
    uv run --frozen --all-extras --group dev --with coverage python tests/mutations.py
        [--count 60] [--seed TEXT] [--root CHECKOUT]

A mutation is one small change of one expression: another comparison, a removed call, an inverted condition, a constant
plus one. It is killed if a unit test that runs the changed line fails or hangs, and it survives otherwise. A survivor
is either a gap of the tests or a change without an effect.

The commit HEAD of the checkout is tested, in copies of its files; the checkout itself is only read. One run of
tests/unit under coverage shows which test runs which line. Every run of pytest gets its own process namespace and a
read-only view of the disk outside of the copies, because mutated code that sends signals or deletes files must not
harm the machine. That needs Linux, `unshare` and root.

The choice depends on the seed, the mutated text and the name of its function, not on files, lines or comments: moving
a module does not change it. `--list` prints the choice and runs nothing.

pytest does not collect this file, and CI does not run it. It is also the plugin of the runs that it starts (the hooks
are at the end).
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import ctypes
import hashlib
import importlib
import importlib.util
import json
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import IO, Any, NamedTuple, NoReturn

import pytest

PYTEST = ("-q", "--no-header", "-p", "mutations", "-p", "no:cacheprovider")
SOURCES = ("layers/common/seqdrop/**/*.py", "functions/*/app.py")
TESTS = "tests/unit"
MOST_TESTS = 150  # for one mutation, those that run the fewest lines first
CASES = 3  # of one parametrised test, before other tests
START = 60.0  # seconds in which pytest has collected its tests
SLOWER = 5.0  # times the measured duration: then a test hangs
SHORTEST = 120.0  # seconds that every test gets: other programs may need the machine
WRONG_CODE = 99  # exit code of pytest: it did not test the copy
HANGS = 98  # it was killed at its deadline

# Python imports it at its start: programs that a test starts are measured too.
SITECUSTOMIZE = """\
import os
if "COVERAGE_PROCESS_START" in os.environ:
    import coverage
    coverage.process_startup()
"""

CLONE_NEWNS, CLONE_NEWPID = 0x0002_0000, 0x2000_0000  # linux/sched.h
PR_SET_PDEATHSIG = 1  # linux/prctl.h

COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
}
STARTED: list[subprocess.Popen[bytes]] = []  # the first process of every namespace
INVERTED_BY_COMPARISON = (ast.Eq, ast.NotEq, ast.In, ast.NotIn, ast.Is, ast.IsNot)
# Arguments whose other value does the same, and why.
EQUIVALENT = {
    "usedforsecurity": "the digest is the same: it only says whether a FIPS build may refuse the algorithm",
    "wbits": "32 reads gzip as 31 does, and every block is compared with the magic number of gzip before",
}
LOOKUPS = {"get", "pop", "setdefault"}  # methods whose first argument is a key
TYPING = {"Annotated", "Callable", "ClassVar", "Generic", "Iterator", "Literal", "TypeVar", "cast", "dict", "type"}
UNTOUCHED = {"__all__", "__slots__"}


class Mutation(NamedTuple):
    """One edit of the bytes of one file."""

    path: str  # relative to the checkout
    function: str  # "" at the top level of a module
    kind: str
    start: int
    end: int
    text: str
    line: int
    lines: range  # of the mutated expression
    statement: range
    names: tuple[str, ...]  # what a statement defines that runs at import
    identity: str

    def edited(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.end :]

    def shown(self, source: bytes) -> str:
        """The first mutated line, before and after."""
        begin = source.rfind(b"\n", 0, self.start) + 1
        before = source[begin:].split(b"\n", 1)[0].decode().strip()
        after = self.edited(source)[begin:].split(b"\n", 1)[0].decode().strip()
        return f"{before}   ->   {after}"


class Change(NamedTuple):
    """Other text for the bytes of an expression, or for a part of them."""

    node: ast.expr
    kind: str
    start: int
    end: int
    text: str


class Result(NamedTuple):
    mutation: Mutation
    killed: bool
    why: str
    tests: int
    seconds: float


@dataclass
class Module:
    """The mutations of one source file."""

    path: str
    source: bytes
    found: list[Mutation] = field(default_factory=list)
    _seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        lines = self.source.split(b"\n")
        self._offsets = [0]
        for line in lines:
            self._offsets.append(self._offsets[-1] + len(line) + 1)
        self._block(ast.parse(self.source).body, "", ())

    def _block(self, body: Iterable[ast.stmt], function: str, names: tuple[str, ...]) -> None:
        for statement in body:
            if not is_skipped(statement):
                self._statement(statement, function, names)

    def _statement(self, statement: ast.stmt, function: str, names: tuple[str, ...]) -> None:
        if not function:
            names = defined(statement) or names
        for change in self._changes(statement):
            self._add(statement, function, names, change)
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            function = f"{function}.{statement.name}".lstrip(".")
        for inner in blocks(statement):
            self._block(inner, function, names)

    def _add(self, statement: ast.stmt, function: str, names: tuple[str, ...], change: Change) -> None:
        identity = "|".join([function, change.kind, ast.unparse(change.node), change.text])
        self._seen[identity] += 1
        mutation = Mutation(
            self.path,
            function,
            change.kind,
            change.start,
            change.end,
            change.text,
            self.source.count(b"\n", 0, change.start) + 1,
            range(change.node.lineno, (change.node.end_lineno or change.node.lineno) + 1),
            range(statement.lineno, header_end(statement) + 1),
            names,
            f"{identity}|{self._seen[identity]}",
        )
        if changes_code(self.source, mutation):
            self.found.append(mutation)

    def _start(self, node: ast.expr) -> int:
        return self._offsets[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr) -> int:
        return self._offsets[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)

    def _whole(self, node: ast.expr, kind: str, text: str) -> Change:
        return Change(node, kind, self._start(node), self._end(node), text)

    def _between(
        self, node: ast.expr, kind: str, sides: tuple[ast.expr, ast.expr], change: tuple[str, str]
    ) -> Iterator[Change]:
        """The operator between two operands."""
        start, stop = self._end(sides[0]), self._start(sides[1])
        pattern = rf"\b{change[0]}\b" if change[0][0].isalpha() else re.escape(change[0])
        found = re.search(pattern.encode(), self.source[start:stop])
        if found and b"#" not in self.source[start:stop]:
            yield Change(node, kind, start + found.start(), start + found.end(), change[1])

    def _changes(self, statement: ast.stmt) -> Iterator[Change]:
        if isinstance(statement, ast.Return) and statement.value and not is_none(statement.value):
            yield self._whole(statement.value, "return None", "None")
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            yield self._whole(statement.value, "call removed", "pass")
        if (
            isinstance(statement, ast.AugAssign)
            and isinstance(statement.op, ast.Add | ast.Sub)
            and not is_text(statement.value)
        ):
            change = ("+", "-") if isinstance(statement.op, ast.Add) else ("-", "+")
            yield from self._between(statement.value, "plus/minus", (statement.target, statement.value), change)
        if isinstance(statement, ast.If | ast.While):
            yield from self._condition(statement.test)
        for node in expressions(statement):
            yield from self._expression(node)

    def _condition(self, test: ast.expr) -> Iterator[Change]:
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return  # "not" is removed: the same
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], INVERTED_BY_COMPARISON):
            return
        yield self._whole(
            test, "condition inverted", f"not ({self.source[self._start(test) : self._end(test)].decode()})"
        )

    def _expression(self, node: ast.expr) -> Iterator[Change]:
        match node:
            case ast.Compare():
                yield from self._comparison(node)
            case ast.BoolOp():
                change = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                for sides in pairwise(node.values):
                    yield from self._between(node, "and/or", sides, change)
            case ast.UnaryOp(op=ast.Not()):
                yield Change(node, "not removed", self._start(node), self._start(node) + len("not"), "")
            case ast.BinOp(op=ast.Add() | ast.Sub()) if not (is_text(node.left) or is_text(node.right)):
                change = ("+", "-") if isinstance(node.op, ast.Add) else ("-", "+")
                yield from self._between(node, "plus/minus", (node.left, node.right), change)
            case ast.Constant(value=bool() | int() as value):
                other = str(not value) if isinstance(value, bool) else str(value + 1)
                yield self._whole(node, "constant", other)
            case ast.IfExp():
                yield from self._condition(node.test)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                for test in (test for loop in node.generators for test in loop.ifs):
                    yield from self._condition(test)
        yield from (self._whole(key, "text", altered(key)) for key in keys(node))

    def _comparison(self, node: ast.Compare) -> Iterator[Change]:
        operands = [node.left, *node.comparators]
        for operator, sides in zip(node.ops, pairwise(operands), strict=True):
            yield from self._between(node, "comparison", sides, COMPARISONS[type(operator)])


def is_skipped(statement: ast.stmt) -> bool:
    """Whether nothing in a statement is mutated: docstrings, `__all__`, what only a type checker or `-m` runs."""
    if isinstance(statement, ast.If):
        names = {node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)}
        return bool({"TYPE_CHECKING", "__name__"} & names)
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return bool(UNTOUCHED & set(defined(statement)))


def is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def is_text(node: ast.expr) -> bool:
    """Whether `-` would only raise a TypeError: text and lists that are written out."""
    return isinstance(node, ast.JoinedStr | ast.List | ast.Tuple) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


def defined(statement: ast.stmt) -> tuple[str, ...]:
    """The names that a statement defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return (statement.name,)
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    return tuple(node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))


def blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The statements inside a statement."""
    for name in ("body", "orelse", "finalbody"):
        yield getattr(statement, name, [])
    for holder in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
        yield holder.body


def header_end(statement: ast.stmt) -> int:
    """The last line of a statement before the statements inside it."""
    inner = [block[0].lineno for block in blocks(statement) if block]
    return max(statement.lineno, min(inner) - 1) if inner else statement.end_lineno or statement.lineno


def expressions(node: ast.AST) -> Iterator[ast.expr]:
    """Every expression of a statement that may be mutated, without the statements inside it."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        children: Iterable[ast.AST | None] = [*node.args.defaults, *node.args.kw_defaults]
    elif isinstance(node, ast.Lambda):
        children = [*node.args.defaults, *node.args.kw_defaults, node.body]
    elif isinstance(node, ast.ClassDef):
        children = []
    elif isinstance(node, ast.AnnAssign):
        children = [node.value]
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        if child is None or isinstance(child, ast.stmt | ast.excepthandler | ast.pattern) or is_left_alone(child):
            continue
        if isinstance(child, ast.expr):
            yield child
        if isinstance(child, ast.match_case):
            yield from expressions_of_guard(child)
        else:
            yield from expressions(child)


def expressions_of_guard(case: ast.match_case) -> Iterator[ast.expr]:
    if case.guard:
        yield case.guard
        yield from expressions(case.guard)


def is_left_alone(node: ast.AST) -> bool:
    """Log calls, types in expressions, EQUIVALENT, and f-strings: Python 3.11 does not know where their parts are."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.keyword) and node.arg in EQUIVALENT):
        return True
    if isinstance(node, ast.Call):
        words = re.findall(r"\w+", ast.unparse(node.func))
        return "logger" in words or words[-1].startswith("log_") or words[-1] in TYPING - {"dict", "type"}
    return isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in TYPING


def keys(node: ast.expr) -> Iterator[ast.Constant]:
    """The text in an expression that is compared or looked up."""
    candidates: list[ast.expr | None] = []
    match node:
        case ast.Compare():
            for operand in [node.left, *node.comparators]:
                candidates += operand.elts if isinstance(operand, ast.Set | ast.Tuple | ast.List) else [operand]
        case ast.Dict():
            candidates += node.keys
        case ast.Subscript():
            candidates.append(node.slice)
        case ast.Call(func=ast.Attribute(attr=name), args=[first, *_]) if name in LOOKUPS:
            candidates.append(first)
    for candidate in candidates:
        if isinstance(candidate, ast.Constant) and isinstance(candidate.value, str | bytes):
            yield candidate


def altered(key: ast.Constant) -> str:
    return repr(f"{key.value}~") if isinstance(key.value, str) else f"{key.value!r} + b'~'"


def changes_code(source: bytes, mutation: Mutation) -> bool:
    try:
        edited = ast.parse(mutation.edited(source))
    except (SyntaxError, ValueError):
        return False
    return ast.dump(edited) != ast.dump(ast.parse(source))


def files(root: Path) -> list[Path]:
    return sorted({path for pattern in SOURCES for path in root.glob(pattern)})


def chosen(root: Path, count: int, seed: str, only: str) -> list[Mutation]:
    """The mutations with the smallest hashes, at most one a line: in proportion to code, independent of files."""

    def rank(mutation: Mutation) -> str:
        return hashlib.sha256(f"{seed}|{mutation.identity}".encode()).hexdigest()

    modules = [Module(str(path.relative_to(root)), path.read_bytes()) for path in files(root)]
    mutations = sorted((found for module in modules for found in module.found if only in found.path), key=rank)
    first: dict[tuple[str, int], Mutation] = {}
    for mutation in mutations:
        first.setdefault((mutation.path, mutation.line), mutation)
    return list(first.values())[:count]


@dataclass(frozen=True)
class Checkout:
    """What is tested, and how pytest runs in a copy of it."""

    root: Path
    temporary: Path

    @property
    def python(self) -> Path:
        """The interpreter that has the dependencies of the checkout."""
        own = self.root / ".venv/bin/python"
        return own if own.exists() else Path(sys.executable)

    def copy(self, name: str) -> Path:
        """Write the files of HEAD to a folder of their own."""
        folder = self.temporary / name
        folder.mkdir()
        packed = subprocess.run(["git", "archive", "HEAD"], cwd=self.root, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=packed, check=True)
        return folder

    def begin(self, copy: Path, log: IO[bytes], *words: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start Python in a copy, alone in its namespace; it speaks over stdin and stdout."""
        inside = f"""
            mount --make-rprivate / && mount --bind {quoted(self.temporary)} {quoted(self.temporary)} &&
            mount -o remount,bind,ro / && cd {quoted(copy)} || exit {WRONG_CODE}
            {shlex.join([str(self.python), *words])}
            exit $?
        """
        process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", inside],
            cwd=copy,
            env={**self._environment(copy), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        STARTED.append(process)
        return process

    def _environment(self, copy: Path) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "COVERAGE_", "PYTEST_", "PYTHON", "UV", "VIRTUAL_ENV"))
        }
        paths = [self.temporary / "plugin", *import_paths(copy), *coverage_path()]
        home = copy / ".home"
        home.mkdir(exist_ok=True)
        return {
            **inherited,
            "PATH": f"{self.python.parent}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "HOME": str(home),
            "TMPDIR": str(home),
            "MUTATIONS_ROOT": str(self.root),
            "MUTATIONS_COPY": str(copy),
            "MUTATIONS_REPORT": str(copy / "report.json"),
        }


def quoted(path: Path) -> str:
    return shlex.quote(str(path))


def import_paths(copy: Path) -> Iterator[Path]:
    """The folders that the editable installs of the workspace put on `sys.path`."""
    tool = tomllib.loads((copy / "pyproject.toml").read_text())["tool"]
    members = [member for pattern in tool["uv"]["workspace"]["members"] for member in copy.glob(pattern)]
    for folder in [copy, *sorted(members)]:
        tables = tomllib.loads((folder / "pyproject.toml").read_text()).get("tool", {})
        wheel = tables.get("hatch", {}).get("build", {}).get("targets", {}).get("wheel", {})
        parents = {str(Path(package).parent) for package in wheel.get("packages", [])}
        yield from (folder / name for name in wheel.get("dev-mode-dirs", sorted(parents)))


def coverage_path() -> Iterator[Path]:
    found = importlib.util.find_spec("coverage")
    if found and found.origin:
        yield Path(found.origin).parents[1]


@dataclass
class Coverage:
    """Which unit test runs which line."""

    lines: dict[str, dict[int, list[str]]]  # file -> line -> tests
    seconds: dict[str, float]  # of the tests that passed
    modules: list[str]  # the dependencies that they import, in this order
    references: dict[str, list[tuple[str, int]]] = field(default_factory=dict)  # name -> lines that use it
    sizes: Counter[str] = field(default_factory=Counter)  # lines that a test runs

    def __post_init__(self) -> None:
        for lines in self.lines.values():
            for tests in lines.values():
                self.sizes.update(tests)

    def tests(self, mutation: Mutation) -> list[str]:
        """The tests that notice a mutation if any does, the most specific ones first."""
        lines = self.lines.get(mutation.path, {})
        own = f"/test_{Path(mutation.path).stem}.py::"
        found = self._at(lines, mutation.lines) or self._at(lines, mutation.statement)
        if not mutation.function:  # it runs at import, before any test: those that use it
            users = (self.lines.get(path, {}).get(line, []) for path, line in self._uses(mutation.names))
            found |= {test for tests in users for test in tests}
            found |= {test for tests in lines.values() for test in tests} if not found else set()
            found |= {test for test in self.seconds if own in test}  # a test may read a table without running its code
        nearest = self._by_size(found & self.seconds.keys())
        nearest.sort(key=lambda test: own not in test)  # the tests of the module itself first
        files = {test.partition("::")[0] for test in nearest}
        # A process that tests share runs the lines of all of them for the first one: the others of its file follow.
        others = {test for test in self.seconds if test.partition("::")[0] in files} - set(nearest)
        return nearest + (self._by_size(others) if len(nearest) <= len(files) else [])

    def _by_size(self, tests: Iterable[str]) -> list[str]:
        """The tests that run the fewest lines first, but few cases of one function before others: they are alike."""
        cases: Counter[str] = Counter()
        rounds = {}
        for test in sorted(tests, key=lambda test: (self.sizes[test], test)):
            function = test.partition("[")[0]
            rounds[test] = cases[function] // CASES
            cases[function] += 1
        return sorted(rounds, key=lambda test: rounds[test])

    def _uses(self, names: Iterable[str]) -> Iterator[tuple[str, int]]:
        for name in names:
            yield from self.references.get(name, [])

    @staticmethod
    def _at(lines: dict[int, list[str]], at: range) -> set[str]:
        return {test for line in at for test in lines.get(line, [])}


def references(root: Path) -> dict[str, list[tuple[str, int]]]:
    """The lines inside functions that use a name, or are the body of the function of that name."""
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for path in files(root):
        relative = str(path.relative_to(root))
        for function in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            found[function.name] += [(relative, statement.lineno) for statement in function.body]
            for node in (node for statement in function.body for node in ast.walk(statement)):
                if isinstance(node, ast.Name | ast.Attribute):
                    name = node.id if isinstance(node, ast.Name) else node.attr
                    found[name].append((relative, node.lineno))
    return found


def measured(checkout: Checkout, plain: Path, jobs: int, store: Path | None) -> Coverage:
    """Run all unit tests once under coverage, or read the result of the same commit from `store`."""
    commit = head(checkout.root)
    if store and store.exists():
        stored = json.loads(store.read_text())
        if stored["commit"] == commit:
            known = {path: {int(line): tests for line, tests in at.items()} for path, at in stored["lines"].items()}
            return Coverage(known, stored["seconds"], stored["modules"], references(plain))
    shards = test_files(plain, jobs)
    lines: dict[str, dict[int, list[str]]] = {}
    seconds: dict[str, float] = {}
    with ThreadPoolExecutor(jobs) as pool:
        for found, durations in pool.map(lambda number: run_coverage(checkout, number, shards[number]), range(jobs)):
            seconds |= durations
            for path, tests_by_line in found.items():
                for line, tests in tests_by_line.items():
                    lines.setdefault(path, {}).setdefault(line, []).extend(tests)
    imported = [json.loads(path.read_text()) for path in sorted(checkout.temporary.glob("measured*/imported.json"))]
    modules = list(dict.fromkeys(name for names in imported for name in names))
    if store:
        store.write_text(json.dumps({"commit": commit, "lines": lines, "seconds": seconds, "modules": modules}))
    return Coverage(lines, seconds, modules, references(plain))


def test_files(root: Path, jobs: int) -> list[list[str]]:
    """The files of the unit tests, dealt out by size."""
    paths = sorted((root / TESTS).rglob("test_*.py"), key=lambda path: (-path.stat().st_size, path))
    return [[str(path.relative_to(root)) for path in paths[number::jobs]] for number in range(jobs)]


def run_coverage(
    checkout: Checkout, number: int, tests: Sequence[str]
) -> tuple[dict[str, dict[int, list[str]]], dict[str, float]]:
    copy, folder = checkout.copy(f"measured{number}"), checkout.temporary / f"coverage{number}"
    folder.mkdir()
    config = folder / "config"
    # Programs that a test starts report for that test. `_exit`: some of them end with it.
    config.write_text(
        f"[run]\ndata_file = {folder}/data\nparallel = true\ncontext = ${{PYTEST_CURRENT_TEST-}}\npatch = _exit\n"
        f"include =\n    {copy}/layers/*\n    {copy}/functions/*\n"
    )
    words = ["-m", "coverage", "run", f"--rcfile={config}", "-m", "pytest", *PYTEST, *tests]
    with (copy / "pytest.log").open("wb") as log:
        process = checkout.begin(copy, log, *words, COVERAGE_PROCESS_START=str(config))
        output, _ = process.communicate()
    (copy / "pytest.log").write_bytes(output)
    code, report = process.returncode, outcomes(copy)
    if code == WRONG_CODE or not report:
        raise SystemExit((copy / "pytest.log").read_text())
    failed = sorted(test for test, outcome in report.items() if outcome["failed"])
    say(f"{len(report)} tests under coverage, exit code {code}, {len(failed)} failed: not used", *failed)
    seconds = {test: float(outcome["seconds"]) for test, outcome in report.items() if not outcome["failed"]}
    return combined(folder, copy), seconds


def outcomes(copy: Path) -> dict[str, dict[str, Any]]:
    """What the plugin in a copy wrote; nothing if pytest did not come to its end."""
    report = copy / "report.json"
    found: dict[str, dict[str, Any]] = json.loads(report.read_text()) if report.exists() else {}
    return found


def combined(folder: Path, copy: Path) -> dict[str, dict[int, list[str]]]:
    # Only `uv run --with` has it.
    from coverage import CoverageData  # type: ignore[import-not-found]
    from coverage.exceptions import DataError  # type: ignore[import-not-found]

    found: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in folder.glob("data.*"):
        data = CoverageData(str(path))
        try:
            data.read()
        except DataError:  # of a process that a test has killed while it wrote the file
            continue
        for file in data.measured_files():
            for line, contexts in data.contexts_by_lineno(file).items():
                tests = {re.sub(r" \((setup|call|teardown)\)$", "", context) for context in contexts}
                found[str(Path(file).relative_to(copy))][line] |= tests - {""}
    return {file: {line: sorted(tests) for line, tests in lines.items()} for file, lines in found.items()}


def head(root: Path) -> str:
    words = ["git", "rev-parse", "HEAD"]
    return subprocess.run(words, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


class Worker:
    """Tries mutations in a copy of its own.

    It keeps one Python that has imported all dependencies, and every run of pytest is a fork of that: to import them
    takes longer than most tests.
    """

    def __init__(self, checkout: Checkout, copy: Path, coverage: Coverage, most: int) -> None:
        self.copy, self.coverage, self.most = copy, coverage, most
        self._edits = 0
        (copy / "modules.json").write_text(json.dumps(coverage.modules))
        self._server_log = (copy / "server.log").open("wb")
        self._server = checkout.begin(
            copy,
            self._server_log,
            "-c",
            "import mutations; mutations.serve()",
            MUTATIONS_SELECT=str(copy / "select.json"),
        )

    def close(self) -> None:
        self._server.communicate()
        self._server_log.close()

    def _pytest(self, seconds: float, *words: str) -> int:
        """The exit code of one run of pytest, or HANGS."""
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps({"words": [*PYTEST, *words], "seconds": seconds}).encode() + b"\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        if not answer:
            raise SystemExit((self.copy / "server.log").read_text())
        return int(answer)

    def attempt(self, mutation: Mutation, without: Iterable[str] = ()) -> Result:
        """Apply one mutation, run its tests, and undo it."""
        begin = time.monotonic()
        tests = [test for test in self.coverage.tests(mutation) if test not in without][: self.most]
        if not tests:
            return Result(mutation, killed=False, why="no unit test runs this line", tests=0, seconds=0)
        path = self.copy / mutation.path
        original = path.read_bytes()
        self._write(path, mutation.edited(original))
        failed = self.failed(tests)
        self._write(path, original)
        return Result(mutation, bool(failed), failed or "all pass", len(tests), time.monotonic() - begin)

    def _write(self, path: Path, content: bytes) -> None:
        """Give every edit its own time: Python trusts compiled files by time and size."""
        self._edits += 1
        path.write_bytes(content)
        os.utime(path, (self._edits * 10, self._edits * 10))

    def failed(self, tests: Sequence[str]) -> str:
        """The first test that fails, or why pytest failed; "" if all pass."""
        (self.copy / "select.json").write_text(json.dumps(tests))
        (self.copy / "report.json").unlink(missing_ok=True)
        seconds = [self.coverage.seconds[test] for test in tests]
        limit = max(SHORTEST, SLOWER * max(seconds))
        deadline = START + limit + SLOWER * sum(seconds)
        words = [
            "-x",
            f"--timeout={limit:.0f}",
            "--hypothesis-seed=0",
            *sorted({test.split("::")[0] for test in tests}),
        ]
        code = self._pytest(deadline, *words)
        if code == WRONG_CODE:
            raise SystemExit(f"the copy was not tested:\n{(self.copy / 'pytest.log').read_text()}")
        if code in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            return ""
        if code == HANGS:
            return f"no end after {deadline:.0f} s"
        failed = [test for test, outcome in outcomes(self.copy).items() if outcome["failed"]]
        return failed[0] if failed else f"pytest ends with {code}"


def say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def described(mutation: Mutation, root: Path) -> str:
    place = f"{mutation.path}:{mutation.line} {mutation.function or '(module)'}"
    return f"{place} [{mutation.kind}]\n      {mutation.shown((root / mutation.path).read_bytes())}"


def summary(results: Sequence[Result], root: Path) -> Iterator[str]:
    """The survivors, a table by module, and the totals."""
    yield "\nSurvivors"
    for result in results:
        if not result.killed:
            yield f"  {described(result.mutation, root)}\n      {result.why} ({result.tests} tests)"
    yield from table("module", results, lambda mutation: mutation.path)
    yield from table("kind", results, lambda mutation: mutation.kind)
    killed = sum(result.killed for result in results)
    yield f"\n{len(results)} mutations, {killed} killed, {len(results) - killed} survived"


def table(title: str, results: Sequence[Result], group: Callable[[Mutation], str]) -> Iterator[str]:
    yield f"\n{title:<48} mutations  killed  survived"
    for name in sorted({group(result.mutation) for result in results}):
        outcomes = [result.killed for result in results if group(result.mutation) == name]
        yield f"{name:<48} {len(outcomes):>9}  {sum(outcomes):>6}  {len(outcomes) - sum(outcomes):>8}"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="mutations (default 60)")
    parser.add_argument("--seed", default="seqdrop", help="another seed is another choice")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="the checkout that is tested")
    parser.add_argument("--only", default="", metavar="TEXT", help="only files with this text in their path")
    parser.add_argument("--tests", type=int, default=MOST_TESTS, help=f"most tests a mutation (default {MOST_TESTS})")
    parser.add_argument("--jobs", type=int, default=2, help="mutations at the same time (default 2)")
    parser.add_argument("--map", type=Path, metavar="FILE", help="keep the coverage of a commit there, for later runs")
    parser.add_argument("--list", action="store_true", help="print the choice and stop")
    return parser.parse_args()


def stop(number: int, _frame: FrameType | None) -> NoReturn:
    """End the namespaces; the main thread removes the copies."""
    for process in STARTED:
        process.kill()
    raise SystemExit(128 + number)


def main() -> None:
    args = options()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, stop)
    with tempfile.TemporaryDirectory(prefix="mutations-") as temporary:
        checkout = Checkout(args.root.resolve(), Path(temporary).resolve())
        plain = checkout.copy("plain")
        mutations = chosen(plain, args.count, args.seed, args.only)
        say(f"commit {head(checkout.root)}, seed {args.seed}, {len(mutations)} mutations")
        if args.list:
            say(*(described(mutation, plain) for mutation in mutations))
            return
        (checkout.temporary / "plugin").mkdir()
        shutil.copy(__file__, checkout.temporary / "plugin/mutations.py")
        (checkout.temporary / "plugin/sitecustomize.py").write_text(SITECUSTOMIZE)
        coverage = measured(checkout, plain, args.jobs, args.map)
        workers = Workers()
        for number in range(args.jobs):
            workers.free.put(Worker(checkout, checkout.copy(f"copy{number}"), coverage, args.tests))
        results = workers.confirmed(list(workers.attempts(mutations, plain)))
        workers.close()
        say(*summary(results, plain))


@dataclass
class Workers:
    """Tries mutations, several at a time."""

    free: queue.Queue[Worker] = field(default_factory=queue.Queue)

    def attempt(self, mutation: Mutation, without: Iterable[str] = ()) -> Result:
        worker = self.free.get()
        try:
            return worker.attempt(mutation, without)
        finally:
            self.free.put(worker)

    def close(self) -> None:
        while not self.free.empty():
            self.free.get().close()

    def attempts(self, mutations: Sequence[Mutation], plain: Path) -> Iterator[Result]:
        with ThreadPoolExecutor(self.free.qsize()) as pool:
            for number, result in enumerate(pool.map(self.attempt, mutations), start=1):
                verdict = "killed" if result.killed else "SURVIVED"
                say(f"{number:>3} {verdict} {described(result.mutation, plain)}")
                say(f"      {result.why} ({result.tests} tests, {result.seconds:.0f} s)")
                yield result

    def confirmed(self, results: Sequence[Result]) -> list[Result]:
        """The same results, but no test has killed a mutation that fails without it too."""
        worker = self.free.get()
        killers = sorted({result.why for result in results if "::" in result.why})
        flaky: set[str] = set()
        while steady := [killer for killer in killers if killer not in flaky]:
            failed = worker.failed(steady)
            if not failed:
                break
            say(f"fails without a mutation too, its mutations are tried again without it: {failed}")
            if failed not in steady:
                break
            flaky.add(failed)
        self.free.put(worker)
        return [self.attempt(result.mutation, flaky) if result.why in flaky else result for result in results]


# What runs in a copy: the server of a worker, and the hooks of pytest.


def serve() -> None:
    """Import the dependencies, then run pytest in a fork for every line of stdin, and write its exit code."""
    for name in json.loads(Path("modules.json").read_text()):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            run_alone(request["words"])
        deadline = time.monotonic() + request["seconds"]
        while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
            time.sleep(0.05)
        if not ended[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(ended[1]) if ended[0] else HANGS}\n")
        sys.stdout.flush()


def run_alone(words: list[str]) -> NoReturn:
    """Run pytest in a process namespace of its own, whose first process ends all others with itself."""
    kernel = ctypes.CDLL(None)
    if kernel.unshare(CLONE_NEWPID | CLONE_NEWNS):
        os._exit(WRONG_CODE)
    first = os.fork()
    if first:
        _, status = os.waitpid(first, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if kernel.mount(b"proc", b"/proc", b"proc", 0, None):
        os._exit(WRONG_CODE)
    child = os.fork()
    if child:
        while (ended := os.wait())[0] != child:
            pass
        os._exit(os.waitstatus_to_exitcode(ended[1]) & 0xFF)
    os.setsid()
    log = os.open("pytest.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, file in enumerate([os.open(os.devnull, os.O_RDONLY), log, log]):
        os.dup2(file, number)
    code = pytest.main(words)
    sys.stdout.flush()
    os._exit(code)


def pytest_configure() -> None:
    """Fail unless the copy is tested. Random examples do not depend on earlier runs and are not made smaller."""
    from hypothesis import Phase, settings

    settings.register_profile("mutations", database=None, deadline=None, phases=[Phase.explicit, Phase.generate])
    settings.load_profile("mutations")
    copy = os.environ["MUTATIONS_COPY"]
    for package in Path(copy).glob("layers/*/*/__init__.py"):
        spec = importlib.util.find_spec(package.parent.name)
        if not spec or spec.origin != str(package):
            pytest.exit(f"{package.parent.name} is not imported from {copy}", WRONG_CODE)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the selected tests, in the order of the selection."""
    if "MUTATIONS_SELECT" in os.environ:
        by_name = {item.nodeid: item for item in items}
        selection = json.loads(Path(os.environ["MUTATIONS_SELECT"]).read_text())
        kept = [by_name[name] for name in selection if name in by_name]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note which test runs the lines that follow."""
    if "COVERAGE_PROCESS_START" not in os.environ:
        return (yield)
    from coverage import Coverage as Measurement

    current = Measurement.current()
    assert current
    current.switch_context(item.nodeid)
    try:
        return (yield)
    finally:
        current.switch_context("")


OUTCOMES: dict[str, dict[str, Any]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    outcome = OUTCOMES.setdefault(report.nodeid, {"failed": False, "seconds": 0.0})
    outcome["failed"] |= report.failed
    outcome["seconds"] += report.duration


def pytest_sessionfinish() -> None:
    """Write the outcome of every test; fail if a module of the checkout itself was imported."""
    Path(os.environ["MUTATIONS_REPORT"]).write_text(json.dumps(OUTCOMES))
    modules = list(sys.modules.items())
    installed = [name for name, module in modules if "site-packages" in (getattr(module, "__file__", None) or "")]
    (Path(os.environ["MUTATIONS_COPY"]) / "imported.json").write_text(
        json.dumps([name for name in installed if not name.startswith("coverage")])
    )
    root = Path(os.environ["MUTATIONS_ROOT"])
    named = (getattr(module, "__file__", None) for _, module in modules)
    imported = [Path(name) for name in named if name]
    wrong = [path for path in imported if path.is_relative_to(root) and ".venv" not in path.relative_to(root).parts]
    if wrong:
        pytest.exit(f"imported from the checkout, not from its copy: {wrong}", WRONG_CODE)


if __name__ == "__main__":
    main()
