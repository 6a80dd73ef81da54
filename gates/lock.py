"""The lock file and all that is made from it: in step, and a bill of materials with versions and licences."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from .finding import Finding

GATE = "lock"
ROOT = Path(__file__).parents[1]
BILL = ROOT / "build/sbom.json"
EXPORTS = {"layer": "layers/common/requirements.txt", "images": "containers/constraints.txt"}
EXPORT = ("export", "--quiet", "--frozen", "--all-extras", "--no-dev", "--format", "cyclonedx1.5")


def uv(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [os.environ.get("UV", "uv"), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def in_step(folder: Path) -> list[Finding]:
    """The lock says what pyproject.toml asks for."""
    ran = uv("lock", "--check", folder=folder)
    if ran.returncode == 0:
        return []
    return [Finding(GATE, "lock-in-step", "uv.lock", ran.stderr.strip().splitlines()[-1])]


def exports() -> list[Finding]:
    findings = []
    for kind, name in EXPORTS.items():
        command = ["bash", str(ROOT / ".ci/exports"), kind]
        made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        findings += same(name, made, (ROOT / name).read_text())
    return findings


def same(name: str, made: str, committed: str) -> list[Finding]:
    return [] if made == committed else [Finding(GATE, "export-in-step", name, "run: bash .ci/exports write")]


def bill_of_materials() -> dict[str, Any]:
    """CycloneDX of all that runs, licences as the installed packages state them."""
    bill: dict[str, Any] = json.loads(uv(*EXPORT).stdout)
    for component in bill["components"]:
        if licence := stated_licence(component["name"]):
            component["licenses"] = [{"license": {"name": licence}}]
    return bill


def stated_licence(name: str) -> str:
    """SPDX where a package says so, else its classifier, its own word or its file; empty where it is not installed."""
    try:
        metadata = importlib.metadata.metadata(name).json
    except importlib.metadata.PackageNotFoundError:
        return ""
    classifiers = [word.rpartition(" :: ")[2] for word in metadata.get("classifier", []) if word.startswith("License")]
    word = str(metadata.get("license", "")).strip().partition("\n")[0]
    files = [f"see {file}" for file in metadata.get("license_file", [])]
    said = [str(metadata.get("license_expression", "")), *classifiers, word, *files]
    return next(filter(None, said), "")


def complete(bill: dict[str, Any]) -> list[Finding]:
    """Every component of a bill has a version, an address and, where it is installed here, a licence."""
    findings = [] if bill.get("components") else [Finding(GATE, "sbom", "components", "there are none")]
    for component in bill.get("components", []):
        name = component.get("name", "?")
        if not re.match(r"\d", component.get("version", "")):
            findings.append(Finding(GATE, "sbom", name, "has no version"))
        if not component.get("purl") and not ours(component):
            findings.append(Finding(GATE, "sbom", name, "has no package address"))
        if not component.get("licenses") and installed(name) and not ours(component):
            findings.append(Finding(GATE, "sbom", name, "states no licence"))
    return findings


def ours(component: dict[str, Any]) -> bool:
    return str(component.get("name", "")).startswith(("seqdrop", "embedded-aws"))


def installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def check() -> list[Finding]:
    bill = bill_of_materials()
    BILL.parent.mkdir(exist_ok=True)
    BILL.write_text(json.dumps(bill, indent=1))
    return [*in_step(ROOT), *exports(), *complete(bill)]
