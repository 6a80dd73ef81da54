"""The start script of an instance: valid shell, and the right disk at /scratch; tested with fake programs."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from support.pipeline_parts import template


def script() -> str:
    data = template()["Resources"]["LaunchTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"]
    part = data.split("\n\n", 2)[2]
    return part.split("--==scratch==--")[0]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Create fake programs that write down how the script calls them."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "ecs.config").touch()
    for name in ("mkfs.xfs", "mkdir", "mount", "chown", "mdadm", "iptables", "shutdown"):
        write_program(tmp_path, name, 'echo "$(basename "$0") $*" >> "$CALLS"')
    write_program(tmp_path, "findmnt", "echo /dev/nvme0n1p1")
    return tmp_path


def write_program(machine: Path, name: str, body: str) -> None:
    program = machine / "bin" / name
    program.write_text(f"#!/bin/bash\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def attach_disks(machine: Path, *lines: str) -> None:
    listing = "\n".join(lines)
    write_program(
        machine, "lsblk", f'case "$*" in *PKNAME*) echo /dev/nvme0n1 ;; *) cat <<END\n{listing}\nEND\n;; esac'
    )


def run(machine: Path, *, mdadm: bool = True) -> list[str]:
    if not mdadm:
        (machine / "bin/mdadm").unlink()
    text = script().replace("/etc/ecs/ecs.config", str(machine / "ecs.config"))
    tools = machine / "tools"
    tools.mkdir()
    for name in ("bash", "awk", "grep", "head", "cat", "basename"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    environment = {"PATH": f"{machine}/bin:{tools}", "CALLS": str(machine / "calls")}
    result = subprocess.run(["/bin/bash", "-c", text], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    first, *rest = (machine / "calls").read_text().splitlines()
    assert first == FIREWALL
    return rest


# Jobs run as user 1000: they cannot reach the credentials of the instance.
FIREWALL = "iptables --insert OUTPUT --match owner --uid-owner 1000 --destination 169.254.169.254 --jump REJECT"
ROOT = "/dev/nvme0n1 Amazon Elastic Block Store"
VOLUME = "/dev/nvme1n1 Amazon Elastic Block Store"
INSTANCE_DISKS = [f"/dev/nvme{number}n1 Amazon EC2 NVMe Instance Storage" for number in (2, 3)]
MOUNTED = ["mkdir -p /scratch", "mount -o noatime {disk} /scratch", "chown 1000:1000 /scratch"]


def mount_calls(disk: str) -> list[str]:
    return [f"mkfs.xfs -f {disk}", *(line.format(disk=disk) for line in MOUNTED)]


def test_the_script_passes_shellcheck(tmp_path: Path) -> None:
    path = tmp_path / "user-data.sh"
    path.write_text(script())
    result = subprocess.run(["shellcheck", path], capture_output=True, text=True, check=False, env={**os.environ})
    assert result.returncode == 0, result.stdout


def test_an_instance_without_disks_of_its_own_uses_the_volume_and_never_the_root(machine: Path) -> None:
    attach_disks(machine, ROOT, VOLUME)
    assert run(machine) == mount_calls("/dev/nvme1n1")


def test_an_instance_with_one_disk_uses_it_rather_than_the_volume(machine: Path) -> None:
    attach_disks(machine, ROOT, VOLUME, INSTANCE_DISKS[0])
    assert run(machine) == mount_calls("/dev/nvme2n1")


def test_several_disks_are_combined_into_one(machine: Path) -> None:
    attach_disks(machine, ROOT, *INSTANCE_DISKS)
    raid = "mdadm --create /dev/md0 --run --level=0 --raid-devices=2 /dev/nvme2n1 /dev/nvme3n1"
    assert run(machine) == [raid, *mount_calls("/dev/md0")]


def test_without_mdadm_the_first_of_several_disks_is_used(machine: Path) -> None:
    attach_disks(machine, ROOT, *INSTANCE_DISKS)
    assert run(machine, mdadm=False) == mount_calls("/dev/nvme2n1")


def test_a_spot_instance_is_drained_before_it_is_reclaimed(machine: Path) -> None:
    attach_disks(machine, ROOT, VOLUME)
    run(machine)
    assert (machine / "ecs.config").read_text() == "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true\n"
