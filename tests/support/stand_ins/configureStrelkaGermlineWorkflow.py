#!/usr/bin/env python3
"""A fake configure step of Strelka 2.9.10: the same options and errors; it writes runWorkflow.py.

STAND_IN_FAULT is a fault that cannot be made here: `no python2`, and those of `strelka_workflow.py`.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

SMALL = 50_000_000  # bases


def fail(code, text):
    sys.stderr.write(f"{text}\n")
    sys.exit(code)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        message = message.replace("unrecognized arguments", "no such option")
        fail(2, f"Usage: configureStrelkaGermlineWorkflow.py [options]\n\n{self.prog}: error: {message}")


if os.environ.get("STAND_IN_FAULT") == "no python2":
    fail(127, "/usr/bin/env: 'python2': No such file or directory")
if "--version" in sys.argv:
    sys.stdout.write("2.9.10\n")
    sys.exit(0)
parser = Parser(allow_abbrev=False)
parser.add_argument("--bam", type=Path, required=True)
parser.add_argument("--referenceFasta", type=Path, required=True)
parser.add_argument("--callRegions", type=Path)
parser.add_argument("--exome", action="store_true")
parser.add_argument("--ploidy", type=Path)
parser.add_argument("--runDir", type=Path, required=True)
args = parser.parse_args()
if not Path(f"{args.bam}{'.crai' if args.bam.suffix == '.cram' else '.bai'}").exists():
    parser.error(f"Can't find any expected BAM/CRAM index files for: '{args.bam}'")
index = Path(f"{args.referenceFasta}.fai")
if not index.exists():
    parser.error(f"Can't find expected fasta index file: '{index}'")
for path in (args.callRegions, args.ploidy):
    if path and not (path.suffix == ".gz" and Path(f"{path}.tbi").exists()):
        parser.error(f"Can't find expected bgzip file with tabix index: '{path}'")
if (args.runDir / "runWorkflow.py").exists():
    parser.error(f"Run directory already contains workflow script file: '{args.runDir}/runWorkflow.py'")
lengths = {line.split("\t")[0]: int(line.split("\t")[1]) for line in index.read_text().splitlines()}
header = subprocess.run(["samtools", "view", "-H", args.bam], capture_output=True, text=True, check=True).stdout
for line in header.splitlines():
    if line.startswith("@SQ") and (name := line.split("\tSN:")[1].split("\t")[0]) not in lengths:
        found = f"missing a chromosome found in the Input BAM/CRAM file: '{name}'"
        fail(1, f"Reference genome mismatch: Reference fasta file is {found}")
if sum(lengths.values()) < SMALL:
    sys.stderr.write("WARNING: the genome is under 50 Mb: sequence error estimation is off\n")
args.runDir.mkdir(exist_ok=True)
paths = (args.bam, args.referenceFasta, args.callRegions, args.ploidy)
settings = {"run": str(args.runDir.resolve()), "paths": [str(path.resolve()) if path else "" for path in paths]}
settings["command"] = " ".join(sys.argv)
template = Path(__file__).resolve().with_name("strelka_workflow.py").read_text()
script = args.runDir / "runWorkflow.py"
script.write_text(template.replace("SETTINGS = {}", f"SETTINGS = {json.dumps(settings)}"))
script.chmod(0o755)
