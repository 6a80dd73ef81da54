"""Store the inputs of the jobs of a run in a bucket, and run its callers in this process."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from support.made_reads import write_genome


class StoredRun:
    """The folder of a run, and the arguments of its jobs."""

    def __init__(self, bucket: str, folder: Path) -> None:
        self.results, self.folder = S3Uri(bucket, "NA12878/r"), folder
        self.reference = S3Uri(bucket, "demo/genome.fa")

    def argv(self, **more: Any) -> list[str]:
        values = {"reference": self.reference, **more, "results": self.results, "run": "r", "attempt": "1"}
        values = {"vcpus": 1, "memory": 1000, "args": "[]", **values}
        return [arg for name, value in values.items() for arg in (f"--{name}", str(value))]

    def put(self, path: Path, uri: S3Uri, *companions: str) -> S3Uri:
        for companion in ("", *companions):
            s3.store().upload(Path(f"{path}{companion}"), uri.companion(companion))
        return uri

    def put_genome(self, contigs: dict[str, str], **summary: Any) -> None:
        """Store a genome, its index and its reference.json."""
        genome = write_genome(self.folder / "genome.fa", contigs)
        subprocess.run(["samtools", "faidx", genome], check=True)
        self.put(genome, self.reference, ".fai")
        s3.store().write_json(self.reference.parent / "reference.json", summary)

    def put_bam(self, contigs: dict[str, int], records: str) -> S3Uri:
        """Store a BAM of records that are sorted."""
        header = "".join(f"@SQ\tSN:{name}\tLN:{length}\n" for name, length in contigs.items())
        sam = f"@HD\tVN:1.6\tSO:coordinate\n{header}@RG\tID:1\tSM:NA12878\n{records}"
        bam = self.folder / "aligned.bam"
        subprocess.run(["samtools", "view", "-b", "-o", bam, "-"], input=sam.encode(), check=True)
        subprocess.run(["samtools", "index", bam], check=True)
        return self.put(bam, self.results / "NA12878.bam", ".bai")

    def put_cram(self, options: str = "version=3.0") -> S3Uri:
        """Store the BAM of `put_bam` as CRAM."""
        bam, cram, genome = (self.folder / name for name in ("aligned.bam", "aligned.cram", "genome.fa"))
        command = ["samtools", "view", "-C", "--output-fmt-option", options, "-T", genome, "-o", cram, bam]
        subprocess.run(command, check=True)
        subprocess.run(["samtools", "index", cram], check=True)
        return self.put(cram, self.results / "NA12878.cram", ".crai")

    def call(self, caller: Any, bam: S3Uri, bed: str = "", **more: Any) -> None:
        """Call the variants of a BAM, within a BED if there is one."""
        intervals: S3Uri | str = "all"
        if bed:
            intervals = self.reference.parent / "panel.bed"
            (self.folder / "panel.bed").write_text(bed)
            self.put(self.folder / "panel.bed", intervals)
        outputs = {"vcf": self.results / "NA12878.vcf.gz", "gvcf": self.results / "NA12878.g.vcf.gz"}
        words = {"sample": "NA12878", "intervals": intervals, "bam": bam, "parts": 1, **outputs, **more}
        caller.main(self.argv(**words))

    def query(self, name: str, columns: str, *options: str) -> list[str]:
        """Return columns of a result of this run, line by line."""
        s3.store().download(self.results / name, self.folder / "found.vcf.gz")
        command = ["bcftools", "query", "-f", columns, *options, str(self.folder / "found.vcf.gz")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
