"""Keep the prepared references of the embedded AWS on this machine, from `seqdrop down` to the next `seqdrop up`."""

from __future__ import annotations

import shutil
from pathlib import Path

from seqdrop import aws
from seqdrop.plan.names import GENOME, REFERENCE_JSON
from seqdrop.runs.reference import prepared_names
from seqdrop.storage import digests
from seqdrop.storage.s3 import Store
from seqdrop.storage.uri import S3Uri

from seqdrop_cli import project, upload
from seqdrop_cli.errors import KNOWN_ERRORS, CliError, describe_error
from seqdrop_cli.screen import say
from seqdrop_cli.stack import SETTINGS, Stack

IMPATIENT = {"connect_timeout": 5, "retries": {"total_max_attempts": 2}}  # for a server that may hang


def folder() -> Path:
    """Return the folder of the references that are kept, as they are in the bucket."""
    return project.state_folder() / "references"


def save(stack: Stack) -> list[str]:
    """Copy all prepared references to this machine; return their names. Files that are there already stay.

    Raises CliError; then nothing of the stack may be deleted.
    """
    client = aws.client("s3", of=stack.session, endpoint_url=stack.endpoint, **{**SETTINGS, **IMPATIENT})
    store, bucket = Store(client), stack["ReferenceBucket"]
    try:
        names = prepared_names(store, bucket)
        _delete_others(names)
        for name in names:
            _save(store, bucket, name)
    except KNOWN_ERRORS as error:
        raise CliError(
            f"The references could not be kept: {describe_error(error)} `seqdrop down --all` deletes them too."
        ) from None
    return names


def _save(store: Store, bucket: str, name: str) -> None:
    """Copy one reference; its reference.json is the last file, so that half of a reference is none."""
    (folder() / name / REFERENCE_JSON).unlink(missing_ok=True)
    uris = [S3Uri(bucket, key) for key in store.list_keys(bucket, f"{name}/")]
    for uri in sorted(uris, key=lambda uri: uri.name == REFERENCE_JSON):
        path = folder() / uri.key
        if not path.resolve().is_relative_to(folder().resolve()):
            continue  # a key such as `hg/../x`, which no part of seqdrop writes
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = store.head(uri)
        if not (path.is_file() and upload.is_same(path, stored, stored.metadata)):
            store.download(uri, path)


def _delete_others(names: list[str]) -> None:
    """Delete references that the stack no longer has."""
    for path in folder().glob("*"):
        if path.name not in names:
            shutil.rmtree(path)


def restore(stack: Stack) -> list[str]:
    """Copy the references that were kept to a new embedded AWS; return their names. Raises CliError."""
    names = sorted(path.parent.name for path in folder().glob(f"*/{REFERENCE_JSON}"))
    for name in names:
        say(f"Reference {name} was kept: it is copied to the new embedded AWS.")
        paths = [path for path in (folder() / name).rglob("*") if path.is_file()]
        paths.sort(key=lambda path: path.name == REFERENCE_JSON)
        for path in paths:
            uri = S3Uri(stack["ReferenceBucket"], str(path.relative_to(folder())))
            prepared = path.name.startswith(GENOME)  # a file of which jobs may prove copies
            upload.upload_files(stack, [(path, uri)], digests.as_metadata(path) if prepared else {})
    return names


def forget() -> None:
    """Delete the references that were kept."""
    shutil.rmtree(folder(), ignore_errors=True)
