"""sys.path of a function: its code, its layers, and the SDK of Lambda's runtime.

A package that the function does not bring is missing, as in AWS.
"""

import hashlib
import importlib.util
import io
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.awslambda.models import lambda_backends

from embedded_aws import aws

SDK = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six", "awscrt")


PACKAGES = "packages"  # folder below that of the server


def unpack_all(scratch: Path) -> None:
    """Unpack the code of all functions."""
    for function in lambda_backends[aws.ACCOUNT][aws.REGION].list_functions():
        unpack(function, scratch)


def unpack(function: Any, scratch: Path) -> list[Path]:
    """Unpack code and layers, each once for all workers; return the entries of sys.path. Raise OSError."""
    folder = scratch / PACKAGES
    folder.mkdir(exist_ok=True)
    backend = lambda_backends[function.account_id][function.region]
    layers = [backend.layers_versions_by_arn(layer["Arn"]).code_bytes for layer in function.layers]
    code, *shared = [_extract(archive, folder) for archive in (function.code_bytes, *layers)]
    return [code, *(layer / "python" for layer in shared), _once(folder / "runtime", _link_runtime)]


def _extract(archive: bytes, folder: Path) -> Path:
    def write(new: Path) -> None:
        with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
            zipped.extractall(new)

    return _once(folder / hashlib.sha256(archive).hexdigest(), write)


def _link_runtime(folder: Path) -> None:
    for package in SDK:
        if (spec := importlib.util.find_spec(package)) and spec.origin:
            origin = Path(spec.origin)
            source = origin.parent if origin.name == "__init__.py" else origin
            (folder / source.name).symlink_to(source)


def _once(folder: Path, write: Callable[[Path], None]) -> Path:
    """Return a folder that `write` fills, unless it exists. Workers that start at the same time may all write it."""
    if folder.exists():
        return folder
    new = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        write(new)
    except BaseException:
        shutil.rmtree(new)  # a part of a package, which would fill the disk with each new attempt
        raise
    try:
        new.rename(folder)
    except OSError:  # another worker was first
        shutil.rmtree(new)
    return folder
