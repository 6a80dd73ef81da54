from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from seqdrop_cli import embedded, project
from seqdrop_cli.errors import CliError, ResultsNotFetchedError
from support.cli_aws import seqdrop
from support.waiting import eventually

# A fake of the embedded AWS: the same options, the same state file, the same end.
SERVER = """
import argparse, json, os, pathlib, signal, sys
parser = argparse.ArgumentParser()
for option in ("--template", "--stack", "--state", "--port", "--executor", "--preload"):
    parser.add_argument(option)
parser.add_argument("--parameter", action="append")
parser.add_argument("--inject")
parser.add_argument("--with-parent")
args = parser.parse_args()
if args.port == "1":
    sys.exit("port 1 is busy")
state = pathlib.Path(args.state) / f"{args.stack}.json"
def end(*_):
    state.unlink()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGUSR1, lambda *_: print("kept", flush=True))
outputs = {"FastqBucket": "fastq", "ResultsBucket": "results", "Aligner": "bwa", "Caller": "bcftools",
    "Words": args.parameter, "Faults": args.inject, "Preload": args.preload}
state.write_text(json.dumps({"pid": os.getpid(), "endpoint": "http://127.0.0.1:9", "region": "us-east-1",
    "access_key_id": "local-0123456789ab", "secret_access_key": "secret",
    "executor": "process", "executor_reason": "no engine", "outputs": outputs, "skipped": [],
    "parameters": {"Aligner": "bwa", "MaxVcpus": 8, "Zones": ["a", "b"]}}))
while True:
    signal.pause()
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A built checkout, with the fake server first on the path of Python."""
    (tmp_path / "template.yaml").touch()
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers" / "tag").write_text("echo BwaImageTag=0123abcd\n")
    (tmp_path / ".aws-sam" / "build").mkdir(parents=True)
    (tmp_path / ".aws-sam" / "build" / "template.yaml").touch()
    (tmp_path / "fake" / "embedded_aws").mkdir(parents=True)
    (tmp_path / "fake" / "embedded_aws" / "__main__.py").write_text(SERVER)
    (tmp_path / "fake" / "embedded_aws" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    if server := embedded.running():
        embedded.stop(server)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and "embedded_aws" in embedded.command_line(pid)


def running() -> embedded.Embedded:
    server = embedded.running()
    assert server
    return server


def test_after_up_and_down_nothing_is_left(checkout: Path) -> None:
    code, output = seqdrop("up", "--json")
    state = json.loads(output.splitlines()[0])
    assert code == 0
    assert state["endpoint"] == "http://127.0.0.1:9"
    assert is_alive(state["pid"])
    assert seqdrop("down", "--all") == (0, "The embedded AWS is down. Everything in it was deleted.\n")
    assert not is_alive(state["pid"])
    assert not embedded.state_file().exists()


def test_up_prints_the_address_the_buckets_and_the_missing_programs(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin/none")
    code, output = seqdrop("up")
    assert code == 0
    assert "The embedded AWS is up at http://127.0.0.1:9; jobs run as processes of this machine." in output
    assert "  FASTQs   s3://fastq/\n  results  s3://results/\n" in output
    assert "  aws s3 cp NA12878_R1.fastq.gz s3://fastq/ \\\n    --metadata seqdrop-reference=hg\n" in output
    assert "(or `make tools`) installs what is missing." in output


def test_the_lines_of_up_give_a_client_the_address_and_the_access_key(checkout: Path) -> None:
    _, output = seqdrop("up")
    exports = "\n".join(line for line in output.splitlines() if line.startswith("  export "))
    names = ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    shell = subprocess.run(
        ["bash", "-c", f"{exports}\nenv"], env={"PATH": "/bin:/usr/bin"}, capture_output=True, text=True, check=True
    )
    variables = dict(line.split("=", 1) for line in shell.stdout.splitlines())
    server = running()
    assert [variables[name] for name in names] == [
        server.endpoint,
        server.region,
        "local-0123456789ab",
        "secret",
    ]
    assert "secret" not in repr(server)


def test_the_folder_and_the_log_are_closed_to_other_users(checkout: Path) -> None:
    embedded.start()
    assert stat.S_IMODE(embedded.state_file().parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(embedded.state_file().with_suffix(".log").stat().st_mode) == 0o600


def test_up_passes_the_parameters_of_samconfig_then_those_of_the_command(checkout: Path) -> None:
    (checkout / "samconfig.toml").write_text('[local.deploy.parameters]\nparameter_overrides = ["Aligner=bwa_mem3"]\n')
    assert seqdrop("up", "--parameter", "Aligner=bwa", "--json")[0] == 0
    words: object = running().outputs["Words"]
    assert words == ["Aligner=bwa_mem3", "BwaImageTag=0123abcd", "Aligner=bwa"]


def test_up_passes_the_file_of_faults(checkout: Path) -> None:
    assert seqdrop("up", "--inject", "faults.json", "--json")[0] == 0
    assert running().outputs["Faults"] == str(checkout / "faults.json")


def test_jobs_are_forked_from_a_process_with_their_libraries(checkout: Path) -> None:
    embedded.start()
    assert running().outputs["Preload"] == embedded.JOB_IMPORTS


def test_faults_are_for_the_embedded_aws_only(checkout: Path) -> None:
    code, output = seqdrop("up", "--stack", "production", "--inject", "faults.json")
    assert code == 2
    assert "No such option" in output
    assert embedded.running() is None


SAME = ["--executor", "process", *(word for value in ("Aligner=bwa", "MaxVcpus=8", "Zones=a,b")
        for word in ("--parameter", value))]  # fmt: skip


@pytest.mark.parametrize("options", [[], SAME, ["--port", "9"]])
def test_a_second_up_has_the_address_of_the_first(checkout: Path, options: list[str]) -> None:
    server = embedded.start()
    code, output = seqdrop("up", *options)
    assert code == 0
    assert "The embedded AWS was already up at http://127.0.0.1:9; jobs run as processes" in output
    assert running() == server


OTHERS = [
    (["--parameter", "Aligner=isaac"], "that is up has Aligner=bwa, not --parameter Aligner=isaac: leave out this"),
    (["--parameter", "MaxVcpus=80"], "that is up has MaxVcpus=8, not --parameter MaxVcpus=80"),
    (["--parameter", "Zones=a"], "that is up has Zones=a,b, not --parameter Zones=a"),
    (["--parameter", "Aligner=bwa", "--parameter", "Aligner=isaac"], "not --parameter Aligner=isaac"),
    (["--parameter", "Alinger=bwa"], "--parameter Alinger=bwa: the template has no parameter Alinger."),
    (["--parameter", "Aligner"], "--parameter 'Aligner': expected K=V."),
    (["--executor", "docker"], "that is up runs jobs as processes (no engine), not --executor docker"),
]


@pytest.mark.parametrize(("options", "message"), OTHERS)
@pytest.mark.parametrize("command", ["up", "run", "demo"])
def test_options_that_differ_from_the_embedded_aws_that_is_up_are_refused(
    checkout: Path, command: str, options: list[str], message: str
) -> None:
    server = embedded.start()
    for mate in (1, 2):
        (checkout / f"S_R{mate}.fastq.gz").write_bytes(b"%d" % mate)
    files = ["S_R1.fastq.gz", "S_R2.fastq.gz"] if command == "run" else []
    code, output = seqdrop(command, *files, *options)
    assert code == 1
    assert message in " ".join(output.split())
    assert running() == server


def test_a_port_and_faults_that_an_embedded_aws_cannot_get_any_more_are_refused(checkout: Path) -> None:
    embedded.start()
    assert "that is up is at http://127.0.0.1:9, not --port 8" in " ".join(seqdrop("up", "--port", "8")[1].split())
    output = seqdrop("up", "--inject", "faults.json")[1]
    assert "reads its faults at its start, not --inject faults.json" in " ".join(output.split())


@pytest.mark.parametrize("options", [["--parameter", "Aligner=bwa"], ["--executor", "process"]])
def test_parameters_of_the_embedded_aws_are_refused_for_a_deployed_stack(checkout: Path, options: list[str]) -> None:
    for mate in (1, 2):
        (checkout / f"S_R{mate}.fastq.gz").write_bytes(b"%d" % mate)
    code, output = seqdrop("run", "S_R1.fastq.gz", "S_R2.fastq.gz", "--stack", "production", *options)
    assert (code, output) == (
        1,
        "--parameter and --executor are for the embedded AWS: `sam deploy` changes a deployed stack.\n",
    )


def test_a_server_that_cannot_start_has_its_reason(checkout: Path) -> None:
    code, output = seqdrop("up", "--port", "1")
    assert code == 1
    assert "The embedded AWS did not start: port 1 is busy" in output


def test_a_server_that_has_just_ended_is_down(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the check that it is alive and the signal, it ends by itself."""
    server = embedded.start()
    os.kill(server.pid, signal.SIGKILL)
    os.waitpid(server.pid, 0)
    alive = iter([True, False])
    monkeypatch.setattr(embedded, "_is_alive", lambda _: next(alive, False))
    embedded.stop(server)
    assert not embedded.state_file().exists()


def test_the_server_of_another_command_is_not_mistaken_for_its_own(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = embedded.start()
    monkeypatch.setattr(embedded, "running", lambda: None)  # as if the other had started a moment later
    with pytest.raises(CliError, match="port 1 is busy"):
        embedded.start(port=1)
    assert is_alive(other.pid)
    assert embedded.Embedded.read(embedded.state_file()) == other
    embedded.stop(other)


def test_a_server_that_does_not_end_is_killed_and_what_it_left_is_removed(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = checkout / "fake" / "embedded_aws" / "__main__.py"
    program.write_text(program.read_text().replace("signal.SIGTERM, end", "signal.SIGTERM, signal.SIG_IGN"))
    clean_up = checkout / "fake" / "embedded_aws" / "clean_up.py"
    clean_up.write_text("import pathlib, sys; pathlib.Path('cleaned').write_text(' '.join(sys.argv[1:]))")
    server = embedded.start()
    monkeypatch.setattr(embedded, "MESSAGE_AFTER", 0.1)
    monkeypatch.setattr(embedded, "STOP_TIMEOUT", 1)
    code, output = seqdrop("down", "--all")
    assert (code, output.splitlines()) == (
        0,
        [
            "Stopping the embedded AWS: it ends its jobs and deletes its files, in at most 1 s.",
            "It does not end: it is killed, and its jobs, containers and folders are removed.",
            "The embedded AWS is down. Everything in it was deleted.",
        ],
    )
    assert not is_alive(server.pid)
    assert Path("cleaned").read_text() == f"--state {checkout / '.seqdrop'} --stack seqdrop"


def test_down_deletes_nothing_if_the_references_cannot_be_kept(checkout: Path) -> None:
    program = checkout / "fake" / "embedded_aws" / "__main__.py"
    program.write_text(
        program.read_text().replace('"ResultsBucket":', '"ReferenceBucket": "references", "ResultsBucket":')
    )
    server = embedded.start()
    code, output = seqdrop("down")
    assert code == 1
    assert output.startswith("The references could not be kept: http://127.0.0.1:9/")
    assert output.endswith("`seqdrop down --all` deletes them too.\n")
    assert is_alive(server.pid)


def test_down_removes_what_a_server_that_was_killed_has_left(checkout: Path) -> None:
    clean_up = checkout / "fake" / "embedded_aws" / "clean_up.py"
    clean_up.write_text("import pathlib, sys; pathlib.Path('cleaned').write_text(' '.join(sys.argv[1:]))")
    server = embedded.start()
    os.kill(server.pid, signal.SIGKILL)
    os.waitpid(server.pid, 0)
    assert seqdrop("down") == (0, "The embedded AWS had ended by itself: what it left is removed.\n")
    assert Path("cleaned").read_text() == f"--state {checkout / '.seqdrop'} --stack seqdrop"
    assert seqdrop("down")[0] == 1


def test_make_clean_stops_the_server_before_it_deletes_its_folder(checkout: Path) -> None:
    (checkout / "Makefile").write_text((Path(__file__).parents[3] / "Makefile").read_text())
    command = checkout / ".venv" / "bin" / "seqdrop"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m seqdrop_cli "$@"\n')
    command.chmod(0o755)
    server = embedded.start()
    subprocess.run(["make", "clean"], check=True, capture_output=True)
    assert not is_alive(server.pid)
    assert not (checkout / ".seqdrop").exists()
    subprocess.run(["make", "clean"], check=True, capture_output=True)  # without a server, and without a command


def test_down_without_a_server_is_refused(checkout: Path) -> None:
    assert seqdrop("down") == (1, "No embedded AWS is up: there is nothing to stop.\n")


def test_a_state_file_whose_process_id_is_another_process_is_ignored(checkout: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        embedded.state_file().parent.mkdir()
        embedded.state_file().write_text(json.dumps({"pid": other.pid, "endpoint": "x"}))
        assert embedded.running() is None
        assert other.poll() is None
        other.terminate()


def test_a_temporary_server_ends_with_its_command_even_if_that_fails(checkout: Path) -> None:
    pids = []

    def fail(pid: int) -> None:
        assert is_alive(pid)
        pids.append(pid)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), embedded.temporary() as server:
        fail(server.pid)
    assert not is_alive(pids[0])


def not_fetched() -> None:
    raise ResultsNotFetchedError("no space")


def test_a_temporary_server_with_results_that_could_not_be_fetched_stays_up(checkout: Path) -> None:
    message = r"^no space The embedded AWS stays up .*`seqdrop down`"
    with pytest.raises(ResultsNotFetchedError, match=message), embedded.temporary():
        not_fetched()
    assert is_alive(running().pid)
    eventually(lambda: "kept" in embedded.state_file().with_suffix(".log").read_text(), "the signal")
    assert seqdrop("down", "--all")[0] == 0


def test_a_temporary_server_that_has_ended_is_not_said_to_be_up(checkout: Path) -> None:
    def end_and_fail(pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        not_fetched()

    with pytest.raises(ResultsNotFetchedError, match=r"^no space$"), embedded.temporary() as server:
        end_and_fail(server.pid)


def test_a_terminated_command_stops_its_temporary_server(checkout: Path) -> None:
    script = (
        "import time; from seqdrop_cli import embedded, errors; errors.interrupt_on_termination()\n"
        "with embedded.temporary() as server:\n    print(server.pid, flush=True)\n"
        "    for _ in range(600): time.sleep(0.1)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as command:
        assert command.stdout
        pid = int(command.stdout.readline())
        command.send_signal(signal.SIGTERM)
        command.wait(300)
    assert not is_alive(pid)


def test_a_template_older_than_a_source_is_built_again(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "bin").mkdir()
    (checkout / "bin" / "python").symlink_to(sys.executable)
    sam = checkout / "bin" / "sam"
    sam.write_text("#!/bin/sh\necho 'Error: it is broken' >&2\nexit 1\n")
    sam.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(checkout / "bin" / "python"))
    future = time.time() + 100
    os.utime(checkout / "template.yaml", (future, future))
    with pytest.raises(CliError, match=r"`sam build` failed:\n  Error: it is broken"):
        project.built_template()


# Ends when two other processes wait for it, or with an error as soon as a second one builds at the same time.
SLOW_SAM = """#!{python}
import os, pathlib, sys, time
folder, build = pathlib.Path.cwd(), pathlib.Path(".aws-sam/build")
with open("builds", "a") as builds:
    builds.write("build\\n")
def waiting():
    locks = pathlib.Path("/proc/locks").read_text().splitlines()
    return sum("-> FLOCK" in line and f":{{folder.stat().st_ino}} " in line for line in locks)
while waiting() < 2:
    if len(pathlib.Path("builds").read_text().splitlines()) > 1:
        sys.exit("two builds at the same time")
    time.sleep(0.01)
(build / "template.yaml").write_text("built")
"""


def test_one_of_three_processes_builds_and_the_others_wait(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "bin").mkdir()
    (checkout / "bin" / "sam").write_text(SLOW_SAM.format(python=sys.executable))
    (checkout / "bin" / "sam").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(checkout / "bin" / "python"))
    os.utime(checkout / ".aws-sam/build/template.yaml", (0, 0))
    with ThreadPoolExecutor(3) as pool:
        templates = [pool.submit(project.built_template) for _ in range(3)]
        assert [template.result().read_text() for template in templates] == ["built"] * 3
    assert (checkout / "builds").read_text() == "build\n"


def test_the_parameters_of_samconfig_may_be_one_string(checkout: Path) -> None:
    (checkout / "samconfig.toml").write_text("[local.deploy.parameters]\nparameter_overrides = \"A=1 B='x y'\"\n")
    assert project.local_parameters() == ["A=1", "B=x y", "BwaImageTag=0123abcd"]


def test_a_run_without_a_server_and_a_genome_is_refused(checkout: Path) -> None:
    for mate in (1, 2):
        (checkout / f"S_R{mate}.fastq.gz").write_bytes(b"%d" % mate)
    code, output = seqdrop("run", "S_R1.fastq.gz", "S_R2.fastq.gz", "--reference", "hg")
    assert code == 1
    assert "give --reference GENOME.fa" in output
