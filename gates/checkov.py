"""Run checkov on the transformed template, in its own virtual environment because its pins conflict with ours."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .files import ROOT
from .finding import Finding
from .template import Template

GATE = "checkov"
ENVIRONMENT = ROOT / ".venv-gates"
# Compiled from requirements.in by `uv pip compile --universal --generate-hashes`.
REQUIREMENTS = ROOT / "gates/requirements.txt"


def check(template: Template) -> list[Finding]:
    """Return the failed checks of one template."""
    return check_all([template])[0]


def check_all(templates: list[Template]) -> list[list[Finding]]:
    """Return the failed checks of each template, from one process: imports take four of checkov's five seconds."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.json" for number in range(len(templates))]
        for file, template in zip(files, templates, strict=True):
            file.write_text(json.dumps(template.transformed, indent=1))
        # Offline: --skip-download omits the links to guidelines and contacts no platform.
        command = [install(), "--framework", "cloudformation", "--skip-download", "--compact"]
        command += ["--output", "json", *(word for file in files for word in ("--file", str(file)))]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        return [parse_results(process.stdout, file.name) for file in files]


def parse_results(output: str, name: str) -> list[Finding]:
    """Return the failed checks of the file with this name."""
    results = json.loads(output).get("results", {})
    failed = [result for result in results.get("failed_checks", []) if result["file_path"].endswith(f"/{name}")]
    passed = [result for result in results.get("passed_checks", []) if result["file_path"].endswith(f"/{name}")]
    if not passed:  # checkov skips a file that it cannot parse
        message = f"checkov ran no check on the template; see the start of its output: {output[:200]}"
        return [Finding(GATE, "nothing-checked", name, message)]
    return [
        Finding(GATE, result["check_id"], result["resource"].rpartition(".")[2], result["check_name"])
        for result in failed
    ]


def install() -> str:
    """Return the path of checkov, after creating its environment again if the pins have changed."""
    program, stamp = ENVIRONMENT / "bin/checkov", ENVIRONMENT / "pins"
    pins = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not (program.exists() and stamp.exists() and stamp.read_text() == pins):
        uv = os.environ.get("UV", "uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT)], check=True)
        python = ["--python", str(ENVIRONMENT / "bin/python")]
        subprocess.run([uv, "pip", "sync", "--quiet", "--require-hashes", *python, str(REQUIREMENTS)], check=True)
        stamp.write_text(pins)
    return str(program)
