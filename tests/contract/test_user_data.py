"""The start script of an instance: valid shell, and the right disk at /scratch; tested with fake programs."""

from __future__ import annotations

import configparser
import email
import json
import os
import re
import stat
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from seqdrop import signals
from seqdrop.jobs.usage import HOST
from seqdrop.runs.prices import Host
from support.pipeline_parts import template


def script() -> str:
    """Return the script as cloud-init finds it: the part of its type in a MIME message, as Batch requires it."""
    data = template()["Resources"]["LaunchTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"]
    message = email.message_from_string(data)
    [part] = message.get_payload()  # cloud-init would run every other part too
    assert part.get_content_type() == "text/x-shellscript"
    return str(part.get_payload())


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Create fake programs that write down how the script calls them, and two disks that can be joined."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "ecs.config").touch()
    for name in ("mkfs.xfs", "mkdir", "mount", "chown", "vgcreate", "lvcreate", "iptables", "systemctl", "shutdown"):
        write_program(tmp_path, name, RECORD)
    write_program(tmp_path, "findmnt", "echo /dev/nvme0n1p1")
    write_program(tmp_path, "curl", METADATA)
    write_program(tmp_path, "nproc", "echo 8")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "awk", "grep", "cat", "basename", "tee", "timeout", "wc"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    return tmp_path


METADATA = """case "$*" in
*--request\\ PUT*/latest/api/token) echo TOKEN ;;
*token:\\ TOKEN*/meta-data/instance-type) echo c6id.2xlarge ;;
*token:\\ TOKEN*/meta-data/instance-life-cycle) echo spot ;;
*token:\\ TOKEN*/meta-data/placement/availability-zone) echo us-east-1a ;;
*) exit 22 ;;
esac"""
RECORD = 'echo "$(basename "$0") $*" >> "$CALLS"'


