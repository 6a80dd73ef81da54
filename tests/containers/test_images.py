"""The images do the work of a whole run, as nobody, with nothing to write to but /scratch."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli.demo import truth
from seqdrop_cli.stack import Stack
from support.pipeline_runs import (
    Sample,
    bodies,
    eventually,
    fetch_json,
    jobs_of,
    keys,
    make_sample,
    planted,
    prepare,
    run_pair,
)


def docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tool", ["bwa", "bwa_mem3", "bcftools", "snpeff", "samtools_stats", "multiqc", "reference"])
def test_an_image_runs_as_nobody_and_brings_its_wrapper(images: dict[str, str], tool: str) -> None:
    assert docker("run", "--rm", images[tool], "id", "-u").stdout.strip() == "1000"
    helped = docker("run", "--rm", "--read-only", images[tool], f"run-{tool.replace('_', '-')}", "--help")
    assert "--results" in helped.stdout, helped.stderr
    found = docker("run", "--rm", images[tool], "find", "/opt/seqdrop", "-not", "-user", "root", "-print", "-quit")
    assert found.stdout == "", "the wrapper could be changed by the job that runs it"


def watch(stop: threading.Event, seen: dict[str, Any]) -> None:
    """What Docker says of every job's container, while it is there."""
    while not stop.wait(0.05):
        for name in docker("ps", "--format", "{{.Names}}").stdout.split():
            if name not in seen and (found := docker("inspect", name)).returncode == 0:
                seen[name] = json.loads(found.stdout)[0]


@pytest.fixture(scope="module")
def sample(docker_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    made = make_sample(tmp_path_factory.mktemp("sample"))
    prepare(docker_stack, made)
    return made


def test_a_whole_run_in_docker_finds_the_planted_variants_within_its_limits(
    docker_stack: Stack, sample: Sample, tmp_path: Path
) -> None:
    stop, seen = threading.Event(), dict[str, Any]()
    watcher = threading.Thread(target=watch, args=(stop, seen))
    watcher.start()
    try:
        row = run_pair(docker_stack, sample.material.fastqs, "DOCKED")
    finally:
        stop.set()  # or pytest waits for it for ever
        watcher.join()
    assert row["status"] == "SUCCEEDED", row
    assert "DOCKED.report.html" in keys(docker_stack, row)
    jobs = {job["step"]: job for job in fetch_json(docker_stack, row, "manifest.json")["jobs"]}
    assert jobs["align"]["image"].startswith("bwa_mem3:")
    bucket, _, folder = row["results"].removeprefix("s3://").partition("/")
    target = tmp_path / "calls.vcf.gz"
    docker_stack.s3.download_file(bucket, f"{folder}/DOCKED.annotated.vcf.gz", str(target))
    comparison = truth.compare(sample.material.planted, truth.read_calls(target))
    assert (comparison.recall, len(comparison.effects_disagreed)) == (1.0, 0)
    [align] = [found for found in seen.values() if "bwa_mem3" in found["Config"]["Image"]]
    host = align["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["ReadonlyRootfs"]) == (2048 << 20, 2 * 10**9, True)
    assert (align["Config"]["User"], align["Config"]["Labels"]["run"]) == ("1000:1000", row["run"])
    assert [mount["Destination"] for mount in align["Mounts"] if mount["RW"]] == ["/scratch"]


def test_a_run_in_docker_survives_what_strikes_its_jobs(docker_stack: Stack, sample: Sample, tmp_path: Path) -> None:
    undisturbed = bodies(docker_stack, run_pair(docker_stack, sample.few, "CALM"), tmp_path)
    faults = [
        {"job": "align-*", "fault": "out_of_memory", "after": 0.3},
        {"job": "call-*", "fault": "host_lost", "after": 0.3, "times": 3},
        {"job": "annotate-*", "fault": "image_pull"},
        {"job": "collect-*", "fault": "host_drained", "after": 0.3},
        {"job": "compose-*", "fault": "not_placed"},
    ]
    with planted(docker_stack, *faults) as hits:
        row = run_pair(docker_stack, sample.few, "STORM")
        assert len(hits()) == sum(int(fault.get("times", 1)) for fault in faults)
    assert bodies(docker_stack, row, tmp_path) == undisturbed
    assert [len(jobs_of(docker_stack, row, step)) for step in ("align", "call", "annotate")] == [2, 2, 1]
    left = ("ps", "--all", "--quiet", "--filter", f"label=run={row['run']}")
    eventually(lambda: docker(*left).stdout == "", "the end of all containers")
