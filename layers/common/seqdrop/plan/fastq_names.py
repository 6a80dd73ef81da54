"""Recognise the sample, the lane, the chunk and the mate of a FASTQ by its file name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from seqdrop.plan.names import RESERVED, SAMPLE, printable

MAX_SAMPLE = 64  # letters of a sample id
_FASTQ = re.compile(
    r"""(?:(?P<stem>.+?)
            (?:_(?P<lane>L\d{1,3})(?P<barcode>_(?:UDB-)?\d{1,3})?)?  # MGI writes the barcode after the lane
            (?P<separator>[_. -][Rr]|[_.](?=[12][._])|_(?=[12]P\.))
        | R  # R1.fastq.gz in the folder of a sample
        )
        (?P<mate>[12])
        (?:P|_(?P<chunk>\d{3})|_xxx)?  # "P": both mates survived Trimmomatic; "xxx": test data of nf-core
        (?:[._](?:trimmed|clean|val_(?P<validated>[12])))?
        \.(?:fastq|fq)(?:\.gz)?""",
    re.VERBOSE | re.ASCII,  # without ASCII the digits of any script would make a lane
)
_ENDING = re.compile(r"\.(?:fastq|fq)(?:\.gz)?", re.IGNORECASE)
_SAMPLE_NUMBER = re.compile(r"_S\d+", re.ASCII)  # of bcl2fastq, before the lane or the mate
_FIRST_CHUNK = "001"


@dataclass(frozen=True, slots=True)
class FastqName:
    """The key of a FASTQ and what it says: sample, lane, chunk, mate."""

    key: str
    sample: str
    lane: str  # "L001", or "" where the name has none
    chunk: str  # "001" of bcl2fastq, or "" where the name has none
    mate: int  # 1 or 2
    written_sample: str = field(repr=False)  # as in the key: other names may give the same sample id
    stem: str = field(repr=False)  # the beginning of the keys of all lanes of this sample, without a separator
    barcode: str = field(repr=False)  # between lane and mate in the names of MGI, with its separator
    mate_places: tuple[int, ...] = field(repr=False)  # of the mate's digits in the key
    _ends: tuple[str, str] = field(repr=False)  # the key around the mate's digit, without case of R and file format

    @property
    def mates(self) -> tuple[str, str]:
        """The keys of R1 and R2 in the same file format."""
        return self._with_mate("1"), self._with_mate("2")

    @property
    def group(self) -> str:
        """The key without lane, chunk, mate and file format: the same for all lanes of a sample in a folder."""
        return self.stem + self.barcode

    @property
    def pair_prefix(self) -> str:
        """The beginning of the keys of this mate and the other one, in any file format."""
        return self.key[: self.mate_places[0]].rstrip("Rr")

    @property
    def lanes_prefix(self) -> str:
        """The beginning of the keys of all lanes of this sample, with its separator: `S1_` is not `S12_`."""
        return self.key[: len(self.stem) + 1]

    @property
    def lane_and_chunk(self) -> str:
        """The lane, with the chunk if it is not the first: each is one pair of files."""
        return "_".join(filter(None, (self.lane, self.chunk if self.is_later_chunk else "")))

    @property
    def is_later_chunk(self) -> bool:
        """Whether the file continues another: bcl2fastq before 2.0 writes 4 million reads into each chunk."""
        return self.chunk not in {"", _FIRST_CHUNK}

    def is_of_pair(self, other: FastqName) -> bool:
        """Return whether both are files of one pair; one may be compressed and the other not."""
        return self._ends == other._ends

    def is_lane_of(self, other: FastqName) -> bool:
        """Return whether both are lanes, or chunks, of one sample in one folder."""
        return self.group == other.group and bool(self.lane) == bool(other.lane)

    def is_chunk_of(self, other: FastqName) -> bool:
        """Return whether both are chunks of one lane."""
        return self.is_lane_of(other) and self.lane == other.lane and bool(self.chunk and other.chunk)

    def _with_mate(self, digit: str) -> str:
        letters = list(self.key)
        for place in self.mate_places:
            letters[place] = digit
        return "".join(letters)


def parse(key: str) -> FastqName | None:
    """Parse a key; return None unless it is an R1 or R2 FASTQ: `ignored_because` says why it is not.

    Names as sequencers, archives and trimmers write them: `_R1`/`_R2`, `_1`/`_2`, `.1`/`.2`, bcl2fastq's
    `_S1_L001_R1_001`, Novogene's `_L1_1`, MGI's `_L01_12_1`, `_R1_val_1`, `_R1_trimmed`, `_R1.clean`, `_1P`.
    Characters that a sample id cannot have (a blank, an umlaut) become `_`.
    """
    match = _match(key)
    if match is None or is_unwanted(key) or match["validated"] not in {None, match["mate"]}:
        return None
    folder = key.rfind("/") + 1
    stem = match["stem"]
    if stem is None:  # named after its folder
        parent = key[: folder - 1] if folder else ""
        written, start = parent.rpartition("/")[2], parent
    else:
        written = f"{_without_sample_number(stem, match)}{match['barcode'] or ''}"
        start = key[:folder] + stem
    sample = harmless(written)
    if not SAMPLE.fullmatch(sample):
        return None
    places = [folder + match.start(name) for name in ("mate", "validated") if match[name]]
    before, after = key[: places[0]], _ENDING.sub("", key[folder + match.end("mate") :]).replace("val_2", "val_1")
    ends = (f"{before[:-1]}R" if before.endswith("r") else before, after)
    return FastqName(
        key,
        sample,
        lane=match["lane"] or "",
        chunk=match["chunk"] or "",
        mate=int(match["mate"]),
        written_sample=written,
        stem=start,
        barcode=match["barcode"] or "",
        mate_places=tuple(places),
        _ends=ends,
    )


def _match(key: str) -> re.Match[str] | None:
    """Match the file name in a key; its ending may have any case."""
    name = key[key.rfind("/") + 1 :]
    ending = max((found.start() for found in _ENDING.finditer(name)), default=len(name))
    return _FASTQ.fullmatch(name[:ending] + name[ending:].lower())


def _without_sample_number(stem: str, match: re.Match[str]) -> str:
    """Remove `_S<n>` where bcl2fastq writes it, so that `Patient_S1_R1` and `Patient_S2_R1` stay two samples."""
    of_bcl2fastq = match["separator"] == "_R" and match["chunk"] and len(match["lane"] or "L001") == len("L001")
    return without_sample_number(stem) if of_bcl2fastq else stem


def without_sample_number(stem: str) -> str:
    """Remove the `_S<n>` of bcl2fastq from the end of a sample."""
    number = _SAMPLE_NUMBER.search(stem)
    while number and number.end() < len(stem):
        number = _SAMPLE_NUMBER.search(stem, number.start() + 1)
    return stem[: number.start()] if number and number.start() else stem


def harmless(text: str) -> str:
    """Return a text with `_` for the characters that a sample id cannot have, beginning with a letter or digit."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip("._-")
    return f"{name.removesuffix(RESERVED)}_{RESERVED[1:]}" if name.endswith(RESERVED) else name


