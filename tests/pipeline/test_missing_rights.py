"""The rights in the template are enforced: a run without one of them fails, as it would on AWS."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from seqdrop_cli import project
from support.pipeline_runs import Sample, deploy, keys, prepare, run_pair

RIGHT = "- Fn::Sub: ${ResultsBucket.Arn}/*.vcf.gz.all.stats\n"  # in the roles of all steps that write or read it


def test_a_run_without_one_right_of_a_job_is_denied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: Sample
) -> None:
    built = shutil.copytree(project.built_template().parent, tmp_path / "project/.aws-sam/build") / "template.yaml"
    shutil.copytree(project.root() / "statemachine", tmp_path / "project/statemachine")  # the template refers to it
    lines = built.read_text().splitlines(keepends=True)
    assert sum(line.lstrip() == RIGHT for line in lines) == 5
    built.write_text("".join(line for line in lines if line.lstrip() != RIGHT))
    monkeypatch.setattr(project, "built_template", lambda: built)
    (tmp_path / "aws").mkdir()
    with deploy(tmp_path / "aws") as stack:
        prepare(stack, sample)
        row = run_pair(stack, sample.small_pair, "PLANTED")
        assert (row["status"], row["class"], row["step"]) == ("FAILED", "DENIED", "call")
        assert "S3 refused PutObject to this job: AccessDenied." in row["message"]
        assert "PLANTED.bam" in keys(stack, row)
        assert "PLANTED.vcf.gz.all.stats" not in keys(stack, row)
