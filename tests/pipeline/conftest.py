"""Fixtures: the stacks of the pipeline tests."""

from support.pipeline_stacks import _tools, bwa_stack, original_stack, sample, stack  # noqa: F401
