"""containers/reference: properties of every valid FASTA."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from containers.reference.fasta import CONTIG, write_genome
from containers.reference.gene_check import read_sequences

NAMES = st.one_of(
    st.from_regex(r"HLA-[ABC]\*[0-9]{2}:[0-9]{2}", fullmatch=True),
    st.from_regex(r"(chr|NC_0+|scaffold)[0-9XYM]{1,4}(\.[0-9])?", fullmatch=True),
    st.from_regex(CONTIG, fullmatch=True).filter(lambda name: len(name) < 30),
)
CONTIGS = st.dictionaries(NAMES, st.text("ACGTNacgtnRYSWKMBDHVXryswkmbdhvx", min_size=1, max_size=300), min_size=1)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CONTIGS, st.integers(1, 80), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_every_base_of_a_fasta_is_in_the_genome(
    contigs: dict[str, str], width: int, newline: str, ends_with_newline: bool
) -> None:
    lines = [
        line
        for name, bases in contigs.items()
        for line in (f">{name} text", *(bases[at : at + width] for at in range(0, len(bases), width)))
    ]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.fa", Path(folder) / "genome.fa"
        source.write_bytes((newline.join(lines) + newline * ends_with_newline).encode())
        genome = write_genome(source, target)
        written = {name: bases.decode() for name, bases in read_sequences(target, contigs)}
        text = target.read_text()
    expected = {name: re.sub("[^ACGTN]", "N", bases.upper()) for name, bases in contigs.items()}
    assert written == expected
    assert text.splitlines() == [
        line
        for name, bases in expected.items()
        for line in (f">{name} text", *(bases[at : at + width] for at in range(0, len(bases), width)))
    ]
    assert genome.contigs == [
        {"name": name, "length": len(bases), "md5": hashlib.md5(bases.encode(), usedforsecurity=False).hexdigest()}
        for name, bases in expected.items()
    ]
    codes = {name: sum(base.upper() not in "ACGTN" for base in bases) for name, bases in contigs.items()}
    assert genome.ambiguous == {name: count for name, count in codes.items() if count}
