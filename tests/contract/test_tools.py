"""Every tool has all its parts: folder, wrapper, Dockerfile, command, repository, tag and job definition."""

from __future__ import annotations

import copy
import json
import tomllib
from importlib.metadata import entry_points
from typing import Any

import pytest
from pipeline_parts import ROOT, template

TOOLS = sorted(path.parent.name for path in (ROOT / "containers").glob("*/Dockerfile"))
PREPARATION = "reference"  # it runs for references, not for samples: start_run does not need its image
KINDS = ("Repository", "JobDefinition")
GROUP = "Images of the tools"


def camel_case(tool: str) -> str:
    return "".join(word.capitalize() for word in tool.split("_"))


def lacks(tool: str, body: dict[str, Any]) -> list[str]:
    """Return every part of a tool that the template does not have."""
    name, resources = camel_case(tool), body["Resources"]
    tag = f"${{{name}ImageTag}}"
    repository = resources.get(f"{name}Repository", {}).get("Properties", {}).get("RepositoryName", {})
    container = resources.get(f"{name}JobDefinition", {}).get("Properties", {}).get("ContainerProperties", {})
    image = container.get("Image", {}).get("Fn::Sub", [""])[0]
    environment = {variable["Name"]: variable["Value"] for variable in container.get("Environment", [])}
    has = {
        f"parameter {name}ImageTag": body["Parameters"].get(f"{name}ImageTag", {}).get("Default") == "none",
        f"{name}ImageTag in a parameter group": f"{name}ImageTag" in parameter_group(body),
        f"resource {name}Repository": repository == {"Fn::Sub": f"${{AWS::StackName}}/{tool}"},
        f"resource {name}JobDefinition": image == f"${{Registry}}/{tool}:{tag}",
        f"command of {name}JobDefinition": container.get("Command", [""])[0] == f"run-{tool.replace('_', '-')}",
        f"SEQDROP_IMAGE of {name}JobDefinition": environment.get("SEQDROP_IMAGE") == {"Fn::Sub": f"{tool}:{tag}"},
        f"{tool} in IMAGE_TAGS of StartRunFunction": tool == PREPARATION or image_tags(body).get(tool) == tag,
    }
    return [part for part, is_there in has.items() if not is_there]


def parameter_group(body: dict[str, Any]) -> list[str]:
    groups = body["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    return next(group["Parameters"] for group in groups if group["Label"]["default"] == GROUP)


def image_tags(body: dict[str, Any]) -> dict[str, str]:
    variables = body["Resources"]["StartRunFunction"]["Properties"]["Environment"]["Variables"]
    steps = json.loads(variables["IMAGE_TAGS"]["Fn::Sub"])
    return {tool: tag for tags in steps.values() for tool, tag in tags.items()}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_has_all_its_parts_in_the_template(tool: str) -> None:
    assert lacks(tool, template()) == []


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_has_a_wrapper_and_its_command(tool: str) -> None:
    folder = ROOT / "containers" / tool
    assert {"Dockerfile", "__init__.py", "run.py"} <= {path.name for path in folder.iterdir()}
    [command] = entry_points(group="console_scripts", name=f"run-{tool.replace('_', '-')}")
    assert command.value == f"containers.{tool}.run:main"


def test_nothing_in_the_template_is_left_of_a_tool_without_a_folder() -> None:
    tools = {camel_case(tool) for tool in TOOLS}
    for kind, names in (("ImageTag", template()["Parameters"]), *((k, template()["Resources"]) for k in KINDS)):
        assert {name.removesuffix(kind) for name in names if name.endswith(kind)} == tools, kind
    assert {*image_tags(template()), PREPARATION} == set(TOOLS)


def test_a_folder_of_wrappers_without_a_dockerfile_is_found() -> None:
    assert sorted(path.parent.name for path in (ROOT / "containers").glob("*/run.py")) == TOOLS


def test_a_tool_with_packages_of_its_own_has_its_list_of_them() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]) - {"local"}
    lists = {path.parent.name.replace("_", "-") for path in (ROOT / "containers").glob("*/requirements.txt")}
    assert lists == extras


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        (["Parameters", "BwaImageTag"], ["parameter BwaImageTag"]),
        (["Resources", "BwaRepository"], ["resource BwaRepository"]),
        (
            ["Resources", "BwaJobDefinition"],
            [
                "resource BwaJobDefinition",
                "command of BwaJobDefinition",
                "SEQDROP_IMAGE of BwaJobDefinition",
            ],
        ),
    ],
)
def test_a_missing_part_is_named(path: list[str], missing: list[str]) -> None:
    body = copy.deepcopy(template())
    section, name = path
    del body[section][name]
    assert lacks("bwa", body) == missing


def test_a_tool_that_is_in_a_folder_alone_lacks_every_part() -> None:
    assert lacks("new_caller", template()) == [
        "parameter NewCallerImageTag",
        "NewCallerImageTag in a parameter group",
        "resource NewCallerRepository",
        "resource NewCallerJobDefinition",
        "command of NewCallerJobDefinition",
        "SEQDROP_IMAGE of NewCallerJobDefinition",
        "new_caller in IMAGE_TAGS of StartRunFunction",
    ]
