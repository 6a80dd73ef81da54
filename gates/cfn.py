"""Run cfn-lint on the template as written and on the template as transformed by SAM."""

from __future__ import annotations

import json

from cfnlint.api import lint
from cfnlint.config import ManualArgs

from .finding import Finding
from .template import REGION, Template

GATE = "cfn-lint"


def check(template: Template) -> list[Finding]:
    """Return the matches of cfn-lint in both forms of the template."""
    return lint_text(template.text, "template.yaml") + lint_text(json.dumps(template.transformed), "transformed")


def lint_text(text: str, name: str) -> list[Finding]:
    """Return the matches of cfn-lint in one text."""
    matches = lint(text, config=ManualArgs(regions=[REGION]))
    return [
        Finding(GATE, match.rule.id, f"{name} {'.'.join(map(str, match.path or []))}", match.message)
        for match in matches
    ]
