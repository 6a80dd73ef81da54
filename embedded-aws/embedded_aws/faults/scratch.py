"""The jobs' scratch as a disk of a given size, so that it can be full."""

import os
import subprocess
from pathlib import Path

from .document import FaultsError


def mount(folder: Path, mib: int) -> None:
    """A memory disk at `folder`; raises FaultsError."""
    if os.geteuid() != 0:
        raise FaultsError("scratch_mib needs root: the disk of that size is a tmpfs; run as root, or leave it out")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0755", "embedded-aws", str(folder)],
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise FaultsError("scratch_mib needs the program `mount`, which is not on PATH; leave it out") from None
    except subprocess.CalledProcessError as error:
        raise FaultsError(f"scratch_mib: no tmpfs can be mounted here ({error.stderr.strip()}); leave it out") from None


def unmount(folder: Path) -> None:
    """Also what a killed server left; nothing where nothing is mounted."""
    while os.path.ismount(folder):
        # Lazily: a process that is just ending may still have its directory there.
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)
