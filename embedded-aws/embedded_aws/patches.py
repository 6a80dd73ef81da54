"""Replace private attributes of moto, and refuse to start on a version whose source of them differs.

Each adapter names the hash of the source it was written for. A new version of moto that changes one of these sources
stops the server with the name of the attribute, instead of breaking somewhere else. `python -m embedded_aws.hashes`
prints every attribute with its present hash.
"""

import hashlib
import inspect
import sys
import textwrap
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, cast

HASH_LENGTH = 8  # hexadecimal digits
MISSING = object()
ADVICE = "`python -m embedded_aws.hashes` prints the present hashes"


class PatchError(Exception):
    """An attribute is missing, or its source is not the one that the adapter was written for."""


@dataclass(frozen=True)
class Check:
    """One attribute of another package that an adapter depends on."""

    attribute: str  # full name, such as moto.batch.models.Job
    package: str  # its distribution and version, such as moto 5.2.5
    adapter: str  # the module that depends on it
    expected: str
    current: str | None  # None where the attribute is missing

    @property
    def passes(self) -> bool:
        """Whether the source has the expected hash."""
        return self.expected == self.current

    @property
    def message(self) -> str:
        """Say which attribute differs, and how to proceed."""
        if self.current is None:
            return (
                f"{self.package} has no {self.attribute}, which {self.adapter} depends on: install the version that "
                f"embedded-aws requires, or adapt that module ({ADVICE})"
            )
        return (
            f"{self.package}: the source of {self.attribute} has changed (hash {self.current}, expected "
            f"{self.expected}): install the version that embedded-aws requires, or compare the two sources, adapt "
            f"{self.adapter} and write the new hash there ({ADVICE})"
        )


_checks: list[Check] | None = None  # while listing(): checks are collected, nothing is replaced


def patch(owner: Any, name: str, new: Any, *, source: str) -> None:
    """Replace an attribute of a class or module, if its source has the hash `source`; raise PatchError otherwise."""
    if inspect.getattr_static(owner, name, MISSING) is new:
        return  # replaced by an earlier call
    if _accepts(owner, name, source):
        setattr(owner, name, new)


def patch_imports(module: Any, name: str, new: Any, *, source: str, package: str) -> None:
    """Replace a function in its module and in every module of `package` that has imported it by name."""
    original = getattr(module, name, MISSING)
    patch(module, name, new, source=source)
    if _checks is not None:
        return
    for other, importer in list(sys.modules.items()):
        if other.startswith(package) and vars(importer).get(name) is original:
            setattr(importer, name, new)


def require(owner: Any, name: str, *, source: str) -> None:
    """Raise PatchError unless the source of an attribute that is used, not replaced, has the hash `source`."""
    _accepts(owner, name, source)


@contextmanager
def listing() -> Iterator[list[Check]]:
    """Collect the checks of all adapters that are installed inside the block, without replacing anything."""
    global _checks  # noqa: PLW0603  # one process lists once
    _checks = []
    try:
        yield _checks
    finally:
        _checks = None


def source_hash(value: Any) -> str:
    """Return the hash of the source of a function, property or class, or of the text of a plain value.

    Indentation, blank lines and spaces at the end of a line do not count.
    """
    lines = [line.rstrip() for line in textwrap.dedent(_source(value)).splitlines()]
    return hashlib.sha256("\n".join(filter(None, lines)).encode()).hexdigest()[:HASH_LENGTH]


def _accepts(owner: Any, name: str, expected: str) -> bool:
    check = _check(owner, name, expected)
    if _checks is not None:
        _checks.append(check)
        return False
    if not check.passes:
        raise PatchError(check.message)
    return True


def _check(owner: Any, name: str, expected: str) -> Check:
    value = inspect.getattr_static(owner, name, MISSING)
    module = owner if inspect.ismodule(owner) else sys.modules[owner.__module__]
    full_name = module.__name__ if owner is module else f"{owner.__module__}.{owner.__qualname__}"
    current = None if value is MISSING else source_hash(value)
    return Check(f"{full_name}.{name}", _distribution(module.__name__), _adapter(), expected, current)


def _source(value: Any) -> str:
    if isinstance(value, property):
        return "".join(_written(part) for part in (value.fget, value.fset, value.fdel) if part)
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    return _written(cast(Hashable, value)) if inspect.isclass(value) or inspect.isroutine(value) else repr(value)


@cache
def _written(value: Hashable) -> str:
    """Read the source once: for a class Python 3.11 parses the whole module."""
    return inspect.getsource(cast(Any, value))


def _adapter() -> str:
    """Return the name of the module that called patch(), patch_imports() or require()."""
    frame = inspect.currentframe()
    while frame and frame.f_globals["__name__"] == __name__:
        frame = frame.f_back
    return str(frame.f_globals["__name__"]) if frame else "an adapter"


@cache
def _distribution(module: str) -> str:
    package = module.partition(".")[0]
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return package
