"""The model behind docs/sizing.md: memory, scratch, hours and dollars of three samples; state transitions of a run.

    python bench/sizes.py       # the table of docs/sizing.md, the lines `price` and `idle`

Every figure is an input with its source here, or follows from inputs, the template and samconfig.toml.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqdrop.jobs.alignment import SORT_SHARE

ROOT = Path(__file__).resolve().parents[1]
PAIRS = {"panel": 5, "exome": 50, "genome": 310}  # millions of 2x150

# Memory of align with bwa_mem3, MiB.
INDEX = 27e9 / 2**20  # of a human genome: estimate, from the bytes a base of chromosome 20
SORT_EXCESS = 1.15  # `samtools sort` against its -m: 937 of 818 MB, measured on chromosome 20 at depth 30
ALIGNER = 180  # of each process, without the index: measured there
FEEDER = 420  # of the process that reads S3, divides, merges and uploads: measured there

# CPU seconds for a million pairs.
ALIGN = 77.0  # on a human genome: estimate; 40 on chromosome 20, 25 on 5 Mb, measured
CALL = 38.0  # bcftools: measured on chromosome 20 at depth 30, 239 s for 6.3 million pairs; 33 on a bacterium
DIVIDE = 4.0  # fixmate and the division by region, in the processes of the aligner: measured
# After the last read: the merge of `samtools sort`, markdup and compression, by region: measured.
MERGE = 5.2
JOIN = 0.6  # wall, one thread: the regions become one file, which is digested and indexed: .35 to .55 measured
COLLECT = 3.2  # wall: samtools stats and flagstat, mosdepth, on two threads: half of the 6.3 measured
# Seconds that do not depend on the reads: an instance, the image, 27 GB of index at 0.5 GB/s.
BOOT, LOAD = 90, 54
OTHERS = {"panel": 0.03, "exome": 0.08, "genome": 0.6}  # hours of annotate and compose: guess
SCRATCH = 0.45  # GB for a million pairs: the BAM, 0.18 measured at level 1, and sorted pieces of 1.5 times its size

# The original machine polls each job: wait, look, choose; its jobs run one after the other.
POLL, TRANSITIONS_OF_A_POLL = 30, 3


@dataclass(frozen=True)
class Estimate:
    """What a sample needs."""

    name: str
    memory: int  # MiB, at the peak of align
    given: int  # MiB, of the job
    scratch: int  # GB
    hours: float  # from the first job to the last
    usd: float  # on Spot, at the assumed prices


def settings(name: str) -> dict[str, float]:
    """Return the parameters of a sample in samconfig.toml, and the defaults of the others."""
    text = (ROOT / "template.yaml").read_text()
    defaults = {
        key: float(value) for key, value in re.findall(r'^  (\w+): \{.*?Default: "?([\d.]+)"?[,}]', text, re.MULTILINE)
    }
    chosen = tomllib.loads((ROOT / "samconfig.toml").read_text())[name]["deploy"]["parameters"]["parameter_overrides"]
    pairs = (word.split("=") for word in chosen)
    return defaults | {key: float(value) for key, value in pairs if value.replace(".", "").isdigit()}


def align_memory(vcpus: float, memory: float) -> float:
    """Return the MiB that align needs at its peak, if it is given `memory`."""
    return INDEX + SORT_EXCESS * SORT_SHARE * memory + ALIGNER * vcpus + FEEDER


def hours_of(name: str, size: dict[str, float]) -> dict[str, float]:
    """Return the hours of each job of a sample."""
    pairs, boot = PAIRS[name], BOOT / 3600
    align = (LOAD + pairs * ((ALIGN + DIVIDE + MERGE) / size["AlignVcpus"] + JOIN)) / 3600
    call = pairs * CALL / size["CallVcpus"] / 3600
    others = OTHERS[name] + boot
    return {"Align": align + boot, "Call": call + boot, "Collect": pairs * COLLECT / 3600 + boot, "Annotate": others}


def estimate(name: str) -> Estimate:
    """Return what a sample needs."""
    size, jobs = settings(name), hours_of(name, settings(name))
    cores = sum(hours * size[f"{job}Vcpus"] for job, hours in jobs.items())
    gib = sum(hours * size[f"{job}Memory"] / 1024 for job, hours in jobs.items())
    usd = cores * size["SpotPricePerVcpuHour"] + gib * size["SpotPricePerGibHour"]
    path = jobs["Align"] + max(jobs["Call"] + jobs["Annotate"], jobs["Collect"])
    memory, given = align_memory(size["AlignVcpus"], size["AlignMemory"]), int(size["AlignMemory"])
    return Estimate(name, round(memory, -2), given, round(PAIRS[name] * SCRATCH), round(path, 1), round(usd, 2))


def table() -> list[str]:
    """Return the rows of the table in docs/sizing.md."""
    rows = [estimate(name) for name in PAIRS]
    return [
        f"| {row.name} | {PAIRS[row.name]} million | {row.memory:,.0f} of {row.given:,} MiB | {row.scratch} GB "
        f"| {row.hours} | {row.usd:.2f} |"
        for row in rows
    ]


def transitions() -> int:
    """Return the states that a run enters which succeeds, and its start."""
    machine: dict[str, Any] = json.loads((ROOT / "statemachine/pipeline.asl.json").read_text())
    return 1 + _entered(machine)


def _entered(machine: dict[str, Any]) -> int:
    count, name = 0, machine["StartAt"]
    while name:
        state, count = machine["States"][name], count + 1
        count += sum(map(_entered, state.get("Branches", ())))
        choices = [choice["Next"] for choice in state.get("Choices", ()) if choice["Next"].endswith("Succeeded")]
        name = choices[0] if choices else state.get("Next") or state.get("Default", "")
    return count


def polled(name: str) -> int:
    """Return the transitions of the original machine for the same jobs."""
    return sum(round(hours * 3600 / POLL) * TRANSITIONS_OF_A_POLL for hours in hours_of(name, settings(name)).values())


def main() -> None:
    """Print the table and both lines."""
    rows = "\n".join(table())
    ours, theirs = transitions(), polled("exome")
    sys.stdout.write(
        f"{rows}\nprice: exome {estimate('exome').usd:.2f} USD (wanted: 0.10), genome {estimate('genome').usd:.2f} USD "
        f"(wanted: 1.20); inputs: bench/sizes.py\nidle: an exome enters {ours} states, the original machine {theirs}: "
        f"{ours / theirs:.3f} (wanted: 0.02)\n"
    )


if __name__ == "__main__":
    main()
