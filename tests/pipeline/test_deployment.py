"""The commands of docs/deploy.md, with SAM itself and stand-ins for `aws` and `docker`."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from samcli.cli.types import CfnParameterOverridesType
from support import aws_program
from support.account import account, client
from support.pipeline_parts import ROOT, template

PAGE = (ROOT / "docs/deploy.md").read_text()
ENTER = "\n"
GUIDED_QUESTIONS = 8  # beside the parameters: name, region, confirm, roles, rollback, save, file, environment
DOCKER = """#!/usr/bin/env bash
set -e
case "$1" in
    image) exit 1 ;;
    login) [[ $(cat) == password ]] ;;
    push)
        repository=${2#*/}
        manifest="{\\"image\\": \\"$2\\"}"
        aws ecr put-image --repository-name "${repository%%:*}" --image-tag "${2##*:}" \\
            --image-manifest "$manifest" --image-manifest-media-type application/json > /dev/null
        echo "$2" >> "$PUSHED" ;;
esac
"""


def commands(heading: str) -> list[str]:
    """Return the commands of the code blocks below a heading, without their comments; a loop is one command."""
    section = PAGE.split(heading, 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", section, re.MULTILINE)
    lines = re.sub(r" +# .*", "", "".join(blocks))
    return [command.strip() for command in re.findall(r"(?ms)^ {4,8}(for .*?^ {4}done$|\S.*?$)", lines)]


@dataclass
class Checkout:
    """A clone of the repository with stand-ins on PATH."""

    path: Path
    variables: dict[str, str]

    def run(self, command: str, answers: str = "", **variables: str) -> str:
        environment = {**os.environ, **self.variables, **variables}
        words = ["bash", "-euo", "pipefail", "-c", command]
        done = subprocess.run(
            words, cwd=self.path, env=environment, input=answers, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def client(self, service: str) -> Any:
        return client(self.variables, service)

    def stack(self) -> dict[str, Any]:
        described: dict[str, Any] = self.client("cloudformation").describe_stacks(StackName="seqdrop")["Stacks"][0]
        return described

    def deployed(self) -> dict[str, str]:
        values = {entry["ParameterKey"]: entry["ParameterValue"] for entry in self.stack()["Parameters"]}
        # moto shows a list as Python writes it, CloudFormation its items with `,` between them.
        lists = {name: ",".join(ast.literal_eval(text)) for name, text in values.items() if text.startswith("[")}
        return values | lists

    def resources(self) -> dict[str, str]:
        """The physical ids by logical id: moto gives a stack from a change set no outputs."""
        answer = self.client("cloudformation").describe_stack_resources(StackName="seqdrop")
        return {entry["LogicalResourceId"]: entry["PhysicalResourceId"] for entry in answer["StackResources"]}

    def pushed(self) -> list[str]:
        file = self.path / ".seqdrop/pushed"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    path = tmp_path / "seqdrop"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path / name)
    shutil.copytree(ROOT / ".aws-sam", path / ".aws-sam", symlinks=True)  # `make test` has built it
    (path / ".venv").symlink_to(ROOT / ".venv")
    (path / ".seqdrop").mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    aws = f'#!/bin/sh\nPYTHONPATH={ROOT / "tests"} exec {sys.executable} -m support.aws_program "$@"\n'
    for name, text in (("aws", aws), ("docker", DOCKER)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    with account() as variables:
        yield Checkout(
            path,
            variables
            | {
                "PATH": os.pathsep.join([str(programs), str(ROOT / ".venv/bin"), os.environ["PATH"]]),
                "PUSHED": str(path / ".seqdrop/pushed"),
                "SAM_CLI_TELEMETRY": "0",
                "SAM_CLI_POLL_DELAY": "0.1",
                "GIT_CONFIG_GLOBAL": os.devnull,
            },
        )


@pytest.mark.parametrize("command", re.findall(r"^ {4,8}(aws (?!s3 )[^>\n]*)", PAGE, re.MULTILINE))
def test_each_call_of_an_api_has_options_that_the_operation_knows(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    aws_program.parse(shlex.split(command, comments=True)[1:])


def commit(checkout: Checkout) -> None:
    checkout.run("git init -q && git add -A && git -c user.name=x -c user.email=x@example.org commit -qm all")


def saved_parameters(checkout: Checkout) -> dict[str, str]:
    config = tomllib.loads((checkout.path / "stacks/seqdrop.toml").read_text())
    overrides = config["default"]["deploy"]["parameters"]["parameter_overrides"]
    values: dict[str, str] = CfnParameterOverridesType().convert(overrides, None, None)
    return values


@pytest.mark.timeout(1_200)  # a minute on an idle machine: two deployments by SAM, and fifty calls of `aws`
def test_the_page_leads_from_guided_answers_to_the_second_deployment_and_to_removal(checkout: Checkout) -> None:
    commit(checkout)
    first, again = commands("# From an account"), commands("## Update")
    assert first.index("make config STACK=seqdrop FOR=exome") == 4
    config, guided, push, deploy = first[4:8]

    checkout.run(config)
    checkout.run(guided, ENTER * (len(template()["Parameters"]) + GUIDED_QUESTIONS) + "y\n")
    defaults = {name: str(parameter["Default"]) for name, parameter in template()["Parameters"].items()}
    exome = tomllib.loads((ROOT / "samconfig.toml").read_text())["exome"]["deploy"]["parameters"]
    defaults |= dict(word.split("=", 1) for word in exome["parameter_overrides"])  # Enter keeps them
    assert checkout.deployed() == defaults
    assert checkout.pushed() == []
    resources = checkout.resources()

    checkout.run(push)
    used = ["bwa_mem3", "bcftools", "snpeff", "samtools_stats", "report", "reference", "joint", "fused"]
    assert [image.partition(":")[0].rpartition("/")[2] for image in checkout.pushed()] == used
    tags = {name: value for name, value in saved_parameters(checkout).items() if name.endswith("Tag")}
    assert checkout.deployed() == defaults

    checkout.run(deploy, "y\n")
    assert checkout.deployed() == {**defaults, **tags}
    assert {name for name, tag in tags.items() if tag == "none"} == {
        "BwaImageTag",
        "IsaacImageTag",
        "StrelkaImageTag",
    }

    assert again == [f"git pull && make build && {push} && {deploy}"]
    checkout.run(push)
    assert len(checkout.pushed()) == len(used), "the second push finds every image in its repository"
    assert checkout.run("git status --porcelain") == "", "no tracked file has changed: `git pull` has no conflicts"

    delete_data(checkout, resources)


def delete_data(checkout: Checkout, resources: dict[str, str]) -> None:
    """Delete what a deleted stack leaves, as "Remove the stack" says."""
    s3 = checkout.client("s3")
    bucket = resources["FastqBucket"]
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"S1_R{number}.fastq.gz", Body=b"x")
        s3.put_object(Bucket=bucket, Key=f"S1_R{number}.fastq.gz", Body=b"y")
    s3.delete_object(Bucket=bucket, Key="S1_R1.fastq.gz")
    words = {
        "FASTQ_BUCKET": resources["FastqBucket"],
        "RESULTS_BUCKET": resources["ResultsBucket"],
        "REFERENCE_BUCKET": resources["ReferenceBucket"],
        "ACCESS_LOG_BUCKET": resources["AccessLogBucket"],
        "RUN_TABLE": resources["RunTable"],
        "ATTEMPT_TABLE": resources["AttemptTable"],
    }
    steps = commands("## Remove the stack")
    emptied = next(command for command in steps if command.startswith("for bucket"))
    for word, value in words.items():
        emptied = emptied.replace(word, value)
    checkout.run(emptied)
    assert set(words.values()) & {entry["Name"] for entry in s3.list_buckets()["Buckets"]} == set()
    for table in ("RUN_TABLE", "ATTEMPT_TABLE"):
        assert f"aws dynamodb delete-table --table-name {table}" in steps
        checkout.run(f"aws dynamodb delete-table --table-name {words[table]}")
    assert checkout.client("dynamodb").list_tables()["TableNames"] == []
    deletion = next(command for command in steps if "schedule-key-deletion" in command)
    keys = checkout.client("kms")
    key = keys.create_key()["KeyMetadata"]["KeyId"]  # moto cannot describe a key that a stack has created
    checkout.run(deletion.replace("--key-id KEY", f"--key-id {key}"))
    assert keys.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
