"""DIR/<stack>.json: how others find the running server, and how a second one finds that it is not the first."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any


class AlreadyRunningError(Exception):
    """A live server holds the state file."""


class StateFile:
    """Written whole or not at all."""

    def __init__(self, folder: Path, stack: str) -> None:
        self.path = folder / f"{stack}.json"
        if pid := self._live_pid():
            raise AlreadyRunningError(f"stack {stack} already runs here: process {pid}, described by {self.path}")
        folder.mkdir(parents=True, exist_ok=True)
        # As long as this process lives: of two that start at once, and share volumes/, one gives way.
        self._folder = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunningError(f"another server runs, or is just starting, in {folder}") from None

    def write(self, state: dict[str, Any]) -> None:
        draft = self.path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(state, indent=2) + "\n")
        draft.replace(self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def _live_pid(self) -> int | None:
        try:
            pid = int(json.loads(self.path.read_text())["pid"])
        except (OSError, ValueError, KeyError):
            return None  # no file, or half a file of another program
        return pid if is_server(pid) else None


def is_server(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes() if Path("/proc").is_dir() else b"embedded_aws"
        os.kill(pid, 0)
    except OSError:
        return False
    return b"embedded_aws" in command  # a reused pid is not our server
