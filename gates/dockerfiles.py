"""Check the Dockerfiles with hadolint, and with rules of our own that resolve ARGs and stages."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

from . import pip_commands
from .finding import Finding, Problem

GATE = "dockerfiles"
# The levels of hadolint that count. DL3059, of level info, would require one RUN for a whole test stage.
LEVELS = ("error", "warning")
SECRET = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|ACCESS_KEY|PRIVATE_KEY|CREDENTIAL", re.IGNORECASE)
TOOL_DOCKERFILE = re.compile(r"containers/[^/]+/Dockerfile")
BUILDER = "${BUILDER}"  # the image of containers/builder.Dockerfile; containers/build builds it first
DOWNLOAD = re.compile(r"\b(curl|wget)\b")
CHECKSUM = re.compile(r"\bsha(256|512)sum\b.*(-c|--check)\b")
# Options of apt that install packages whose signature is missing or invalid.
UNSIGNED = re.compile(r"--allow-(unauthenticated|insecure-repositories)|trusted=yes|AllowUnauthenticated|--force-yes")
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}")
CONTINUATION = re.compile(r"\\\n(\s*#[^\n]*\n)*")


@dataclass
class Stage:
    """A build stage: it starts with FROM."""

    image: str
    name: str = ""
    user: str = ""
    instructions: list[tuple[str, str]] = field(default_factory=list)


def check(texts: dict[str, str]) -> list[Finding]:
    """Return the findings in these Dockerfiles, keyed by path."""
    return hadolint(texts) + [
        Finding(GATE, rule, name, message)
        for name, text in texts.items()
        for rule, message in check_dockerfile(name, text)
    ]


def hadolint(texts: dict[str, str]) -> list[Finding]:
    """Return the errors and warnings of hadolint.

    A suppression is a comment on the line above, `# hadolint ignore=DL3008`; its reason is on the line above that.
    """
    findings = []
    for name, text in texts.items():
        command = ["hadolint", "--no-color", "--format", "json", "-"]
        process = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        findings += [
            Finding(GATE, failure["code"], f"{name}:{failure['line']}", failure["message"])
            for failure in json.loads(process.stdout)
            if failure["level"] in LEVELS
        ]
    return findings


def check_dockerfile(name: str, text: str) -> Iterator[Problem]:
    """Check the base images, the instructions and the user of one Dockerfile."""
    arguments, stages = parse(text)
    names = {stage.name for stage in stages}
    for stage in stages:
        if stage.image not in {*names, BUILDER} and not is_pinned(expand_arguments(stage.image, arguments)):
            image = expand_arguments(stage.image, arguments)
            yield "base-pinned", f"the image {image} can change; give it a tag with a version, or a whole digest"
        for word, value in stage.instructions:
            yield from check_instruction(word, value)
    if TOOL_DOCKERFILE.fullmatch(name):
        yield from check_tool_image(arguments, stages)


def check_tool_image(arguments: dict[str, str], stages: list[Stage]) -> Iterator[Problem]:
    """Check that the image of a tool runs without root and copies its wrapper from the shared builder."""
    if not stages or final_user(stages) in ("", "root", "0"):
        yield "non-root", "the last stage runs as root; add USER with another user"
    builders = [stage.name for stage in stages if stage.image == BUILDER]
    copied = [value.split()[0] for stage in stages for word, value in stage.instructions if word == "COPY"]
    if arguments.get("BUILDER") != "" or not any(f"--from={name}" in copied for name in builders):
        yield (
            "builder",
            "the wrapper does not come from the shared builder; "
            f"declare `ARG BUILDER` without a default and copy from a stage that starts with `FROM {BUILDER}`",
        )


def check_instruction(word: str, value: str) -> Iterator[Problem]:
    """Check one instruction, given as its name and its arguments."""
    if word == "ADD":
        yield (
            "no-add",
            "ADD does not verify what it downloads; COPY local files and install others with a package manager",
        )
    if word in ("ENV", "ARG") and SECRET.search(value.partition("=")[0]):
        yield "secret", f"{word} {value.partition('=')[0]} stays readable in the image; remove it"
    if word == "RUN":
        for command in pip_commands.unverified(value):
            yield "pip-hashes", f"`{command}` {pip_commands.MESSAGE}"
        if re.search(r"\b(curl|wget)\b.*\|\s*(ba|z)?sh\b", value):
            yield "pipe-to-shell", "runs a downloaded script without verification; install a package instead"
        elif DOWNLOAD.search(value) and not CHECKSUM.search(value):
            yield "download", "uses a downloaded file without verification; compare it with `sha256sum --check`"
        if UNSIGNED.search(value):
            yield "unsigned", "installs packages without a valid signature; remove this option"
        if "apt-get install" in value and "--no-install-recommends" not in value:
            yield "recommends", "installs recommended packages; add --no-install-recommends"
        if "apt-get install" in value and "rm -rf /var/lib/apt/lists" not in value:
            yield "apt-lists", "the package lists stay in the image; add `rm -rf /var/lib/apt/lists/*` to this RUN"


def parse(text: str) -> tuple[dict[str, str], list[Stage]]:
    """Return the default values of the ARGs before the first FROM, and the stages."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in CONTINUATION.sub(" ", text).splitlines():
        word, _, value = line.strip().partition(" ")
        if not word or word.startswith("#"):
            continue
        if word == "FROM":
            image, _, name = re.sub(r"^--\S+\s+", "", value).partition(" AS ")
            stages.append(Stage(image.strip(), name.strip()))
        elif not stages:
            key, _, default = value.partition("=")
            arguments[key] = default
        else:
            stages[-1].instructions.append((word, value))
            if word == "USER":
                stages[-1].user = value.strip()
    return arguments, stages


def expand_arguments(image: str, arguments: dict[str, str]) -> str:
    """Return an image name with the values of its ARGs."""
    return re.sub(r"\$\{?(\w+)\}?", lambda match: arguments.get(match[1], ""), image)


def is_pinned(image: str) -> bool:
    """Return whether an image has a digest, which then must be complete, or a tag with a version."""
    if "@" in image or image == "scratch":
        return image == "scratch" or DIGEST.fullmatch(image[image.index("@") :]) is not None
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return bool(colon) and tag not in ("", "latest", "stable", "edge", "master", "main")


def final_user(stages: list[Stage]) -> str:
    """Return the user of the last stage: its own, or that of the stage it starts from."""
    by_name = {stage.name: stage for stage in stages if stage.name}
    stage = stages[-1]
    while not stage.user and stage.image in by_name:
        stage = by_name[stage.image]
    return stage.user.partition(":")[0]
