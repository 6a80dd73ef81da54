"""Fixtures of the contract tests, each from the file it is written in."""

from embedded_server import aws, start_server  # noqa: F401
