"""`seqdrop qc check`: check the file of a QC policy, and upload it beside a reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqdrop.plan import layout
from seqdrop.runs.reference import read_summary

from containers.report import policy
from containers.report.policy import PolicyError
from seqdrop_cli.errors import CliError, describe_os_error
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack


def check(path: Path) -> dict[str, Any]:
    """Print what a QC policy limits, and return it; raise CliError if the file is not a valid one."""
    try:
        rules = policy.parse(path.read_text(errors="replace"))
    except PolicyError as error:
        raise CliError(f"{path}: {error}.") from None
    except OSError as error:
        raise CliError(describe_os_error(error)) from None
    say(f"{path} is a QC policy for assays of the kind {rules['assay']}:", style="green")
    for name, limits in rules["checks"].items():
        say(f"  {name:<16} {', '.join(policy.describe(name, limits))}")
    if rules.get("publish") == "hold":
        say("  A run that fails has no VCF in its manifest.")
    return rules


def upload(stack: Stack, path: Path, reference: str) -> None:
    """Upload a checked QC policy beside a reference; raise CliError if the reference is not prepared."""
    bucket = stack["ReferenceBucket"]
    if read_summary(stack.store, bucket, reference) is None:
        raise CliError(f"Reference {reference} is not prepared.")
    uri = layout.policy_uri(layout.reference_uri(bucket, reference))
    stack.store.upload(path, uri)
    say(f"Uploaded {path} to {uri}: it applies to every report that is built from now on.")
