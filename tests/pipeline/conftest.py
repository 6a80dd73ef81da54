"""The pipeline tests need the tools of the local deployment."""

from support.pipeline_stacks import _tools  # noqa: F401
