"""seqdrop.fastq.inflate: gzip members with zlib."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdrop.fastq.inflate import ExtraBytesError, inflate


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4), st.integers(1, 40), st.integers(1, 30), st.booleans())
def test_members_cut_anywhere_into_blocks_give_their_text(
    texts: list[bytes], size: int, max_part: int, padded: bool
) -> None:
    data = b"".join(map(gzip.compress, texts)) + (bytes(100) if padded else b"")
    parts = list(inflate((data[at : at + size] for at in range(0, len(data), size)), max_part))
    assert b"".join(text for text, _ in parts) == b"".join(texts)
    assert parts[-1][1]
    assert max(len(text) for text, _ in parts) <= max_part


@given(st.data())
def test_a_truncated_member_is_not_complete(data: st.DataObject) -> None:
    packed = gzip.compress(b"ACGT" * 20)
    cut = packed[: data.draw(st.integers(1, len(packed) - 1))]
    assert not [*inflate([cut], 1 << 20)][-1][1]


def test_damaged_data_and_extra_bytes_are_different_errors() -> None:
    packed = gzip.compress(b"ACGT" * 20)
    with pytest.raises(ExtraBytesError):
        list(inflate([packed, b"x"], 1 << 20))
    with pytest.raises(zlib.error) as raised:
        list(inflate([packed[:-8] + b"\xff" * 8], 1 << 20))  # the checksum and the length
    assert not isinstance(raised.value, ExtraBytesError)
