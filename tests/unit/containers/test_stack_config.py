"""The file of a stack: made from samconfig.toml, changed by SAM and by `make push`, and readable by SAM after each."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from samcli.cli.types import CfnParameterOverridesType
from samcli.commands.deploy.command import cli as deploy
from samcli.commands.deploy.guided_config import GuidedConfig
from seqdrop.jobs.alignment import SORT_SHARE
from support.function_aws import template

from containers import stack_config

COMMON = """version = 0.1

[default.deploy.parameters]
capabilities = "CAPABILITY_IAM"
resolve_s3 = true

[local.deploy.parameters]
parameter_overrides = ["Aligner=bwa_mem3"]
"""
HUMAN_INDEX = 27_000  # MiB of memory, see docs/tools.md
TAGS = ["BwaImageTag=new1", "ReportImageTag=new2"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "samconfig.toml").write_text(COMMON)
    stack_config.create(tmp_path, "lab")
    return tmp_path


def settings(checkout: Path) -> dict[str, Any]:
    return tomllib.loads((checkout / "stacks/lab.toml").read_text())


def save_guided(checkout: Path, **parameters: str) -> None:
    """Save answers as `sam deploy --guided --config-file stacks/lab.toml` does."""
    with click.Context(deploy, info_name="deploy") as context:
        context.samconfig_dir = str(checkout)
        values = {name: {"Value": value, "Hidden": False} for name, value in parameters.items()}
        saver = GuidedConfig(str(checkout / "template.yaml"), "parameters")
        saver.save_config(
            values, "default", "stacks/lab.toml", stack_name="lab", region="eu-central-1", resolve_s3=True
        )


def read_by_sam(checkout: Path) -> dict[str, str]:
    overrides = settings(checkout)["default"]["deploy"]["parameters"]["parameter_overrides"]
    values: dict[str, str] = CfnParameterOverridesType().convert(overrides, None, None)
    return values


def test_the_file_of_a_stack_has_the_common_settings_and_its_own_name(checkout: Path) -> None:
    assert settings(checkout) == {
        "version": 0.1,
        "default": {
            "global": {"parameters": {"stack_name": "lab"}},
            "deploy": {"parameters": {"capabilities": "CAPABILITY_IAM", "resolve_s3": True}},
        },
    }


def test_a_file_that_exists_is_kept(checkout: Path) -> None:
    (checkout / "stacks/lab.toml").write_text("version = 0.1\n")
    stack_config.create(checkout, "lab")
    assert settings(checkout) == {"version": 0.1}


def test_tags_are_added_to_a_file_without_parameters(checkout: Path) -> None:
    stack_config.write_tags(checkout, "lab", TAGS)
    assert read_by_sam(checkout) == {"BwaImageTag": "new1", "ReportImageTag": "new2"}


def test_empty_answers_of_a_guided_deployment_stay_empty_and_sam_accepts_them(checkout: Path) -> None:
    """SAM refuses `ImageRegistry=`; and a parameter that is left out would keep its value of the deployed stack."""
    with pytest.raises(click.BadParameter):
        CfnParameterOverridesType().convert(["ImageRegistry="], None, None)
    answers = {"Aligner": "isaac", "ImageRegistry": "", "SubnetIds": "", "BwaImageTag": "none"}
    save_guided(checkout, **answers)
    assert read_by_sam(checkout) == answers
    stack_config.write_tags(checkout, "lab", TAGS)
    assert read_by_sam(checkout) == {**answers, "BwaImageTag": "new1", "ReportImageTag": "new2"}


def test_the_region_is_that_of_the_guided_deployment(checkout: Path) -> None:
    """The first one saves the region twice, the second one removes the copy of `deploy`."""
    for _ in range(2):
        save_guided(checkout)
        assert stack_config.region(checkout, "lab") == "eu-central-1"


@pytest.mark.parametrize("value", ["a b", 'say "x"', "subnet-1, subnet-2", "a=b"])
def test_a_value_of_a_guided_deployment_survives_the_tags(checkout: Path, value: str) -> None:
    save_guided(checkout, VpcId=value)
    stack_config.write_tags(checkout, "lab", [])
    stack_config.write_tags(checkout, "lab", [])
    assert read_by_sam(checkout) == {"VpcId": value}


def test_a_guided_deployment_after_the_tags_starts_with_them(checkout: Path) -> None:
    stack_config.write_tags(checkout, "lab", TAGS)
    save_guided(checkout, **read_by_sam(checkout), Caller="bcftools")
    assert read_by_sam(checkout) == {"BwaImageTag": "new1", "ReportImageTag": "new2", "Caller": "bcftools"}


def test_a_tag_that_is_not_written_stays_and_one_of_a_removed_tool_goes(checkout: Path) -> None:
    """The image of an earlier push is still in its repository; SAM would not find the parameter of a removed tool."""
    save_guided(checkout, IsaacImageTag="old", BwaImageTag="old", JointImageTag="old", RemovedToolImageTag="old")
    stack_config.write_tags(checkout, "lab", TAGS)
    kept = {"IsaacImageTag": "old", "JointImageTag": "old"}
    assert read_by_sam(checkout) == {**kept, "BwaImageTag": "new1", "ReportImageTag": "new2"}


def test_writing_the_same_tags_again_changes_nothing(checkout: Path) -> None:
    stack_config.write_tags(checkout, "lab", TAGS)
    once = (checkout / "stacks/lab.toml").read_text()
    stack_config.write_tags(checkout, "lab", TAGS)
    assert (checkout / "stacks/lab.toml").read_text() == once


def test_comments_of_the_user_stay(checkout: Path) -> None:
    with (checkout / "stacks/lab.toml").open("a") as file:
        file.write("# our own note\n")
    stack_config.write_tags(checkout, "lab", TAGS)
    assert "# our own note\n" in (checkout / "stacks/lab.toml").read_text()


def test_a_file_without_settings_has_no_region(checkout: Path) -> None:
    assert stack_config.region(checkout, "lab") == ""


def test_a_damaged_file_is_named_with_the_place_of_the_damage(checkout: Path) -> None:
    path = checkout / "stacks/lab.toml"
    path.write_text("version = 0.1\n[default\n")
    for read in (stack_config.region, lambda root, name: stack_config.tools(root, name, {})):
        with pytest.raises(ValueError, match=rf"^{re.escape(str(path))} is not TOML: .*line 2"):
            read(checkout, "lab")


def test_the_tools_in_use_are_those_of_the_file_then_of_the_stack_then_the_defaults(checkout: Path) -> None:
    others = ["snpeff", "samtools_stats", "report", "reference", "joint", "fused"]
    first = [step.tools[0].name for step in stack_config.STEPS[:2]]
    assert stack_config.tools(checkout, "lab", {}) == [*first, *others]
    deployed = {"Aligner": "bwa", "Caller": "bcftools"}
    assert stack_config.tools(checkout, "lab", deployed) == ["bwa", "bcftools", *others]
    save_guided(checkout, Aligner="bwa_mem3")
    assert stack_config.tools(checkout, "lab", deployed) == ["bwa_mem3", "bcftools", *others]
    assert stack_config.tools(checkout, "lab", {"Form": "split"}) == ["bwa_mem3", "bcftools", *others[:-1]]
    fused = {"Form": "fused"}  # a joint run annotates with snpeff
    assert stack_config.tools(checkout, "lab", fused) == ["reference", "joint", "snpeff", "fused"]
    save_guided(checkout, Aligner="isaac")  # which is not in the image of the fused job
    assert stack_config.tools(checkout, "lab", deployed) == ["isaac", "bcftools", *others[:-1]]
    assert stack_config.tools(checkout, "lab", fused) == ["isaac", "bcftools", *others[:-1]]


@pytest.mark.parametrize("name", ["lab", "seq-drop-2", "a" * 71])
def test_a_good_stack_name_is_accepted(name: str) -> None:
    stack_config.check_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Lab", "lower-case letters"),
        ("2nd", "a letter first"),
        ("lab--two", "single `-`"),
        ("lab-", "single `-`"),
        ("lab_two", "lower-case letters"),
        ("../lab", "lower-case letters"),
        ("", "lower-case letters"),
        ("a" * 72, "has 72 characters: a stack name has at most 71"),
    ],
)
def test_a_stack_name_that_a_service_refuses_is_refused_before(checkout: Path, name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        stack_config.create(checkout, name)


ENVIRONMENTS = ("panel", "exome", "genome", "original")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_file_of_a_stack_starts_with_the_parameters_of_an_environment(tmp_path: Path, environment: str) -> None:
    (tmp_path / "samconfig.toml").write_text((stack_config.ROOT / "samconfig.toml").read_text())
    stack_config.create(tmp_path, "lab", environment)
    parameters = read_by_sam(tmp_path)
    known = template()["Parameters"]
    values = {name: str(known[name]["Default"]) for name in known} | parameters
    assert parameters.keys() <= known.keys()
    assert settings(tmp_path)["default"]["deploy"]["parameters"]["capabilities"] == "CAPABILITY_IAM"
    vcpus = [int(values[name]) for name in values if name.endswith("Vcpus") and name != "MaxVcpus"]
    assert int(values["MaxVcpus"]) >= max(vcpus)
    tools = {"aligner": values["Aligner"], "caller": values["Caller"]}
    original = {"aligner": "isaac", "caller": "strelka"}
    assert tools == (original if environment == "original" else {"aligner": "bwa_mem3", "caller": "bcftools"})
    assert float(values["AlignMemory"]) * (1 - SORT_SHARE) > HUMAN_INDEX


def test_an_unknown_environment_is_refused_with_the_names_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "samconfig.toml").write_text((stack_config.ROOT / "samconfig.toml").read_text())
    with pytest.raises(ValueError, match="no environment exon; it has panel, exome, genome, original"):
        stack_config.create(tmp_path, "lab", "exon")
    assert not (tmp_path / "stacks/lab.toml").exists()


def test_an_environment_changes_no_file_that_exists(checkout: Path) -> None:
    before = settings(checkout)
    with pytest.raises(ValueError, match=r"stacks/lab\.toml exists: FOR=exome would change it"):
        stack_config.create(checkout, "lab", "exome")
    assert settings(checkout) == before


def test_a_tool_that_was_pushed_once_stays_in_use(checkout: Path) -> None:
    save_guided(checkout, Aligner="bwa_mem3", BwaImageTag="none", IsaacImageTag="none")
    used = ["bwa_mem3", "bcftools", "snpeff", "samtools_stats", "report", "reference", "joint", "fused"]
    assert stack_config.tools(checkout, "lab", {}) == used
    stack_config.write_tags(checkout, "lab", ["BwaImageTag=old"])
    assert stack_config.tools(checkout, "lab", {}) == [*used, "bwa"]
