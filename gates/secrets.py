"""Check that no file contains a secret: detect-secrets without a baseline; a suppression is a comment on its line."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

from . import lock
from .finding import Finding

GATE = "secrets"
# HexHighEntropyString is left out: run IDs, ETags and checksums are everywhere in this pipeline.
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
GENERATED = {"uv.lock", "gates/requirements.txt", *lock.EXPORTS}  # uv writes hashes of packages
# Files without comments, and the lines in them that look like a secret: a part of the line, and its reason.
SUPPRESSED = {
    "events/s3_put.json": {"x-amz-id-2": "an example of a request ID, from the documentation of AWS"},
}


def check(texts: dict[str, str]) -> list[Finding]:
    """Return the secrets in these texts, keyed by path."""
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
        return [finding for name, text in texts.items() if name not in GENERATED for finding in scan(name, text)]


def scan(name: str, text: str) -> Iterator[Finding]:
    """Yield a finding for each secret in one text."""
    lines = text.splitlines()
    suppressed = SUPPRESSED.get(name, {})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / Path(name).name  # detect-secrets derives the comment syntax from its suffix
        file.write_text(text)
        for secret in scan_file(str(file)):
            if not any(part in lines[secret.line_number - 1] for part in suppressed):
                rule = secret.type.lower().replace(" ", "-")
                message = "looks like a secret; remove it, or end its line with `pragma: allowlist secret` and a reason"
                yield Finding(GATE, rule, f"{name}:{secret.line_number}", message)
