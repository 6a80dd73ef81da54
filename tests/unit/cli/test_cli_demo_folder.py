"""seqdrop_cli.demo.command: a folder that cannot have the simulated files is named."""

from __future__ import annotations

import os
import re
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from embedded_aws.faults import scratch_disk
from seqdrop.plan.choices import Choices
from seqdrop_cli.demo.command import run_demo
from seqdrop_cli.errors import CliError


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_a_disk_too_small_for_the_simulated_files_is_named_with_what_to_do(tmp_path: Path) -> None:
    disk, stack = tmp_path / "disk", MagicMock()
    scratch_disk.mount(disk, 1)
    try:
        with pytest.raises(CliError) as raised:
            run_demo(stack, disk / "demo", 1, Choices())
    finally:
        scratch_disk.unmount(disk)
    assert str(raised.value) == (
        f"The simulated files cannot be written to {disk / 'demo'}: No space left on device. "
        "Give another folder with --keep DIR."
    )
    assert stack.mock_calls == []  # nothing is uploaded


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "demo-1.fa").mkdir()
    with pytest.raises(CliError, match=re.escape(f"cannot be written to {tmp_path}: Is a directory. Give another")):
        run_demo(MagicMock(), tmp_path, 1, Choices())
