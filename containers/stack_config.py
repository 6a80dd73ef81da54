"""Keep the settings of one stack in `stacks/NAME.toml`, a file for `sam deploy --config-file` that git ignores.

`samconfig.toml` has the settings for everybody. The file of a stack starts as a copy of its `[default]`; then
`sam deploy --guided` writes the parameters, and `make push` the image tags.

    stack_config.py create NAME [ENVIRONMENT]          write the file, if it is missing; with the parameters of one of
                                                       the environments of samconfig.toml
    stack_config.py region NAME                        print the region of the file, or nothing
    stack_config.py tools NAME [PARAMETER VALUE ...]   print the tools in use; the pairs are those of the stack
    stack_config.py tags NAME BwaImageTag=<tag> ...    write these tags
"""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqdrop.plan import forms
from seqdrop.plan.steps import ALL, FUSED, JOINT, PREPARE, STEPS

if TYPE_CHECKING:
    from samcli.lib.config.samconfig import SamConfig

ROOT = Path(__file__).parents[1]
SUFFIX = "ImageTag"
# The name is a part of every repository (lower case; no `--`, no `-` at an end) and of a state machine (80 characters).
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MAX_NAME = 80 - len("-pipeline")
NO_ENVIRONMENT = ("version", "default", "local")  # parts of samconfig.toml; `seqdrop up` uses [local]
# Every deployment prepares references and has the state machine of joint runs.
FOR_ALL = [tool.name for step in (PREPARE, *JOINT) for tool in step.tools]
NO_TAG = (None, "", "none")
USAGE_ERROR = 64


def check_name(name: str) -> None:
    """Raise ValueError unless CloudFormation, ECR and Step Functions accept this stack name."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a stack name: use lower-case letters, digits and single `-`, a letter first")
    if len(name) > MAX_NAME:
        raise ValueError(f"{name!r} has {len(name)} characters: a stack name has at most {MAX_NAME}")


def create(root: Path, name: str, environment: str = "") -> None:
    """Write the file of a stack from `[default]` of samconfig.toml and the parameters of an environment.

    A file that exists is kept. Raise ValueError if an environment does not exist or cannot be applied any more.
    """
    path = stack_file(root, name)
    if environment and path.exists():
        raise ValueError(f"{path.relative_to(root)} exists: FOR={environment} would change it; edit it, or delete it")
    if not path.exists():
        document = edit(root / "samconfig.toml").document
        common, words = document["default"], environment_parameters(document, environment) if environment else []
        config = edit(path)
        for command, sections in common.items():
            for key, value in sections["parameters"].items():
                config.put([command], "parameters", key, value)
        config.put(["global"], "parameters", "stack_name", name)
        if words:
            config.put(["deploy"], "parameters", "parameter_overrides", words)
        config.flush()


def environment_parameters(document: Mapping[str, Any], environment: str) -> list[str]:
    """Return the parameters of an environment of samconfig.toml; raise ValueError if there is none of this name."""
    names = [name for name in document if name not in NO_ENVIRONMENT]
    if environment not in names:
        raise ValueError(f"samconfig.toml has no environment {environment}; it has {', '.join(names)}")
    return list(document[environment]["deploy"]["parameters"]["parameter_overrides"])


def region(root: Path, name: str) -> str:
    """Return the region that `sam deploy --guided` saved, or an empty text."""
    document = read(stack_file(root, name))
    everywhere = document.get("default", {}).get("global", {}).get("parameters", {})
    return str({**everywhere, **deploy_parameters(document)}.get("region", ""))


def tools(root: Path, name: str, deployed: Mapping[str, str]) -> list[str]:
    """Return the tools whose images the next deployment needs, the defaults of runs first.

    The file of the stack counts before the deployed parameters. A tool that was pushed once, for runs that choose it,
    stays in use: its image must not become older than its job definition.
    """
    saved = overrides(read(stack_file(root, name)))
    values = {**deployed, **saved}
    defaults = [values.get(step.parameter) or step.tools[0].name for step in STEPS]
    every = [tool for step in ALL for tool in step.tools]
    pushed = [tool.name for tool in every if saved.get(tag_parameter(tool.name)) not in NO_TAG]
    form = values.get("Form") if all(tool.fusible for tool in every if tool.name in defaults) else forms.SPLIT
    of_runs = [] if form == forms.FUSED else defaults
    can_fuse = form not in {forms.SPLIT, forms.SCATTERED}
    return list(dict.fromkeys([*of_runs, *FOR_ALL, *([FUSED.name] if can_fuse else []), *pushed]))


def write_tags(root: Path, name: str, tags: Sequence[str]) -> None:
    """Write these `<Tool>ImageTag=<tag>` into `parameter_overrides`; keep all other parameters.

    Tags of tools that this version does not have are removed. SAM refuses a bare `NAME=`: an empty value is `NAME=""`.
    """
    known = {tag_parameter(tool.name) for step in ALL for tool in step.tools}
    config = edit(stack_file(root, name))
    saved = overrides(config.document)
    others = {key: value for key, value in saved.items() if not key.endswith(SUFFIX) or key in known}
    values = {**others, **dict(tag.split("=", 1) for tag in tags)}
    words = [f"{key}={quote(value)}" for key, value in values.items()]
    config.put(["deploy"], "parameters", "parameter_overrides", words)
    config.flush()


def overrides(document: Mapping[str, Any]) -> dict[str, str]:
    """Return `parameter_overrides`: a list of words or, as `sam deploy --guided` writes it, one text."""
    words = deploy_parameters(document).get("parameter_overrides", [])
    words = shlex.split(words) if isinstance(words, str) else [part for word in words for part in shlex.split(word)]
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def deploy_parameters(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters of `sam deploy`. `SamConfig.get_all` would add them to those of all commands."""
    parameters: Mapping[str, Any] = document.get("default", {}).get("deploy", {}).get("parameters", {})
    return parameters


def quote(value: str) -> str:
    """Return a value as `sam deploy` reads it."""
    return value if re.fullmatch(r"[^\s\"'\\]+", value) else '"{}"'.format(value.replace('"', r"\""))


def tag_parameter(tool: str) -> str:
    """Return the name of the parameter with a tool's tag: bwa_mem3 -> BwaMem3ImageTag."""
    return "".join(word.capitalize() for word in tool.split("_")) + SUFFIX


def stack_file(root: Path, name: str) -> Path:
    """Return the path of the file of a stack; raise ValueError for a name that is refused."""
    check_name(name)
    return root / "stacks" / f"{name}.toml"


def read(path: Path) -> dict[str, Any]:
    """Return the content of a file for SAM, {} of one that is missing; raise ValueError if it is not TOML."""
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{path} is not TOML: {error}") from None


def edit(path: Path) -> SamConfig:
    """Open a file for SAM with SAM's own editor, which keeps what it does not change."""
    from samcli.lib.config.samconfig import SamConfig  # noqa: PLC0415  takes a tenth of a second

    return SamConfig(path.parent, path.name)


def main(command: str, name: str, *words: str) -> None:
    """Run one command of the module's description."""
    if command == "create":
        create(ROOT, name, *words)
    elif command == "region":
        print(region(ROOT, name))  # noqa: T201  # read by containers/push
    elif command == "tools":
        deployed = dict(zip(words[::2], words[1::2], strict=True))
        print("\n".join(tools(ROOT, name, deployed)))  # noqa: T201  # read by containers/push
    else:
        write_tags(ROOT, name, words)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(USAGE_ERROR)
