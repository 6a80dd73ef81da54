"""The start of a command: it imports its own module, and the libraries that it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest
from seqdrop_cli import commands
from seqdrop_cli.app import COMMANDS
from seqdrop_cli.usage import EXAMPLES

# Run a command in this process, whether it fails or not; the last line has the modules that it imported.
PROGRAM = """
import json, sys
from seqdrop_cli.__main__ import main
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)))
"""
HEAVY = {"boto3", "s3transfer", "yaml", "jsonschema", "jinja2", "rocrate", "numpy", "OpenSSL", "docker", "moto",
         "samcli", "embedded_aws"}  # fmt: skip


def modules_of(*words: str) -> set[str]:
    """Return the modules that are imported when a command has ended."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def loaded_commands(modules: set[str]) -> set[str]:
    """Return the commands whose modules are among these."""
    return {name for name in COMMANDS if f"seqdrop_cli.commands.{name}" in modules}


@pytest.mark.parametrize(
    "words",
    [
        ("status", "latest"),
        ("why", "latest"),
        ("logs", "latest"),
        ("stop", "0000"),
        ("run", "A_R1.fastq", "A_R2.fastq"),
        ("submit", "no.csv"),
        ("up", "--help"),
    ],
)
def test_a_command_imports_no_other_one_and_no_heavy_library(words: tuple[str, ...]) -> None:
    modules = modules_of(*words)
    assert loaded_commands(modules) == {words[0]}
    assert HEAVY.isdisjoint(modules)


def test_the_version_needs_no_command_and_no_client() -> None:
    modules = modules_of("--version")
    assert loaded_commands(modules) == set()
    assert (HEAVY | {"botocore.session", "urllib3"}).isdisjoint(modules)


def test_a_command_imports_the_library_that_it_needs() -> None:
    """yaml is found by the name by which the other tests miss it."""
    assert "yaml" in modules_of("qc", "check", "no.yaml")


def test_every_module_with_a_command_is_in_the_table() -> None:
    modules = {found.name for found in iter_modules(commands.__path__)}
    defined = {name for name in modules if hasattr(import_module(f"seqdrop_cli.commands.{name}"), "app")}
    assert defined == set(COMMANDS) == {name.split()[0] for name in EXAMPLES}
