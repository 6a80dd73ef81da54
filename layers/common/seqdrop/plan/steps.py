"""The steps of a run: one row for each, and one for each tool.

Everything else about a step follows from its row. `tests/contract/test_steps.py` compares the row with the state
machine, the job definition, the wrapper, the image repository, the sizes and the documentation, and names what is
missing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from seqdrop.plan.names import MAX_PLOIDY
from seqdrop.plan.options import Number, Option, Word
from seqdrop.plan.ploidy import Regions


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that can do the work of a step: the folder of its wrapper in `containers/`."""

    name: str
    options: tuple[Option, ...] = ()  # what `seqdrop-args` may pass to it
    programs: tuple[str, ...] = ()  # that must be on PATH when jobs run as processes
    packages: tuple[str, ...] = ()  # of Debian, with these programs; without them the tool runs in its image only
    single: bool = True  # whether it takes reads without a mate
    fusible: bool = True  # its programs are in the image of the job that has all steps
    scatterable: bool = True  # a caller: the parts of a genome, called one by one, have the same calls as the whole


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a run with a receipt. `reads`, `writes`: words of the plan; the job gets each as the flag `--word`."""

    name: str  # in plans, receipts, verdicts, job names; its sizes are the parameters <Name>Vcpus and <Name>Memory
    state: str  # of the state machine
    tools: tuple[Tool, ...]  # the first one is the default
    reads: tuple[str, ...]
    writes: Mapping[str, str] = field(default_factory=dict)  # word -> file name; {lane}: one file for each lane
    parameter: str = ""  # of the template, with the tool of runs that choose none; "" with one tool
    essential: bool = True  # without its results a run publishes nothing
    optional: bool = False  # a plan may leave it out
    array: bool = False  # an array job: `parts` in the plan is the number of its children
    partial: bool = False  # it runs with those of its inputs that exist

    @property
    def choice(self) -> str:
        """The name of the tool in plans, rows and `x-amz-meta-seqdrop-*`: aligner, caller; "" with one tool."""
        return self.parameter.lower()


SNPEFF_JAR = "/usr/share/java/snpeff.jar"  # where Debian installs it; a path among the programs must exist
SAMTOOLS = ("samtools",)
UNMARKED = Option("--no-mark-duplicates")
PLOIDY = Option("--ploidy", Number(1, MAX_PLOIDY))
ASSAYS = ("genome", "exome", "amplicon", "virus")  # with a QC policy
MIN_DEPTH = 0.25  # the default of `--min-depth` of bcftools, which joint runs need too
REGION_SORT_VCPUS = 5  # jobs of bwa_mem3 with as many sort by region: with fewer, one pipe keeps all of them busy
SEXES = ("XX", "XY")  # chromosomes that a sample should have
BWA = Tool("bwa", (UNMARKED,), ("bwa", *SAMTOOLS), ("bwa", *SAMTOOLS))

STEPS = (
    Step(
        "align", "AlignReads",
        tools=(
            Tool("bwa_mem3", (UNMARKED,), SAMTOOLS, SAMTOOLS),
            BWA,
            Tool(
                "isaac",
                (
                    UNMARKED,
                    Option("--seed-length", Number(10, 20)),
                    Option("--clusters-at-a-time", Number(1_000, 100_000_000)),
                ),
                ("isaac-align", *SAMTOOLS),
                single=False,  # not measured
                fusible=False,
            ),
        ),
        reads=("sample", "reference", "reads"),
        writes={"bam": "{sample}.{alignment_format}"},  # aligned reads, as BAM or CRAM
        parameter="Aligner",
    ),
    Step(
        "call", "CallVariants",
        tools=(
            Tool(
                "bcftools",
                (  # the minima are Phred: mapping quality, base quality, quality of a call
                    PLOIDY,
                    Option("--min-mq", Number(0, 254)),
                    Option("--min-bq", Number(0, 93)),
                    Option("--min-quality", Number(0, 10_000, decimal=True)),
                    Option("--min-share", Number(0, 1, decimal=True)),  # of the reads
                    Option("--min-depth", Number(0, 1, decimal=True)),  # share of the typical depth of the run
                ),
                ("bcftools", *SAMTOOLS), ("bcftools", *SAMTOOLS),  # samtools takes the reads of a part of the genome
            ),
            Tool(
                "strelka", (Option("--exome"),),
                ("configureStrelkaGermlineWorkflow.py", "bcftools", "bgzip", "tabix"),
                single=False,  # it ignores them, by its manual
                fusible=False,
                scatterable=False,  # it estimates errors and depths from all reads that it is given
            ),
        ),
        reads=("sample", "reference", "intervals", "bam", "parts"),
        writes={"vcf": "{sample}.vcf.gz", "gvcf": "{sample}.g.vcf.gz"},
        parameter="Caller",
    ),
    Step(
        "annotate", "AnnotateVariants",
        tools=(
            Tool(
                "snpeff", (),
                ("java", SNPEFF_JAR, "bcftools", "bgzip"),
                ("libsnpeff-java", "default-jre-headless", "bcftools", "tabix"),
            ),
        ),
        reads=("reference", "vcf"),
        writes={"annotated_vcf": "{sample}.annotated.vcf.gz"},
    ),
    Step(
        "collect", "CollectStats",
        # mosdepth loads libhts.so, a file of libhts-dev on which its package does not depend
        tools=(Tool("samtools_stats", (), (*SAMTOOLS, "mosdepth"), (*SAMTOOLS, "mosdepth", "libhts-dev")),),
        reads=("reference", "intervals", "bam"),
        writes={"stats": "{sample}.stats.txt"},
        essential=False,
    ),
    Step(
        "compose", "BuildReport",
        tools=(
            Tool(
                "report",
                (  # --hold: no VCF in the manifest if it fails
                    Option("--policy", Word(ASSAYS)),
                    Option("--hold"),
                    Option("--sex", Word(SEXES)),
                ),
                ("bcftools", "samtools"), ("bcftools", "samtools"),
            ),
        ),
        reads=("sample", "reference", "intervals", "stats", "vcf", "annotated_vcf"),
        writes={"report": "{sample}.report.html"},
        essential=False,
        partial=True,
    ),
)  # fmt: skip

# The steps of a joint run before `annotate`; it has a state machine of its own. An array job merges the samples in
# parts of the genome, then a job joins the parts. One tool does both, by one job definition.
JOINT_TOOL = Tool("joint", (), ("bcftools",), ("bcftools",))
JOINT_WORDS = ("sample", "reads")
MERGE = Step(
    "merge", "MergeParts", tools=(JOINT_TOOL,), reads=JOINT_WORDS, writes={"vcf": "{sample}.vcf.gz"}, array=True
)
JOIN = Step("join", "JoinParts", tools=(JOINT_TOOL,), reads=JOINT_WORDS, writes={"vcf": "{sample}.vcf.gz"})

# The step before `call` in runs of the form "scattered": each child of an array job calls the variants of a part of the
# genome, by the caller and the job definition of `call`, which then gathers the parts.
CALL = next(step for step in STEPS if step.name == "call")
SCATTER = Step("scatter", "CallParts", CALL.tools, CALL.reads, CALL.writes, CALL.parameter, array=True)

# The one step of a preparation, which has a state machine of its own and no run.
PREPARE = Step(
    "prepare", "PrepareReference",
    tools=(
        Tool(
            "reference", (PLOIDY, Option("--ploidy-regions", Regions())),  # of `seqdrop reference --ploidy-file`
            ("bwa", "samtools", "bcftools", "java", SNPEFF_JAR),
            ("bwa", "samtools", "bcftools", "libsnpeff-java", "default-jre-headless"),
        ),
    ),
    reads=("fasta", "genes", "sources", "aligner", "reference"),
)  # fmt: skip

# One job with all steps of a run of the form "fused", in the order of the table. It runs their wrappers.
FUSED = Step(
    "fused", "RunFused",
    tools=(Tool("fused"),),
    reads=(
        "sample", "reference", "intervals", "reads", "aligner", "caller",
        *(word for step in STEPS for word in step.writes),
    ),
)  # fmt: skip
OTHERS = (FUSED, SCATTER, MERGE, JOIN, PREPARE)  # jobs that not every run of one sample has
ALL = (*STEPS, *OTHERS)
JOINT = (MERGE, JOIN, *(step for step in STEPS if step.name == "annotate"))  # the steps of a joint run


def names() -> tuple[str, ...]:
    """Return the name of every step of a run, in order."""
    return tuple(step.name for step in STEPS)


def every_name() -> tuple[str, ...]:
    """Return the name of every step of a run or a joint run, in order."""
    return (*with_scatter(names()), MERGE.name, JOIN.name)


def with_scatter(selected: Iterable[str]) -> tuple[str, ...]:
    """Return these steps of a run with the one that calls the parts of the genome, before that which gathers them."""
    return tuple(name for one in selected for name in ((SCATTER.name, one) if one == CALL.name else (one,)))


def of_plan(plan: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the steps that a plan has: fewer than today's when it is older, or leaves out optional ones."""
    return tuple(plan["steps"])


