"""Compare seqdrop.fastq with `gzip` and with a slow, simple reader, on generated files."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import gunzip
from seqdrop.fastq.gunzip import GzipReader
from seqdrop.fastq.records import GZIP_MAGIC
from support.fastq_files import EDITS, Edit, apply_edits, assert_readers_agree, fastq_pairs, with_header

EXAMPLES = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@EXAMPLES
@given(
    st.lists(st.tuples(st.binary(max_size=300), st.integers(0, 15)), min_size=1, max_size=3),
    st.lists(EDITS, max_size=2),
)
def test_gzip_files_are_accepted_exactly_as_gzip_accepts_them(
    members: list[tuple[bytes, int]], edits: list[Edit]
) -> None:
    data = apply_edits(b"".join(with_header(content, 2 * flags) for content, flags in members), edits)
    if not data.startswith(GZIP_MAGIC):
        return
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(gunzip, "BLOCK_SIZE", 64)
        path = Path(folder, "lane1_R1.fastq.gz")
        path.write_bytes(data)
        exit_code = subprocess.run(["gzip", "-t", path], capture_output=True, check=False).returncode
        error, content = read_bytes(path)
        if exit_code == 0:
            assert (error, content) == (
                "",
                subprocess.run(["gzip", "-dc", path], capture_output=True, check=True).stdout,
            )
        else:
            assert error.startswith("BAD_INPUT.CORRUPT_GZIP" if exit_code == 2 else "BAD_INPUT.")
            assert exit_code == 1 or "extra bytes after the end of the gzip data" in error


def read_bytes(path: Path) -> tuple[str, bytes]:
    try:
        with GzipReader(path) as file:
            return "", b"".join(file)
    except BadInputError as error:
        return f"{error.failure_class} {error}", b""


@EXAMPLES
@given(fastq_pairs())
def test_pairs_are_accepted_exactly_as_the_slow_reader_accepts_them(files: tuple[bytes, bytes]) -> None:
    assert_readers_agree(files)
