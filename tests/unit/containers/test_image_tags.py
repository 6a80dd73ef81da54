"""The tag of an image changes with the sources of this image alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = sorted(path.parent.name for path in (ROOT / "containers").glob("*/Dockerfile"))
FUSED = (ROOT / "containers/fused/tools.txt").read_text().split()  # the tools that the image of this name has too
SOURCES = (
    "containers",
    "layers",
    "cli",
    "docs",
    "functions",
    "pyproject.toml",
    "uv.lock",
    "README.md",
    ".dockerignore",
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def tag(checkout: Path, *words: str, base: str = "") -> str:
    command = ["bash", str(checkout / "containers/tag"), *words]
    environment = {**os.environ, "BASE": base}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def tags(checkout: Path, base: str = "") -> dict[str, str]:
    return dict(line.split() for line in tag(checkout, base=base).splitlines())


@pytest.fixture(scope="module")
def before(checkout: Path) -> dict[str, str]:
    return tags(checkout)


def test_a_checkout_of_links_to_folders_has_the_same_tags(
    checkout: Path, before: dict[str, str], tmp_path: Path
) -> None:
    """`make bench` deploys such a checkout."""
    for path in checkout.iterdir():
        if path.is_dir():
            (tmp_path / path.name).symlink_to(path)
        else:
            shutil.copy(path, tmp_path)
    assert tags(tmp_path) == before


Change = Callable[..., list[str]]


@pytest.fixture
def changed_by(checkout: Path, before: dict[str, str]) -> Iterator[Change]:
    """Add a comment to files and return the tools whose tags change; the files are restored."""
    restored: dict[Path, bytes | None] = {}

    def change(*names: str) -> list[str]:
        for file in (checkout / name for name in names):
            restored[file] = file.read_bytes() if file.exists() else None
            file.write_bytes((restored[file] or b"") + b"# a comment\n")
        after = tags(checkout)
        return [tool for tool in TOOLS if after[tool] != before[tool]]

    yield change
    for file, content in restored.items():
        file.unlink() if content is None else file.write_bytes(content)


def test_every_tool_has_its_own_tag(before: dict[str, str]) -> None:
    assert list(before) == TOOLS
    assert len(set(before.values())) == len(TOOLS)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_comment_in_one_wrapper_changes_the_tags_of_its_images(changed_by: Change, tool: str) -> None:
    assert changed_by(f"containers/{tool}/run.py") == sorted({tool, "fused"} if tool in FUSED else {tool})


@pytest.mark.parametrize("name", ["Dockerfile", "requirements.txt", "new_module.py"])
def test_a_change_in_the_folder_of_one_tool_changes_the_tags_of_its_images(changed_by: Change, name: str) -> None:
    assert changed_by(f"containers/isaac/{name}") == ["isaac"]
    assert changed_by(f"containers/report/{name}") == ["fused", "isaac", "report"]


@pytest.mark.parametrize(
    "name",
    [
        "layers/common/seqdrop/new_module.py",
        "layers/common/pyproject.toml",
        "containers/builder.Dockerfile",
        "containers/build-requirements.txt",
        "containers/requirements.txt",
        "containers/pyproject.toml",
        "containers/hatch_build.py",
        "containers/__init__.py",
    ],
)
def test_a_change_in_what_all_images_share_changes_all_tags(changed_by: Change, name: str) -> None:
    assert changed_by(name) == TOOLS


DIGESTS = [f"sha256:{digit * 64}" for digit in "ab"]


def test_the_digest_of_the_base_image_changes_all_tags_and_its_name_none(
    checkout: Path, before: dict[str, str]
) -> None:
    one, other = (tags(checkout, f"debian@{digest}") for digest in DIGESTS)
    for tool in TOOLS:
        assert len({before[tool], one[tool], other[tool]}) == 3
    assert tags(checkout, f"mirror.example.org/library/debian:bookworm-slim@{DIGESTS[0]}") == one
    assert tags(checkout, "debian:bookworm-slim") == tags(checkout, "seqdrop-base") == before


def test_a_change_outside_the_images_changes_no_tag(changed_by: Change) -> None:
    outside = [
        "cli/seqdrop_cli/app.py",
        "docs/deploy.md",
        "README.md",
        "functions/start_run/app.py",
        "pyproject.toml",
        "uv.lock",
        "layers/common/requirements.txt",
        "containers/build",
        "containers/push",
        "containers/stack_config.py",
    ]
    assert changed_by(*outside) == []


def test_the_files_that_the_builder_copies_are_those_of_the_tag() -> None:
    """A new COPY in the builder needs its file in `containers/tag`, or an old image would be taken for a new one."""
    lines = (ROOT / "containers/builder.Dockerfile").read_text().splitlines()
    copied = {word for line in lines if re.match("COPY (?!--from)", line) for word in line.split()[1:-1]}
    [selected] = (line for line in lines if "/src/all/$tool" in line)  # of all folders, those of the image are taken
    assert selected.startswith("RUN for tool in ${TOOL} $(cat")
    assert "COPY containers /src/all" in lines
    copied.remove("containers")
    common = {name for name in copied if "${TOOL}" not in name}
    assert all(name.startswith("containers/${TOOL}") for name in copied - common)
    assert common == {
        "containers/__init__.py",
        "containers/build-requirements.txt",
        "containers/hatch_build.py",
        "containers/pyproject.toml",
        "containers/requirements.txt",
        "layers/common/pyproject.toml",
        "layers/common/seqdrop",
    }


def test_bytecode_does_not_count(checkout: Path, changed_by: Change) -> None:
    (checkout / "containers/bwa/__pycache__").mkdir()
    assert changed_by("containers/bwa/__pycache__/run.cpython-311.pyc") == []


def test_one_tag_and_the_parameters_are_printed_in_their_own_form(checkout: Path, before: dict[str, str]) -> None:
    assert tag(checkout, "bwa_mem3") == f"{before['bwa_mem3']}\n"
    parameters = tag(checkout, "--parameters").splitlines()
    assert f"BwaMem3ImageTag={before['bwa_mem3']}" in parameters
    assert len(parameters) == len(TOOLS)


def test_the_tag_of_an_unknown_tool_is_refused(checkout: Path) -> None:
    command = ["bash", str(checkout / "containers/tag"), "newcaller"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (64, "")
    assert refused.stderr == "newcaller is not a tool: containers/newcaller/Dockerfile is missing\n"