def write_program(machine: Path, name: str, body: str) -> None:
    program = machine / "bin" / name
    program.write_text(f"#!/bin/bash\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def fail_program(machine: Path, name: str, arguments: str = "") -> None:
    """Let a fake program fail, always or if its arguments contain a text."""
    write_program(machine, name, f'{RECORD}; [[ "$*" == *"{arguments}"* ]] && exit 1; exit 0')


def attach_disks(machine: Path, *lines: str) -> None:
    listing = "\n".join(lines)
    write_program(
        machine, "lsblk", f'case "$*" in *PKNAME*) echo /dev/nvme0n1 ;; *) cat <<END\n{listing}\nEND\n;; esac'
    )


def run(machine: Path, *, exit_code: int = 0) -> list[str]:
    """Run the start script; return the calls of the fake programs, without those that every instance makes."""
    result = run_script(machine, script())
    assert result.returncode == exit_code, result.stderr
    calls = (machine / "calls").read_text().splitlines()
    return [call for call in calls if call not in (FIREWALL, MAKE_FOLDER, OWN_FOLDER, SERVICE)]


def run_script(machine: Path, text: str) -> subprocess.CompletedProcess[str]:
    for path in ("/etc/ecs/", "/dev/console", "/usr/local/bin/", "/etc/systemd/system/"):
        text = text.replace(path, f"{machine}/{'console' if path == '/dev/console' else ''}")
    text = text.replace(" /scratch/", f" {machine}/")
    environment = {"PATH": f"{machine}/bin:{machine}/tools", "CALLS": str(machine / "calls")}
    environment["BASH_FUNC_command_not_found_handle%%"] = f'() {{ echo "$1" >> "{machine}/unknown"; return 127; }}'
    return subprocess.run(["/bin/bash", "-c", text], env=environment, capture_output=True, text=True, check=False)


def console(machine: Path) -> list[str]:
    path = machine / "console"
    return path.read_text().splitlines() if path.exists() else []


# Jobs run as user 1000: they cannot reach the credentials of the instance.
FIREWALL = "iptables --insert OUTPUT --match owner --uid-owner 1000 --destination 169.254.169.254 --jump REJECT"
SERVICE = "systemctl enable --now --no-block seqdrop-spot-watch.service"
MAKE_FOLDER, OWN_FOLDER = "mkdir -p /scratch", "chown 1000:1000 /scratch"
ROOT = "/dev/nvme0n1 Amazon Elastic Block Store"
VOLUME = "/dev/nvme1n1 Amazon Elastic Block Store"
INSTANCE_DISKS = [f"/dev/nvme{number}n1 Amazon EC2 NVMe Instance Storage" for number in (2, 3)]
JOIN = [
    "vgcreate --yes scratch /dev/nvme2n1 /dev/nvme3n1",
    "lvcreate --yes --wipesignatures y --name disk --stripes 2 --extents 100%FREE scratch",
]

PATHS = {
    "/bin/bash",
    "/dev/console",
    "/dev/null",
    "/dev/scratch/disk",
    "/etc/ecs/ecs.config",
    "/etc/systemd/system/seqdrop-spot-watch.service",
    "/proc/meminfo",
    "/scratch",
    "/scratch/.seqdrop-instance.json",
    "/usr/local/bin/seqdrop-spot-watch",
    "http://169.254.169.254/latest",
}


def mount_calls(disk: str) -> list[str]:
    return [f"mkfs.xfs -f {disk}", f"mount -o noatime {disk} /scratch"]


def test_the_script_passes_shellcheck(tmp_path: Path) -> None:
    for name, text in (("user-data", script()), ("spot-watch", spot_watch())):
        path = tmp_path / f"{name}.sh"
        path.write_text(text)
        result = subprocess.run(["shellcheck", path], capture_output=True, text=True, check=False, env={**os.environ})
        assert result.returncode == 0, result.stdout


def test_the_script_calls_no_other_program(machine: Path) -> None:
    """Nor one whose failure would be ignored."""
    attach_disks(machine, ROOT, *INSTANCE_DISKS)
    run(machine)
    assert not (machine / "unknown").exists(), (machine / "unknown").read_text()


def test_the_script_names_no_other_path_or_address() -> None:
    """As root it could load and change anything."""
    assert set(re.findall(r"(?<![\w:}])/[\w./-]+|\w+://[\w./-]+", script())) == PATHS


def test_an_instance_without_disks_of_its_own_uses_the_volume_and_never_the_root(machine: Path) -> None:
    attach_disks(machine, ROOT, VOLUME)
    assert run(machine) == mount_calls("/dev/nvme1n1")
    assert console(machine) == []


def test_an_instance_with_one_disk_uses_it_rather_than_the_volume(machine: Path) -> None:
    attach_disks(machine, ROOT, VOLUME, INSTANCE_DISKS[0])
    assert run(machine) == mount_calls("/dev/nvme2n1")


def test_jobs_own_the_scratch_directory(machine: Path) -> None:
    attach_disks(machine, ROOT, VOLUME)
    run(machine)
    assert (machine / "calls").read_text().splitlines()[-1] == OWN_FOLDER


def test_several_disks_are_combined_into_one(machine: Path) -> None:
    attach_disks(machine, ROOT, *INSTANCE_DISKS)
    assert run(machine) == [*JOIN, *mount_calls("/dev/scratch/disk")]
    assert console(machine) == []


def test_lvm_is_installed_where_the_image_lacks_it(machine: Path) -> None:
    attach_disks(machine, ROOT, *INSTANCE_DISKS)
    (machine / "bin/lvcreate").rename(machine / "lvcreate")
    write_program(machine, "dnf", f'{RECORD}; /bin/mv "{machine}/lvcreate" "{machine}/bin/"')
    install = "dnf install --assumeyes --quiet lvm2"
    assert run(machine) == [install, *JOIN, *mount_calls("/dev/scratch/disk")]


@pytest.mark.parametrize(("program", "arguments"), [("dnf", "lvm2"), ("vgcreate", ""), ("lvcreate", "")])
def test_disks_that_cannot_be_joined_are_reported_and_one_is_used(machine: Path, program: str, arguments: str) -> None:
    attach_disks(machine, ROOT, *INSTANCE_DISKS)
    if program == "dnf":  # no route to the packages
        (machine / "bin/lvcreate").unlink()
    fail_program(machine, program, arguments)
    assert run(machine)[-2:] == mount_calls("/dev/nvme2n1")
    assert console(machine) == ["seqdrop: the local disks cannot be joined; using one of 2"]


@pytest.mark.parametrize("program", ["mkfs.xfs", "mount"])
def test_a_broken_disk_is_reported_and_the_next_one_is_used(machine: Path, program: str) -> None:
    attach_disks(machine, ROOT, VOLUME, INSTANCE_DISKS[0])
    fail_program(machine, program, "/dev/nvme2n1")
    assert run(machine)[-2:] == mount_calls("/dev/nvme1n1")
    assert console(machine) == ["seqdrop: /dev/nvme2n1 cannot be used as scratch disk"]


def test_without_a_scratch_disk_the_root_volume_is_used_and_reported(machine: Path) -> None:
    attach_disks(machine, ROOT)
    assert run(machine) == []
    assert (machine / "calls").read_text().splitlines()[-2:] == [MAKE_FOLDER, OWN_FOLDER]
    assert console(machine) == ["seqdrop: no scratch disk: jobs use the root volume, which is small"]


@pytest.mark.parametrize("missing", [True, False])
def test_without_iptables_nft_blocks_the_credentials_of_the_instance(machine: Path, missing: bool) -> None:
    attach_disks(machine, ROOT, VOLUME)
    (machine / "bin/iptables").unlink() if missing else fail_program(machine, "iptables")
    write_program(machine, "nft", RECORD)
    (rule, *mounts) = run(machine)
    assert rule.startswith("nft add table ip seqdrop; ")
    assert rule.endswith("rule ip seqdrop output meta skuid 1000 ip daddr 169.254.169.254 reject")
    assert mounts == mount_calls("/dev/nvme1n1")
    assert console(machine) == ["seqdrop: iptables failed; trying nft"]


def test_an_instance_that_cannot_block_its_credentials_takes_no_job_and_says_why(machine: Path) -> None:
    attach_disks(machine, ROOT, VOLUME)
    fail_program(machine, "iptables")
    assert run(machine, exit_code=1) == ["shutdown -h now"]
    reason = "neither iptables nor nft can block the credentials of the instance role"
    assert console(machine)[-1] == f"seqdrop: this instance cannot run jobs and shuts down: {reason}"


def test_every_other_error_is_written_to_the_console_before_the_instance_ends(machine: Path) -> None:
    attach_disks(machine, ROOT, VOLUME)
    fail_program(machine, "chown")
    assert run(machine, exit_code=1)[-1] == "shutdown -h now"
    (line,) = console(machine)
    assert line.startswith('seqdrop: this instance cannot run jobs and shuts down: "chown 1000:1000 /scratch" failed')


def test_an_instance_without_a_console_runs_jobs(machine: Path) -> None:
    attach_disks(machine, ROOT)
    (machine / "console").mkdir()  # nothing can be written there
    assert run(machine) == []


def test_jobs_learn_what_instance_they_run_on(machine: Path) -> None:
    attach_disks(machine, ROOT, VOLUME)
    run(machine)
    host = json.loads((machine / HOST).read_text())
    assert Host.from_json(host) == Host("c6id.2xlarge", "spot", "us-east-1a", 8, host["memory"])


def test_without_metadata_the_price_of_jobs_is_estimated(machine: Path) -> None:
    attach_disks(machine, ROOT, VOLUME)
    fail_program(machine, "curl", "instance-life-cycle")
    run_script(machine, script())
    assert not (machine / HOST).exists()
    reason = "the metadata of the instance cannot be read: the price of its jobs is estimated"
    assert console(machine) == [f"seqdrop: {reason}"]


def test_a_spot_instance_is_drained_before_it_is_reclaimed(machine: Path) -> None:
    attach_disks(machine, ROOT, VOLUME)
    run(machine)
    assert (machine / "ecs.config").read_text() == "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true\n"
    assert SERVICE in (machine / "calls").read_text().splitlines()


def test_the_spot_service_starts_the_installed_script(machine: Path) -> None:
    attach_disks(machine, ROOT, VOLUME)
    run(machine)
    unit = (machine / "seqdrop-spot-watch.service").read_text()
    assert f"\nExecStart=/bin/bash {machine}/seqdrop-spot-watch\n" in unit
    settings = configparser.ConfigParser()
    settings.optionxform = str  # type: ignore[assignment,method-assign]  # the names of systemd have capitals
    settings.read_string(unit)
    assert settings["Service"]["Restart"] == "always"
    # sooner, systemd gives up after five starts within ten seconds; later, the notice is missed for that long
    assert 2 < int(settings["Service"]["RestartSec"]) <= 10
    assert settings["Install"]["WantedBy"] == "multi-user.target"
    assert (machine / "seqdrop-spot-watch").read_text() == spot_watch().replace("/dev/console", f"{machine}/console")


def test_jobs_run_even_if_the_spot_service_cannot_start(machine: Path) -> None:
    attach_disks(machine, ROOT, VOLUME)
    fail_program(machine, "systemctl")
    assert run(machine) == mount_calls("/dev/nvme1n1")
    assert console(machine) == ["seqdrop: jobs will not be stopped before a Spot interruption"]


# --- the service that stops jobs -----------------------------------------------------------------------------------


def spot_watch() -> str:
    return script().split("seqdrop-spot-watch <<'END'\n")[1].split("END\n")[0]


TOKEN = "AQAEAP="  # of the fake metadata service
NOTICE = '{"action": "terminate", "time": "2026-03-02T09:32:00Z"}'
STOP = "docker stop -t 60 4f2c 9a1b"


@pytest.fixture
def spot_host(machine: Path) -> Path:
    """Create a metadata service that requires a token and has a notice at the third request, and two jobs."""
    write_program(
        machine,
        "curl",
        f"""{RECORD}
        case "$*" in
            *"--request PUT"*"X-aws-ec2-metadata-token-ttl-seconds: 60"*/latest/api/token) echo {TOKEN} ;;
            *"X-aws-ec2-metadata-token: {TOKEN}"*/latest/meta-data/spot/instance-action)
                echo >> "{machine}/asked"
                [[ $(wc -l < "{machine}/asked") -ge 3 ]] || exit 22
                echo '{NOTICE}' ;;
            *) exit 22 ;;
        esac""",
    )
    write_program(machine, "docker", f'{RECORD}; [[ $1 == ps ]] && printf "4f2c\\n9a1b\\n"; exit 0')
    set_pauses(machine, 4)
    return machine


def set_pauses(machine: Path, pauses: int) -> None:
    """Let `sleep` return at once, and fail after this many calls: the script ends."""
    write_program(machine, "sleep", f'{RECORD}; [[ $(grep -c ^sleep "$CALLS") -le {pauses} ]]')


# --- the same with a clock: `sleep` moves it, and so does a metadata service that hangs -------------------------------

NOTICE_AT, RECLAIMED_AT = 31, 151  # seconds: EC2 gives notice two minutes before it takes the instance


@pytest.fixture
def clock(spot_host: Path) -> Path:
    """Let `sleep` move a clock, end the script when the instance is gone, and log `docker` with its time."""
    (spot_host / "clock").write_text("0\n")
    add_seconds = f'now=$(( $(cat "{spot_host}/clock") + $1 )); echo "$now" > "{spot_host}/clock"'
    write_program(spot_host, "sleep", f"{add_seconds}; [[ $now -lt {RECLAIMED_AT} ]]")
    write_program(
        spot_host,
        "docker",
        f"""
        [[ $1 != ps ]] || echo 4f2c
        [[ $1 != stop ]] || cat "{spot_host}/clock" >> "{spot_host}/stopped"
        exit 0""",
    )
    hang = f"""
        limit={RECLAIMED_AT}  # without a limit of its own curl waits for an answer
        while [[ $# -gt 0 ]]; do [[ $1 != --max-time ]] || limit=$2; shift; done
        sleep "$limit"; exit 28"""
    write_program(
        spot_host,
        "curl",
        f"""
        echo >> "{spot_host}/asked"
        now=$(cat "{spot_host}/clock")
        if [[ -e "{spot_host}/hangs" && $now -lt {NOTICE_AT} ]]; then {hang}
        fi
        [[ $now -ge {NOTICE_AT} || "$*" == */latest/api/token ]] && echo '{NOTICE}'""",
    )
    return spot_host


@pytest.mark.parametrize("hangs", [False, True])
def test_jobs_are_stopped_seconds_after_the_notice(clock: Path, hangs: bool) -> None:
    """AWS recommends to ask every five seconds; a job then has a minute to end, and time to upload its verdict."""
    if hangs:
        (clock / "hangs").touch()
    run_script(clock, spot_watch())
    first = int((clock / "stopped").read_text().split()[0])
    assert 0 <= first - NOTICE_AT <= 10


def test_the_metadata_service_is_not_asked_all_the_time(clock: Path) -> None:
    """Each look is two requests, one of them for a token."""
    run_script(clock, spot_watch())
    assert len((clock / "asked").read_text().splitlines()) <= 2 * (NOTICE_AT + 1)


def test_after_the_notice_new_jobs_are_stopped_every_few_seconds(clock: Path) -> None:
    run_script(clock, spot_watch())
    times = [int(line) for line in (clock / "stopped").read_text().split()]
    assert RECLAIMED_AT - times[-1] <= 10
    assert all(1 <= later - earlier <= 10 for earlier, later in pairwise(times))


def docker_calls(machine: Path) -> list[str]:
    return [call for call in (machine / "calls").read_text().splitlines() if call.startswith("docker")]


def test_no_job_is_stopped_before_the_notice(spot_host: Path) -> None:
    set_pauses(spot_host, 1)
    run_script(spot_host, spot_watch())
    assert docker_calls(spot_host) == []
    assert console(spot_host) == []


def test_after_the_notice_the_jobs_alone_are_stopped_with_time_to_clean_up(spot_host: Path) -> None:
    run_script(spot_host, spot_watch())
    # the label is that of tasks: the ECS agent is a container without it
    assert docker_calls(spot_host)[:2] == ["docker ps --quiet --filter label=com.amazonaws.ecs.task-arn", STOP]
    assert console(spot_host) == ["seqdrop: EC2 reclaims this Spot instance; stopping its jobs"]


def test_a_container_that_starts_after_the_notice_is_stopped_too(spot_host: Path) -> None:
    run_script(spot_host, spot_watch())
    assert docker_calls(spot_host).count(STOP) == 3


def test_a_job_ends_before_docker_kills_it() -> None:
    assert int(STOP.split()[3]) > signals.GRACE_PERIOD


def test_a_host_without_jobs_stops_nothing(spot_host: Path) -> None:
    write_program(spot_host, "docker", RECORD)
    run_script(spot_host, spot_watch())
    assert docker_calls(spot_host)
    assert all(call.startswith("docker ps") for call in docker_calls(spot_host))


def test_a_metadata_service_that_does_not_answer_stops_no_job(spot_host: Path) -> None:
    fail_program(spot_host, "curl")
    run_script(spot_host, spot_watch())
    assert docker_calls(spot_host) == []
