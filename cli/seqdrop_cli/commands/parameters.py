"""Declare the options that several commands have."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from seqdrop.plan import options, steps
from seqdrop.plan.choices import MAX_COST

from seqdrop_cli.screen import messages_on_stderr


class Form(StrEnum):
    """The jobs of a run."""

    job_for_each_step = "split"  # `split` is a method of str
    one_job = "fused"
    calling_in_parts = "scattered"


class Priority(StrEnum):
    """The job queue of a run."""

    normal = "normal"
    high = "high"


class AlignmentFormat(StrEnum):
    """The format of the aligned reads of a run."""

    bam = "bam"
    cram = "cram"


class Layout(StrEnum):
    """The layout of the reads in the files of a run."""

    paired = "paired"
    single = "single"
    interleaved = "interleaved"


class Executor(StrEnum):
    """How the embedded AWS runs jobs."""

    auto = "auto"
    docker = "docker"
    process = "process"


def tool_options() -> str:
    """Return the options that `--args` accepts, by step and tool."""
    tools = [(step.name, tool) for step in steps.STEPS for tool in step.tools if tool.options]
    return "\n\n".join(f"{step} ({tool.name}): {options.describe(tool.options)}" for step, tool in tools)


def tool_option(choice: str, help_text: str) -> Any:
    """Return the option that chooses the tool of a step: `aligner`, `caller`."""
    [names] = [[tool.name for tool in step.tools] for step in steps.STEPS if step.choice == choice]

    def check(value: str | None) -> str | None:
        if value is not None and value not in names:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(names)}")
        return value

    default = f"Default: {choice.title()} of the stack."
    return typer.Option(metavar="|".join(names), callback=check, help=f"{help_text} {default}")


def check_value(value: str | None) -> str | None:
    """Refuse an empty value, which `--reference "$REF"` has if the variable is not set: the default is not meant."""
    if value == "":
        raise typer.BadParameter("the value is empty: is a variable of the shell not set?")
    return value


def check_budget(value: str | None) -> str | None:
    """Refuse a budget that is not an amount in USD."""
    if value is not None and not MAX_COST.fullmatch(value):
        raise typer.BadParameter(f"{value!r} is not an amount in USD such as 12.50, more than 0")
    return value


def move_messages(context: typer.Context, as_json: bool) -> bool:
    """Print the messages of this command to standard error if it prints JSON."""
    if as_json:
        context.with_resource(messages_on_stderr())
    return as_json


StackName = Annotated[
    str | None,
    typer.Option("--stack", metavar="NAME", callback=check_value, help="A deployed stack. Default: the embedded AWS."),
]


Region = Annotated[
    str | None, typer.Option(callback=check_value, help="Region of the deployed stack. Default: AWS_REGION.")
]


RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run id, the beginning of one, 'latest', or a sample: its newest run.")
]


AsJson = Annotated[
    bool,
    typer.Option(
        "--json", callback=move_messages, help="Print one JSON document, for programs; messages go to standard error."
    ),
]


Parameters = Annotated[
    list[str] | None, typer.Option("--parameter", metavar="K=V", help="A parameter of the template. Repeatable.")
]


AlignerOption = Annotated[str | None, tool_option("aligner", "The tool that aligns reads.")]


CallerOption = Annotated[str | None, tool_option("caller", "The tool that calls variants.")]


AlignmentFormatOption = Annotated[
    AlignmentFormat | None,
    typer.Option(help="The format of the aligned reads. Default: AlignmentFormat of the stack."),
]


MaxCostOption = Annotated[
    str | None,
    typer.Option(
        metavar="USD",
        callback=check_budget,
        help="Stop a run whose jobs have cost this much, and keep what is done. Default and upper limit: MaxRunCost of "
        "the stack.",
    ),
]


Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", callback=check_value, help="Only runs since then: 2d, 3h, 30m ago, or a date (UTC)."),
]


FormOption = Annotated[
    Form | None,
    typer.Option(
        help="split: a job for each step; fused: one for all, for small runs; scattered: several call the variants, "
        "for large ones. Default: Form of the stack."
    ),
]


Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


ExecutorOption = Annotated[
    Executor,
    typer.Option(help="How to run jobs: in Docker or as processes. auto: in Docker if it has all images."),
]
