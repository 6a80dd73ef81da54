"""Run all checks and show their findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rich.table import Table

from seqdrop_cli.check import account, compute, storage
from seqdrop_cli.check.finding import Finding, Status, guarded
from seqdrop_cli.errors import CliError
from seqdrop_cli.screen import console, say, say_json
from seqdrop_cli.stack import Stack

CHECKS = {
    "vCPU quotas": account.check_quotas,
    "images": storage.check_images,
    "default reference": storage.check_reference,
    "buckets": storage.check_buckets,
    "subscriptions": account.check_subscriptions,
    "job queues": compute.check_queues,
}
STYLES = {Status.ok: "green", Status.warning: "yellow", Status.failed: "red", Status.unknown: "red"}
BAD = {Status.failed, Status.unknown}


def check(stack: Stack, *, submit: bool, as_json: bool) -> None:
    """Show what a run needs and has not; raise CliError if something is missing or could not be checked."""
    checks = {**CHECKS, compute.JOB: compute.check_job if submit else compute.skip_job}
    findings = [finding for name, one in checks.items() for finding in guarded(name, one, stack)]
    if as_json:
        say_json([asdict(finding) for finding in findings])
    else:
        show(findings)
    if bad := [finding.check for finding in findings if finding.status in BAD]:
        raise CliError(f"{len(bad)} of {len(findings)} checks did not succeed: {', '.join(bad)}.")
    if not as_json:
        say(f"Stack {stack.name} is ready for runs.", style="green")


def show(findings: Sequence[Finding]) -> None:
    """Print the table, then what to do."""
    table = Table(show_edge=False)
    for heading in ("check", "status", "finding"):
        table.add_column(heading)
    for finding in findings:
        table.add_row(finding.check, finding.status, finding.finding, style=STYLES.get(finding.status, "dim"))
    console().print(table)
    for finding in findings:
        if finding.what_to_do:
            say(f"{finding.check}: {finding.what_to_do}")
