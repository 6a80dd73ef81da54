"""`python -m gates [name ...]`: every gate over this checkout, each finding by name; exit code 1 when there is one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import (
    asl,
    cfn,
    checkov,
    cycles,
    dockerfiles,
    events,
    excuses,
    iam,
    jobs,
    lock,
    secrets,
    shell,
    storage,
    template,
)
from .files import ROOT, committed
from .finding import Finding


def gates() -> dict[str, Callable[[], list[Finding]]]:
    """Every gate by name, over the files as they are."""
    texts = {str(path.relative_to(ROOT)): text for path in committed() if (text := read(path)) is not None}
    ours = template.read(texts["template.yaml"])
    scripts = {name: text for name, text in texts.items() if shell.SHEBANG.match(text)}
    images = {name: text for name, text in texts.items() if Path(name).name.endswith("Dockerfile")}
    machines = asl.machines(ours.source, texts)
    return {
        checkov.GATE: lambda: checkov.check(ours),  # first: it has a process of its own
        cfn.GATE: lambda: cfn.check(ours),
        cycles.GATE: lambda: cycles.check(ours),
        asl.GATE: lambda: asl.check_all(machines),
        iam.GATE: lambda: iam.check(ours),
        jobs.GATE: lambda: jobs.check(ours),
        storage.GATE: lambda: storage.check(ours),
        events.GATE: lambda: events.check(ours),
        dockerfiles.GATE: lambda: dockerfiles.check(images),
        shell.GATE: lambda: shell.check({**scripts, **shell.user_data(ours)}),
        excuses.GATE: lambda: excuses.check(texts),
        secrets.GATE: lambda: secrets.check(texts),
        lock.GATE: lock.check,
    }


def read(path: Path) -> str | None:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return None  # a picture, a BAM: no gate reads it


def timed(name: str, gate: Callable[[], list[Finding]]) -> tuple[str, float, list[Finding]]:
    start = time.monotonic()
    findings = gate()
    return name, time.monotonic() - start, findings


def main(chosen: list[str]) -> int:
    every = gates()
    if unknown := set(chosen) - set(every):
        sys.stderr.write(f"no such gate: {', '.join(sorted(unknown))}; there are {', '.join(every)}\n")
        return 64
    red = 0
    with ThreadPoolExecutor(2) as pool:  # two cores: checkov in its process, all others here
        waiting = [pool.submit(timed, name, gate) for name, gate in every.items() if not chosen or name in chosen]
        for done in waiting:
            name, seconds, findings = done.result()
            red += len(findings)
            sys.stdout.write(f"{name:12} {seconds:5.1f} s  {f'{len(findings)} findings' if findings else 'clean'}\n")
            sys.stdout.writelines(f"  {finding}\n" for finding in findings)
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
