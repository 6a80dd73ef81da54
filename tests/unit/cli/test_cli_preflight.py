from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from seqdrop.plan import steps
from seqdrop.plan.steps import PREPARE, SNPEFF_JAR, STEPS, Step, Tool
from seqdrop_cli import preflight
from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack
from support import cli_aws

ROOT = Path(__file__).parents[3]
TOOLS = {"aligner": "bwa", "caller": "bcftools"}


@pytest.fixture
def empty_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    return tmp_path


def test_every_program_of_the_selected_tools_must_be_on_path(empty_path: Path) -> None:
    programs = set(steps.programs(TOOLS))
    assert {"samtools", "bcftools", "bwa", "bgzip", "java", "mosdepth"} <= programs
    assert set(preflight.missing_programs(TOOLS)) | {SNPEFF_JAR} == programs | {SNPEFF_JAR}
    assert "isaac-align" not in programs
    (empty_path / "bwa").touch(mode=0o755)
    assert "bwa" not in preflight.missing_programs(TOOLS)


def test_a_program_with_a_path_must_be_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = tmp_path / "tool.jar"
    monkeypatch.setattr(steps, "programs", lambda _: [str(jar)])
    assert preflight.missing_programs({}) == [str(jar)]
    jar.touch()
    assert preflight.missing_programs({}) == []


def test_missing_programs_have_the_command_that_installs_them() -> None:
    assert preflight.describe_missing(["samtools"]) == (
        "samtools is not installed. `sudo apt-get install samtools bwa bcftools mosdepth libhts-dev libsnpeff-java "
        "default-jre-headless` (or `make tools`) installs what is missing."
    )


def test_the_command_has_the_packages_of_every_tool_with_a_missing_program() -> None:
    sentence = preflight.describe_missing(["bcftools", SNPEFF_JAR])
    assert sentence.startswith(f"bcftools, {SNPEFF_JAR} are not installed. `sudo apt-get install ")
    assert {"bcftools", "libsnpeff-java", "default-jre-headless"} <= set(re.findall(r"[\w-]+", sentence))


@pytest.mark.parametrize(
    ("program", "tools"),
    [
        ("isaac-align", "`--aligner bwa_mem3` or `--aligner bwa`"),
        ("configureStrelkaGermlineWorkflow.py", "`--caller bcftools`"),
    ],
)
def test_a_program_without_a_package_has_the_tools_that_can_replace_it(program: str, tools: str) -> None:
    sentence = preflight.describe_missing([program])
    assert sentence == f"{program} is not installed. {program} has no package: choose another tool with {tools}."


def test_a_new_tool_needs_a_row_only(monkeypatch: pytest.MonkeyPatch) -> None:
    new = Tool("freebayes", (), ("freebayes",), ("freebayes",))
    call = Step("call", "CallVariants", (new,), ("bam",), parameter="Caller")
    monkeypatch.setattr(preflight, "STEPS", (*(step for step in STEPS if step.name != "call"), call))
    assert "`sudo apt-get install freebayes`" in preflight.describe_missing(["freebayes"])


def test_the_script_installs_the_packages_of_all_tools() -> None:
    command = [sys.executable, "-m", "seqdrop.plan.steps"]
    packages = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    tools = [tool for step in (*STEPS, PREPARE) for tool in step.tools]
    assert sorted(packages) == sorted({package for tool in tools for package in tool.packages})
    assert "-m seqdrop.plan.steps" in (ROOT / "local/install_tools").read_text()


@pytest.mark.parametrize(
    ("default", "form", "tags", "missing"),
    [
        ("fused", "", "fused reference", []),
        ("fused", "", "bwa_mem3 bcftools", ["snpeff", "samtools_stats", "report", "reference"]),
        ("fused", "split", "fused reference snpeff", ["bwa_mem3", "bcftools", "samtools_stats", "report"]),
        ("auto", "", "fused reference", ["bwa_mem3", "bcftools", "snpeff", "samtools_stats", "report"]),
        ("split", "fused", "reference", ["fused"]),
    ],
)
def test_a_run_needs_the_images_of_its_form(default: str, form: str, tags: str, missing: list[str]) -> None:
    with cli_aws.stack() as stack:
        known = [word.partition(":")[0] for word in stack["ImageTags"].split()]
        present = " ".join(f"{tool}:{'1' if tool in tags.split() else 'none'}" for tool in known)
        object.__setattr__(stack, "outputs", {**stack.outputs, "ImageTags": present})
        object.__setattr__(stack, "parameters", {"Form": default})
        assert preflight.missing_images(stack, stack.default_tools, form) == missing


DOCKER = """#!/bin/sh
[ "$1 $2 $3 $4" = "image inspect --format {{.Id}}" ] || exit 125
shift 4
code=0
for image; do
    case " seqdrop/reference:1 seqdrop/bcftools:1 seqdrop/snpeff:1 seqdrop/report:1 $MORE " in
        *" $image "*) echo sha256:0123 ;;
        *) echo "Error response from daemon: no such image: $image: No such image: $image" >&2; code=1 ;;
    esac
done
exit $code
"""


@pytest.fixture
def docker_stack(empty_path: Path) -> Iterator[Stack]:
    """A stack whose jobs run in containers, on an engine with the images of some tools."""
    (empty_path / "docker").write_text(DOCKER)
    (empty_path / "docker").chmod(0o755)
    with cli_aws.stack() as stack:
        object.__setattr__(stack, "parameters", {"ImageRegistry": "seqdrop"})
        object.__setattr__(stack, "endpoint", "http://127.0.0.1:9")
        yield stack


def test_jobs_in_containers_need_the_images_of_their_tools_on_this_machine(
    docker_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight.embedded, "running", lambda: type("Server", (), {"executor": "docker"}))
    with pytest.raises(CliError) as raised:
        preflight.check_tools(docker_stack, TOOLS)
    assert str(raised.value) == (
        "The Docker engine has no image of bwa, samtools_stats: `bash containers/build bwa samtools_stats` builds what "
        "is missing."
    )
    with pytest.raises(CliError, match="has no image of fused: "):
        preflight.check_tools(docker_stack, TOOLS, "fused")
    monkeypatch.setenv("MORE", "seqdrop/bwa:1 seqdrop/samtools_stats:1")
    preflight.check_tools(docker_stack, TOOLS)


def test_without_an_answer_of_the_engine_the_job_reports_a_missing_image(docker_stack: Stack, empty_path: Path) -> None:
    (empty_path / "docker").write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    assert preflight.describe_lack(docker_stack, "docker", TOOLS) == ""
    (empty_path / "docker").unlink()
    assert preflight.describe_lack(docker_stack, "docker", TOOLS) == ""


def test_a_run_needs_the_images_of_its_own_tools() -> None:
    with cli_aws.stack() as stack:
        tags = stack["ImageTags"].replace("bwa:1", "bwa:none").replace("strelka:1", "strelka:none")
        object.__setattr__(stack, "outputs", {**stack.outputs, "ImageTags": tags})
        preflight.check_images(stack, {**TOOLS, "aligner": "bwa_mem3"})
        with pytest.raises(CliError) as raised:
            preflight.check_images(stack, {"aligner": "bwa", "caller": "strelka"})
    assert str(raised.value) == (
        "Stack seqdrop has no image of bwa, strelka yet: run `make push STACK=seqdrop TOOLS='bwa strelka'` and "
        "`sam deploy --config-file stacks/seqdrop.toml`."
    )
