"""sys.path of a function: its code, its layers, and the SDK of Lambda's runtime.

A package that the function does not bring is missing, as in AWS.
"""

import importlib.util
import io
import zipfile
from pathlib import Path
from typing import Any

from moto.awslambda.models import lambda_backends

SDK = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six", "awscrt")


def unpack(function: Any, folder: Path) -> list[Path]:
    """Unpack code and layers into `folder`; return the entries of sys.path."""
    code = _extract(function.code_bytes, folder / "task")
    backend = lambda_backends[function.account_id][function.region]
    layers = [
        _extract(backend.layers_versions_by_arn(layer["Arn"]).code_bytes, folder / f"layer-{number}") / "python"
        for number, layer in enumerate(function.layers)
    ]
    return [code, *layers, _runtime(folder / "runtime")]


def _extract(archive: bytes, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        zipped.extractall(folder)
    return folder


def _runtime(folder: Path) -> Path:
    folder.mkdir()
    for package in SDK:
        if (spec := importlib.util.find_spec(package)) and spec.origin:
            origin = Path(spec.origin)
            source = origin.parent if origin.name == "__init__.py" else origin
            (folder / source.name).symlink_to(source)
    return folder
