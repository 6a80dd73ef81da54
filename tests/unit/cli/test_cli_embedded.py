import json
import os
import signal
import subprocess
import sys
import time

import pytest
from seqdrop_cli import embedded, preflight, project
from seqdrop_cli.app import app
from seqdrop_cli.problem import Problem
from typer.testing import CliRunner

# Stands in for the embedded AWS: the same words, the same state file, the same end.
SERVER = """
import argparse, json, os, pathlib, signal, sys
parser = argparse.ArgumentParser()
for option in ("--template", "--stack", "--state", "--port", "--executor"):
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
state.write_text(json.dumps({"pid": os.getpid(), "endpoint": "http://127.0.0.1:9", "region": "us-east-1",
    "executor": "process", "executor_reason": "no engine", "outputs": {"FastqBucket": "fastq", "Words": args.parameter,
        "Faults": args.inject},
    "skipped": []}))
signal.pause()
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout that is built already, with a stand-in for the server first on the path."""
    (tmp_path / "template.yaml").touch()
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers" / "tag").write_text("echo BwaImageTag=0123abcd\n")
    (tmp_path / ".aws-sam" / "build").mkdir(parents=True)
    (tmp_path / ".aws-sam" / "build" / "template.yaml").touch()
    (tmp_path / "stand_in" / "embedded_aws").mkdir(parents=True)
    (tmp_path / "stand_in" / "embedded_aws" / "__main__.py").write_text(SERVER)
    (tmp_path / "stand_in" / "embedded_aws" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stand_in"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    if found := embedded.running():
        embedded.stop(found)


def seqdrop(*words):
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.output


def is_alive(pid):
    return os.path.exists(f"/proc/{pid}") and "embedded_aws" in embedded._command_line(pid)  # noqa: PTH110


def test_up_then_down_leaves_nothing(checkout):
    code, output = seqdrop("up", "--json")
    state = json.loads(output.splitlines()[0])
    assert code == 0
    assert state["endpoint"] == "http://127.0.0.1:9"
    assert is_alive(state["pid"])
    assert seqdrop("down") == (0, "Down.\n")
    assert not is_alive(state["pid"])
    assert not embedded.state_file().exists()


def test_up_passes_the_parameters_of_samconfig_and_then_those_given(checkout):
    (checkout / "samconfig.toml").write_text('[local.deploy.parameters]\nparameter_overrides = ["Aligner=bwa_mem3"]\n')
    found = embedded.start(parameters=["Aligner=bwa"])
    assert found.outputs["Words"] == ["Aligner=bwa_mem3", "BwaImageTag=0123abcd", "Aligner=bwa"]


def test_up_hands_on_the_file_of_faults(checkout):
    assert seqdrop("up", "--inject", "faults.json", "--json")[0] == 0
    assert embedded.running().outputs["Faults"] == str(checkout / "faults.json")


def test_faults_are_for_the_embedded_aws_only(checkout):
    code, output = seqdrop("up", "--stack", "production", "--inject", "faults.json")
    assert code == 2
    assert "No such option" in output
    assert embedded.running() is None


def test_a_second_up_says_where_the_first_is(checkout):
    embedded.start()
    code, output = seqdrop("up")
    assert code == 1
    assert "up already at http://127.0.0.1:9" in output


def test_a_server_that_cannot_start_is_quoted(checkout):
    code, output = seqdrop("up", "--port", "1")
    assert code == 1
    assert "port 1 is busy" in output


def test_a_server_that_ends_by_itself_just_then_is_down(checkout, monkeypatch):
    found = embedded.start()
    os.kill(found.pid, signal.SIGKILL)
    os.waitpid(found.pid, 0)
    seen = iter([True, False])
    monkeypatch.setattr(embedded, "_is_ours", lambda _: next(seen, False))
    embedded.stop(found)
    assert not embedded.state_file().exists()


def test_a_server_that_another_command_has_just_started_is_not_taken_for_ones_own(checkout, monkeypatch):
    other = embedded.start()
    monkeypatch.setattr(embedded, "running", lambda: None)  # it was not there yet when this one looked
    with pytest.raises(Problem, match="port 1 is busy"):
        embedded.start(port=1)
    assert is_alive(other.pid)
    assert embedded.Embedded.read(embedded.state_file()) == other
    embedded.stop(other)


def test_down_with_nothing_up_is_a_sentence(checkout):
    assert seqdrop("down") == (1, "Nothing is up here.\n")


def test_a_state_file_of_a_process_that_is_another_now_does_not_count(checkout):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        embedded.state_file().parent.mkdir()
        embedded.state_file().write_text(json.dumps({"pid": other.pid, "endpoint": "x"}))
        assert embedded.running() is None
        assert other.poll() is None
        other.terminate()


def test_an_aws_for_one_command_goes_with_it_even_when_it_fails(checkout):
    def fail(pid):
        assert is_alive(pid)
        pids.append(pid)
        raise ZeroDivisionError

    pids = []
    with pytest.raises(ZeroDivisionError), embedded.for_this_command() as found:
        fail(found.pid)
    assert not is_alive(pids[0])


def test_a_terminated_command_takes_its_aws_down(checkout):
    script = (
        "import time; from seqdrop_cli import embedded, problem; problem.hear_termination()\n"
        "with embedded.for_this_command() as found:\n    print(found.pid, flush=True)\n"
        "    for _ in range(600): time.sleep(0.1)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as command:
        pid = int(command.stdout.readline())
        command.send_signal(signal.SIGTERM)
        command.wait(300)
    assert not is_alive(pid)


def test_a_build_older_than_a_source_is_built_anew(checkout, monkeypatch):
    (checkout / "bin").mkdir()
    (checkout / "bin" / "python").symlink_to(sys.executable)
    sam = checkout / "bin" / "sam"
    sam.write_text("#!/bin/sh\necho 'Error: it is broken' >&2\nexit 1\n")
    sam.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(checkout / "bin" / "python"))
    future = time.time() + 100
    os.utime(checkout / "template.yaml", (future, future))
    with pytest.raises(Problem, match=r"`sam build` failed:\n  Error: it is broken"):
        project.built_template()


def test_parameters_of_samconfig_may_be_one_string(checkout):
    (checkout / "samconfig.toml").write_text("[local.deploy.parameters]\nparameter_overrides = \"A=1 B='x y'\"\n")
    assert project.local_parameters() == ["A=1", "B=x y", "BwaImageTag=0123abcd"]


def test_run_with_nothing_up_and_no_genome_says_what_to_do(checkout):
    for mate in (1, 2):
        (checkout / f"S_R{mate}.fastq.gz").write_bytes(b"%d" % mate)
    code, output = seqdrop("run", "S_R1.fastq.gz", "S_R2.fastq.gz", "--reference", "hg")
    assert code == 1
    assert "--reference GENOME.fa" in output


def test_missing_tools_are_named_with_the_one_command_that_installs_them(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = preflight.missing_tools({"Aligner": "bwa", "Caller": "bcftools"})
    assert {"samtools", "bcftools", "bwa", "bgzip", "java"} <= set(missing)
    assert preflight.sentence(["bgzip", "tabix", "snpEff"]) == (
        "bgzip, tabix, snpEff are not on PATH: "
        "`sudo apt-get install tabix libsnpeff-java` (or `make tools`) installs what is missing."
    )


def test_a_tool_that_no_package_has_suggests_the_ones_that_have():
    assert "Aligner=bwa_mem3" in preflight.sentence(["isaac-align"])
