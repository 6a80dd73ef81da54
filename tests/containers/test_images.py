"""The images run a whole pipeline without root, and write to /scratch only."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from docker import from_env
from seqdrop_cli.demo import truth
from seqdrop_cli.stack import Stack
from support import images as buildable
from support.pipeline_runs import (
    Sample,
    download_file,
    eventually,
    fetch_json,
    fetch_records,
    inject,
    jobs_of,
    keys,
    make_sample,
    prepare,
    run_pair,
)


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tool", buildable.tools())
def test_an_image_runs_without_root_and_contains_its_wrapper(images: dict[str, str], tool: str) -> None:
    assert docker("run", "--rm", images[tool], "id", "-u").stdout.strip() == "1000"
    usage = docker("run", "--rm", "--read-only", images[tool], f"run-{tool.replace('_', '-')}", "--help")
    assert "--results" in usage.stdout, usage.stderr
    writable = docker("run", "--rm", images[tool], "find", "/opt/seqdrop", "-not", "-user", "root", "-print", "-quit")
    assert writable.stdout == "", "a job could change its own wrapper"


def watch(stop: threading.Event, containers: dict[str, Any]) -> None:
    """Collect Docker's description of every container that runs, until `stop` is set."""
    engine = from_env()
    while not stop.wait(0.2):  # a job runs for a second or more
        containers |= {one.name: one.attrs for one in engine.containers.list(ignore_removed=True)}


@pytest.fixture(scope="module")
def sample(docker_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    sample = make_sample(tmp_path_factory.mktemp("sample"))
    prepare(docker_stack, sample)
    return sample


def test_a_run_in_docker_finds_the_planted_variants_within_the_limits_of_its_jobs(
    docker_stack: Stack, sample: Sample, tmp_path: Path
) -> None:
    stop, containers = threading.Event(), dict[str, Any]()
    watcher = threading.Thread(target=watch, args=(stop, containers))
    watcher.start()
    try:
        row = run_pair(docker_stack, sample.material.fastqs, "DOCKED")
    finally:
        stop.set()  # pytest would wait for the thread forever
        watcher.join()
    assert row["status"] == "SUCCEEDED", row
    assert "DOCKED.report.html" in keys(docker_stack, row)
    jobs = {job["step"]: job for job in fetch_json(docker_stack, row, "manifest.json")["jobs"]}
    assert jobs["align"]["image"].startswith("seqdrop/bwa_mem3:")
    assert jobs["call"]["bytes_cached"] > 0  # of the genome, which align has fetched: containers share files by links
    bucket, _, folder = row["results"].removeprefix("s3://").partition("/")
    target = tmp_path / "calls.vcf.gz"
    download_file(docker_stack, bucket, f"{folder}/DOCKED.annotated.vcf.gz", target)
    comparison = truth.compare(sample.material.variants, truth.read_calls(target))
    assert (comparison.recall, len(comparison.effects_disagreed)) == (1.0, 0)
    [align] = [one for one in containers.values() if "bwa_mem3" in one["Config"]["Image"]]
    host = align["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["ReadonlyRootfs"]) == (2048 << 20, 2 * 10**9, True)
    assert (align["Config"]["User"], align["Config"]["Labels"]["run"]) == ("1000:1000", row["run"])
    assert [mount["Destination"] for mount in align["Mounts"] if mount["RW"]] == ["/scratch"]


def test_a_fused_run_in_docker_has_all_its_tools_in_one_image(docker_stack: Stack, sample: Sample) -> None:
    with inject(docker_stack, {"job": "fused-*", "fault": "host_drained", "after": 3}) as hits:
        row = run_pair(docker_stack, sample.small_pair, "FUSED", form="fused")
        assert len(hits()) == 1
    assert row["status"] == "SUCCEEDED", row
    [job] = jobs_of(docker_stack, row, "fused")
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [143, 0]
    jobs = fetch_json(docker_stack, row, "manifest.json")["jobs"]
    assert len(jobs) == len({one["step"] for one in jobs}) == 5
    assert all(one["image"].startswith("seqdrop/fused:") for one in jobs)
    command = ("ps", "--all", "--quiet", "--filter", f"label=run={row['run']}")
    eventually(lambda: docker(*command).stdout == "", "the end of all containers")


def test_a_run_in_docker_recovers_from_faults_of_its_jobs(docker_stack: Stack, sample: Sample, tmp_path: Path) -> None:
    expected_records = fetch_records(docker_stack, run_pair(docker_stack, sample.small_pair, "CALM"), tmp_path)
    faults = [
        {"job": "align-*", "fault": "out_of_memory", "after": 0.3},
        {"job": "call-*", "fault": "host_lost", "after": 0.3, "times": 3},
        {"job": "annotate-*", "fault": "image_pull"},
        {"job": "collect-*", "fault": "host_drained", "after": 0.3},
        {"job": "compose-*", "fault": "not_placed"},
    ]
    with inject(docker_stack, *faults) as hits:
        row = run_pair(docker_stack, sample.small_pair, "STORM")
        assert len(hits()) == sum(int(fault.get("times", 1)) for fault in faults)
    assert fetch_records(docker_stack, row, tmp_path) == expected_records
    assert [len(jobs_of(docker_stack, row, step)) for step in ("align", "call", "annotate")] == [2, 2, 1]
    command = ("ps", "--all", "--quiet", "--filter", f"label=run={row['run']}")
    eventually(lambda: docker(*command).stdout == "", "the end of all containers")
