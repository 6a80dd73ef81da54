"""`python -m embedded_aws.clean_up --state DIR`: remove what a killed server has left: jobs, containers, folders."""

import argparse
import shutil
from contextlib import suppress
from pathlib import Path

import requests
from docker.errors import DockerException

from . import server_folder
from .faults import scratch_disk
from .runners.docker_engine import DockerRunner
from .state_file import VOLUMES, StateFile


def main() -> None:
    """Clean up; raise AlreadyRunningError if a server uses the folder."""
    parser = argparse.ArgumentParser(prog="python -m embedded_aws.clean_up", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="folder of the server")
    parser.add_argument("--stack", required=True, help="name of its stack")
    args = parser.parse_args()
    state_file = StateFile(args.state, args.stack)
    server_folder.remove_stale()
    with suppress(DockerException, requests.exceptions.RequestException):  # no engine: no containers
        DockerRunner()  # it removes the containers of ended servers
    scratch_disk.unmount(args.state / VOLUMES)
    shutil.rmtree(args.state / VOLUMES, ignore_errors=True)
    state_file.remove()


if __name__ == "__main__":
    main()
