"""Run shellcheck on every shell script and on the user data of the launch template."""

from __future__ import annotations

import json
import re
import subprocess

from . import pip_commands
from .finding import Finding
from .template import Template

GATE = "shell"
SHEBANG = re.compile(r"#!\s*/(usr/)?bin/(env )?(ba)?sh\b")


def check(texts: dict[str, str]) -> list[Finding]:
    """Return the findings in these scripts, keyed by path."""
    return [finding for name, text in texts.items() for finding in shellcheck(name, text)]


def shellcheck(name: str, text: str) -> list[Finding]:
    """Return what shellcheck reports of one script, and a finding if the script continues after an error."""
    command = ["shellcheck", "--format", "json", "-"]
    process = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    comments = json.loads(process.stdout)
    findings = [
        Finding(GATE, f"SC{comment['code']}", f"{name}:{comment['line']}", comment["message"]) for comment in comments
    ]
    if not re.search(r"^\s*set -e", text, re.MULTILINE):
        message = "the script continues after a command that fails; add `set -euo pipefail` below the first line"
        findings.append(Finding(GATE, "set-e", name, message))
    return findings + [
        Finding(GATE, pip_commands.RULE, name, f"`{command}` {pip_commands.MESSAGE}")
        for command in pip_commands.unverified(text)
    ]


def user_data(template: Template) -> dict[str, str]:
    """Return the script in the user data of each launch template, without its MIME headers."""
    scripts = {}
    for name, resource in template.resources.items():
        if resource["Type"] == "AWS::EC2::LaunchTemplate":
            data = resource["Properties"]["LaunchTemplateData"].get("UserData", {}).get("Fn::Base64", "")
            text = data.get("Fn::Sub", "") if isinstance(data, dict) else data
            for part in re.split(r"^--.*$", text, flags=re.MULTILINE):
                if "#!" in part:
                    scripts[f"{name}.UserData"] = part[part.index("#!") :]
    return scripts
