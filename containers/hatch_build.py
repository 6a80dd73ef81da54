"""Name the commands of the wrappers: `run-<tool>` for each folder that is in the build.

The image of a tool is built from the folder of that tool alone: it has one command, and no other tool changes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Commands(MetadataHookInterface):  # type: ignore[misc]  # hatchling is in the build environment only
    """Fill in `project.scripts`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add one command for each wrapper."""
        tools = sorted(path.parent.name for path in Path(self.root).glob("*/run.py"))
        metadata["scripts"] = {f"run-{tool.replace('_', '-')}": f"containers.{tool}.run:main" for tool in tools}
