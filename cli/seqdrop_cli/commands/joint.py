"""Define `seqdrop joint`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from seqdrop.plan.choices import Choices

from seqdrop_cli import joint
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import AsJson, MaxCostOption, Priority, Region, StackName, check_value
from seqdrop_cli.screen import say_json

app = typer.Typer()


@app.command("joint")
def joint_command(
    samples: Annotated[
        list[str],
        typer.Argument(metavar="SAMPLE|RUN", help="Samples (their newest runs with results), or ids of runs."),
    ],
    name: Annotated[
        str | None,
        typer.Option(callback=check_value, help="Name of the joint run. Default: the samples, with `-` between them."),
    ] = None,
    genome: Annotated[
        str | None,
        typer.Option(
            "--reference", metavar="REF", callback=check_value, help="Refuse runs with another reference than this."
        ),
    ] = None,
    results: Annotated[Path, typer.Option(metavar="DIR", help="Results go to DIR/NAME/RUN.")] = Path("results"),
    priority: Annotated[Priority, typer.Option(help="Job queue of the run.")] = Priority.normal,
    max_cost: MaxCostOption = None,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Join the variants of several samples into one VCF.

    The VCF has each site at which one of them has a call, with the genotypes of all. docs/samples.md has its limits.
    """
    choices = Choices(genome or "", priority=priority.value, max_cost=max_cost or "")
    row = joint.run_joint(stacks.open_stack(stack, region), samples, name or "", choices, results)
    if as_json:
        say_json(row)
