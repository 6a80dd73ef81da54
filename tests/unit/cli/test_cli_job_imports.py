"""The module that jobs on this machine are forked with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedded_aws.runners.fork_server import ForkServer
from seqdrop_cli.embedded import JOB_IMPORTS

JOB = {
    "LANG": "C.UTF-8",
    "POWERTOOLS_SERVICE_NAME": "bwa",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "test",  # pragma: allowlist secret: no service gets it
}
# Make the client of a job, and print how many files botocore has read for it.
CLIENT = """
import sys
from seqdrop import aws
from seqdrop_cli import job_imports
before = job_imports._load_file.cache_info()
aws.client("s3")
after = job_imports._load_file.cache_info()
print([after.misses - before.misses, after.hits > before.hits])
"""


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    server = ForkServer([JOB_IMPORTS], tmp_path_factory.mktemp("forks"))
    yield server
    server.close()


@pytest.mark.parametrize("tool", ["bwa", "bwa-mem3", "bcftools", "snpeff", "samtools-stats", "report", "fused"])
def test_a_wrapper_is_forked_whatever_the_environment_of_its_job(tool: str, forks: ForkServer, tmp_path: Path) -> None:
    environment, log = {**JOB, "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "job")}, tmp_path / "log"
    with log.open("wb") as output:
        words = [str(Path(sys.executable).parent / f"run-{tool}"), "--help"]
        process = forks.start(words, environment, tmp_path, output.fileno())
    assert process
    assert process.wait() == 0
    assert log.read_text().startswith(f"usage: run-{tool} ")


def test_the_modules_of_seqdrop_are_imported_by_the_job_whose_environment_they_read() -> None:
    program = f"import sys, {JOB_IMPORTS}\nprint([name for name in sys.modules if name.startswith('seqdrop.')])"
    assert output_of(program) == "[]\n"


def test_a_client_of_s3_reads_no_file_again() -> None:
    assert output_of(CLIENT) == "[0, True]\n"


def output_of(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], env=JOB, check=True, capture_output=True, text=True).stdout
