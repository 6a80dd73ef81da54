"""checkov on the translated template. Its pins disagree with ours, so it lives in an environment of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .finding import Finding
from .template import Template

GATE = "checkov"
ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".venv-gates"
REQUIREMENTS = ROOT / "gates/requirements.txt"  # made of requirements.in: uv pip compile --universal --generate-hashes


def check(template: Template) -> list[Finding]:
    return check_all([template])[0]


def check_all(templates: list[Template]) -> list[list[Finding]]:
    """One start for all of them: four of its five seconds are imports."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.json" for number in range(len(templates))]
        for file, template in zip(files, templates, strict=True):
            file.write_text(json.dumps(template.transformed, indent=1))
        # Offline: no guide lines, no platform
        command = [install(), "--framework", "cloudformation", "--skip-download", "--compact"]
        command += ["--output", "json", *(word for file in files for word in ("--file", str(file)))]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        return [failures(ran.stdout, file.name) for file in files]


def failures(output: str, name: str) -> list[Finding]:
    results = json.loads(output).get("results", {})
    failed = [said for said in results.get("failed_checks", []) if said["file_path"].endswith(f"/{name}")]
    passed = [said for said in results.get("passed_checks", []) if said["file_path"].endswith(f"/{name}")]
    if not passed:  # what it cannot read it passes over
        return [Finding(GATE, "nothing-checked", name, output[:200])]
    return [Finding(GATE, said["check_id"], said["resource"].rpartition(".")[2], said["check_name"]) for said in failed]


def install() -> str:
    """The program; its environment is made anew when the pins have changed."""
    program, stamp = ENVIRONMENT / "bin/checkov", ENVIRONMENT / "pins"
    pins = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not (program.exists() and stamp.exists() and stamp.read_text() == pins):
        uv = os.environ.get("UV", "uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT)], check=True)
        python = ["--python", str(ENVIRONMENT / "bin/python")]
        subprocess.run([uv, "pip", "sync", "--quiet", "--require-hashes", *python, str(REQUIREMENTS)], check=True)
        stamp.write_text(pins)
    return str(program)
