"""layers/common/Makefile: the layer has bytecode for Lambda if the Python of the runtime is on PATH."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

LAYER = Path(__file__).parents[2] / "layers/common"
UNCHECKED_HASH = 1  # the flags of a file of bytecode (PEP 552)
FLAGS = slice(4, 8)


def build(folder: Path, **programs: str) -> str:
    """Build the layer without its packages, with `programs` on PATH; return what is printed."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    for name, script in {"python3": "exit 0", **programs}.items():  # python3 runs pip
        (bin_folder / name.replace("_", ".")).write_text(f"#!/bin/sh\n{script}\n")
        (bin_folder / name.replace("_", ".")).chmod(0o755)
    command = ["make", "build-CommonLayer", f"ARTIFACTS_DIR={folder / 'layer'}"]
    env = {"PATH": f"{bin_folder}:/usr/bin:/bin"}
    return subprocess.run(command, cwd=LAYER, env=env, capture_output=True, text=True, check=True).stdout


def test_every_module_has_bytecode_that_is_valid_at_any_time(tmp_path: Path) -> None:
    printed = build(tmp_path, python3_13=f'exec "{sys.executable}" "$@"')
    assert "has no bytecode" not in printed.splitlines()[-1]
    modules = list((tmp_path / "layer/python").rglob("*.py"))
    assert len(modules) > 40
    for module in modules:
        flags = Path(cache_from_source(str(module))).read_bytes()[FLAGS]
        assert int.from_bytes(flags, "little") == UNCHECKED_HASH, module


@pytest.mark.parametrize("script", ["echo 'command not found' >&2; exit 127", "exit 1"])
def test_without_that_python_the_layer_has_no_bytecode_and_the_build_says_so(tmp_path: Path, script: str) -> None:
    assert "cold starts take longer" in build(tmp_path, python3_13=script)
    assert not list((tmp_path / "layer").rglob("*.pyc"))
