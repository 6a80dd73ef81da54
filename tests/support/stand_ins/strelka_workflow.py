#!/usr/bin/env python3
"""The runWorkflow.py that the fake Strelka writes: it calls with bcftools, and fails as silently as the real one.

STAND_IN_FAULT is a fault that cannot be made here: `killed`, `bad_alloc` or `hangs`.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

SETTINGS = {}
OUTLIVE = 5  # seconds that pyflow lives after SIGTERM
# The columns of Strelka's calls; its version of VCF has no Number=R.
HEADER = """##fileformat=VCFv4.1
##fileDate={date:%Y%m%d}
##source=strelka
##source_version=2.9.10
##startTime={date:%c}.{date:%f}
##cmdline={command}
##reference=file://{reference}
##content=strelka germline small-variant calls
{contigs}##INFO=<ID=END,Number=1,Type=Integer,Description="End position of the region described in this record">
##INFO=<ID=MinDP,Number=1,Type=Integer,Description="Lowest depth">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=GQX,Number=1,Type=Integer,Description="Empirically calibrated genotype quality score">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Filtered basecall depth">
##FORMAT=<ID=AD,Number=.,Type=Integer,Description="Allelic depths for the ref and alt alleles in the order listed">
##FORMAT=<ID=FT,Number=1,Type=String,Description="Sample filter, 'PASS' indicates that all filters have passed">
##FILTER=<ID=LowGQX,Description="Locus GQX is below threshold or not present">
##FILTER=<ID=LowDepth,Description="Locus depth is below 3">
##FILTER=<ID=NoPassedVariantGTs,Description="No sample has a variant genotype that passes">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{sample}
"""
COLUMNS = "%CHROM\t%POS\t%REF\t%ALT\t%QUAL\t%INFO/END\t%INFO/MinDP[\t%GT\t%DP\t%AD]\n"
run = Path(SETTINGS["run"])


def fail(args, *lines):
    """Write the error log as pyflow does, to stderr as well unless --quiet, and end with 1."""
    prefix = f"[{datetime.now().isoformat()}Z] [host] [{os.getpid()}_1] [WorkflowRunner] [ERROR] "
    opening = "Failed to complete command task: 'CallGenome+callGenomeSegment' launched from master workflow"
    text = "".join(f"{prefix}{line}\n" for line in (f"{opening}, error code: 1", *lines, "Workflow terminated"))
    (run / "workflow.error.log.txt").write_text(text)
    if not args.quiet:
        sys.stderr.write(text)
    sys.exit(1)


def hang():
    """Outlive SIGTERM, with a worker in a session of its own."""

    def end(*_):
        time.sleep(OUTLIVE)
        sys.exit(1)

    signal.signal(signal.SIGTERM, end)
    worker = subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"], start_new_session=True)
    mark = Path(os.environ["STAND_IN_MARK"])
    mark.with_suffix(".new").write_text(f"{os.getpid()} {worker.pid}")
    mark.with_suffix(".new").rename(mark)
    while True:
        signal.pause()


def check(args):
    """Fail as Strelka does on a moved run directory, too little memory, a truncated BAM or a planted fault."""
    if Path(__file__).resolve().parent != run:
        fail(args, f"The run directory was moved from {run}")
    if args.g < 2:
        fail(args, "Task CallGenome+callGenomeSegment requires 1536 MiB, more than the limit of 1024 MiB")
    fault = os.environ.get("STAND_IN_FAULT")
    if fault == "killed":
        fail(args, "[CallGenome] Last 1 stderr lines from task (of 1 total lines):", "[wrapperSignal] taskExitCode -9")
    if fault == "bad_alloc":
        fail(args, "[CallGenome] Last 2 stderr lines from task (of 2 total lines):", "FATAL_ERROR: std::bad_alloc",
             "...caught in program.run()")  # fmt: skip
    if fault == "hangs":
        hang()
    if subprocess.run(["samtools", "quickcheck", "-q", SETTINGS["paths"][0]], check=False).returncode:
        fail(args, "[CallGenome] Last 1 stderr lines from task (of 1 total lines):",
             "FATAL_ERROR: Unexpected truncation of alignment file")  # fmt: skip


def call():
    """Yield the fields of the records of a genome VCF."""
    bam, reference, regions, ploidy = SETTINGS["paths"]
    where = ["-R", regions] if regions else []
    pile = ["bcftools", "mpileup", "-f", reference, *where, "-g", "1", "-a", "AD,DP", "-Ou", bam]
    calls = ["bcftools", "call", "-m", "-g", "1", "--ploidy-file", write_ploidy(ploidy), "-Ou", "-"]
    data = b""
    for command in (pile, calls, ["bcftools", "query", "-f", COLUMNS, "-"]):
        data = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    return [line.split("\t") for line in data.decode().splitlines()]


def write_ploidy(vcf):
    """Write the copy numbers of a VCF as bcftools reads them: Strelka takes a record for the bases after POS."""
    rows = []
    if vcf:
        columns = "%CHROM\t%POS\t%END\t[%CN]\n"
        lines = subprocess.check_output(["bcftools", "query", "-f", columns, vcf], text=True).splitlines()
        fields = map(str.split, lines)
        rows = [f"{contig}\t{int(start) + 1}\t{end}\tF\t{copies}\n" for contig, start, end, copies in fields]
    (run / "ploidy.txt").write_text("".join([*rows, "*\t*\t*\tF\t2\n"]))
    return run / "ploidy.txt"


def record(contig, position, ref, alt, quality, end, lowest, genotype, depth, alleles):
    """Return a line of the VCF; failing records stay in it, with their filters."""
    if alt in (".", "<*>"):
        depth = lowest if depth == "." else depth
        failed = ["LowDepth"] if int(depth) < 3 else []
        quality, alleles = ".", depth
    else:
        failed = [name for name, low in (("LowGQX", float(quality) < 15), ("LowDepth", int(depth) < 3)) if low]
    status = ";".join(failed) or "PASS"
    filters = ";".join([*failed, "NoPassedVariantGTs"]) if failed and quality != "." else status
    info = f"END={end};MinDP={lowest}" if lowest != "." else "."
    quality = quality if quality == "." else str(round(float(quality)))
    columns = [contig, position, ".", ref, "." if alt == "<*>" else alt, quality, filters, info, "GT:GQX:DP:AD:FT"]
    sample = [genotype, "0" if quality == "." else quality, depth, alleles, status.replace(";", ",")]
    return "\t".join([*columns, ":".join(sample)]) + "\n"


def write(path, records):
    """Write a bgzipped VCF with its index; the header has the time and the paths of this run."""
    bam, reference = SETTINGS["paths"][:2]
    index = [line.split("\t") for line in Path(f"{reference}.fai").read_text().splitlines()]
    header = subprocess.run(["samtools", "view", "-H", bam], capture_output=True, text=True, check=True).stdout
    sample = header.split("\tSM:")[1].split("\t")[0].split("\n")[0]
    contigs = "".join(f"##contig=<ID={name},length={length}>\n" for name, length, *_ in index)
    values = {"date": datetime.now(), "command": SETTINGS["command"], "reference": reference, "sample": sample}
    text = HEADER.format(contigs=contigs, **values) + "".join(record(*fields) for fields in records)
    with path.open("wb") as out:
        subprocess.run(["bgzip", "-c"], stdout=out, input=text.encode(), check=True)
    subprocess.run(["tabix", "-p", "vcf", path], check=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", choices=["local"], required=True)
    parser.add_argument("-j", type=int, default=os.cpu_count())
    parser.add_argument("-g", type=int, default=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30)
    parser.add_argument("--quiet", action="store_true")
    args = parser.parse_args()
    check(args)
    results, sites = run / "results", call()
    for folder in ("variants", "stats"):
        (results / folder).mkdir(parents=True)
    write(results / "variants/genome.S1.vcf.gz", sites)
    write(results / "variants/variants.vcf.gz", [fields for fields in sites if fields[3] not in (".", "<*>")])
    for suffix in ("", ".tbi"):
        (results / f"variants/genome.vcf.gz{suffix}").symlink_to(f"genome.S1.vcf.gz{suffix}")
    for name in ("runStats.tsv", "runStats.xml"):
        (results / "stats" / name).write_text(name)


main()
