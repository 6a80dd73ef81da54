"""containers.reference.bwa_mem3_index: 64-bit positions, pieces, memory. test_bwa_mem3 aligns reads with the index."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.made_reads import bases, write_genome

from containers.reference import bwa_mem3_index

LENGTHS = (1_020, 1_023, 1_024, 1_025, 1_027, 1_031, 70_000)  # around multiples of the blocks of the format
MEASURED = 4_000_000  # bases: the memory of the interpreter itself is small beside that of the index
MAX_BYTES = 12  # of memory for each base and strand: docs/sizing.md is calculated from 10.8
# Prints the peak memory of the index, without that of the imported libraries, in bytes.
MEASURE = """
import sys, numpy, pydivsufsort
from pathlib import Path
from containers.reference import bwa_mem3_index
Path("/proc/self/clear_refs").write_text("5")
peak = lambda: int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
before = peak()
bwa_mem3_index.build_index(Path(sys.argv[1]), force64=True)
print(peak() - before)
"""


def pack(path: Path, length: int) -> Path:
    write_genome(path, {"c": bases(length, seed=length), "with N": "ACGTNNNNACG"})
    subprocess.run(["bwa", "fa2pac", "-f", path], check=True, capture_output=True)
    return path


def written(path: Path, *, force64: bool) -> list[bytes]:
    bwa_mem3_index.build_index(path, force64=force64)
    return [path.with_name(path.name + suffix).read_bytes() for suffix in (".0123", ".bwt.2bit.64")]


@pytest.mark.parametrize("length", LENGTHS)
def test_the_index_is_the_same_with_64_bits_and_in_small_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    genome = pack(tmp_path / "genome.fa", length)
    expected = written(genome, force64=False)
    assert written(genome, force64=True) == expected
    monkeypatch.setattr(bwa_mem3_index, "_PIECE", 64)
    assert written(genome, force64=True) == expected


def test_packing_a_genome_writes_the_files_of_bwa_index(tmp_path: Path) -> None:
    packed, indexed = (pack(tmp_path / name, 5_001) for name in ("packed.fa", "indexed.fa"))
    subprocess.run(["bwa", "index", indexed], check=True, capture_output=True)
    for suffix in (".pac", ".ann", ".amb"):
        paths = (path.with_name(path.name + suffix) for path in (packed, indexed))
        assert len({path.read_bytes() for path in paths}) == 1, suffix


def test_the_index_needs_at_most_twelve_bytes_of_memory_a_base_and_strand(tmp_path: Path) -> None:
    genome = pack(tmp_path / "genome.fa", MEASURED)
    command = [sys.executable, "-c", MEASURE, str(genome)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert 8 <= int(done.stdout) / (2 * MEASURED) <= MAX_BYTES  # 8: the positions alone