def needed_by(name: str) -> list[str]:
    """Return the steps whose outputs a step reads; none for a step that no longer exists."""
    reads = next((step.reads for step in STEPS if step.name == name), ())
    return [step.name for step in STEPS if set(step.writes) & set(reads)]


def can_run(name: str, missing: Iterable[str]) -> bool:
    """Return whether a step can run without the results of other steps: none of its inputs may be missing.

    A partial step can, if there are aligned reads.
    """
    step = next(step for step in STEPS if step.name == name)
    needed = [STEPS[0].name] if step.partial else needed_by(name)
    return not set(needed) & set(missing)


def is_essential(name: str) -> bool:
    """Return whether a run publishes nothing without this step; a step that no longer exists counts as essential."""
    return next((step.essential for step in STEPS if step.name == name), True)


def is_array(name: str) -> bool:
    """Return whether a step is an array job."""
    return any(step.array for step in (*STEPS, *OTHERS) if step.name == name)


def state(name: str) -> str:
    """Return the state that runs a step; raise KeyError."""
    return {step.name: step.state for step in (*STEPS, *OTHERS)}[name]


def tool(name: str) -> Tool:
    """Return the row of a tool; raise KeyError."""
    return {tool.name: tool for step in (*STEPS, *OTHERS) for tool in step.tools}[name]


def tools_of_run(chosen: Mapping[str, str]) -> dict[str, Tool]:
    """Return the tool of each step of a run; `chosen` has its aligner and its caller. Raise KeyError."""
    return {step.name: tool(chosen[step.choice]) if step.choice else step.tools[0] for step in STEPS}


def programs(chosen: Mapping[str, str]) -> list[str]:
    """Return the programs that a run and the preparation of its reference need, each once."""
    tools = [*tools_of_run(chosen).values(), *PREPARE.tools]
    return list(dict.fromkeys(program for tool in tools for program in tool.programs))


def packages() -> tuple[str, ...]:
    """Return the Debian packages of all tools, each once."""
    tools = [tool for step in ALL for tool in step.tools]
    return tuple(dict.fromkeys(package for tool in tools for package in tool.packages))


if __name__ == "__main__":  # `python3 -m seqdrop.plan.steps`, for local/install_tools
    sys.stdout.write("\n".join(packages()) + "\n")
