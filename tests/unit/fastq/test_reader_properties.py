"""gunzip, reader and pairs of seqdrop.fastq against `gzip` and a slow, plain reader, on generated files."""

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
def test_a_file_is_taken_as_gzip_takes_it(members: list[tuple[bytes, int]], edits: list[Edit]) -> None:
    data = apply_edits(b"".join(with_header(content, 2 * flags) for content, flags in members), edits)
    if not data.startswith(GZIP_MAGIC):
        return
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(gunzip, "BLOCK_SIZE", 64)
        path = Path(folder, "lane1_R1.fastq.gz")
        path.write_bytes(data)
        tested = subprocess.run(["gzip", "-t", path], capture_output=True, check=False).returncode
        said, content = read_bytes(path)
        if tested == 0:
            assert (said, content) == (
                "",
                subprocess.run(["gzip", "-dc", path], capture_output=True, check=True).stdout,
            )
        else:
            assert said.startswith("BAD_INPUT.CORRUPT_GZIP" if tested == 2 else "BAD_INPUT.")
            assert tested == 1 or "extra bytes after the end of the gzip data" in said


def read_bytes(path: Path) -> tuple[str, bytes]:
    try:
        with GzipReader(path) as file:
            return "", b"".join(file)
    except BadInputError as error:
        return f"{error.failure_class} {error}", b""


@EXAMPLES
@given(fastq_pairs())
def test_a_pair_is_taken_as_a_plain_reader_takes_it(files: tuple[bytes, bytes]) -> None:
    assert_readers_agree(files)
