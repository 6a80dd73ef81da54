"""Complete the help of every command: examples that can be copied, and plain names for values."""

from __future__ import annotations

from typing import Any

EXAMPLES = {
    "up": ("seqdrop up", "seqdrop up --executor process --parameter Caller=bcftools"),
    "down": ("seqdrop down", "seqdrop down --all"),
    "reference": (
        "seqdrop reference genome.fa --genes genes.gtf --name hg",
        "seqdrop reference virus.fa --ploidy 1 --stack prod",
        "seqdrop reference --name hg --panel exome=kit.bed --known clinvar=c.vcf.gz",
        "seqdrop reference --fetch GRCh38 --stack prod",
    ),
    "references": ("seqdrop references", "seqdrop references --stack prod"),
    "run": (
        "seqdrop run NA1_R1.fastq.gz NA1_R2.fastq.gz --reference hg",
        "seqdrop run A_1.fq.gz A_2.fq.gz --panel exome --stack prod",
        "seqdrop run A_1.fq.gz A_2.fq.gz --args align=--no-mark-duplicates",
        "seqdrop run A.fastq.gz --layout single",
        "seqdrop run A.unaligned.bam",
    ),
    "submit": ("seqdrop submit samplesheet.csv", "seqdrop submit samplesheet.csv --dry-run --stack prod"),
    "joint": ("seqdrop joint NA12878 NA12891 NA12892", "seqdrop joint C01 F01 M01 --name family1 --stack prod"),
    "fetch": (
        "seqdrop fetch NA12878",
        "seqdrop fetch --all --only vcf,report --stack prod",
        "seqdrop fetch 01ab23 --crate",
    ),
    "verify": ("seqdrop verify results/NA12878/01ab23", "seqdrop verify NA12878 --deep --stack prod"),
    "status": ("seqdrop status", "seqdrop status NA12878", "seqdrop status --failed --since 2d --stack prod"),
    "why": ("seqdrop why latest", "seqdrop why NA12878", "seqdrop why 01ab23 --stack prod"),
    "stop": ("seqdrop stop latest",),
    "resume": ("seqdrop resume 01ab23", "seqdrop resume latest --detach --max-cost 20 --stack prod"),
    "redrive": ("seqdrop redrive --stack prod",),
    "logs": ("seqdrop logs latest --follow", "seqdrop logs 01ab23 align --stack prod"),
    "demo": ("seqdrop demo", "seqdrop demo --keep demo --caller bcftools", "seqdrop demo --stack prod"),
    "report": ("seqdrop report --since 7d", "seqdrop report NA12878 NA12891 --output trio --stack prod"),
    "api": ("seqdrop api --stack prod", "seqdrop api GET /runs --stack prod", "seqdrop api POST /runs/01ab23/stop"),
    "cost": ("seqdrop cost latest", "seqdrop cost --since 30d --by sample --stack prod"),
    "estimate": ("seqdrop estimate run7/ --reference hg", "seqdrop estimate --history --stack prod"),
    "suggest": ("seqdrop suggest --since 30d --stack prod",),
    "check": ("seqdrop check --stack prod", "seqdrop check --stack prod --submit"),
    "qc check": ("seqdrop qc check qc.yaml", "seqdrop qc check qc.yaml --reference hg --stack prod"),
}
EXIT_CODES = (
    "Exit codes: 0 done; 1 it failed, and the message says what to do; 2 a wrong command line; 3 the run has "
    "results that its QC policy refuses; 65 the samplesheet has problems; 130 interrupted (Ctrl-C, SIGTERM, SIGHUP)."
)


def complete(command: Any, name: str, help_option: Any) -> None:
    """Add its examples to the help of a command, and plain names to the values of its options."""
    if name in EXAMPLES:  # a group of commands has none
        command.epilog = "\n".join(["Examples:", *(f"  {line}" for line in EXAMPLES[name])])
    name_values([*command.params, help_option])


def name_values(params: list[Any]) -> None:
    """Name the value of each option as manuals do: `NAME`, `N`, `FILE`, `a|b`; a flag has none.

    Arguments have a name already; typer also shows their Python type, as `<list[Path]>`.
    """
    for param in params:
        if param.param_type_name == "argument":
            param.display_type_rich = lambda ctx: None  # noqa: ARG005  the signature is that of typer
        elif param.metavar is None:
            param.metavar = "" if param.is_flag else _name_value(param)


def _name_value(param: Any) -> str:
    kind = param.type_descriptor
    if kind.is_choice:
        return "|".join(map(str, kind.choices))
    return {int: "N", float: "X"}.get(kind.annotation, str(param.name).upper())
