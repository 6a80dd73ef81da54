"""An output with one file for each lane: a JSON list of addresses from the plan to the receipt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from seqdrop.jobs import arguments
from seqdrop.jobs.step import step
from seqdrop.plan import layout
from seqdrop.plan.steps import Step, Tool
from seqdrop.storage.uri import S3Uri
from support.function_aws import RESULTS, Deployed
from support.job_runs import in_this_process

DEPTH = Step("depth", "MeasureDepth", (Tool("mosdepth"),), ("bam",), {"depth": "{sample}.lane{lane}.depth.txt"})
FOLDER = S3Uri(RESULTS, "NA12878/r")


def argv(depth: str) -> list[str]:
    words = {"run": "r", "attempt": "1", "vcpus": "1", "memory": "64", "args": "[]", "results": str(FOLDER)}
    return [word for name, value in {**words, "depth": depth}.items() for word in (f"--{name}", value)]


def run_depth(depth: str) -> None:
    args = arguments.parse(argv(depth), None, "depth")
    with step("depth", args) as work:
        for lane in range(1, len(args.depth) + 1):
            path = work / f"lane{lane}.txt"
            path.write_text(f"depth of lane {lane}\n")
            work.publish(path, "depth", lane=lane)


def test_a_step_publishes_one_file_for_each_lane(
    aws: Deployed, checked_s3: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_this_process(monkeypatch, tmp_path)
    addresses = layout.outputs(FOLDER, "NA12878", 2, [DEPTH])["depth"]
    run_depth(addresses)
    receipt: Any = json.loads(aws.text(RESULTS, "NA12878/r/jobs/depth.json"))
    assert [(output["name"], output["uri"]) for output in receipt["outputs"]] == [
        ("depth.1", f"{FOLDER}/NA12878.lane1.depth.txt"),
        ("depth.2", f"{FOLDER}/NA12878.lane2.depth.txt"),
    ]
    assert aws.text(RESULTS, "NA12878/r/NA12878.lane2.depth.txt") == "depth of lane 2\n"


def test_every_address_of_a_list_must_be_in_the_folder_of_the_run(
    aws: Deployed, checked_s3: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_this_process(monkeypatch, tmp_path)
    addresses = json.dumps([f"{FOLDER}/NA12878.lane1.depth.txt", f"s3://{RESULTS}/OTHER/r/OTHER.depth.txt"])
    with pytest.raises(SystemExit, match="64"):
        run_depth(addresses)
    assert not [key for key in aws.results() if key.endswith(".depth.txt")]


@pytest.mark.parametrize("text", ["[", '["no address"]', "[7]", "[" * 100_000])
def test_an_invalid_list_of_addresses_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  argparse adds the name of the flag
        arguments.addresses(text)
