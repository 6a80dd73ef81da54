"""Run the gates on this checkout: `python -m gates [NAME ...]` prints the findings and exits with 1 if any."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import (
    asl,
    asl_scope,
    cfn,
    checkov,
    cycles,
    dockerfiles,
    events,
    expected,
    iam,
    jobs,
    lock,
    rights,
    secrets,
    shell,
    storage,
    suppressions,
)
from .files import ROOT, repository_files
from .finding import Finding
from .template import Template

USAGE_ERROR = 64


def load_gates() -> dict[str, Callable[[], list[Finding]]]:
    """Return every gate by name, each bound to the current files."""
    texts = {str(path.relative_to(ROOT)): text for path in repository_files() if (text := read_text(path)) is not None}
    template = Template.parse(texts["template.yaml"])
    scripts = {name: text for name, text in texts.items() if shell.SHEBANG.match(text)}
    images = {name: text for name, text in texts.items() if Path(name).name.endswith("Dockerfile")}
    machines = asl.read_machines(template.source, texts)
    return {
        checkov.GATE: lambda: checkov.check(template),  # first: it runs in its own process
        cfn.GATE: lambda: cfn.check(template),
        cycles.GATE: lambda: cycles.check(template),
        asl_scope.GATE: lambda: asl.check_all(machines),
        iam.GATE: lambda: iam.check(template),
        jobs.GATE: lambda: jobs.check(template),
        storage.GATE: lambda: storage.check(template),
        events.GATE: lambda: events.check(template),
        rights.GATE: lambda: rights.check(template),
        expected.GATE: lambda: expected.check(template),
        dockerfiles.GATE: lambda: dockerfiles.check(images),
        shell.GATE: lambda: shell.check({**scripts, **shell.user_data(template)}),
        suppressions.GATE: lambda: suppressions.check(texts),
        secrets.GATE: lambda: secrets.check(texts),
        lock.GATE: lock.check,
    }


def read_text(path: Path) -> str | None:
    """Return the text of a file, or None for a binary file (a picture, a BAM): no gate reads those."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return None


def run_gate(name: str, gate: Callable[[], list[Finding]]) -> tuple[str, float, list[Finding]]:
    """Return the name of a gate, its run time in seconds and its findings."""
    start = time.monotonic()
    findings = gate()
    return name, time.monotonic() - start, findings


def main(names: list[str]) -> int:
    """Run the gates with these names, or all, and return the exit code."""
    gates = load_gates()
    if unknown := set(names) - set(gates):
        sys.stderr.write(f"unknown gate: {', '.join(sorted(unknown))}; use one of {', '.join(gates)}\n")
        return USAGE_ERROR
    total = 0
    with ThreadPoolExecutor(2) as pool:  # checkov in its own process, all other gates in this one
        futures = [pool.submit(run_gate, name, gate) for name, gate in gates.items() if not names or name in names]
        for future in futures:
            name, seconds, findings = future.result()
            total += len(findings)
            sys.stdout.write(f"{name:12} {seconds:5.1f} s  {f'{len(findings)} findings' if findings else 'clean'}\n")
            sys.stdout.writelines(f"  {finding}\n" for finding in findings)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
