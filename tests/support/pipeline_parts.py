"""Read the template, the state machines and the wrappers, which must agree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import Any

from embedded_aws.template import parse as parse_yaml
from seqdrop.plan.steps import ALL
from seqdrop.plan.steps import state as state_of

ROOT = Path(__file__).parents[2]
MACHINES = ("pipeline", "joint", "prepare_reference")


@cache
def template() -> dict[str, Any]:
    parsed: dict[str, Any] = parse_yaml((ROOT / "template.yaml").read_text())
    return parsed


@cache
def machine(name: str) -> dict[str, Any]:
    definition: dict[str, Any] = json.loads((ROOT / f"statemachine/{name}.asl.json").read_text())
    return definition


def states(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every state of a state machine, also those of its branches."""
    for name, state in definition["States"].items():
        yield name, state
        for branch in state.get("Branches", []):
            yield from states(branch)


def batch_states() -> list[tuple[str, dict[str, Any]]]:
    return [
        pair for name in MACHINES for pair in states(machine(name)) if "batch:submitJob" in pair[1].get("Resource", "")
    ]


def job_definitions() -> dict[str, dict[str, Any]]:
    resources = template()["Resources"].items()
    return {name: item["Properties"] for name, item in resources if item["Type"] == "AWS::Batch::JobDefinition"}


def definitions_of(state: dict[str, Any]) -> list[str]:
    """Return the job definitions that a state may run."""
    [row] = [row for row in ALL if row.state == state_of(state["Parameters"]["Tags"]["step"])]
    return [f"{''.join(word.capitalize() for word in tool.name.split('_'))}JobDefinition" for tool in row.tools]


def references(command: list[str]) -> list[tuple[str, str]]:
    """Return the pairs of flag and Ref:: parameter in the command of a job definition."""
    return list(zip(command[1::2], [word.removeprefix("Ref::") for word in command[2::2]], strict=True))


@cache
def programs() -> EntryPoints:
    """Return the programs of all installed packages: to look for one reads the files of every package."""
    return entry_points(group="console_scripts")


def wrapper_flags(program: str) -> set[str]:
    """Return the flags in the --help text of a wrapper."""
    [script] = programs().select(name=program)
    text = usage(script.load())
    return set(re.findall(r"(--[a-z_]+)", text)) - {"--help"}


def usage(main: Any) -> str:
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main(["--help"])
    return out.getvalue()
