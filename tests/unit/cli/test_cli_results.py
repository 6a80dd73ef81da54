import pytest
from seqdrop_cli import results
from seqdrop_cli.problem import Problem
from support import cli_aws


@pytest.fixture
def stack():
    with cli_aws.stack() as made:
        for name in ("S1.bam", "S1.bam.bai", "S1.vcf.gz", "manifest.json", "jobs/align.json", "failures/call.1.1.json"):
            made.s3.put_object(Bucket="results", Key=f"S1/{cli_aws.RUN}/{name}", Body=name.encode())
        yield made


def test_everything_but_the_receipts_comes_home(tmp_path, stack):
    files = results.fetch(stack, {"results": cli_aws.RESULTS}, tmp_path)
    assert sorted(file.name for file in files) == ["S1.bam", "S1.bam.bai", "S1.vcf.gz", "manifest.json"]
    assert (tmp_path / "S1.bam").read_bytes() == b"S1.bam"


def test_results_that_do_not_fit_are_not_begun(tmp_path, stack, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 3}))
    with pytest.raises(Problem, match="make room"):
        results.fetch(stack, {"results": cli_aws.RESULTS}, tmp_path)
    assert list(tmp_path.iterdir()) == []
