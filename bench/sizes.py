"""The model behind docs/sizing.md: memory, scratch, hours and dollars of three samples; state transitions of a run.

    python bench/sizes.py       # the table of docs/sizing.md, the lines `price` and `idle`

Hours and dollars are those of `seqdrop estimate` (runs/estimate.py, runs/work.py) without earlier runs. The other
inputs are here with their sources; sizes and prices are those of the template and samconfig.toml.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from seqdrop.jobs.alignment import SORT_SHARE
from seqdrop.plan import forms
from seqdrop.runs import estimate as product
from seqdrop.runs import work
from seqdrop.runs.prices import Prices, Rates
from seqdrop_cli import estimates

ROOT = Path(__file__).resolve().parents[1]
PAIRS = {"panel": 5, "exome": 50, "genome": 310}  # millions of 2x150
ORIGINAL = "original"  # the tools of the original pipeline, for a genome

# Memory of align with bwa_mem3, MiB.
INDEX = 27e9 / 2**20  # of a human genome: estimate, from the bytes a base of chromosome 20
SORT_EXCESS = 1.15  # `samtools sort` against its -m: 937 of 818 MB, measured on chromosome 20 at depth 30
ALIGNER = 180  # of each process, without the index: measured there
FEEDER = 420  # of the process that reads S3, divides, merges and uploads: measured there

SCRATCH = 0.45  # GB for a million pairs: the BAM, 0.18 measured at level 1, and sorted pieces of 1.5 times its size

# Seconds of one thread for a million pairs: `samtools stats` reads the records of a BAM one after the other.
STATS_SECONDS = 2.8  # measured: docs/sizing.md

# What others have published, USD: the original pipeline "under 1" for an exome; nf-core/sarek with Parabricks, on Spot,
# for a genome at depth 30 (https://clusterra.cloud/blogs/sarek-parabricks-case-study.html, May 2026).
ORIGINAL_EXOME, SAREK_GENOME = 1.00, 2.59

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


@cache
def settings(name: str) -> dict[str, str]:
    """Return the parameters of a sample in samconfig.toml, and the defaults of the others."""
    text = (ROOT / "template.yaml").read_text()
    defaults = dict(re.findall(r'^  (\w+): \{.*?Default: "?([\w.]+)"?[,}]', text, re.MULTILINE))
    chosen = tomllib.loads((ROOT / "samconfig.toml").read_text())[name]["deploy"]["parameters"]["parameter_overrides"]
    return defaults | dict(word.split("=") for word in chosen)


def align_memory(vcpus: float, memory: float) -> float:
    """Return the MiB that align needs at its peak, if it is given `memory`."""
    return INDEX + SORT_EXCESS * SORT_SHARE * memory + ALIGNER * vcpus + FEEDER


def choices_of(name: str) -> dict[str, str]:
    """Return what a run of this sample chooses: the model of the documents has a job for each step."""
    chosen = settings(name)
    return {"aligner": chosen["Aligner"], "caller": chosen["Caller"], "form": forms.SPLIT}


def fastq_bytes(name: str) -> int:
    """Return the bytes of the FASTQs of a sample."""
    return PAIRS.get(name, PAIRS["genome"]) * 1_000_000 * work.BYTES_OF_PAIR


def predict(name: str) -> product.Estimate:
    """Return the price and the time of a sample by the product, on Spot, at the assumed prices."""
    sizes, rates = estimates.sizes_of(settings(name)), spot_rates(name)
    return product.of_run(fastq_bytes(name), choices_of(name), [], sizes, "spot", Prices(rates, rates, "spot"))


def spot_rates(name: str) -> Rates:
    """Return the assumed Spot prices of a sample's stack."""
    size = settings(name)
    return Rates(float(size["SpotPricePerVcpuHour"]), float(size["SpotPricePerGibHour"]))


def without_collect(name: str) -> str:
    """Return the hours and dollars of a sample if align took the figures of `collect` from the BAM that it writes.

    `samtools stats` would read what `samtools cat` joins, and all vCPUs of align would wait for its one thread.
    """
    found, sizes, rates = predict(name), estimates.sizes_of(settings(name)), spot_rates(name)
    align, collect = (rates.hourly(*map(float, sizes[step].values())) for step in ("align", "collect"))
    saved = product.hours_of_jobs(fastq_bytes(name), choices_of(name), sizes)["collect"]
    more = PAIRS[name] * (STATS_SECONDS - work.REGION_SECONDS) / 3600
    return f"{found.hours + more:.1f} hours and {found.usd + more * align - saved * collect:.2f} USD"


def estimate(name: str) -> Estimate:
    """Return what a sample needs."""
    size, found = settings(name), predict(name)
    memory, given = align_memory(float(size["AlignVcpus"]), float(size["AlignMemory"])), int(size["AlignMemory"])
    scratch = round(PAIRS[name] * SCRATCH)
    return Estimate(name, round(memory, -2), given, scratch, round(found.hours, 1), round(found.usd, 2))


def prices() -> dict[str, str]:
    """Return the price of a sample for each environment of samconfig.toml, as docs/deploy.md has it."""
    return {name: f"{predict(name).usd:.2f} USD" for name in (*PAIRS, ORIGINAL)}


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
    hours = product.hours_of_jobs(fastq_bytes(name), choices_of(name), estimates.sizes_of(settings(name)))
    return sum(round(taken * 3600 / POLL) * TRANSITIONS_OF_A_POLL for taken in hours.values())


def main() -> None:
    """Print the table and the lines."""
    rows = "\n".join(table())
    ours, theirs = transitions(), polled("exome")
    sys.stdout.write(
        f"{rows}\ncollect: a genome whose figures come from the pipe of align takes {without_collect('genome')}\n"
        f"price: exome {estimate('exome').usd:.2f} USD (wanted: 0.10; the original: under {ORIGINAL_EXOME:.2f}), "
        f"genome {estimate('genome').usd:.2f} USD (wanted: 1.20; sarek with Parabricks: {SAREK_GENOME:.2f}); inputs: "
        f"bench/sizes.py\nidle: an exome enters {ours} states, the original machine {theirs}: "
        f"{ours / theirs:.3f} (wanted: 0.02)\n"
    )


if __name__ == "__main__":
    main()
