"""`seqdrop verify`: outputs in S3 and in a folder against the manifest of the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from seqdrop.storage import s3
from seqdrop_cli import verify
from seqdrop_cli.app import app
from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack
from support import cli_aws
from typer.testing import CliRunner

ROW = {"run": cli_aws.RUN, "sample": "S1", "status": "SUCCEEDED", "results": cli_aws.RESULTS}
NAMES = ("S1.bam", "S1.vcf.gz", "S1.report.html")
PREFIX = f"S1/{cli_aws.RUN}/"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three outputs of a run, and the manifest that names them."""
    outputs = []
    for name in NAMES:
        (tmp_path / name).write_bytes(name.encode() * 100)
        output = {"uri": f"{cli_aws.RESULTS}/{name}", "etag": "0", "size": len(name) * 100}
        outputs.append({**output, "crc64nvme": s3.checksum(tmp_path / name)})
    manifest = {"version": 1, "run": cli_aws.RUN, "sample": "S1", "complete": True, "outputs": outputs}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


@pytest.fixture
def stack(folder: Path) -> Iterator[Stack]:
    """The same files as objects in S3, with their CRC64NVME."""
    with cli_aws.stack() as stack:
        for path in folder.iterdir():
            put(stack, path.name, path.read_bytes(), s3.checksum(path))
        yield stack


def put(stack: Stack, name: str, body: bytes, crc: str | None = None) -> None:
    checksum: dict[str, Any] = {"ChecksumCRC64NVME": crc} if crc else {}
    stack.s3.put_object(Bucket="results", Key=PREFIX + name, Body=body, **checksum)


def change_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def flip_byte(content: bytes) -> bytes:
    return content[:50] + bytes([content[50] ^ 1]) + content[51:]


def test_unchanged_results_pass_in_s3_and_in_a_folder(stack: Stack, folder: Path) -> None:
    for result in (
        verify.verify_folder(folder),
        verify.verify_run(stack, ROW, deep=False),
        verify.verify_run(stack, ROW, deep=True),
    ):
        assert (result.checked, result.problems, result.complete) == (3, {}, True)


def test_a_flipped_byte_and_a_deleted_file_are_found_in_a_folder(folder: Path) -> None:
    bam = folder / "S1.bam"
    bam.write_bytes(flip_byte(bam.read_bytes()))
    (folder / "S1.report.html").unlink()
    (folder / "S1.vcf.gz").write_bytes(b"short")
    problems = verify.verify_folder(folder).problems
    assert set(problems) == set(NAMES)
    assert problems["S1.bam"].startswith("its CRC64NVME is not ")
    assert problems["S1.report.html"] == "it does not exist"
    assert problems["S1.vcf.gz"] == "it has 5 bytes instead of 900"


@pytest.mark.parametrize("deep", [False, True])
def test_a_replaced_and_a_deleted_object_are_found_in_s3(stack: Stack, folder: Path, deep: bool) -> None:
    changed = folder / "changed"
    changed.write_bytes(flip_byte((folder / "S1.bam").read_bytes()))
    put(stack, "S1.bam", changed.read_bytes(), s3.checksum(changed))
    stack.s3.delete_object(Bucket="results", Key=PREFIX + "S1.vcf.gz")
    problems = verify.verify_run(stack, ROW, deep=deep).problems
    assert set(problems) == {"S1.bam", "S1.vcf.gz"}
    assert problems["S1.bam"].startswith("its CRC64NVME is not ")


def test_deep_reads_the_bytes_whatever_checksum_s3_has(stack: Stack, folder: Path) -> None:
    """A copy by another client has no CRC64NVME; its bytes may still be the right ones."""
    put(stack, "S1.bam", (folder / "S1.bam").read_bytes())
    put(stack, "S1.vcf.gz", flip_byte((folder / "S1.vcf.gz").read_bytes()))
    quick, deep = (verify.verify_run(stack, ROW, deep=deep).problems for deep in (False, True))
    assert {"S1.bam", "S1.vcf.gz"} == set(quick)
    assert all("use --deep" in problem for problem in quick.values())
    assert set(deep) == {"S1.vcf.gz"}


def test_only_the_files_that_were_fetched_are_expected(folder: Path) -> None:
    (folder / "S1.bam").unlink()
    assert verify.verify_folder(folder, ["vcf", "report"]).problems == {}
    with pytest.raises(CliError, match="names no files of these kinds: gvcf"):
        verify.verify_folder(folder, ["gvcf"])


def test_what_cannot_be_verified_is_an_error(stack: Stack, folder: Path) -> None:
    change_manifest(folder, version=99)
    with pytest.raises(CliError, match=r"This version of seqdrop cannot read manifest\.json in "):
        verify.verify_folder(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(CliError, match="not JSON"):
        verify.verify_folder(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(CliError, match=r"has no manifest\.json: give a folder that `seqdrop fetch` has written"):
        verify.verify_folder(folder)
    with pytest.raises(CliError, match=r"Run 9 \(FAILED\) has no results to verify"):
        verify.verify_run(stack, {"run": "9", "status": "FAILED", "results": "s3://results/S1/9"}, deep=False)


def test_the_command_reads_a_folder_without_any_aws(folder: Path) -> None:
    done = f"All 3 outputs of run {cli_aws.RUN} (S1) are what the run wrote.\n"
    assert cli_aws.seqdrop("verify", str(folder)) == (0, done)
    change_manifest(folder, complete=False)
    assert "The run is not complete" in cli_aws.seqdrop("verify", str(folder))[1]
    (folder / "S1.bam").unlink()
    result = CliRunner().invoke(app, ["verify", str(folder), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["problems"] == {"S1.bam": "it does not exist"}
    assert "1 of 3 outputs of run" in " ".join(result.stderr.split())
