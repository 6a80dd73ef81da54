"""The script an instance starts with: valid shell, and the right disk under /scratch, tried with stand-ins."""

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
    """Programs under the names the script calls; each notes how it was called."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "ecs.config").touch()
    for name in ("mkfs.xfs", "mkdir", "mount", "chown", "mdadm", "iptables", "shutdown"):
        put(tmp_path, name, 'echo "$(basename "$0") $*" >> "$CALLS"')
    put(tmp_path, "findmnt", "echo /dev/nvme0n1p1")
    return tmp_path


def put(machine: Path, name: str, body: str) -> None:
    program = machine / "bin" / name
    program.write_text(f"#!/bin/bash\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def disks(machine: Path, *lines: str) -> None:
    listed = "\n".join(lines)
    put(machine, "lsblk", f'case "$*" in *PKNAME*) echo /dev/nvme0n1 ;; *) cat <<END\n{listed}\nEND\n;; esac')


def run(machine: Path, *, mdadm: bool = True) -> list[str]:
    if not mdadm:
        (machine / "bin/mdadm").unlink()
    text = script().replace("/etc/ecs/ecs.config", str(machine / "ecs.config"))
    tools = machine / "tools"
    tools.mkdir()
    for name in ("bash", "awk", "grep", "head", "cat", "basename"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    environment = {"PATH": f"{machine}/bin:{tools}", "CALLS": str(machine / "calls")}
    done = subprocess.run(["/bin/bash", "-c", text], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *rest = (machine / "calls").read_text().splitlines()
    assert first == FENCE
    return rest


# jobs run as 1000: they never reach the instance's own credentials
FENCE = "iptables --insert OUTPUT --match owner --uid-owner 1000 --destination 169.254.169.254 --jump REJECT"
ROOT = "/dev/nvme0n1 Amazon Elastic Block Store"
VOLUME = "/dev/nvme1n1 Amazon Elastic Block Store"
OWN = [f"/dev/nvme{number}n1 Amazon EC2 NVMe Instance Storage" for number in (2, 3)]
MOUNTED = ["mkdir -p /scratch", "mount -o noatime {disk} /scratch", "chown 1000:1000 /scratch"]


def mounted(disk: str) -> list[str]:
    return [f"mkfs.xfs -f {disk}", *(line.format(disk=disk) for line in MOUNTED)]


def test_the_script_passes_shellcheck(tmp_path: Path) -> None:
    path = tmp_path / "user-data.sh"
    path.write_text(script())
    checked = subprocess.run(["shellcheck", path], capture_output=True, text=True, check=False, env={**os.environ})
    assert checked.returncode == 0, checked.stdout


def test_without_disks_of_its_own_the_volume_is_scratch_and_never_the_root(machine: Path) -> None:
    disks(machine, ROOT, VOLUME)
    assert run(machine) == mounted("/dev/nvme1n1")


def test_one_disk_of_its_own_is_scratch_though_there_is_a_volume(machine: Path) -> None:
    disks(machine, ROOT, VOLUME, OWN[0])
    assert run(machine) == mounted("/dev/nvme2n1")


def test_several_disks_of_its_own_become_one(machine: Path) -> None:
    disks(machine, ROOT, *OWN)
    raid = "mdadm --create /dev/md0 --run --level=0 --raid-devices=2 /dev/nvme2n1 /dev/nvme3n1"
    assert run(machine) == [raid, *mounted("/dev/md0")]


def test_several_disks_without_mdadm_leave_the_first(machine: Path) -> None:
    disks(machine, ROOT, *OWN)
    assert run(machine, mdadm=False) == mounted("/dev/nvme2n1")


def test_a_draining_spot_host_tells_its_jobs(machine: Path) -> None:
    disks(machine, ROOT, VOLUME)
    run(machine)
    assert (machine / "ecs.config").read_text() == "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true\n"
