"""Every row of `seqdrop.plan.steps` has all its parts elsewhere; a missing part is named.

CONTRIBUTING.md lists these parts as the steps of "add a tool".
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from unittest.mock import MagicMock

import pytest
from seqdrop.jobs import reference_cache
from seqdrop.plan import steps
from seqdrop.plan.options import Option
from seqdrop.plan.steps import ALL, CALL, FUSED, JOIN, JOINT, MERGE, PREPARE, SCATTER, STEPS, Step, Tool
from seqdrop.runs import work
from support.function_aws import environment
from support.machine_contract import COMMON
from support.pipeline_parts import MACHINES, ROOT, machine, programs, references, states, template, wrapper_flags

from gates.template import TOOLS

MAX_NAME = 71  # letters of a stack name, see containers/stack_config.py
ROWS = [(step, tool) for step in ALL for tool in step.tools]
IDS = [f"{step.name}-{tool.name}" for step, tool in ROWS]
IMAGE_GROUP = "Images of the tools"


def camel_case(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def local_overrides() -> list[str]:
    overrides: list[str] = tomllib.loads((ROOT / "samconfig.toml").read_text())["local"]["deploy"]["parameters"][
        "parameter_overrides"
    ]
    return overrides


@dataclass
class Sources:
    """The files that have the parts, each read once; tests remove parts from copies."""

    template: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(template()))
    machines: list[dict[str, Any]] = field(default_factory=lambda: [copy.deepcopy(machine(name)) for name in MACHINES])
    tools_document: str = field(default_factory=(ROOT / "docs/tools.md").read_text)
    sizing_document: str = field(default_factory=(ROOT / "docs/sizing.md").read_text)
    readme: str = field(default_factory=(ROOT / "README.md").read_text)
    local_overrides: list[str] = field(default_factory=local_overrides)

    @property
    def states(self) -> dict[str, dict[str, Any]]:
        return {name: state for machine in self.machines for name, state in states(machine)}

    @property
    def resources(self) -> dict[str, Any]:
        resources: dict[str, Any] = self.template["Resources"]
        return resources

    @property
    def variables(self) -> dict[str, Any]:
        """The environment of start_run."""
        found: dict[str, Any] = self.resources["StartRunFunction"]["Properties"]["Environment"]["Variables"]
        return found

    def environment(self, variable: str) -> dict[str, Any]:
        """The value of a JSON variable of start_run."""
        text = self.variables[variable]["Fn::Sub"]
        value: dict[str, Any] = json.loads(text[0] if isinstance(text, list) else text)
        return value

    def name_of_definition(self, tool: str) -> Any:
        """What start_run gets as the name of the job definition of a tool: nothing if that is missing."""
        word = self.environment("JOB_DEFINITIONS").get(tool, "")
        return self.variables["JOB_DEFINITIONS"]["Fn::Sub"][1].get(word.removeprefix("${").removesuffix("}"))


def unchanged() -> Sources:
    """Return the parts themselves: a test that removes some takes `Sources()`."""
    return Sources(template(), [machine(name) for name in MACHINES])


def missing_parts(step: Step, tool: Tool, sources: Sources) -> list[str]:
    """Return every part that a row of the table lacks, in the words of CONTRIBUTING.md."""
    parts = {**step_parts(step, sources), **tool_parts(step, tool, sources)}
    return [part for part, exists in parts.items() if not exists]


def step_parts(step: Step, sources: Sources) -> dict[str, bool]:
    name, state = step.name.capitalize(), sources.states.get(step.state, {}).get("Parameters", {})
    words = {word.removesuffix(".$") for word in state.get("Parameters", {})}
    sizes = {f"{name}Vcpus", f"{name}Memory"}
    size = [f"${{{name}Vcpus}}", f"${{{name}Memory}}"]
    in_sizes = step is PREPARE or step.optional or sources.environment("SIZES").get(step.name) == size
    overridden = {override.split("=")[0] for override in sources.local_overrides}
    return {
        f"state {step.state}": state.get("Tags", {}).get("step") == step.name,
        f"words of state {step.state}": words == {*step.reads, *step.writes, *COMMON},
        f"job definitions of state {step.state}": has_job_definitions(step, state, sources),
        f"parameters {name}Vcpus and {name}Memory": sizes <= set(sources.template["Parameters"]),
        f"{step.name} in SIZES of StartRunFunction": in_sizes,
        f"{name}Vcpus and {name}Memory in samconfig.toml [local]": sizes <= overridden,
        f"values of parameter {step.parameter}": not step.parameter or parameter_values(step, sources),
        f"{step.name} in docs/tools.md": f"| {step.name} |" in sources.tools_document,
    }  # fmt: skip


def has_job_definitions(step: Step, state: dict[str, Any], sources: Sources) -> bool:
    """Whether the plan gets the job definition of every tool, and the state takes it from the plan.

    A preparation has one tool, whose definition is substituted.
    """
    if step is PREPARE:
        return substituted_definitions(state.get("JobDefinition", ""), sources) == {"ReferenceJobDefinition"}
    from_plan = state.get("JobDefinition.$") == f"$.{step.name}.job_definition"
    return from_plan and all(sources.name_of_definition(tool.name) == end_of_arn(tool) for tool in step.tools)


def end_of_arn(tool: Tool) -> dict[str, Any]:
    """Return the name and the revision of the job definition of a tool, by functions of CloudFormation."""
    arn = {"Fn::GetAtt": [f"{camel_case(tool.name)}JobDefinition", "JobDefinitionArn"]}
    return {"Fn::Select": [1, {"Fn::Split": ["/", arn]}]}


def substituted_definitions(reference: str, sources: Sources) -> set[str]:
    """Return the job definitions that the template may substitute for `${...}` in a state machine."""
    word = reference.removeprefix("${").removesuffix("}")
    for resource in sources.resources.values():
        value = resource.get("Properties", {}).get("DefinitionSubstitutions", {}).get(word)
        if value:
            return set(references_in(value))
    return set()


def references_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0] if isinstance(inner, list) else inner.split(".")[0]
            else:
                yield from references_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references_in(inner)


def parameter_values(step: Step, sources: Sources) -> bool:
    parameter = sources.template["Parameters"].get(step.parameter, {})
    names = [tool.name for tool in step.tools]
    return bool(parameter.get("AllowedValues") == names and parameter.get("Default") == names[0])


def tool_parts(step: Step, tool: Tool, sources: Sources) -> dict[str, bool]:
    name, command = camel_case(tool.name), f"run-{tool.name.replace('_', '-')}"
    tag = f"${{{name}ImageTag}}"
    repository = sources.resources.get(f"{name}Repository", {}).get("Properties", {}).get("RepositoryName", {})
    container = sources.resources.get(f"{name}JobDefinition", {}).get("Properties", {}).get("ContainerProperties", {})
    words = container.get("Command", [""])
    environment = {variable["Name"]: variable["Value"] for variable in container.get("Environment", [])}
    pushed = sources.environment("IMAGE_TAGS")
    images = sources.template["Outputs"]["ImageTags"]["Value"]["Fn::Sub"]
    words_of_step = {*step.reads, *step.writes, *COMMON}
    image = container.get("Image", {}).get("Fn::Sub", [""])[0]
    row = re.search(rf"^\| `?{tool.name}`? \|.*$", sources.tools_document, re.MULTILINE)
    documented = row is not None and all(f"`{option.name}" in row[0] for option in tool.options)
    return {
        f"folder containers/{tool.name}": {"Dockerfile", "__init__.py", "run.py"} <= files_of(tool),
        f"command {command}": command_of(tool) == f"containers.{tool.name}.run:main",
        f"flags of containers/{tool.name}/run.py": flags_of(tool) == {f"--{word}" for word in words_of_step},
        f"options of containers/{tool.name}/run.py": step is FUSED or has_own_options(tool),
        f"parameter {name}ImageTag": sources.template["Parameters"].get(f"{name}ImageTag", {}).get("Default") == "none",
        f"{name}ImageTag in a parameter group": f"{name}ImageTag" in parameter_group(sources),
        f"{name}ImageTag in the output ImageTags": f"{tool.name}:{tag}" in images.split(),
        f"resource {name}Repository": repository == {"Fn::Sub": f"${{AWS::StackName}}/{tool.name}"},
        f"resource {name}JobDefinition": image == f"${{Registry}}/{tool.name}:{tag}",
        f"command of {name}JobDefinition": words[0] == command,
        f"words of {name}JobDefinition": dict(references(words)) == {f"--{word}": word for word in words_of_step},
        f"role and sizes of {name}JobDefinition": has_role_and_sizes(step, container),
        f"variables of {name}JobDefinition": has_variables(environment, f"{tool.name}:{tag}"),
        f"{tool.name} in IMAGE_TAGS of StartRunFunction": step is PREPARE or pushed.get(tool.name) == tag,
        f"{tool.name} in docs/tools.md, with its options": documented,
        f"{name} in TOOLS of gates/template.py": name in TOOLS,
        f"{tool.name} in CPU_SECONDS of runs/work.py": not step.choice or tool.name in work.CPU_SECONDS,
        f"{tool.name} in README.md and docs/sizing.md": not step.choice or is_offered(step, tool, sources),
    }  # fmt: skip


def is_offered(step: Step, tool: Tool, sources: Sources) -> bool:
    """Whether README.md offers a tool that runs may choose, and docs/sizing.md has its sizes."""
    name = CALL.name if step is SCATTER else step.name
    row = re.compile(rf"^\| {name} \| {tool.name} \|", re.MULTILINE | re.IGNORECASE)
    return row.search(sources.sizing_document) is not None and f"`{tool.name}`" in sources.readme


def has_variables(environment: dict[str, Any], image: str) -> bool:
    """Whether a job definition names its image, and its jobs share references as those of all tools do."""
    size = {"Ref": "ReferenceCacheSize"}
    return environment.get("SEQDROP_IMAGE") == {"Fn::Sub": image} and environment.get(reference_cache.SIZE) == size


def has_role_and_sizes(step: Step, container: dict[str, Any]) -> bool:
    """Whether the jobs of a tool have the role of their step and, unless a run has other ones, its sizes.

    The job definition of `join` is that of `merge` too, that of `call` also that of `scatter`; the state machine gives
    each its sizes.
    """
    name = {MERGE.name: JOIN.name, SCATTER.name: CALL.name}.get(step.name, step.name).capitalize()
    types = {"VCPU": f"{name}Vcpus", "MEMORY": f"{name}Memory"}
    sizes = [{"Type": kind, "Value": {"Ref": parameter}} for kind, parameter in types.items()]
    role = {"Fn::GetAtt": [f"{name}JobRole", "Arn"]}
    return container.get("JobRoleArn") == role and container.get("ResourceRequirements") == sizes


def parameter_group(sources: Sources) -> list[str]:
    groups = sources.template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    return next(group["Parameters"] for group in groups if group["Label"]["default"] == IMAGE_GROUP)


def files_of(tool: Tool) -> set[str]:
    folder = ROOT / "containers" / tool.name
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def command_of(tool: Tool) -> str:
    name = f"run-{tool.name.replace('_', '-')}"
    return next((script.value for script in programs().select(name=name)), "")


@cache
def flags_of(tool: Tool) -> set[str]:
    """The flags that `run-<tool> --help` shows."""
    return (
        wrapper_flags(f"run-{tool.name.replace('_', '-')}")
        if (ROOT / "containers" / tool.name / "run.py").exists()
        else set()
    )


class OptionsSeenError(Exception):
    """Ends a wrapper once it has parsed its options."""


@cache
def has_own_options(tool: Tool) -> bool:
    """Whether a wrapper checks its options by its own row of the table, from a call without real inputs."""
    if not (ROOT / "containers" / tool.name / "run.py").exists():
        return False
    wrapper = importlib.import_module(f"containers.{tool.name}.run")
    rows: list[str] = []

    def parse_options(_words: Any, name: str) -> None:
        rows.append(name)
        raise OptionsSeenError

    @contextlib.contextmanager
    def step(*_: Any, **__: Any) -> Iterator[Any]:
        yield MagicMock()

    values = {
        "vcpus": "1",
        "memory": "1",
        "args": "[]",
        "run": "r",
        "attempt": "1",
        "aligner": "bwa",
        "sample": "S",
        "sources": "{}",
        "parts": "1",
    }
    words = [text for flag in flags_of(tool) for text in (flag, values.get(flag[2:], "s3://bucket/S/r/S.x"))]
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(OptionsSeenError):
        patch.setattr(wrapper, "step", step)
        patch.setattr("seqdrop.jobs.arguments.parse_options", parse_options)
        wrapper.main(words)
    return rows == [tool.name]


@pytest.mark.parametrize(("step", "tool"), ROWS, ids=IDS)
def test_a_row_of_the_table_has_all_its_parts(step: Step, tool: Tool) -> None:
    assert missing_parts(step, tool, unchanged()) == []


def test_nothing_exists_for_a_step_or_a_tool_without_a_row() -> None:
    sources = Sources()
    tools = {tool.name for _, tool in ROWS}
    batch_states = {name for name, state in sources.states.items() if "batch:submitJob" in state.get("Resource", "")}
    assert batch_states == {step.state for step in ALL}
    assert {path.parent.name for path in (ROOT / "containers").glob("*/run.py")} == tools
    assert {path.parent.name for path in (ROOT / "containers").glob("*/Dockerfile")} == tools
    names_of_tools = {camel_case(tool) for tool in tools}
    parameters, resources = sources.template["Parameters"], sources.resources
    for kind, existing in (("ImageTag", parameters), ("Repository", resources), ("JobDefinition", resources)):
        assert {name.removesuffix(kind) for name in existing if name.endswith(kind)} == names_of_tools, kind
    of_runs = {tool.name for step in ALL if step is not PREPARE for tool in step.tools}
    assert set(sources.environment("IMAGE_TAGS")) == set(sources.environment("JOB_DEFINITIONS")) == of_runs
    names = {*steps.every_name(), FUSED.name}
    required = {
        step.name for step in (*STEPS, SCATTER, *JOINT) if not step.optional
    }  # a step without a size is left out
    assert required <= set(sources.environment("SIZES")) <= names


def test_a_tool_with_python_packages_of_its_own_has_its_list_of_them() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]) - {"local"}
    lists = {path.parent.name.replace("_", "-") for path in (ROOT / "containers").glob("*/requirements.txt")}
    assert lists == extras


def test_the_image_of_the_fused_job_has_the_tools_of_all_steps_that_can_be_fused() -> None:
    names = (ROOT / "containers/fused/tools.txt").read_text().split()
    assert names == sorted(tool.name for step in STEPS for tool in step.tools if tool.fusible)
    packages = pinned("fused")
    for name in names:
        assert pinned(name) <= packages, name
        assert commands_of_test(name) <= commands_of_test("fused"), name
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    needed = {package for name in names for package in extras.get(name.replace("_", "-"), ())}
    assert set(extras["fused"]) == needed


def pinned(tool: str) -> set[str]:
    """The Debian packages that a Dockerfile installs, with their versions."""
    return set(re.findall(r"\S+=\d\S*", (ROOT / f"containers/{tool}/Dockerfile").read_text()))


def commands_of_test(tool: str) -> set[str]:
    """The commands that a Dockerfile runs in its test stage."""
    _, stage = (ROOT / f"containers/{tool}/Dockerfile").read_text().split("FROM app AS test\nRUN ")
    return set(re.split(r"(?: \\\n)? +&& ", stage.strip()))


def test_every_part_of_a_new_tool_is_asked_for() -> None:
    [call] = [step for step in STEPS if step.name == "call"]
    new = Tool("new_caller", (Option("--exome"),))
    assert [part for part in missing_parts(call, new, Sources()) if "new" in part.lower()] == [
        "folder containers/new_caller",
        "command run-new-caller",
        "flags of containers/new_caller/run.py",
        "options of containers/new_caller/run.py",
        "parameter NewCallerImageTag",
        "NewCallerImageTag in a parameter group",
        "NewCallerImageTag in the output ImageTags",
        "resource NewCallerRepository",
        "resource NewCallerJobDefinition",
        "command of NewCallerJobDefinition",
        "words of NewCallerJobDefinition",
        "role and sizes of NewCallerJobDefinition",
        "variables of NewCallerJobDefinition",
        "new_caller in IMAGE_TAGS of StartRunFunction",
        "new_caller in docs/tools.md, with its options",
        "NewCaller in TOOLS of gates/template.py",
        "new_caller in CPU_SECONDS of runs/work.py",
        "new_caller in README.md and docs/sizing.md",
    ]
    row = Step("call", "CallVariants", (*call.tools, new), call.reads, call.writes, call.parameter)
    assert missing_parts(row, call.tools[0], Sources()) == [
        "job definitions of state CallVariants",
        "values of parameter Caller",
    ]


def test_every_part_of_a_new_step_is_asked_for() -> None:
    step = Step(
        "depth", "MeasureDepth", tools=(Tool("mosdepth"),), reads=("bam",), writes={"depths": "{sample}.depths.txt"}
    )
    assert list(step_parts(step, Sources())) == [
        "state MeasureDepth",
        "words of state MeasureDepth",
        "job definitions of state MeasureDepth",
        "parameters DepthVcpus and DepthMemory",
        "depth in SIZES of StartRunFunction",
        "DepthVcpus and DepthMemory in samconfig.toml [local]",
        "values of parameter ",
        "depth in docs/tools.md",
    ]
    missing = [part for part, exists in step_parts(step, Sources()).items() if not exists]
    assert missing == [part for part in step_parts(step, Sources()) if part != "values of parameter "]


@pytest.mark.parametrize(
    ("path", "part"),
    [
        (("Parameters", "BwaImageTag"), "parameter BwaImageTag"),
        (("Resources", "BwaRepository"), "resource BwaRepository"),
        (("Resources", "BwaJobDefinition", "Properties", "ContainerProperties", "Image"), "resource BwaJobDefinition"),
        (
            ("Resources", "BwaJobDefinition", "Properties", "ContainerProperties", "Environment"),
            "variables of BwaJobDefinition",
        ),
        (("Parameters", "AlignVcpus"), "parameters AlignVcpus and AlignMemory"),
    ],
)
def test_one_missing_part_is_named(path: tuple[str, ...], part: str) -> None:
    sources = Sources()
    *folders, name = path
    place: Any = sources.template
    for folder in folders:
        place = place[folder]
    del place[name]
    [align] = [step for step in STEPS if step.name == "align"]
    [bwa] = [tool for tool in align.tools if tool.name == "bwa"]
    assert missing_parts(align, bwa, sources) == [part]


@pytest.mark.parametrize("where", ["state", "job definition", "flag"])
def test_a_renamed_word_is_found_in_the_state_and_in_the_job_definition(where: str) -> None:
    sources = Sources()
    [align] = [step for step in STEPS if step.name == "align"]
    if where == "state":
        words = sources.states["AlignReads"]["Parameters"]["Parameters"]
        words["bim.$"] = words.pop("bam.$")
        expected = "words of state AlignReads"
    else:
        command = sources.resources["BwaMem3JobDefinition"]["Properties"]["ContainerProperties"]["Command"]
        old, new = ("--bam", "--bim") if where == "flag" else ("Ref::bam", "Ref::bim")
        command[command.index(old)] = new
        expected = "words of BwaMem3JobDefinition"
    assert missing_parts(align, align.tools[0], sources) == [expected]


def test_the_state_machines_may_submit_the_job_definitions_of_this_stack_alone() -> None:
    """A plan names its job definitions: IAM decides which ones it may name."""
    policies = Sources().resources["StateMachineRole"]["Properties"]["Policies"]
    [statement] = [
        statement
        for policy in policies
        for statement in policy["PolicyDocument"]["Statement"]
        if "batch:SubmitJob" in statement["Action"]
    ]
    subs = [resource["Fn::Sub"] for resource in statement["Resource"] if "Fn::Sub" in resource]
    allowed = {sub.rpartition("job-definition/")[2] for sub in subs if ":job-definition/" in sub}
    assert allowed == {f"${{AWS::StackName}}-{camel_case(tool.name)}:*" for _, tool in ROWS}


def test_the_environment_of_start_run_fits_into_4_kib_with_the_longest_name_of_a_stack() -> None:
    """Lambda refuses more. There is room for another tool."""
    variables = {name: text.replace("seqdrop", "s" * MAX_NAME) for name, text in environment("start_run").items()}
    of_tools = len(variables["IMAGE_TAGS"]) + len(variables["JOB_DEFINITIONS"])
    room = of_tools // len(json.loads(variables["IMAGE_TAGS"]))
    assert sum(len(name) + len(text) for name, text in variables.items()) + room < 4096


def test_the_tools_of_a_step_share_one_interface() -> None:
    for step in STEPS:
        assert len({frozenset(flags_of(tool)) for tool in step.tools}) == 1
