"""Where everything lives and what a run is called. No other module builds a key."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seqdrop.storage.uri import S3Uri

if TYPE_CHECKING:
    from seqdrop.plan.choices import Choices

# The jobs of a run, by the word that names them in the plan, in receipts and in verdicts.
STEPS = ("align", "call", "annotate", "collect", "compose")
ANNOTATOR = "snpeff"
GENOME = "genome.fa"
READS = "reads.json"  # the pinned inputs of a run
REFERENCE_JSON = "reference.json"  # beside the genome: contigs and the indexes that are there; written last
WHOLE_GENOME = "all"  # the value of `intervals` when no BED was chosen: Batch parameters are never empty

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # of a reference, of a BED beside it
SAMPLE = NAME
_FASTQ = re.compile(
    r"""(?P<stem>.+?)
        (?:_(?P<number>S\d+))?
        (?:_(?P<lane>L\d{3}))?
        (?:[_. -]R|_)(?P<mate>[12])
        (?:_001)?
        \.(?:fastq|fq)(?:\.gz)?""",
    re.VERBOSE | re.ASCII,  # or any script's digits would make a lane
)


@dataclass(frozen=True, slots=True)
class Fastq:
    """A FASTQ key taken apart: whose it is, which lane, which mate."""

    key: str
    sample: str
    lane: str  # "L001", or "" where the name has none
    mate: int  # 1 or 2
    mate_at: int = field(repr=False)  # where in the key the mate's digit stands

    @property
    def mates(self) -> tuple[str, str]:
        """The keys of R1 and R2."""
        before, after = self.key[: self.mate_at], self.key[self.mate_at + 1 :]
        return f"{before}1{after}", f"{before}2{after}"

    def is_beside(self, other: Fastq) -> bool:
        """Whether both are lanes of one sample in one folder."""
        return (self.sample, self.key.rpartition("/")[0]) == (other.sample, other.key.rpartition("/")[0])

    @property
    def siblings(self) -> str:
        """What the keys of all lanes of this sample begin with."""
        return self.key[: self.mate_at].rsplit(f"_{self.lane}", 1)[0] if self.lane else self.key[: self.mate_at]


def parse_fastq_key(key: str) -> Fastq | None:
    """None for a key that is no FASTQ of a pair (an index read, a checksum, a note).

    Names as sequencers and archives write them: `_R1`/`_R2`, `_1`/`_2`, bcl2fastq's `_S1_L001_R1_001`.
    What a sample id cannot hold (a blank, an umlaut) becomes `_`.
    """
    folder = key.rfind("/") + 1
    found = _FASTQ.fullmatch(key[folder:])
    if found is None:
        return None
    sample = re.sub(r"[^A-Za-z0-9._-]+", "_", found["stem"]).lstrip("._-")
    if not SAMPLE.fullmatch(sample):
        return None
    return Fastq(key, sample, found["lane"] or "", int(found["mate"]), folder + found.start("mate"))


def shown(text: str) -> str:
    """A key as people may read it: what no printer prints (line ends, escapes, marks that turn text round) is `_`."""
    return "".join(letter if letter.isprintable() else "_" for letter in text)


def canonical(value: Any) -> str:
    """The one way a value becomes text where bytes are compared or hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def run_id(
    sample: str, pairs: Sequence[Mapping[str, Any]], choices: Choices, *, genome: str, aligner: str, caller: str
) -> str:
    """An opaque name for a run: the hash of all that changes its result and of nothing else.

    `pairs` are the entries of reads.json, `genome` is the fingerprint in reference.json: a name can be prepared anew.
    """
    pinned = [[[pair[mate]["uri"], pair[mate]["version_id"]] for mate in ("fastq_1", "fastq_2")] for pair in pairs]
    args = {step: list(words) for step, words in choices.args.items() if words}
    identity = [sample, sorted(pinned), choices.reference, genome, choices.intervals, args, aligner, caller, ANNOTATOR]
    return hashlib.sha256(canonical(identity).encode()).hexdigest()[:20]


def reference_uri(bucket: str, name: str) -> S3Uri:
    """The genome of a prepared reference; its indexes and its reference.json stand beside it."""
    return S3Uri(bucket, f"{name}/{GENOME}")


def plan(
    sample: str,
    run: str,
    choices: Choices,
    *,
    results_bucket: str,
    reference_bucket: str,
    jobs: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """The whole of a run: its execution input. Pure, so either mate's arrival gives the same bytes.

    `jobs` has job_queue, vcpus and memory (MiB) of each step as strings, as Batch takes them.
    """
    results = S3Uri(results_bucket, f"{sample}/{run}")
    reference = reference_uri(reference_bucket, choices.reference)
    return {
        "sample": sample,
        "run": run,
        "reference": str(reference),
        "intervals": str(reference.parent / choices.intervals) if choices.intervals else WHOLE_GENOME,
        "results": str(results),
        "reads": str(results / READS),
        "bam": str(results / f"{sample}.bam"),
        "stats": str(results / f"{sample}.stats.txt"),
        "vcf": str(results / f"{sample}.vcf.gz"),
        "annotated_vcf": str(results / f"{sample}.annotated.vcf.gz"),
        "report": str(results / f"{sample}.report.html"),
        "manifest": str(manifest_uri(results)),
        **{step: {**jobs[step], "attempt": "1", "args": canonical(list(choices.args.get(step, ())))} for step in STEPS},
    }


def preparation(run: str, name: str, fasta: S3Uri, genes: S3Uri | None, *, reference_bucket: str) -> dict[str, Any]:
    """The execution input of prepare_reference; the machine adds nothing but its own sizes."""
    return {
        "run": run,
        "fasta": str(fasta),
        "genes": str(genes) if genes else "none",
        "reference": str(reference_uri(reference_bucket, name)),
        "results": str(S3Uri(reference_bucket, f"{name}/preparation/{run}")),
    }


def manifest_uri(results: S3Uri) -> S3Uri:
    return results / "manifest.json"


def receipt_uri(results: S3Uri, step: str) -> S3Uri:
    """Says that a step is done: written last, after every output it lists."""
    return results / f"jobs/{step}.json"


def verdict_uri(results: S3Uri, step: str, attempt: str, batch_attempt: str) -> S3Uri:
    """Says why one attempt of a step failed: the plan's attempt, then Batch's within it."""
    return results / f"failures/{step}.{attempt}.{batch_attempt}.json"
