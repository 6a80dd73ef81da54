"""Choose the genetic code of a contig, and write it into the configuration of snpEff, which knows the standard one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

CODONS = ["".join(codon) for codon in product("TCAG", repeat=3)]  # in the order of NCBI's tables


@dataclass(frozen=True, slots=True)
class GeneticCode:
    """A translation table of NCBI."""

    name: str  # of snpEff
    amino_acids: str  # of CODONS; * is a stop
    starts: frozenset[str] = frozenset()

    @property
    def stops(self) -> frozenset[bytes]:
        """The stop codons."""
        letters = zip(CODONS, self.amino_acids, strict=True)
        return frozenset(codon.encode() for codon, letter in letters if letter == "*")


STANDARD = GeneticCode("Standard", "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG")
# Table 2. It is the only other code that stop codons tell from all others: AGA and AGG are stops.
VERTEBRATE_MITOCHONDRIAL = GeneticCode(
    "Vertebrate_Mitochondrial",
    "FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNKKSS**VVVVAAAADDEEGGGG",
    frozenset({"ATT", "ATC", "ATA", "ATG", "GTG"}),
)


def config(genome: str, codes: Mapping[str, GeneticCode]) -> Iterable[str]:
    """Yield the lines of snpEff's configuration for contigs with another code than the standard one."""
    for contig, code in codes.items():
        yield f"{genome}.{contig}.codonTable : {code.name}"
    for code in dict.fromkeys(codes.values()):
        letters = zip(CODONS, code.amino_acids, strict=True)
        table = ", ".join(f"{codon}/{letter}{'+' if codon in code.starts else ''}" for codon, letter in letters)
        yield f"codon.{code.name} : {table}"
