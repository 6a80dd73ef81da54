"""`make push` pushes the images that a stack uses and lacks, and writes the tags of those that are in a repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from samcli.cli.types import CfnParameterOverridesType

ROOT = Path(__file__).parents[3]
TOOLS = sorted(path.parent.name for path in (ROOT / "containers").glob("*/Dockerfile"))
OTHERS = ["snpeff", "samtools_stats", "report", "reference", "joint", "fused"]  # every stack uses them
# ECR has the image of each tool in $PUSHED. Like the AWS CLI, it fails without a region.
AWS = """#!/usr/bin/env bash
[[ "$*" != "configure get region" ]] || { echo "${PROFILE_REGION:-}"; [[ -n ${PROFILE_REGION:-} ]]; exit; }
[[ -n ${AWS_REGION:-} && $AWS_REGION == "${AWS_DEFAULT_REGION:-}" ]] || { echo "no region" >&2; exit 253; }
case "$*" in
    *describe-stacks*" lab "*) printf 'Aligner\\tbwa_mem3\\nCaller\\tbcftools\\nForm\\t%s\\n' "${FORM:-auto}" ;;
    *describe-stacks*) echo "Stack with id $3 does not exist" >&2; exit 254 ;;
    *describe-repositories*)
        [[ $4 == lab/* ]] || exit 254
        [[ $AWS_REGION == cn-* ]] && suffix=.cn
        echo "123456789012.dkr.ecr.$AWS_REGION.amazonaws.com${suffix:-}/$4" ;;
    *describe-images*) [[ " $PUSHED " == *" ${4#lab/} "* ]] || exit 254 ;;
    *get-login-password*) echo password ;;
    *) echo "unknown: $*" >&2; exit 252 ;;
esac
"""
DOCKER = """#!/usr/bin/env bash
[[ $* != "image inspect"* ]] || exit 1
[[ $1 != login ]] || [[ $(cat) == password ]] || exit 1
echo "$*" >> "$CALLS"
[[ -z ${BREAKS:-} || $* != *"--target test containers/$BREAKS" ]]
"""


@dataclass
class Pushed:
    """What one `make push` did."""

    code: int
    output: str
    calls: list[str]
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def images(self) -> list[str]:
        return [line.split()[1] for line in self.calls if line.startswith("push ")]

    @property
    def tools(self) -> list[str]:
        return [image.partition(":")[0].rpartition("/")[2] for image in self.images]


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a checkout with the settings of a stack; tests use copies."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("containers", "layers"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("samconfig.toml", ".dockerignore"):
        shutil.copy(ROOT / name, folder / name)
    programs = folder / "bin"
    programs.mkdir()
    for name, text in (("aws", AWS), ("docker", DOCKER)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    create = ["python3", str(folder / "containers/stack_config.py"), "create", "lab"]
    subprocess.run(create, check=True)
    return folder


@pytest.fixture
def checkout(configured: Path, tmp_path: Path) -> Path:
    return shutil.copytree(configured, tmp_path, dirs_exist_ok=True)


def push(checkout: Path, *words: str, **variables: str) -> Pushed:
    calls = checkout / "calls"
    calls.write_text("")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    environment |= {"PATH": f"{checkout / 'bin'}{os.pathsep}{os.environ['PATH']}", "CALLS": str(calls), "PUSHED": ""}
    command = ["bash", str(checkout / "containers/push"), *(words or ["lab"])]
    done = subprocess.run(
        command, env=environment | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return Pushed(done.returncode, done.stdout, calls.read_text().splitlines(), written_parameters(checkout))


def written_parameters(checkout: Path) -> dict[str, str]:
    config = tomllib.loads((checkout / "stacks/lab.toml").read_text())["default"]["deploy"]["parameters"]
    values: dict[str, str] = CfnParameterOverridesType().convert(config.get("parameter_overrides", ""), None, None)
    return values


def tag_parameters(checkout: Path) -> dict[str, str]:
    """The parameter of each tool with its tag, by tool."""
    command = ["bash", str(checkout / "containers/tag"), "--parameters"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return dict(zip(TOOLS, lines, strict=True))


def expected_parameters(checkout: Path, tools: list[str]) -> dict[str, str]:
    tags = tag_parameters(checkout)
    return dict(tags[tool].split("=") for tool in tools)


def test_the_images_of_the_deployed_parameters_are_pushed_and_their_tags_written(checkout: Path) -> None:
    done = push(checkout, AWS_REGION="eu-west-1", PUSHED="snpeff")
    used = ["bwa_mem3", "bcftools", *OTHERS]
    assert (done.code, done.tools) == (0, [tool for tool in used if tool != "snpeff"])
    assert done.parameters == expected_parameters(checkout, used)
    tags = {tool: line.partition("=")[2] for tool, line in tag_parameters(checkout).items()}
    registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    assert done.images[0] == f"{registry}/lab/bwa_mem3:{tags['bwa_mem3']}"
    assert [line for line in done.calls if line.startswith("login")] == [
        f"login --username AWS --password-stdin {registry}"
    ]
    builds = [line for line in done.calls if line.startswith("build ")]
    assert len(builds) == 3 * len(done.tools)
    assert all("--platform linux/amd64 " in line for line in builds)
    assert done.output.endswith("run `sam deploy --config-file stacks/lab.toml`\n")


def test_a_stack_whose_runs_have_one_job_needs_no_images_of_their_steps(checkout: Path) -> None:
    done = push(checkout, AWS_REGION="eu-west-1", FORM="fused")
    assert (done.code, done.tools) == (0, ["reference", "joint", "snpeff", "fused"])


def test_a_second_push_builds_nothing_and_writes_the_same_tags(checkout: Path) -> None:
    first = push(checkout, AWS_REGION="eu-west-1")
    second = push(checkout, AWS_REGION="eu-west-1", PUSHED=" ".join(first.tools))
    assert (second.code, second.calls, second.parameters) == (0, [], first.parameters)


def test_all_images_are_pushed_on_request(checkout: Path) -> None:
    done = push(checkout, AWS_REGION="eu-west-1", ALL="1")
    assert (done.code, done.tools) == (0, TOOLS)
    assert done.parameters == expected_parameters(checkout, TOOLS)


def test_an_image_that_cannot_be_built_does_not_stop_the_others(checkout: Path) -> None:
    done = push(checkout, AWS_REGION="eu-west-1", BREAKS="bwa_mem3")
    assert (done.code, done.tools) == (1, ["bcftools", *OTHERS])
    assert done.parameters == expected_parameters(checkout, done.tools)
    assert "no image of bwa_mem3: see above." in done.output


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_REGION": "a-1", "AWS_DEFAULT_REGION": "b-1", "PROFILE_REGION": "d-1"}, "a-1"),
        ({"AWS_DEFAULT_REGION": "b-1", "PROFILE_REGION": "d-1"}, "b-1"),
        ({"PROFILE_REGION": "d-1"}, "c-1"),
    ],
)
def test_the_region_is_that_of_the_environment_then_of_the_file(
    checkout: Path, variables: dict[str, str], region: str
) -> None:
    config = checkout / "stacks/lab.toml"
    config.write_text(config.read_text().replace("resolve_s3", 'region = "c-1"\nresolve_s3'))
    assert f".ecr.{region}.amazonaws.com/" in push(checkout, **variables).images[0]


def test_without_a_region_in_the_file_it_is_that_of_the_profile(checkout: Path) -> None:
    assert ".ecr.d-1.amazonaws.com/" in push(checkout, PROFILE_REGION="d-1").images[0]
    done = push(checkout)
    assert (done.code, done.calls) == (64, [])
    assert "no region: set AWS_REGION, or save one in stacks/lab.toml" in done.output


def test_the_registry_of_another_partition_has_its_domain(checkout: Path) -> None:
    assert ".ecr.cn-north-1.amazonaws.com.cn/" in push(checkout, AWS_REGION="cn-north-1").images[0]


@pytest.mark.parametrize(
    ("stack", "code", "message"),
    [
        ("Lab", 64, "'Lab' is not a stack name"),
        ("other", 66, "stacks/other.toml is missing: run `make config STACK=other`"),
    ],
)
def test_a_stack_that_cannot_be_is_refused(checkout: Path, stack: str, code: int, message: str) -> None:
    done = push(checkout, stack, AWS_REGION="eu-west-1")
    assert (done.code, done.calls) == (code, [])
    assert message in done.output


def test_a_stack_that_is_not_deployed_is_reported(checkout: Path) -> None:
    shutil.copy(checkout / "stacks/lab.toml", checkout / "stacks/other.toml")
    done = push(checkout, "other", AWS_REGION="eu-west-1")
    assert (done.code, done.calls) == (66, [])
    assert "no stack other in eu-west-1: deploy it first" in done.output


def test_the_image_of_a_tool_that_some_runs_choose_is_pushed_on_request_and_kept_up_to_date(checkout: Path) -> None:
    used = ["bwa_mem3", "bcftools", *OTHERS]
    done = push(checkout, "lab", "bwa", "bcftools", AWS_REGION="eu-west-1")
    assert (done.code, done.tools) == (0, [*used, "bwa"])
    assert done.parameters == expected_parameters(checkout, [*used, "bwa"])
    assert push(checkout, AWS_REGION="eu-west-1").tools == [*used, "bwa"]


def test_an_unknown_tool_is_refused_before_any_build(checkout: Path) -> None:
    done = push(checkout, "lab", "minimap2", AWS_REGION="eu-west-1")
    assert (done.code, done.calls) == (64, [])
    assert "unknown tool minimap2; the tools are " in done.output
