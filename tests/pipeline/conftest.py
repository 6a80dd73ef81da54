"""Fixtures of the pipeline tests, from the file they are written in."""

from support.pipeline_stacks import _tools, bwa_stack, original_stack, sample, stack  # noqa: F401
