#!/usr/bin/env python3
"""A fake configure step of Strelka 2.9.10: the same options and errors; it writes runWorkflow.py."""

import argparse
import subprocess
import sys
from pathlib import Path

if "--version" in sys.argv:
    sys.stdout.write("2.9.10\n")
    sys.exit(0)
parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--bam", type=Path, required=True)
parser.add_argument("--referenceFasta", type=Path, required=True)
parser.add_argument("--callRegions", type=Path)
parser.add_argument("--exome", action="store_true")
parser.add_argument("--ploidy", type=Path)
parser.add_argument("--runDir", type=Path, required=True)
args = parser.parse_args()
needed = [Path(f"{args.bam}.bai"), Path(f"{args.referenceFasta}.fai")]
needed += [Path(f"{path}.tbi") for path in (args.callRegions, args.ploidy) if path]
for path in needed:
    if not path.exists():
        parser.error(f"missing index: {path}")
if args.runDir.exists():
    parser.error(f"run directory exists: {args.runDir}")
args.runDir.mkdir()
# The ploidy as bcftools reads it: Strelka takes a record for the bases after POS.
ploidy = ["--ploidy", "2"]
if args.ploidy:
    haploid = subprocess.check_output(
        ["bcftools", "query", "-f", "%CHROM\\t%POS\\t%END\\tF\\t[%CN]\\n", str(args.ploidy)], text=True
    )
    rows = [row.split("\t") for row in haploid.splitlines()]
    text = "".join("\t".join([contig, str(int(start) + 1), *rest]) + "\n" for contig, start, *rest in rows)
    (args.runDir / "ploidy.txt").write_text(text + "*\t*\t*\tF\t2\n")
    ploidy = ["--ploidy-file", str((args.runDir / "ploidy.txt").resolve())]
regions = ["-R", str(args.callRegions.resolve())] if args.callRegions else []
script = args.runDir / "runWorkflow.py"
script.write_text(f"""#!/usr/bin/env python3
import argparse, subprocess, sys
from pathlib import Path
run = Path({str(args.runDir.resolve())!r})
parser = argparse.ArgumentParser()
parser.add_argument("-m", choices=["local"])
parser.add_argument("-j", type=int)
parser.add_argument("-g", type=int, default=1)
parser.add_argument("--quiet", action="store_true")
args = parser.parse_args()
if args.m is None:
    sys.exit(2)
if args.g < 4 or Path(__file__).resolve().parent != run:
    sys.exit(1)
out = run / "results/variants"
out.mkdir(parents=True)
vcf = out / "variants.vcf.gz"
inputs = ["-f", {str(args.referenceFasta.resolve())!r}, *{regions!r}, "-Ou", {str(args.bam.resolve())!r}]
pile = subprocess.Popen(["bcftools", "mpileup", "-a", "FORMAT/DP", *inputs], stdout=subprocess.PIPE)
call = ["bcftools", "call", "-mv", *{ploidy!r}, "-Ou", "-"]
calls = subprocess.Popen(call, stdin=pile.stdout, stdout=subprocess.PIPE)
mark = ["bcftools", "filter", "-s", "LowGQX", "-e", "QUAL<20", "-Oz", "-o", str(vcf), "-"]
subprocess.run(mark, stdin=calls.stdout, check=True)
subprocess.run(["bcftools", "index", "--tbi", str(vcf)], check=True)
(out / "genome.S1.vcf.gz").write_bytes(vcf.read_bytes())
(out / "genome.vcf.gz").symlink_to("genome.S1.vcf.gz")
(run / "results/stats").mkdir()
for name in ("runStats.tsv", "runStats.xml"):
    (run / "results/stats" / name).write_text(name)
""")
script.chmod(0o755)
