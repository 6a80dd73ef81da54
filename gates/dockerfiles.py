"""Images: hadolint, and what it cannot see through an ARG or a stage."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

from .finding import Finding

GATE = "dockerfiles"
# Of hadolint's levels, errors and warnings; DL3059 (info) would have a test stage joined into one RUN.
THRESHOLD = ("error", "warning")
SECRET = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|ACCESS_KEY|PRIVATE_KEY|CREDENTIAL", re.IGNORECASE)
TOOL = re.compile(r"containers/[^/]+/Dockerfile")
BUILDER = "${BUILDER}"  # containers/builder.Dockerfile, built just before by containers/build
CONTINUED = re.compile(r"\\\n(\s*#[^\n]*\n)*")


@dataclass
class Stage:
    """What one FROM begins."""

    image: str
    name: str = ""
    user: str = ""
    instructions: list[tuple[str, str]] = field(default_factory=list)


def check(texts: dict[str, str]) -> list[Finding]:
    """Dockerfiles by path."""
    return hadolint(texts) + [
        Finding(GATE, rule, name, message) for name, text in texts.items() for rule, message in judge(name, text)
    ]


def hadolint(texts: dict[str, str]) -> list[Finding]:
    """An excuse stands in the line above what it excuses: `# hadolint ignore=DL3008` with its reason above that."""
    findings = []
    for name, text in texts.items():
        command = ["hadolint", "--no-color", "--format", "json", "-"]
        ran = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        findings += [
            Finding(GATE, said["code"], f"{name}:{said['line']}", said["message"])
            for said in json.loads(ran.stdout)
            if said["level"] in THRESHOLD
        ]
    return findings


def judge(name: str, text: str) -> Iterator[tuple[str, str]]:
    arguments, stages = parse(text)
    names = {stage.name for stage in stages}
    for stage in stages:
        if stage.image not in {*names, BUILDER} and not pinned(expand(stage.image, arguments)):
            yield "base-pinned", f"{expand(stage.image, arguments)} moves: a tag that says a version"
        for word, value in stage.instructions:
            yield from instruction(word, value)
    if TOOL.fullmatch(name):
        yield from image_of_a_tool(arguments, stages)


def image_of_a_tool(arguments: dict[str, str], stages: list[Stage]) -> Iterator[tuple[str, str]]:
    if not stages or runs_as(stages) in ("", "root", "0"):
        yield "non-root", "its last stage runs as root"
    builders = [stage.name for stage in stages if stage.image == BUILDER]
    copied = [value.split()[0] for stage in stages for word, value in stage.instructions if word == "COPY"]
    if arguments.get("BUILDER") != "" or not any(f"--from={name}" in copied for name in builders):
        yield "builder", f"its wrapper comes from {BUILDER}, an ARG without a default: containers/build sets it"


def instruction(word: str, value: str) -> Iterator[tuple[str, str]]:
    if word == "ADD":
        yield "no-add", "COPY takes what is here; what is fetched is fetched by a package manager that verifies it"
    if word in ("ENV", "ARG") and SECRET.search(value.partition("=")[0]):
        yield "secret", f"{word} {value.partition('=')[0]} stays in the image"
    if word == "RUN":
        if re.search(r"\b(curl|wget)\b.*\|\s*(ba|z)?sh\b", value):
            yield "pipe-to-shell", "runs what a server sends"
        if "apt-get install" in value and "--no-install-recommends" not in value:
            yield "recommends", "installs what nobody asked for"
        if "apt-get install" in value and "rm -rf /var/lib/apt/lists" not in value:
            yield "apt-lists", "the lists stay in the image"


def parse(text: str) -> tuple[dict[str, str], list[Stage]]:
    """The ARGs before the first FROM, and the stages."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in CONTINUED.sub(" ", text).splitlines():
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


def expand(image: str, arguments: dict[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda hit: arguments.get(hit[1], ""), image)


def pinned(image: str) -> bool:
    if "@sha256:" in image or image == "scratch":
        return True
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return bool(colon) and tag not in ("", "latest", "stable", "edge", "master", "main")


def runs_as(stages: list[Stage]) -> str:
    """The user of the last stage, its own or that of the stage it begins with."""
    by_name = {stage.name: stage for stage in stages if stage.name}
    stage = stages[-1]
    while not stage.user and stage.image in by_name:
        stage = by_name[stage.image]
    return stage.user.partition(":")[0]
