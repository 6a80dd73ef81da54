"""Store the results of samples as their runs do, and join them in this process."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from containers.joint import run

CONTIGS = {"c1": 250_000, "c2": 1_000}
HEADER = """##fileformat=VCFv4.2
##FILTER=<ID=PASS,Description="All filters passed">
##FILTER=<ID=LowQual,Description="Set if true: QUAL<10.0">
##FILTER=<ID=LowDepth,Description="Set if true: MAX(FORMAT/AD[0:1-])<3 && FORMAT/DP<7.25">
##INFO=<ID=END,Number=1,Type=Integer,Description="e">
##INFO=<ID=MQ,Number=1,Type=Integer,Description="m">
##FORMAT=<ID=GT,Number=1,Type=String,Description="g">
##FORMAT=<ID=PL,Number=G,Type=Integer,Description="p">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="a">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="d">
"""
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT"
Call = tuple[str, int, str, str, str, str]  # contig, position, ref, alt, filter, genotype
Block = tuple[str, int, int, int]  # contig, start, end, depth


def call_line(call: Call) -> str:
    contig, position, ref, alts, filters, genotype = call
    number = alts.count(",") + 2
    likelihoods = ",".join(["9"] * (number * (number + 1) // 2 if "/" in genotype else number))
    values = f"{genotype}:{likelihoods}:{','.join(['10'] * number)}:30"
    return f"{contig}\t{position}\t.\t{ref}\t{alts}\t50\t{filters}\tMQ=60\tGT:PL:AD:DP\t{values}\n"


def gvcf_lines(calls: Sequence[Call], blocks: Sequence[Block], ploidy: int) -> list[str]:
    reference = "/".join(["0"] * ploidy)
    lines = [(contig, start, f"{contig}\t{start}\t.\tA\t.\t.\t.\tEND={end}\tGT:DP\t{reference}:{depth}\n")
             for contig, start, end, depth in blocks]  # fmt: skip
    lines += [(call[0], call[1], call_line(call)) for call in calls]
    return [line for _, _, line in sorted(lines)]


class JointRun:
    """The samples of a joint run in a bucket."""

    def __init__(self, bucket: str, folder: Path) -> None:
        self.bucket, self.folder = bucket, folder
        self.results = S3Uri(bucket, "FAMILY/j")
        self.samples: list[dict[str, Any]] = []
        self.warnings: list[dict[str, str]] = []

    def put_reference(self, **contigs: int) -> None:
        summary = {"contigs": [{"name": name, "length": length} for name, length in (contigs or CONTIGS).items()]}
        s3.store().write_json(self.results / "reference.json", summary)

    def add(
        self, name: str, calls: Sequence[Call], blocks: Sequence[Block], least: float = 7.5, ploidy: int = 2
    ) -> None:
        """Store the VCF and the gVCF of a sample; `least` is the depth below which a base is unknown."""
        contigs = "".join(f"##contig=<ID={contig},length={length}>\n" for contig, length in CONTIGS.items())
        header = f"{HEADER}{contigs}{COLUMNS}\t{name}\n"
        for word, lines in (("vcf", list(map(call_line, calls))), ("g.vcf", gvcf_lines(calls, blocks, ploidy))):
            (self.folder / f"{name}.{word}").write_text(header + "".join(lines))
            subprocess.run(["bgzip", "-f", self.folder / f"{name}.{word}"], check=True)
        self.add_files(name, self.folder / f"{name}.vcf.gz", self.folder / f"{name}.g.vcf.gz", least)

    def add_files(self, name: str, vcf: Path, gvcf: Path, least: float) -> None:
        entry: dict[str, Any] = {"sample": name, "run": f"r{name}", "least_depth": least}
        for word, path in (("vcf", vcf), ("gvcf", gvcf)):
            subprocess.run(["bcftools", "index", "--tbi", "--force", path], check=True)
            for suffix in ("", ".tbi"):
                uri = S3Uri(self.bucket, f"{name}/r{name}/{path.name}{suffix}")
                stored = s3.store().upload(Path(f"{path}{suffix}"), uri)
                entry[f"{word}{suffix}"] = {**stored.pin(), "crc64nvme": stored.crc64nvme}
        self.samples.append(entry)

    def join(self, parts: int = 2) -> dict[str, Any]:
        """Merge the parts and join them; return the receipt of the join."""
        reads = {"sample": "FAMILY", "parts": parts, "samples": self.samples, "warnings": self.warnings}
        s3.store().write_json(self.results / "reads.json", reads)
        for index in range(parts):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", str(index))
                self._run()
        self._run()
        receipt: dict[str, Any] = s3.store().read_json(self.results / "jobs/join.json")
        return receipt

    def _run(self) -> None:
        files = {"reads": self.results / "reads.json", "vcf": self.results / "FAMILY.vcf.gz", "results": self.results}
        common = {"run": "j", "attempt": "1", "vcpus": 2, "memory": 1000, "args": "[]"}
        values = {"sample": "FAMILY", **files, **common}
        run.main([argument for name, value in values.items() for argument in (f"--{name}", str(value))])

    def verdict(self) -> dict[str, Any]:
        verdict: dict[str, Any] = s3.store().read_json(self.results / "failures/merge.1.0.1.json")
        return verdict

    def query(self, columns: str, *options: str) -> list[str]:
        """Return columns of the joint VCF, line by line."""
        path = self.folder / "found.vcf.gz"
        s3.store().download(self.results / "FAMILY.vcf.gz", path)
        command = ["bcftools", "query", "-f", columns, *options, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    def header(self) -> str:
        """Return the header of the joint VCF that `query` has read."""
        command = ["bcftools", "view", "-h", str(self.folder / "found.vcf.gz")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def install(self, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
        """Install a bcftools that runs `body`, in which `real` is the real one."""
        real = shutil.which("bcftools")
        program = self.folder / "bin/bcftools"
        program.parent.mkdir()
        program.write_text(f'#!/bin/bash\nreal() {{ {real} "$@"; }}\n{body}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
