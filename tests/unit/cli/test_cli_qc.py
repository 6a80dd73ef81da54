"""`seqdrop qc check`."""

from __future__ import annotations

from pathlib import Path

import pytest
from seqdrop_cli import qc
from seqdrop_cli.errors import CliError
from support import cli_aws

POLICY = "version: 1\nassay: exome\npublish: hold\nchecks: {q30: {fail_below: 80, warn_below: 90}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "qc.yaml").write_text(POLICY)
    return tmp_path / "qc.yaml"


def test_a_policy_is_shown_with_its_limits(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    qc.check(file)
    output = capsys.readouterr().out.replace("\n", " ")
    assert "is a QC policy for assays of the kind exome:" in output
    assert "fail under 80%, warn under 90%" in output
    assert "A run that fails has no VCF in its manifest." in output


def test_a_file_that_is_no_policy_is_refused_with_the_place(file: Path) -> None:
    file.write_text(POLICY.replace("80", "many"))
    with pytest.raises(CliError, match=r"checks.q30.fail_below: 'many' is not of type 'number'"):
        qc.check(file)
    with pytest.raises(CliError, match="No such file"):
        qc.check(file.with_name("other.yaml"))


def test_a_policy_is_uploaded_beside_its_reference(file: Path) -> None:
    with cli_aws.stack() as stack:
        with pytest.raises(CliError, match="Reference hg is not prepared"):
            qc.upload(stack, file, "hg")
        cli_aws.write_json(stack, "references", "hg/reference.json", {"contigs": [], "indexes": []})
        qc.upload(stack, file, "hg")
        assert stack.s3.get_object(Bucket="references", Key="hg/qc.yaml")["Body"].read() == POLICY.encode()
