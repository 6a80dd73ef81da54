"""No key in what is committed: detect-secrets without a baseline; an excuse is a comment in the excused line."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

from . import lock
from .finding import Finding

GATE = "secrets"
# HexHighEntropyString is not among them: run ids, ETags and checksums are what this pipeline is made of.
DETECTORS = (
    "ArtifactoryDetector",
    "AWSKeyDetector",
    "AzureStorageKeyDetector",
    "BasicAuthDetector",
    "Base64HighEntropyString",
    "GitHubTokenDetector",
    "GitLabTokenDetector",
    "JwtTokenDetector",
    "KeywordDetector",
    "NpmDetector",
    "OpenAIDetector",
    "PrivateKeyDetector",
    "PypiTokenDetector",
    "SendGridDetector",
    "SlackDetector",
    "StripeDetector",
    "TwilioKeyDetector",
)
MADE = {"uv.lock", "gates/requirements.txt", *lock.EXPORTS}  # hashes of packages, made by uv
# Files that can carry no comment, and what in them looks like a secret.
EXCUSED = {
    "events/s3_put.json": {"x-amz-id-2": "AWS's own example of a request id"},
}


def check(texts: dict[str, str]) -> list[Finding]:
    """Files by path."""
    plugins = [{"name": name, **({"limit": 4.5} if name.startswith("Base64") else {})} for name in DETECTORS]
    filters = [
        {"path": f"detect_secrets.filters.{name}"}
        for name in (
            "allowlist.is_line_allowlisted",
            "heuristic.is_indirect_reference",
            "heuristic.is_likely_id_string",
            "heuristic.is_lock_file",
            "heuristic.is_not_alphanumeric_string",
            "heuristic.is_potential_uuid",
            "heuristic.is_prefixed_with_dollar_sign",
            "heuristic.is_sequential_string",
            "heuristic.is_templated_secret",
        )
    ]
    with transient_settings({"plugins_used": plugins, "filters_used": filters}):
        return [finding for name, text in texts.items() if name not in MADE for finding in scan(name, text)]


def scan(name: str, text: str) -> Iterator[Finding]:
    lines = text.splitlines()
    excuses = EXCUSED.get(name, {})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / Path(name).name  # its ending says how comments look
        file.write_text(text)
        for found in scan_file(str(file)):
            if not any(word in lines[found.line_number - 1] for word in excuses):
                rule = found.type.lower().replace(" ", "-")
                yield Finding(GATE, rule, f"{name}:{found.line_number}", "if it is no secret, its line says so")
