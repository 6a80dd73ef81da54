"""Read a built SAM template and translate it to plain CloudFormation, in this process."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from samtranslator.public.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import intrinsics_multi_constructor

from . import aws

SOURCES = ("CodeUri", "ContentUri", "DefinitionUri")
BUCKET = "local"  # SAM requires an S3 address for code: the key is the logical id of the resource


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # PyYAML is untyped
    """A loader of YAML with the short forms of intrinsic functions; in C it takes a sixth of the time."""


_Loader.add_multi_constructor("!", intrinsics_multi_constructor)


class TemplateError(Exception):
    """The template cannot be deployed; the text is the reason."""


@dataclass(frozen=True)
class Template:
    """A translated template, and the folder or file of each resource that has code."""

    body: dict[str, Any]
    sources: dict[str, Path]

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """Declared resources, by logical id."""
        resources: dict[str, dict[str, Any]] = self.body["Resources"]
        return resources


def parse(text: str) -> Any:
    """Return the content of YAML, with intrinsic functions in their long form, as samtranslator's yaml_parse does."""
    return yaml.load(text, _Loader)  # noqa: S506  # a safe loader


def read(path: Path, parameters: dict[str, str]) -> Template:
    """Read and translate a template; raise TemplateError if it is not built or not valid."""
    if not path.is_file():
        raise TemplateError(f"there is no template at {path}: run `sam build` first")
    body = parse(path.read_text())
    sources = _take_sources(body, path.parent)
    if missing := [str(source) for source in sources.values() if not source.exists()]:
        raise TemplateError(f"{path} is not built: {missing[0]} does not exist; run `sam build` first")
    os.environ.setdefault("AWS_DEFAULT_REGION", aws.REGION)  # the translator requires a region
    try:
        return Template(transform(body, parameters, _ManagedPolicies()), sources)
    except InvalidDocumentException as error:
        raise TemplateError(f"{path}: {error.message}") from error


def _take_sources(body: dict[str, Any], folder: Path) -> dict[str, Path]:
    """Replace local paths of code by S3 addresses; return the paths by logical id."""
    sources = {}
    for name, resource in body.get("Resources", {}).items():
        properties = resource.get("Properties", {})
        for key in SOURCES:
            if isinstance(properties.get(key), str) and not properties[key].startswith("s3://"):
                sources[name] = folder / properties[key]
                properties[key] = {"Bucket": BUCKET, "Key": name}
    return sources


class _ManagedPolicies:
    """The managed policies that the translator itself adds, for its lookup by name."""

    def load(self) -> dict[str, str]:
        names = ("service-role/AWSLambdaBasicExecutionRole", "AWSXRayDaemonWriteAccess", "AWSXrayWriteOnlyAccess")
        return {name.rpartition("/")[2]: f"arn:{aws.PARTITION}:iam::aws:policy/{name}" for name in names}
