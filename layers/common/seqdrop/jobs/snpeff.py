"""The snpEff database of a reference: one tar beside the genome, written by one job and read by another."""

from __future__ import annotations

from pathlib import Path

from seqdrop.jobs.processes import Command

DATABASE = ".snpeff.tar"  # companion of the genome
NAME = "genome"  # what the one genome of that database is called
CONFIG, DATA = "snpEff.config", "data"
JAR = "/usr/share/java/snpeff.jar"  # Debian's; its `snpEff` script writes into what it passes on (a bare `grep`)
JVM_SHARE = 0.8  # of the job's memory; the JVM needs some beside its heap


def command(action: str, memory: int, folder: Path) -> Command:
    """`snpEff build` or `snpEff ann` with `memory` MiB, with the database of `folder` and nothing else.

    No home folder, no download, no call home; the JVM that starts quickest and takes least.
    """
    jvm = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Xmx{int(memory * JVM_SHARE)}m"]
    database: Command = ["-noLog", "-nodownload", "-c", folder / CONFIG, "-dataDir", folder / DATA]
    return ["java", *jvm, "-jar", JAR, action, *database]
