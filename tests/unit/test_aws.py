"""seqdrop.aws: clients that start fast, and what a job imports before it needs one."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from moto import mock_aws
from seqdrop import aws

ROOT = Path(__file__).resolve().parents[2]
EXPENSIVE = {"boto3", "botocore.client", "botocore.session", "s3transfer", "urllib3", "urllib.request", "numpy"}
# Print which modules a program has imported; each has been started with none.
IMPORTED = "import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
JOBS = ("seqdrop.jobs.step", "containers.bcftools.run", "containers.bwa_mem3.run", "containers.samtools_stats.run")


@pytest.mark.parametrize("module", JOBS)
def test_a_job_imports_nothing_expensive_before_it_needs_a_client(module: str) -> None:
    program = [sys.executable, "-c", IMPORTED.format(module=module)]
    imported = json.loads(subprocess.run(program, capture_output=True, check=True).stdout)
    assert module in imported
    assert EXPENSIVE.isdisjoint(imported)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


def test_a_profile_with_a_role_gets_its_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = "[profile base]\naws_access_key_id = a\naws_secret_access_key = b\n[profile lab]\nsource_profile = base\n"
    (tmp_path / "config").write_text(f"{config}role_arn = arn:aws:iam::123456789012:role/lab\nregion = eu-west-1\n")
    for name, value in (("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "none")):
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    with mock_aws(), monkeypatch.context() as variables:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            variables.delenv(name, raising=False)  # moto has set them
        credentials = aws.new_session().get_credentials()
        assert credentials is not None
        assert credentials.method == "assume-role"
        assert credentials.get_frozen_credentials().access_key.startswith("ASIA")


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("service", aws.SERVICES)
def test_a_client_repeats_throttled_calls_ten_times(service: str) -> None:
    make: object = aws.client
    client = make(service)  # type: ignore[operator]  # typed for literal names only
    assert client.meta.service_model.service_name == service
    assert client.meta.config.retries["total_max_attempts"] == 1 + 10
    assert client.meta.config.retries["mode"] == "standard"


def test_every_client_that_a_command_makes_is_of_a_known_service() -> None:
    texts = [file.read_text() for file in (ROOT / "cli/seqdrop_cli").rglob("*.py")]
    made = {name for text in texts for name in re.findall(r"client\(\s*\"([^\"]+)\"", text)}
    assert {"cloudformation", "ecr", "s3"} <= made
    assert made <= set(aws.SERVICES)


@pytest.mark.usefixtures("credentials")
def test_a_client_needs_no_pyopenssl() -> None:
    """The environment of developers has it, for `sam`: botocore would import it and `cryptography`."""
    assert find_spec("OpenSSL")
    program = [sys.executable, "-c", IMPORTED.format(module="seqdrop.aws; seqdrop.aws.client('s3')")]
    imported = json.loads(subprocess.run(program, capture_output=True, check=True).stdout)
    assert "botocore.httpsession" in imported
    assert {"OpenSSL", "cryptography"}.isdisjoint(imported)


@pytest.mark.usefixtures("credentials")
def test_a_client_of_a_session_has_its_credentials_region_and_endpoint() -> None:
    session = aws.new_session()
    session.set_credentials("other", "secret")
    session.set_config_variable("region", "ap-south-1")
    client = aws.client("s3", of=session, endpoint_url="http://127.0.0.1:9", retries=aws.RETRIES)
    url = client.generate_presigned_url("get_object", {"Bucket": "b", "Key": "k"})
    assert url.startswith("http://127.0.0.1:9/b/k?")
    assert "other%2F" in url or "AWSAccessKeyId=other" in url
    assert client.meta.region_name == "ap-south-1"
    assert aws.session().get_config_variable("region") == "eu-west-1"


# Print the files of botocore that a client reads after `prepare`, and the modules that it imports.
PREPARED = """
import json, sys
from seqdrop import aws
aws.prepare("s3")
read, modules = [], {*sys.modules}
sys.addaudithook(lambda event, args: read.append(str(args[0])) if event == "open" else None)
aws.client("s3")
print(json.dumps([read, sorted({*sys.modules} - modules)]))
"""


def test_a_prepared_client_reads_no_description_of_its_service_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    prepare = [sys.executable, "-c", "from seqdrop import aws; aws.prepare('s3')"]
    subprocess.run(prepare, check=True)  # it needs no credentials
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    output = subprocess.run([sys.executable, "-c", PREPARED], capture_output=True, check=True).stdout
    read, modules = json.loads(output)
    assert not [name for name in read if "endpoints.json" in name or "service-2.json" in name or "rule-set" in name]
    assert not [name for name in modules if name.startswith(("botocore.", "urllib3"))]


@pytest.mark.usefixtures("credentials")
def test_settings_replace_the_retries() -> None:
    config = aws.client("s3", read_timeout=3, retries={"total_max_attempts": 2}).meta.config
    assert (config.read_timeout, config.retries["total_max_attempts"]) == (3, 2)


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_afterwards_as_it_was(monkeypatch: pytest.MonkeyPatch, enabled: bool) -> None:
    def create(*_: object, **__: object) -> bool:
        return gc.isenabled()

    monkeypatch.setattr(aws.session(), "create_client", create)
    (gc.enable if enabled else gc.disable)()
    try:
        assert aws.client("s3") is False  # while the client is made
        assert gc.isenabled() is enabled
    finally:
        gc.enable()
        gc.unfreeze()
