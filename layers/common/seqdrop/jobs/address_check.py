"""What a job may read and write: a plan is an execution's input, and anybody who may start one can make it up."""

from __future__ import annotations

import argparse
import re

from seqdrop.failure.verdict import UsageError
from seqdrop.plan import layout
from seqdrop.plan.names import GENOME, NAME, READS, SAMPLE
from seqdrop.storage.uri import S3Uri

ATTEMPT = re.compile(r"[1-9][0-9]{0,2}")
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # a part of a key that we make
# A person's own files, read at whatever address they have.
USER_FILES = ("fasta", "genes")


def sample_id(args: argparse.Namespace) -> str:
    """Whose reads they are, as far as a job is told; a preparation has none."""
    if hasattr(args, "sample"):
        return str(args.sample)
    return "" if hasattr(args, "fasta") else str(args.results.parent.name)


def is_run_folder(args: argparse.Namespace) -> bool:
    """Whether `results` can be a folder of this very run, and the names made in it plain ones."""
    parts = args.results.key.split("/")
    plain = len(parts) == _depth(args) and all(PLAIN_NAME.fullmatch(part) for part in parts)
    own = args.results.name == args.run and getattr(args, "sample", None) in {None, args.results.parent.name}
    return bool(plain and own and ATTEMPT.fullmatch(args.attempt))


def _depth(args: argparse.Namespace) -> int:
    """`<sample>/<run>`, or `<name>/preparation/<run>`: a folder within a run's would be another's jobs or failures."""
    return 3 if hasattr(args, "fasta") else 2


def check(args: argparse.Namespace) -> None:
    """Raises UsageError for an address that is not this run's own, or no address of ours at all."""
    if not is_run_folder(args):
        raise UsageError("results must be the folder of this sample and run, and run and attempt plain names")
    if not SAMPLE.fullmatch(getattr(args, "sample", "none")):
        raise UsageError("sample must be a name of letters, digits, '.', '_' and '-'")
    if not (args.vcpus >= 1 and args.memory >= 1):
        raise UsageError("vcpus and memory must be at least 1")
    for word, uri in vars(args).items():
        if isinstance(uri, S3Uri) and word not in USER_FILES:
            _check_address(word, uri, args)


def _check_address(word: str, uri: S3Uri, args: argparse.Namespace) -> None:
    if word == "reference":
        if uri != layout.reference_uri(uri.bucket, uri.parent.name) or not NAME.fullmatch(uri.parent.name):
            raise UsageError(f"reference must be {GENOME} of a prepared reference")
        if hasattr(args, "fasta") and args.results != uri.parent / f"preparation/{args.run}":
            raise UsageError("a preparation must write below the name of its reference")
    elif word == "intervals":
        if uri.parent != args.reference.parent or not NAME.fullmatch(uri.name):
            raise UsageError("intervals must be a BED beside the reference")
    elif word != "results" and (uri.parent != args.results or not _is_ours(word, uri.name, args)):
        raise UsageError(f"{word} must lie in the folder of this run, under a name of its own")


def _is_ours(word: str, name: str, args: argparse.Namespace) -> bool:
    if word == "reads":
        return name == READS
    return bool(PLAIN_NAME.fullmatch(name)) and name.startswith(f"{args.results.parent.name}.")
