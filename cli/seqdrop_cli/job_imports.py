"""Import the libraries of jobs and read the description of S3, once for all jobs that are processes of this machine.

The embedded AWS forks them from a process that has imported this module. Nothing here may depend on the environment,
which is not yet that of a job: the modules of seqdrop, whose logger does, are imported by each job.
"""

from functools import cache
from importlib import import_module
from typing import Any

from botocore.loaders import JSONFileLoader, Loader

LIBRARIES = (
    "argparse",
    "aws_lambda_powertools",
    "botocore.session",
    "concurrent.futures.thread",
    "jinja2",
    "pickle",
    "resource",
    "statistics",
    "yaml",
)
# Files that botocore reads for each client.
FILES = ("endpoints", "partitions", "sdk-default-configuration", "_retry")
DESCRIPTIONS = ("service-2", "endpoint-rule-set-1")  # of S3

_load_file = cache(JSONFileLoader().load_file)


def load_file(_self: JSONFileLoader, path: str) -> Any:
    """Return the content of a JSON file, which is parsed once for all sessions."""
    return _load_file(path)


def preload() -> None:
    """Import the libraries, and read the files that every client of S3 needs."""
    for name in LIBRARIES:
        import_module(name)
    JSONFileLoader.load_file = load_file  # type: ignore[assignment,method-assign]  # the name of the first parameter
    loader = Loader()
    for name in FILES:
        loader.load_data(name)
    for kind in DESCRIPTIONS:
        loader.load_service_model("s3", kind)


preload()
