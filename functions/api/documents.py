"""Describe the answers of the API for OpenAPI."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from functions.api.models import Denied, Error

JSON = "application/json"
REASONS = {
    400: "workflow_params is not the body of POST /runs",
    404: "No such run",
    409: "The state of the run, or of the stack, does not allow it",
    422: "The request is not valid",
}


# Answers of API Gateway itself.
DENIALS = {
    401: "The token is not valid",
    403: "The request is not signed, or its signer may not send it",
    429: "Too many requests",
    503: "The request took longer than API Gateway waits; what it started goes on",
}


def answers(model: type[BaseModel], *codes: int, code: int = 200, error: type[BaseModel] = Error) -> dict[int, Any]:
    """Describe the successful answer, whose document is `model`, and the errors with these codes."""
    always = {500: "The request failed", 502: "Another service failed"}
    reasons = {number: REASONS[number] for number in codes} | always
    failed = {number: _describe(text, error) for number, text in reasons.items()}
    denied = {number: _describe(text, Denied) for number, text in DENIALS.items()}
    return {code: _describe("Done", model)} | failed | denied


def _describe(text: str, model: type[BaseModel]) -> dict[str, Any]:
    return {"description": text, "content": {JSON: {"model": model}}}
