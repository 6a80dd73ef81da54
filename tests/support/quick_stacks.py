"""A stack whose jobs only write receipts, for tests of many runs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from seqdrop_cli import project
from seqdrop_cli.stack import Stack

from support.pipeline_runs import deploy

JOBS = ("bwa-mem3", "bcftools", "snpeff", "samtools-stats", "report", "fused")
FAKE_JOB = Path(__file__).parent / "stand_ins/quick_job"


@contextmanager
def deploy_quick(folder: Path, monkeypatch: pytest.MonkeyPatch, *parameters: str) -> Iterator[Stack]:
    """Deploy the stack with a fake program for every job, which only writes its receipts."""
    built = shutil.copytree(project.built_template().parent, folder / "project/.aws-sam/build") / "template.yaml"
    shutil.copytree(project.root() / "statemachine", folder / "project/statemachine")  # the template refers to it
    text = built.read_text()
    for name in JOBS:
        (folder / f"run-{name}").symlink_to(FAKE_JOB)
        text = re.sub(rf"- run-{name}$", f"- {folder}/run-{name}", text, flags=re.MULTILINE)
    built.write_text(text)
    monkeypatch.setattr(project, "built_template", lambda: built)
    with deploy(folder, "AlignVcpus=1", "CallVcpus=1", "FusedVcpus=1", *parameters) as stack:
        reference = {"name": "demo", "contigs": [], "fingerprint": "f", "indexes": ["bwa_mem3", "snpeff"]}
        stack.s3.put_object(Bucket=stack["ReferenceBucket"], Key="demo/reference.json", Body=json.dumps(reference))
        yield stack
