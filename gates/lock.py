"""Check that the lock file and its exports are up to date, and that the software bill of materials is complete."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from .files import ROOT
from .finding import Finding

GATE = "lock"
BILL = ROOT / "build/sbom.json"
EXPORTS = {  # file: arguments of .ci/exports
    "layers/common/requirements.txt": ["layer"],
    "containers/requirements.txt": ["wrappers"],
    "containers/build-requirements.txt": ["group", "image-build"],
    "local/lambda_image/requirements.txt": ["group", "lambda-image"],
    **{
        str(path.relative_to(ROOT)): ["tool", path.parent.name]
        for path in sorted((ROOT / "containers").glob("*/requirements.txt"))
    },
}
EXPORT_BILL = ("export", "--quiet", "--frozen", "--all-extras", "--no-dev", "--format", "cyclonedx1.5")


def check() -> list[Finding]:
    """Write the bill of materials to build/sbom.json and return the findings in it, the lock file and its exports."""
    bill = bill_of_materials()
    BILL.parent.mkdir(exist_ok=True)
    BILL.write_text(json.dumps(bill, indent=1))
    return [*check_lock(ROOT), *check_exports(), *check_bill(bill)]


def run_uv(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run uv in a folder and return its exit code and output."""
    command = [os.environ.get("UV", "uv"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def check_lock(folder: Path) -> list[Finding]:
    """Return a finding if uv.lock does not satisfy pyproject.toml."""
    process = run_uv("lock", "--check", folder=folder)
    if process.returncode == 0:
        return []
    reason = process.stderr.strip().splitlines()[-1]
    return [Finding(GATE, "lock-up-to-date", "uv.lock", f"does not match pyproject.toml ({reason}); run `uv lock`")]


def check_exports() -> list[Finding]:
    """Return a finding for each file of requirements that differs from an export of uv.lock."""
    findings = []
    for name, arguments in EXPORTS.items():
        command = ["bash", str(ROOT / ".ci/exports"), *arguments]
        export = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        findings += compare_export(name, export, (ROOT / name).read_text())
    return findings


def compare_export(name: str, export: str, committed_text: str) -> list[Finding]:
    """Return a finding if a committed file differs from the export of uv.lock."""
    if export == committed_text:
        return []
    return [Finding(GATE, "export-up-to-date", name, "differs from uv.lock; run `bash .ci/exports write`")]


def bill_of_materials() -> dict[str, Any]:
    """Return the CycloneDX bill of all runtime dependencies, with the licences of the installed packages."""
    bill: dict[str, Any] = json.loads(run_uv(*EXPORT_BILL).stdout)
    for component in bill["components"]:
        if licence := find_licence(component["name"]):
            component["licenses"] = [{"license": {"name": licence}}]
    return bill


def find_licence(name: str) -> str:
    """Return the licence of a package, or an empty string if it is not installed or names none.

    The SPDX expression comes first, then the classifier, the free-text field and the name of the licence file.
    """
    try:
        metadata = importlib.metadata.metadata(name).json
    except importlib.metadata.PackageNotFoundError:
        return ""
    classifiers = [text.rpartition(" :: ")[2] for text in metadata.get("classifier", []) if text.startswith("License")]
    free_text = str(metadata.get("license", "")).strip().partition("\n")[0]
    files = [f"see {file}" for file in metadata.get("license_file", [])]
    candidates = [str(metadata.get("license_expression", "")), *classifiers, free_text, *files]
    return next(filter(None, candidates), "")


def check_bill(bill: dict[str, Any]) -> list[Finding]:
    """Return a finding for each component without a version, a package URL or, if it is installed here, a licence."""
    components = bill.get("components", [])
    if not components:
        return [Finding(GATE, "sbom", "components", "the bill lists none; check that `uv export` works")]
    return [
        Finding(GATE, "sbom", component.get("name", "?"), message)
        for component in components
        for message in component_problems(component)
    ]


def component_problems(component: dict[str, Any]) -> list[str]:
    """Return what one component of the bill lacks."""
    name = component.get("name", "?")
    messages = []
    if not re.match(r"\d", component.get("version", "")):
        messages.append("has no version; pin the package in uv.lock")
    if is_own_package(component):
        return messages
    if not component.get("purl"):
        messages.append("has no package URL; install it from a package index")
    if not component.get("licenses") and is_installed(name):
        messages.append("has no licence in its metadata; find its licence or replace the package")
    return messages


def is_own_package(component: dict[str, Any]) -> bool:
    """Return whether a component belongs to this repository."""
    return str(component.get("name", "")).startswith(("seqdrop", "embedded-aws"))


def is_installed(name: str) -> bool:
    """Return whether a package is installed in this environment."""
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
