"""What a function finds on sys.path: its code, its layers, and the SDK that Lambda's runtime carries. Nothing else.

So what a function forgot to bring fails here as it does in AWS.
"""

import importlib.util
import io
import zipfile
from pathlib import Path
from typing import Any

from moto.awslambda.models import lambda_backends

SDK = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six", "awscrt")


def unpack(function: Any, folder: Path) -> list[Path]:
    """Into `folder`; the entries of sys.path, first the function's own."""
    code = _extract(function.code_bytes, folder / "task")
    backend = lambda_backends[function.account_id][function.region]
    layers = [
        _extract(backend.layers_versions_by_arn(layer["Arn"]).code_bytes, folder / f"layer-{number}") / "python"
        for number, layer in enumerate(function.layers)
    ]
    return [code, *layers, _runtime(folder / "runtime")]


def _extract(archive: bytes, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        opened.extractall(folder)
    return folder


def _runtime(folder: Path) -> Path:
    folder.mkdir()
    for package in SDK:
        if (found := importlib.util.find_spec(package)) and found.origin:
            origin = Path(found.origin)
            source = origin.parent if origin.name == "__init__.py" else origin
            (folder / source.name).symlink_to(source)
    return folder
