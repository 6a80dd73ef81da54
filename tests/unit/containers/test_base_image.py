"""The base of images that are built on this machine, with a fake Docker and a fake debootstrap."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# The engine has the images in $IMAGES, and can pull those in $PULLED.
DOCKER = """#!/usr/bin/env bash
echo "$*" >> "$CALLS"
case "$1 $2" in
    "image inspect") [[ " $IMAGES " == *" $3 "* ]] ;;
    "pull --quiet") [[ " $PULLED " == *" $3 "* ]] ;;
    "import -") cat > /dev/null ;;
esac
"""
DEBOOTSTRAP = """#!/usr/bin/env bash
echo "debootstrap $*" >> "$CALLS"
mkdir "$3"
"""
ID = "#!/bin/sh\necho 0\n"  # root: debootstrap needs it
DEBIAN = "debian:bookworm-slim"


@pytest.fixture
def base_image(tmp_path: Path) -> object:
    """Return a function that runs local/base_image; it returns what that prints, and the calls that it made."""
    for name, text in (("docker", DOCKER), ("debootstrap", DEBOOTSTRAP), ("id", ID)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def run(**variables: str) -> tuple[str, list[str]]:
        calls = tmp_path / "calls"
        calls.unlink(missing_ok=True)
        environment = {"IMAGES": "", "PULLED": "", **variables, "CALLS": str(calls)}
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", ROOT / "local/base_image"],
            env={"PATH": path, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip(), calls.read_text().splitlines() if calls.exists() else []

    return run


@pytest.mark.parametrize(
    ("variables", "base"),
    [
        ({"BASE": "mine"}, "mine"),
        ({"IMAGES": DEBIAN}, DEBIAN),
        ({"PULLED": DEBIAN}, DEBIAN),
        ({"IMAGES": f"{DEBIAN} seqdrop-base"}, "seqdrop-base"),  # which has the certificates of this machine
    ],
)
def test_a_base_that_exists_or_can_be_pulled_is_used(base_image: object, variables: dict[str, str], base: str) -> None:
    assert callable(base_image)
    printed, calls = base_image(**variables)
    assert printed == base
    assert not [call for call in calls if call.startswith(("debootstrap", "build"))]


def test_without_any_image_a_base_is_made_with_debootstrap(base_image: object) -> None:
    assert callable(base_image)
    printed, calls = base_image()
    assert printed == "seqdrop-base"
    assert [call.split()[0] for call in calls if not call.startswith(("image", "pull", "buildx"))] == [
        "debootstrap",
        "import",
        "build",
    ]
    assert any(call.startswith("build --quiet --tag seqdrop-base ") for call in calls)
