"""`seqdrop verify`: compare the outputs of a run with its manifest, in S3 or in a folder of downloaded results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seqdrop.plan.names import MANIFEST, is_readable
from seqdrop.runs.table import Row
from seqdrop.storage import s3
from seqdrop.storage.s3 import IntegrityError, MissingError
from seqdrop.storage.uri import S3Uri

from seqdrop_cli import download
from seqdrop_cli.errors import CliError
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack

Output = Mapping[str, Any]  # an entry of `outputs` in a manifest
MISSING = "it does not exist"


@dataclass(frozen=True, slots=True)
class Verification:
    """The comparison of the outputs of a run with its manifest."""

    run: str
    sample: str
    where: str
    complete: bool  # whether the manifest has the outputs of all steps
    checked: int  # outputs
    problems: Mapping[str, str]  # file name -> what is wrong with it

    def to_json(self) -> dict[str, Any]:
        """Return the comparison for `--json`."""
        return asdict(self)


def verify_folder(folder: Path, kinds: Sequence[str] = ()) -> Verification:
    """Compare downloaded results with the manifest beside them; every byte is read, and no network is needed.

    `kinds` are those of `seqdrop fetch --only`: other files are not expected. Raises CliError.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CliError(
            f"{folder} has no {MANIFEST}: give a folder that `seqdrop fetch` has written (with `--only`, the kind "
            "`manifest` must be among them)."
        ) from None
    except ValueError:
        raise CliError(f"{path} is not JSON: it was changed. Download it again with `seqdrop fetch`.") from None
    return _compare(manifest, str(folder), kinds, lambda output: _check_file(folder, output))


def verify_run(stack: Stack, row: Row, kinds: Sequence[str] = (), *, deep: bool) -> Verification:
    """Compare the objects of a run with its manifest: their sizes and checksums in S3; with `deep`, all bytes.

    Raises CliError if the run has no manifest.
    """
    try:
        manifest = stack.store.read_json(S3Uri.parse(str(row["results"])) / MANIFEST)
    except MissingError as error:
        raise CliError(f"Run {row['run']} ({row['status']}) has no results to verify: {error}.") from None
    store = stack.store
    check = _read_object if deep else _check_object
    return _compare(manifest, str(row["results"]), kinds, lambda output: check(store, output))


def show(result: Verification) -> None:
    """Print what was verified; raise CliError if an output is missing or was changed."""
    if result.problems:
        lines = "\n  ".join(f"{name}: {problem}" for name, problem in result.problems.items())
        raise CliError(
            f"{len(result.problems)} of {result.checked} outputs of run {result.run} ({result.sample}) in "
            f"{result.where} differ from what the run wrote:\n  {lines}"
        )
    say(f"All {result.checked} outputs of run {result.run} ({result.sample}) are what the run wrote.", style="green")
    if not result.complete:
        say("The run is not complete: steps that failed have no outputs. `missing` in its manifest names them.")


def _compare(manifest: Any, where: str, kinds: Sequence[str], check: Callable[[Output], str]) -> Verification:
    """Check each output of a manifest with a function that returns what is wrong, or "" if nothing is."""
    if not isinstance(manifest, dict) or not is_readable(manifest.get("version")):
        raise CliError(f"This version of seqdrop cannot read {MANIFEST} in {where}.")
    expected = {S3Uri.parse(output["uri"]).name: output for output in manifest["outputs"]}
    chosen = {name: output for name, output in expected.items() if not kinds or download.kind_of(name) in kinds}
    if not chosen:
        raise CliError(f"The manifest in {where} names no files of these kinds: {', '.join(kinds) or 'any'}.")
    problems = {name: problem for name, output in chosen.items() if (problem := check(output))}
    return Verification(manifest["run"], manifest["sample"], where, manifest["complete"], len(chosen), problems)


def _check_file(folder: Path, output: Output) -> str:
    path = folder / S3Uri.parse(output["uri"]).name
    if not path.is_file():
        return MISSING
    if problem := _wrong_size(path.stat().st_size, output):
        return problem
    return "" if s3.checksum(path) == output["crc64nvme"] else f"its CRC64NVME is not {output['crc64nvme']}"


def _check_object(store: s3.Store, output: Output) -> str:
    """Compare what S3 says about an object; S3 has computed its checksum from the bytes it received."""
    stored = store.find(S3Uri.parse(output["uri"]))
    if stored is None:
        return MISSING
    if problem := _wrong_size(stored.size, output):
        return problem
    if stored.crc64nvme:
        return "" if stored.crc64nvme == output["crc64nvme"] else f"its CRC64NVME is not {output['crc64nvme']}"
    return "" if stored.etag == output["etag"] else "it was replaced, and S3 has no CRC64NVME of it: use --deep"


def _read_object(store: s3.Store, output: Output) -> str:
    """Read an object whole, and compare its bytes."""
    uri = S3Uri.parse(output["uri"])
    if problem := _check_existence(store, uri, output):
        return problem
    try:
        if stream := store.stream(uri, uri.name, crc64nvme=output["crc64nvme"]):  # always: a CRC needs no file
            stream.verify()
    except IntegrityError:
        return f"its CRC64NVME is not {output['crc64nvme']}"
    return ""


def _check_existence(store: s3.Store, uri: S3Uri, output: Output) -> str:
    stored = store.find(uri)
    return MISSING if stored is None else _wrong_size(stored.size, output)


def _wrong_size(size: int, output: Output) -> str:
    return "" if size == output["size"] else f"it has {size:,} bytes instead of {output['size']:,}"
