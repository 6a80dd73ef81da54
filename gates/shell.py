"""shellcheck on every shell script, and on the user data of the launch template."""

from __future__ import annotations

import json
import re
import subprocess

from .finding import Finding
from .template import Template

GATE = "shell"
SHEBANG = re.compile(r"#!\s*/(usr/)?bin/(env )?(ba)?sh\b")


def check(texts: dict[str, str]) -> list[Finding]:
    """Scripts by path."""
    return [finding for name, text in texts.items() for finding in shellcheck(name, text)]


def shellcheck(name: str, text: str) -> list[Finding]:
    command = ["shellcheck", "--format", "json", "-"]
    ran = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    said = json.loads(ran.stdout)
    findings = [Finding(GATE, f"SC{fault['code']}", f"{name}:{fault['line']}", fault["message"]) for fault in said]
    if not re.search(r"^\s*set -e", text, re.MULTILINE):
        findings.append(Finding(GATE, "strict", name, "goes on after a failure: set -e is missing"))
    return findings


def user_data(template: Template) -> dict[str, str]:
    """The script in each launch template's user data, its MIME wrapping removed."""
    scripts = {}
    for name, resource in template.resources.items():
        if resource["Type"] == "AWS::EC2::LaunchTemplate":
            data = resource["Properties"]["LaunchTemplateData"].get("UserData", {}).get("Fn::Base64", "")
            text = data.get("Fn::Sub", "") if isinstance(data, dict) else data
            for part in re.split(r"^--.*$", text, flags=re.MULTILINE):
                if "#!" in part:
                    scripts[f"{name}.UserData"] = part[part.index("#!") :]
    return scripts
