"""The lines `whole` and `trivial`: FASTQs to variants, against the same tools in a script and in Snakemake.

RUN_OPTIONS are added to `seqdrop run`, and UP_OPTIONS are parameters of the stack (`K=V K=V`), such as that of a form.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bacterium
import stack
from measure import GateError, Line, Side

SNAKEMAKE = stack.ROOT / "build/bench/snakemake/bin/snakemake"  # README.md: how to install it
TRIVIAL = 30_000  # bases
LEAST = 0.97  # of the variants
# Rule -> output, inputs, command: the tools and options of the jobs. {t}: threads.
RULES = {
    "align": ("S.bam", "", "bwa mem -t {t} -K 100000000 -Y -R '" + bacterium.GROUP + "' genome.fa S_R1.fastq.gz "
              "S_R2.fastq.gz | samtools fixmate -u -m - - | samtools sort -@ {t} -u - | samtools markdup -@ {t} "
              "--write-index -O bam,level=1 - S.bam##idx##S.bam.bai"),
    "call": ("S.g.vcf.gz", "S.bam", "bcftools mpileup -f genome.fa -B -d 100000 -L 200000 -g 1,10,20 "
             "-a FORMAT/AD,FORMAT/DP -Ou S.bam | bcftools call -m -g 1,10,20 --ploidy 1 -a GQ -Oz -o S.g.vcf.gz - "
             "&& bcftools index -t S.g.vcf.gz"),
    "select": ("S.vcf.gz", "S.g.vcf.gz", "bcftools view -m2 -e 'ALT=\"<*>\"' -Ou S.g.vcf.gz | bcftools norm "
               "-f genome.fa -Oz -o S.vcf.gz - && bcftools index -t S.vcf.gz"),
    "annotate": ("S.annotated.vcf.gz", "S.vcf.gz", "java -Xmx1g -jar /usr/share/java/snpeff.jar ann -c snpEff.config "
                 "-dataDir $PWD/data -nodownload genome S.vcf.gz | bgzip -c > S.annotated.vcf.gz "
                 "&& bcftools index -t S.annotated.vcf.gz"),
    "stats": ("S.stats.txt", "S.bam", "samtools stats -@ {t} --reference genome.fa S.bam > S.stats.txt"),
    "flagstat": ("S.flagstat", "S.bam", "samtools flagstat -@ {t} S.bam > S.flagstat"),
    "depth": ("S.mosdepth.summary.txt", "S.bam", "mosdepth --no-per-base --by 3000 S S.bam"),
}  # fmt: skip


def script() -> str:
    """Return the rules as a script: one after the other, as most people run them."""
    return "\n".join(command.replace("{t}", "2") for _, _, command in RULES.values())


def snakefile() -> str:
    """Return the rules for Snakemake."""
    outputs = [output for output, _, _ in RULES.values()]
    rules = [f"rule all:\n    input: {outputs!r}\n"]
    for name, (output, source, command) in RULES.items():
        threads = 2 if "{t}" in command else 1
        shell = command.replace("{t}", str(threads))
        after = f"    input: {source!r}\n" if source else ""
        rules.append(
            f'rule {name}:\n{after}    output: {output!r}\n    threads: {threads}\n    shell: r"""{shell}"""\n'
        )
    return "\n".join(rules)


def folder_by_hand(data: Path, folder: Path) -> Path:
    """Make a folder with links to the reads and the reference, which are there before the time begins."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in [*data.glob("genome.fa*"), *data.glob("S_R*"), *(data / "database").glob("*")]:
        (folder / path.name).symlink_to(path)
    (folder / "Snakefile").write_text(snakefile())
    return folder


def prepare_by_hand(data: Path) -> None:
    """Write the indexes and the database of snpEff, unless they are there."""
    if (data / "database/done").exists():
        return
    genome = data / "database/data/genome"
    genome.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(data / "genome.fa", genome / "sequences.fa")
    shutil.copyfile(data / "genes.gtf", genome / "genes.gtf")
    (data / "database/snpEff.config").write_text("genome.genome : bench\n")
    for command in (
        ["bwa", "index", data / "genome.fa"],
        ["samtools", "faidx", data / "genome.fa"],
        ["java", "-jar", "/usr/share/java/snpeff.jar", "build", "-gtf22", "-noCheckCds", "-noCheckProtein",
         "-c", data / "database/snpEff.config", "-dataDir", data / "database/data", "genome"],
    ):  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
    (data / "database/done").touch()


def check(data: Path, results: Path) -> str:
    """Raise GateError unless the annotated calls have nearly all variants of the sample; delete the results."""
    (vcf,) = results.glob("*.annotated.vcf.gz")
    rows = subprocess.run(
        ["bcftools", "query", "-f", "%CHROM:%POS:%ALT %INFO/ANN\n", vcf], capture_output=True, check=True, text=True
    ).stdout.splitlines()
    truth = set(json.loads((data / "truth.json").read_text()))
    found = {row.split()[0] for row in rows if "|" in row}
    shutil.rmtree(results)
    if len(found & truth) < LEAST * len(truth) or len(found) > 1.03 * len(truth) + 1:
        raise GateError(f"{len(found)} calls have {len(found & truth)} of {len(truth)} variants")
    return "found"


def sides(data: Path, scratch: Path, aws: stack.Stack) -> Iterator[Side]:
    """Yield seqdrop, the script and, where it is installed, Snakemake."""
    results, hand = scratch / "results", folder_by_hand(data, scratch / "hand")

    def theirs() -> str:
        answer = check(data, hand)
        folder_by_hand(data, hand)
        return answer

    run = f"{shlex.join(stack.SEQDROP)} run {data}/S_R1.fastq.gz {data}/S_R2.fastq.gz --sample S$(date +%s%N) " \
        f"--reference g --results {results} {os.environ.get('RUN_OPTIONS', '')}"  # fmt: skip
    yield Side("seqdrop", ["bash", "-c", f"cd {aws.folder} && {run}"], lambda: check(data, results), server=aws.pid)
    yield Side("script", ["bash", "-euo", "pipefail", "-c", f"cd {hand}\n{script()}"], theirs)
    if SNAKEMAKE.exists():
        snakemake = [SNAKEMAKE, "--cores", "2", "--directory", hand, "-s", hand / "Snakefile"]
        yield Side("Snakemake", snakemake, theirs)


@contextmanager
def ready(data: Path, scratch: Path) -> Iterator[stack.Stack]:
    """Prepare the reference for all; yield an embedded AWS that is up."""
    prepare_by_hand(data)
    parameters = shlex.split(os.environ.get("UP_OPTIONS", ""))
    with stack.up(scratch, "process", parameters) as aws:
        aws.run("reference", data / "genome.fa", "--genes", data / "genes.gtf", "--name", "g", "--ploidy", "1")
        yield aws


def lines(scratch: Path, wanted: str) -> Iterator[Line]:
    """Yield the lines of whole runs."""
    for name, label, size in (
        ("whole", "whole: 4.6 Mb, depth 30", bacterium.GENOME),
        ("trivial", "trivial run", TRIVIAL),
    ):
        if name.startswith(wanted):
            data = bacterium.make(scratch / ("bacterium" if name == "whole" else name), size)
            folder = scratch / f"{name}-runs"
            with ready(data, folder) as aws:
                yield Line(label, list(sides(data, folder, aws)))
