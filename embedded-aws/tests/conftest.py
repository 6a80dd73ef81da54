"""Fixtures of the tests of embedded-aws."""

from embedded_server import aws, start_server  # noqa: F401
