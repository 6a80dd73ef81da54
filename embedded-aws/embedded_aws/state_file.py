"""DIR/<stack>.json: how other programs find the running server, and how a second server finds the first."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

VOLUMES = "volumes"  # beside the state file: the folders behind the host paths that jobs mount
OWNER_ONLY = 0o600  # the file has the access key


class AlreadyRunningError(Exception):
    """Another server uses the state folder."""


class StateFile:
    """The state file of one stack, written atomically."""

    def __init__(self, folder: Path, stack: str) -> None:
        """Lock the folder; raise AlreadyRunningError if another server uses it."""
        self.path = folder / f"{stack}.json"
        if pid := self._live_pid():
            raise AlreadyRunningError(f"stack {stack} already runs here: process {pid}, described by {self.path}")
        folder.mkdir(parents=True, exist_ok=True)
        # The lock lasts as long as this process: servers that start at the same time would share volumes/.
        self._folder = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunningError(f"another server runs, or is just starting, in {folder}") from None

    def write(self, state: dict[str, Any]) -> None:
        """Replace the file; only the owner can read it."""
        draft = self.path.with_suffix(f".{os.getpid()}")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w") as file:
            file.write(json.dumps(state, indent=2) + "\n")
        draft.replace(self.path)

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)

    def _live_pid(self) -> int | None:
        try:
            pid = int(json.loads(self.path.read_text())["pid"])
        except (OSError, ValueError, KeyError):
            return None  # no file, or one that another program wrote
        return pid if is_server(pid) else None


def is_server(pid: int) -> bool:
    """Return whether the process is alive and an embedded AWS: process ids are used again."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes() if Path("/proc").is_dir() else b"embedded_aws"
        os.kill(pid, 0)
    except OSError:
        return False
    return b"embedded_aws" in command