# --- why a file is ignored ----------------------------------------------------------------------------------------

_LOOKS_LIKE_READS = re.compile(r"\.(?:fastq|fq|bam|cram|sam|sra|ora)(?![a-z0-9])", re.IGNORECASE)
_OF_READS = re.compile(r"[_. -]R?[12](?:_\d{3})?\.(?:txt\.)?(?:gz|bz2|zst|xz|zip)", re.IGNORECASE)
_NOTES = re.compile(
    r".*\.(?:md5|md5sum|sha1|sha256|html?|json|csv|tsv|pdf|log|fai|gzi|bai|crai|csi|tbi)", re.IGNORECASE
)
_OF_FOLDER = re.compile(r"R[12]", re.IGNORECASE)  # named after its folder
_UNWANTED = (
    (re.compile(r"\._"), "macOS wrote it beside the FASTQ, and it has no reads"),
    (re.compile(r"undetermined", re.IGNORECASE), "its reads are of no sample: their barcodes are unknown"),
)
_FORMATS = (
    (
        r"\.(?:bam|cram|sam)",
        "it has alignments, or does not say whether its reads are paired: upload an unaligned BAM "
        "(a CRAM with the metadata seqdrop-layout), or the FASTQs of `samtools fastq -1 R1.fastq.gz -2 R2.fastq.gz`",
    ),
    (r"\.sra", "it is an SRA archive: convert it with `fasterq-dump --split-files`, then compress with gzip"),
    (r"\.ora", "it is compressed with DRAGEN ORA: decompress it with `orad`, then compress with gzip"),
    (r"\.(?:part|filepart|crdownload|tmp)", "it is a part of a copy: upload the whole file under its own name"),
    (r"\.gz\.\d+", "the name is that of a copy: remove the number at its end, or delete the copy"),
    (r"\.(?:bz2|zst|xz|zip|7z|rar|lz4|tar|tar\.gz|tgz)", "only gzip is read: decompress it, then compress with gzip"),
)
_KINDS = (
    (r"[_.-]I[12]", "it has index reads, which no step needs"),
    (r"[_. -]R[03-9]", "only R1 and R2 are read: if R2 is a barcode or a UMI, upload the mate R3 as R2"),
    (r"[_.-](?:R1_?R2|R12)", "if it has interleaved mates, upload it with the metadata seqdrop-layout=interleaved"),
    (
        r"[_.-](?:[12]?U|[12]?unpaired|singletons?|orphans?)",
        "it has reads without a mate: a run of them alone needs the metadata seqdrop-layout=single",
    ),
    (r"[_.-](?:forward|reverse|fwd|rev)", "name the mates _R1 and _R2"),
)
_COPY = "the name is that of a copy: remove the number in parentheses, or delete the copy"
_NO_SAMPLE = "no sample id is in front of the mate: name it <sample>_R1.fastq.gz, or put it into a folder of that name"
_NO_MATE = (
    "the name does not end in _R1 or _R2 (and .fastq.gz): if its reads have no mates, or have them in the same file, "
    "upload it with the metadata seqdrop-layout=single or seqdrop-layout=interleaved"
)


