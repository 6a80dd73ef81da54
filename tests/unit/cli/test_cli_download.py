from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from seqdrop_cli.download import download_results
from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack
from support import cli_aws

ROW = {"results": cli_aws.RESULTS}
NAMES = ("S1.bam", "S1.bam.bai", "S1.vcf.gz", "manifest.json", "jobs/align.json", "failures/call.1.1.json")


@pytest.fixture
def stack() -> Iterator[Stack]:
    with cli_aws.stack() as stack:
        for name in NAMES:
            stack.s3.put_object(Bucket="results", Key=f"S1/{cli_aws.RUN}/{name}", Body=name.encode())
        yield stack


def test_everything_but_receipts_and_verdicts_is_downloaded(tmp_path: Path, stack: Stack) -> None:
    files = download_results(stack, ROW, tmp_path)
    assert sorted(file.name for file in files) == ["S1.bam", "S1.bam.bai", "S1.vcf.gz", "manifest.json"]
    assert (tmp_path / "S1.bam").read_bytes() == b"S1.bam"


@pytest.mark.parametrize("status", ["QC_FAILED", "INCOMPLETE"])
def test_a_vcf_that_the_manifest_holds_back_is_not_downloaded(tmp_path: Path, stack: Stack, status: str) -> None:
    outputs = [{"uri": f"{cli_aws.RESULTS}/{name}"} for name in ("S1.bam", "S1.bam.bai")]
    cli_aws.write_json(stack, "results", f"S1/{cli_aws.RUN}/manifest.json", {"outputs": outputs})
    files = download_results(stack, {**ROW, "status": status}, tmp_path)
    assert sorted(file.name for file in files) == ["S1.bam", "S1.bam.bai", "manifest.json"]


def test_results_larger_than_the_free_space_are_not_downloaded(
    tmp_path: Path, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3))
    with pytest.raises(CliError, match=r"The results need 38 bytes and .* has 3 free\."):
        download_results(stack, ROW, tmp_path)
    assert list(tmp_path.iterdir()) == []
