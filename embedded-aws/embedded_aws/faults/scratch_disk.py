"""The jobs' scratch folder as a disk of a fixed size, so that it can run full."""

import os
import subprocess
from pathlib import Path

from .faults_file import FaultsError


def mount(folder: Path, mib: int) -> None:
    """Mount a tmpfs of `mib` MiB at `folder`; raise FaultsError."""
    if os.geteuid() != 0:
        raise FaultsError("scratch_mib needs root: the disk of that size is a tmpfs; run as root, or leave it out")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "embedded-aws", str(folder)],
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise FaultsError("scratch_mib needs the program `mount`, which is not on PATH; leave it out") from None
    except subprocess.CalledProcessError as error:
        raise FaultsError(f"scratch_mib: no tmpfs can be mounted here ({error.stderr.strip()}); leave it out") from None


def unmount(folder: Path) -> None:
    """Unmount every disk at `folder`, also one that a killed server has left."""
    while os.path.ismount(folder):
        # Lazily: a process that is ending may still have its working directory there.
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)