def ignored_because(key: str) -> str:
    """Return why a file of reads makes no run; "" for the name of a pair and for files that are no reads."""
    name = key[key.rfind("/") + 1 :]
    is_reads = _LOOKS_LIKE_READS.search(name) or _OF_READS.search(name)
    if parse(key) or not is_reads or _NOTES.fullmatch(name):
        return ""
    return is_unwanted(key) or _find_reason(_FORMATS, name, "$") or _invalid_sample(key) or _unknown_kind(name)


def has_no_mate(key: str) -> bool:
    """Return whether the only doubt about a FASTQ is that its name has no mate."""
    return ignored_because(key) == _NO_MATE


def is_unwanted(key: str) -> str:
    """Return why a file whose name is that of a pair never makes a run."""
    folder, _, name = key.rpartition("/")
    names = (name, folder.rpartition("/")[2]) if _OF_FOLDER.match(name) else (name,)
    return next((reason for pattern, reason in _UNWANTED if any(map(pattern.match, names))), "")


def _invalid_sample(key: str) -> str:
    match = _match(key)
    if match is None:
        return ""
    if match["validated"] not in {None, match["mate"]}:
        return "its two mate numbers differ"
    folder = key[: key.rfind("/") + 1].rstrip("/").rpartition("/")[2]
    stem = folder if match["stem"] is None else match["stem"]
    if not stem:
        return _NO_SAMPLE
    if len(harmless(stem)) > MAX_SAMPLE:
        return f"the sample id has more than {MAX_SAMPLE} letters: shorten the name before _R1 and _R2"
    return f"{printable(stem)!r} leaves no valid sample id: use the letters A-Z, digits, '.', '_' and '-'"


def _unknown_kind(name: str) -> str:
    ending = r"(?:_\d{3})?(?:[._](?:trimmed|clean))?\.(?:fastq|fq)"
    copy = _COPY if re.search(r"\(\d+\)", name) else ""
    nameless = _NO_SAMPLE if re.match(r"[_. -]+R?[12]\.", name, re.IGNORECASE) else ""
    return copy or nameless or _find_reason(_KINDS, name, ending) or _NO_MATE


def _find_reason(reasons: tuple[tuple[str, str], ...], name: str, ending: str) -> str:
    return next((why for kind, why in reasons if re.search(kind + ending, name, re.IGNORECASE)), "")
