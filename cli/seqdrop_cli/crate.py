"""Describe downloaded results as a Workflow Run RO-Crate: https://w3id.org/ro/wfrun/workflow/0.5."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqdrop import __version__
from seqdrop.plan import steps
from seqdrop.plan.names import MANIFEST, READS
from seqdrop.runs import executions
from seqdrop.runs.receipts import end_of
from seqdrop.runs.table import Row
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack

if TYPE_CHECKING:
    from rocrate.model import ContextEntity
    from rocrate.rocrate import ROCrate

METADATA = "ro-crate-metadata.json"
WORKFLOW = "pipeline.asl.json"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
LANGUAGE = "https://states-language.net/spec.html"
LICENSE = "No license is stated: ask the laboratory that made this run."
COMPLETED, FAILED = "http://schema.org/CompletedActionStatus", "http://schema.org/FailedActionStatus"


def write(stack: Stack, row: Row, folder: Path) -> Path:
    """Write the state machine of a run and `ro-crate-metadata.json` into its folder; return the path of the latter.

    Files of the run that are not in the folder keep their address in S3. Raises CliError if the execution of the run
    does not exist any more, MissingError if the run has no manifest.
    """
    results = S3Uri.parse(str(row["results"]))
    manifest, reads = stack.store.read_json(results / MANIFEST), stack.store.read_json(results / READS)
    execution = executions.describe(manifest["execution"], stack.stepfunctions)
    if execution is None:
        raise CliError(
            f"The execution of run {row['run']} was deleted 90 days after its end, and its state machine with it: "
            "an RO-Crate must have the workflow. The results themselves can still be fetched without --crate."
        )
    machine = stack.stepfunctions.describe_state_machine_for_execution(executionArn=manifest["execution"])
    (folder / WORKFLOW).write_text(json.dumps(json.loads(machine["definition"]), indent=2) + "\n")
    version = execution.get("stateMachineVersionArn") or execution["stateMachineArn"]
    times = {"startTime": _format(execution["startDate"]), "endTime": _format(execution["stopDate"])}
    _Crate(manifest, folder).describe(reads, version, times)
    return folder / METADATA


class _Crate:
    """The description of one run."""

    def __init__(self, manifest: Mapping[str, Any], folder: Path) -> None:
        from rocrate.rocrate import ROCrate  # noqa: PLC0415  half a second that other commands do not need

        self.manifest, self.folder = manifest, folder
        self.crate: ROCrate = ROCrate(version="1.1")
        self.crate.metadata.extra_contexts.append(TERMS)

    def describe(self, reads: Mapping[str, Any], version: str, times: Mapping[str, str]) -> None:
        """Write the metadata of the run: its workflow, its inputs, its jobs, its outputs."""
        run, sample = self.manifest["run"], self.manifest["sample"]
        root = self.crate.root_dataset
        root["name"] = f"seqdrop run {run} of sample {sample}"
        root["description"] = "Aligned reads, variants, annotations and quality figures of one sequenced sample."
        root["datePublished"], root["license"] = times["endTime"], LICENSE
        workflow = self._workflow(version)
        self._profiles()
        inputs, outputs = [*self._inputs(reads)], dict(self._outputs())
        jobs = [self._job(job, outputs) for job in self.manifest["jobs"]]
        status = COMPLETED if self.manifest["complete"] else FAILED
        action = self.crate.add_action(
            workflow,
            f"#run-{run}",
            object=[*inputs, *self._choices()],
            result=[*outputs.values()],
            properties={"name": f"Run {run}", "description": f"Sample {sample}", "actionStatus": status, **times},
        )
        root["mentions"] = [action, *jobs]
        self.crate.metadata.write(self.folder)

    def _workflow(self, version: str) -> ContextEntity:
        from rocrate.model import ComputerLanguage  # noqa: PLC0415  half a second that other commands do not need

        named = {"name": "Amazon States Language", "url": LANGUAGE}
        language = self.crate.add(ComputerLanguage(self.crate, LANGUAGE, properties=named))
        path = self.folder / WORKFLOW
        properties = {
            "name": "seqdrop: FASTQ to annotated variants",
            "version": f"seqdrop {self.manifest['seqdrop']}",
            "identifier": version,
            "sha256": _sha256(path),
        }
        return self.crate.add_workflow(path, WORKFLOW, main=True, lang=language, properties=properties)

    def _profiles(self) -> None:
        for address, title in PROFILES.items():
            profile = self._add("CreativeWork", address, name=title, version=address.rpartition("/")[2])
            self.crate.root_dataset.append_to("conformsTo", profile)

    def _inputs(self, reads: Mapping[str, Any]) -> Iterator[ContextEntity]:
        """Add the reads and the sources of the reference, at the versions that the run has read."""
        entries = reads.get("lanes") or reads.get("samples", [])  # samples: of a joint run
        pins = [pin for entry in entries for pin in entry.values() if isinstance(pin, dict) and "uri" in pin]
        for pin in [*pins, *self.manifest["sources"].values()]:
            yield self._file(pin["uri"], pin)

    def _outputs(self) -> Iterator[tuple[str, ContextEntity]]:
        """Add the files of the run; yield each with its name in the manifest."""
        for output in self.manifest["outputs"]:
            name = S3Uri.parse(output["uri"]).name
            yield output["name"], self._file(output["uri"], output, self.folder / name)

    def _file(self, uri: str, pin: Mapping[str, Any], path: Path | None = None) -> ContextEntity:
        properties = {
            "name": uri.rpartition("/")[2],  # the source of a reference may be on the web
            "contentSize": str(pin["size"]),
            "identifier": [self._value(f"{uri}#{word}", word, pin[word]) for word in s3.PIN_WORDS if pin.get(word)],
        }
        if path is None or not path.is_file():
            return self.crate.add_file(uri, properties=properties)
        sums = {"sha256": _sha256(path), "url": uri}
        return self.crate.add_file(path, path.name, properties=properties | sums)

    def _choices(self) -> Iterator[ContextEntity]:
        """Add what the run or the deployment chose: tools, reference, regions, options."""
        for name, value in self.manifest["choices"].items():
            if value not in ("", {}):
                yield self._value(f"#choice-{name}", name, value if isinstance(value, str) else json.dumps(value))

    def _job(self, job: Mapping[str, Any], outputs: Mapping[str, ContextEntity]) -> ContextEntity:
        """Add a job: its tools, its command lines, its image, its outputs."""
        started = datetime.fromisoformat(job["started"])
        tools = [
            self._add("SoftwareApplication", f"#{name}-{version}", name=name, softwareVersion=version)
            for name, version in job["tools"].items()
        ] or [self._add("SoftwareApplication", f"#seqdrop-{__version__}", name="seqdrop", softwareVersion=__version__)]
        words = {word for step in steps.ALL if step.name == job["step"] for word in step.writes}
        written = [entity for name, entity in outputs.items() if name.split(".", 1)[0] in words]
        properties = {
            "name": f"Step {job['step']}",
            "description": "\n".join(job["commands"]) or "no external program",
            "startTime": _format(started),
            "endTime": _format(end_of(job)),
            "actionStatus": COMPLETED,
        }
        if job["image"]:
            properties["containerImage"] = self._image(job)
        return self.crate.add_action(tools, f"#step-{job['step']}", result=written, properties=properties)

    def _image(self, job: Mapping[str, Any]) -> ContextEntity:
        repository, _, tag = job["image"].rpartition(":")
        registry, _, name = repository.partition("/")
        digest = {"sha256": job["image_digest"].rpartition(":")[2]} if job["image_digest"] else {}
        kind = {"@id": "https://w3id.org/ro/terms/workflow-run#DockerImage"}
        named = {"registry": registry, "name": name, "tag": tag, **digest}
        return self._add("ContainerImage", f"#image-{job['step']}", additionalType=kind, **named)

    def _value(self, identifier: str, name: str, value: str) -> ContextEntity:
        return self._add("PropertyValue", identifier if "#" in identifier else f"#{identifier}", name=name, value=value)

    def _add(self, kind: str, identifier: str, **properties: Any) -> ContextEntity:
        from rocrate.model import ContextEntity  # noqa: PLC0415  as above

        return self.crate.add(ContextEntity(self.crate, identifier, properties={"@type": kind, **properties}))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _format(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
