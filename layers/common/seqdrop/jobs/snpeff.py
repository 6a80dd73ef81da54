"""Build the snpEff commands that write and read the database of a reference, a tar archive beside the genome."""

from __future__ import annotations

from pathlib import Path

from seqdrop.jobs.processes import Command

DATABASE = ".snpeff.tar"  # companion of the genome
NAME = "genome"  # of the only genome in the database
CONFIG, DATA = "snpEff.config", "data"
# Of Debian. Its `snpEff` script cannot be used: it prints the output of a `grep` before that of snpEff.
JAR = "/usr/share/java/snpeff.jar"
JVM_SHARE = 0.8  # of the memory of the job; the rest is for the JVM outside its heap


def command(action: str, memory: int, folder: Path) -> Command:
    """Return the command for `snpEff build` or `snpEff ann` with `memory` MiB and the database in `folder`.

    It uses no home directory and no network. The JVM options are for a quick start and little memory.
    """
    heap = int(memory * JVM_SHARE)
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Xmx{heap}m", "-jar", JAR,
            action, "-noLog", "-nodownload", "-c", folder / CONFIG, "-dataDir", folder / DATA]  # fmt: skip
