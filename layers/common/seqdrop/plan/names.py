"""Names that the stored documents and the addresses of a run are made of."""

from __future__ import annotations

import json
import re
from typing import Any

VERSION = 1  # of every document that is stored: plan, receipt, verdict, manifest, row
GENOME = "genome.fa"
READS = "reads.json"  # the pinned inputs of a run
QC_POLICY = "qc.yaml"  # beside the genome: the limits that the report judges runs by
INTERVALS = "intervals.bed"  # the regions of a run, copied when it starts
MANIFEST = "manifest.json"
QC_DEFAULT, QC_HOLD = "qc_policy", "qc_hold"  # in reference.json of a run: the policy of the stack; whether VCFs wait
INTERVALS_CHECKSUM = "intervals_sha256"  # in the plan, the manifest, and reference.json of a run
REFERENCE_JSON = "reference.json"  # beside the genome: its contigs and indexes; written last
WHOLE_GENOME = "all"  # the value of `intervals` without a BED: Batch parameters are never empty
NO_GENOME = "none"  # the value of `fasta` in a preparation that adds panels or known variants to a reference
NO_GENES = "none"  # the value of `genes` without a file of genes, for the same reason
BAM, CRAM = ALIGNMENT_FORMATS = ("bam", "cram")  # also the ending of the file; the first one is the default
# How the files of a run have its reads: two files of a pair, reads without a mate, or pairs in one file. Runs of
# earlier versions have no layout: they are paired. An unaligned BAM or CRAM is paired or single.
PAIRED, SINGLE, INTERLEAVED = LAYOUTS = ("paired", "single", "interleaved")
ONE_FILE = (SINGLE, INTERLEAVED)  # layouts with one FASTQ for each lane
UNALIGNED = "unaligned"  # the word of a BAM or CRAM in reads.json, in the place of fastq_1 and fastq_2
FILES = ("fastq_1", "fastq_2", UNALIGNED)  # the words of the files of a lane in reads.json
DIPLOID = MAX_PLOIDY = 2  # `ploidy` of a reference without one; bcftools and Strelka call haploid and diploid genotypes

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # of a reference, or of a BED beside it
RESERVED = ".annotated"  # the end of no sample id: with it, the VCF of the calls would be named as an annotated one
SAMPLE = re.compile(rf"(?!.*{re.escape(RESERVED)}\Z){NAME.pattern}")


def is_readable(version: Any) -> bool:
    """Return whether this code reads a document of this version; documents of other versions are refused."""
    return version in range(1, VERSION + 1)


def canonical(value: Any) -> str:
    """Return the JSON text of a value with sorted keys: equal values have equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def printable(text: str) -> str:
    """Return `text` with `_` for each non-printable character: line ends, escapes, direction marks."""
    return "".join(letter if letter.isprintable() else "_" for letter in text)
