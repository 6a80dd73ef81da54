"""Describe the answers of the API for OpenAPI."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from functions.api.models import Error

JSON = "application/json"
REASONS = {
    400: "workflow_type or workflow_params is not valid",
    404: "There is no such run",
    409: "The state of the run does not allow it",
    422: "The request is not valid",
}


def answers(model: type[BaseModel], *codes: int, code: int = 200, error: type[BaseModel] = Error) -> dict[int, Any]:
    """Describe the successful answer, whose document is `model`, and the errors with these codes."""
    always = {500: "The request failed", 502: "Another service failed"}
    reasons = {number: REASONS[number] for number in codes} | always
    failed = {number: _describe(text, error) for number, text in reasons.items()}
    return {code: _describe("Done", model)} | failed


def _describe(text: str, model: type[BaseModel]) -> dict[str, Any]:
    return {"description": text, "content": {JSON: {"model": model}}}
