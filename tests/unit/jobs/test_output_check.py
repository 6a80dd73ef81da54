"""seqdrop.jobs.output_check: files as a tool can leave them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from seqdrop.failure.verdict import JobError
from seqdrop.jobs import output_check
from seqdrop.jobs.output_check import check_directory, resolve_output


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory of a job, beside a file and a folder of somebody else."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "folder").mkdir()
    directory = tmp_path / "job"
    directory.mkdir()
    return directory


def refusal(directory: Path) -> str:
    with pytest.raises(JobError) as error:
        check_directory(directory)
    assert error.value.failure_class == "TOOL_FAILED"
    return str(error.value)


@pytest.fixture
def three_files(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(output_check, "MAX_FILES", 3)
    for number in range(3):
        (directory / f"part{number}.txt").write_text("x")
    return directory


def test_the_maximum_number_of_files_is_allowed(three_files: Path) -> None:
    check_directory(three_files)


def test_one_file_more_than_the_maximum_is_refused(three_files: Path) -> None:
    (three_files / "part3.txt").write_text("x")
    assert refusal(three_files) == "the tool left more than 3 files: nothing is published"


def test_files_in_folders_are_counted_too(three_files: Path) -> None:
    (three_files / "part0.txt").unlink()
    (three_files / "folder").mkdir()
    check_directory(three_files)
    (three_files / "folder" / "part0.txt").write_text("x")
    assert "more than 3 files" in refusal(three_files)


LINKS = {
    "an absolute path": "{directory}/../secret",
    "a relative path": "../../secret",
    "a folder": "../../folder",
    "a missing file": "../../missing",
    "a directory whose name begins alike": "{directory}-2/file",
    "a link to a link": "way",
}


@pytest.mark.parametrize("target", LINKS.values(), ids=LINKS)
def test_a_link_out_of_the_directory_is_refused(directory: Path, target: str) -> None:
    results = directory / "results"
    results.mkdir()
    if target == "way":
        (results / "way").symlink_to("../../secret")
    (results / "link").symlink_to(target.format(directory=directory))
    message = refusal(directory)
    assert "the tool left a link that points outside its directory ('results/" in message
    assert "secret" not in message


def test_links_inside_the_directory_are_allowed(directory: Path) -> None:
    (directory / "genome.vcf.gz").write_text("x")
    (directory / "relative").symlink_to("genome.vcf.gz")
    (directory / "absolute").symlink_to(directory / "genome.vcf.gz")
    (directory / "loop").symlink_to(".")
    check_directory(directory)


@pytest.mark.parametrize("folder", ["", "results/stats"])
def test_a_pipe_is_refused(directory: Path, folder: str) -> None:
    (directory / folder).mkdir(parents=True, exist_ok=True)
    os.mkfifo(directory / folder / "pipe")
    path = str(Path(folder, "pipe"))
    assert refusal(directory) == f"the tool left a pipe ({path!r}): nothing is published"


def test_a_socket_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory)  # the path of a socket has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert refusal(directory) == "the tool left a socket ('socket'): nothing is published"


def test_folders_deeper_than_the_maximum_are_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_check, "MAX_DEPTH", 3)
    (directory / "1/2/3").mkdir(parents=True)
    check_directory(directory)
    (directory / "1/2/3/4").mkdir()
    assert refusal(directory) == "the tool left folders more than 3 deep: nothing is published"


def test_an_output_is_a_regular_file_of_the_job(directory: Path) -> None:
    (directory / "NA12878.bam").write_text("x")
    assert resolve_output(directory / "NA12878.bam", directory, "bam") == (directory / "NA12878.bam").resolve()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("link", "bam is a link, not a file: it is not published"),
        ("inside", "bam is a link, not a file: it is not published"),
        ("linked/file", "bam is a link, not a file: it is not published"),
        ("../secret", "bam is a link, not a file: it is not published"),
        ("missing", "bam was not written"),
        ("pipe", "bam is not a regular file: it is not published"),
        ("results", "bam is not a regular file: it is not published"),
    ],
)
def test_other_outputs_are_refused(directory: Path, name: str, message: str) -> None:
    (directory / "results").mkdir()
    (directory / "results" / "file").write_text("x")
    (directory / "link").symlink_to("../secret")
    (directory / "inside").symlink_to("results/file")
    (directory.parent / "folder" / "file").write_text("x")
    (directory / "linked").symlink_to("../folder")
    os.mkfifo(directory / "pipe")
    with pytest.raises(JobError) as error:
        resolve_output(directory / name, directory, "bam")
    assert str(error.value) == message
