"""Check the addresses that a job reads and writes, because the plan of an execution can be written by hand."""

from __future__ import annotations

import argparse
import re

from seqdrop.failure.verdict import UsageError
from seqdrop.plan import layout
from seqdrop.plan.forms import MAX_PARTS
from seqdrop.plan.names import GENOME, INTERVALS, NAME, READS, SAMPLE
from seqdrop.storage.uri import S3Uri

ATTEMPT = re.compile(r"[1-9][0-9]{0,2}")
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # one part of a key below the results
# Files of a user, which can have any address.
USER_FILES = ("fasta", "genes")


def sample_id(args: argparse.Namespace) -> str:
    """Return the sample id, from `results` if the job has no `sample`; "" for the preparation of a reference."""
    if hasattr(args, "sample"):
        return str(args.sample)
    return "" if hasattr(args, "fasta") else str(args.results.parent.name)


def is_run_folder(args: argparse.Namespace) -> bool:
    """Return True if `results` is a valid folder of this run and sample, and `run` and `attempt` are plain names."""
    parts = args.results.key.split("/")
    has_plain_names = len(parts) == _depth(args) and all(PLAIN_NAME.fullmatch(part) for part in parts)
    is_of_run = args.results.name == args.run and getattr(args, "sample", None) in {None, args.results.parent.name}
    return bool(has_plain_names and is_of_run and ATTEMPT.fullmatch(args.attempt))


def _depth(args: argparse.Namespace) -> int:
    """Return the number of parts of the folder: `<sample>/<run>`, or `<name>/preparation/<run>`.

    A deeper folder could be the `jobs` or `failures` folder of another run.
    """
    return 3 if hasattr(args, "fasta") else 2


def check(args: argparse.Namespace) -> None:
    """Raise UsageError unless every address belongs to this run, and sizes and names are valid."""
    if not is_run_folder(args):
        raise UsageError("results must be the folder of this sample and run; run and attempt must be plain names")
    if not SAMPLE.fullmatch(getattr(args, "sample", "none")):
        raise UsageError("sample must be a name of letters, digits, '.', '_' and '-'")
    if not (args.vcpus >= 1 and args.memory >= 1):
        raise UsageError("vcpus and memory must be at least 1")
    if getattr(args, "parts", 1) not in range(1, MAX_PARTS + 1):
        raise UsageError(f"parts must be from 1 to {MAX_PARTS}")
    for name, value in vars(args).items():
        for uri in value if isinstance(value, list) else [value]:
            if isinstance(uri, S3Uri) and name not in USER_FILES:
                _check_address(name, uri, args)


def _check_address(name: str, uri: S3Uri, args: argparse.Namespace) -> None:
    if name == "reference":
        if uri != layout.reference_uri(uri.bucket, uri.parent.name) or not NAME.fullmatch(uri.parent.name):
            raise UsageError(f"reference must be {GENOME} of a prepared reference")
        if hasattr(args, "fasta") and args.results != uri.parent / f"preparation/{args.run}":
            raise UsageError("a preparation must write to the folder of its reference")
    elif name == "intervals":
        beside_genome = uri.parent == args.reference.parent and NAME.fullmatch(uri.name)  # in plans of version 0.1.0
        if uri != args.results / INTERVALS and not beside_genome:
            raise UsageError(f"intervals must be {INTERVALS} of this run, or a BED file in the folder of the reference")
    elif name != "results" and (uri.parent != args.results or not _is_file_of_run(name, uri.name, args)):
        raise UsageError(f"{name} must be in the folder of this run, under the name that a plan gives it")


def _is_file_of_run(name: str, file_name: str, args: argparse.Namespace) -> bool:
    if name == "reads":
        return file_name == READS
    return bool(PLAIN_NAME.fullmatch(file_name)) and file_name.startswith(f"{args.results.parent.name}.")
