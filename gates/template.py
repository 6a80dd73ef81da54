"""The template as CloudFormation sees it: translated from SAM, and resolved for each way to deploy it."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from embedded_aws.intrinsics import NO_VALUE, Resolver
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from .finding import Finding, unexcused, unique

REGION = "us-east-1"
ACCOUNT = "123456789012"
CODE = ("CodeUri", "ContentUri", "DefinitionUri")
# Each condition of the template holds in one of these and not in another; a test counts them.
DEPLOYMENTS: tuple[dict[str, str], ...] = (
    {},
    {
        "Network": "private",
        "KmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/theirs",
        "NotificationEmail": "lab@example.org",
        "SpotShare": "never",
        "ScratchSize": "0",
        "ReservedConcurrency": "1",
        "ImageRegistry": "registry.example.org",
        "BwaImageTag": "0123456789ab",
        "Aligner": "bwa",
        "Caller": "bcftools",
    },
    {"Network": "existing", "VpcId": "vpc-1", "SubnetIds": "subnet-1,subnet-2", "Aligner": "bwa_mem3"},
)
REF_IS_AN_ARN = {
    "AWS::Batch::ComputeEnvironment",
    "AWS::Batch::JobDefinition",
    "AWS::Batch::JobQueue",
    "AWS::IAM::ManagedPolicy",
    "AWS::Lambda::LayerVersion",
    "AWS::SNS::Topic",
    "AWS::StepFunctions::StateMachine",
    "AWS::StepFunctions::StateMachineAlias",
    "AWS::StepFunctions::StateMachineVersion",
}
MANAGED_POLICIES = ("service-role/AWSLambdaBasicExecutionRole", "AWSXRayDaemonWriteAccess", "AWSXrayWriteOnlyAccess")


@dataclass(frozen=True)
class Template:
    """A template as written: `source` is its parsed text."""

    source: dict[str, Any]
    text: str

    @cached_property
    def transformed(self) -> dict[str, Any]:
        """Plain CloudFormation, its functions still in it."""
        os.environ.setdefault("AWS_DEFAULT_REGION", REGION)  # the translator asks for it
        body = copy.deepcopy(self.source)
        for name, resource in body["Resources"].items():
            properties = resource.get("Properties", {})
            for key in CODE:
                if isinstance(properties.get(key), str):  # SAM wants an S3 address for code; this names the resource
                    properties[key] = {"Bucket": "code", "Key": name}
        translated: dict[str, Any] = transform(body, {}, _ManagedPolicies())
        return translated

    @property
    def resources(self) -> dict[str, Any]:
        resources: dict[str, Any] = self.transformed["Resources"]
        return resources

    @cached_property
    def stacks(self) -> list[Stack]:
        return [Stack(self.transformed, parameters) for parameters in DEPLOYMENTS]


def read(text: str) -> Template:
    return Template(yaml_parse(text), text)


def of(source: dict[str, Any]) -> Template:
    return Template(source, json.dumps(source, indent=1))


class Stack:
    """A template under one set of parameters: the resources it would make, every function replaced by a value."""

    def __init__(self, body: dict[str, Any], parameters: dict[str, str]) -> None:
        self._body = body
        self._parameters = parameters
        self._resolver = Resolver(self)
        self.resources: dict[str, dict[str, Any]] = {
            name: {**resource, "Properties": self._resolver.value(resource.get("Properties", {}))}
            for name, resource in body["Resources"].items()
            if "Condition" not in resource or self.condition(resource["Condition"])
        }

    def of_type(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Logical id and resolved properties of each."""
        for name, resource in self.resources.items():
            if resource["Type"] == kind:
                yield name, resource["Properties"]

    def arn(self, name: str) -> str:
        service = self._body["Resources"][name]["Type"].split("::")[1].lower()
        return f"arn:aws:{service}:::{name}" if service == "s3" else f"arn:aws:{service}:{REGION}:{ACCOUNT}:{name}"

    def ref(self, name: str) -> Any:
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self._body.get("Parameters", {}):
            return self._parameter(name)
        kind = self._body["Resources"].get(name, {}).get("Type")
        return self.arn(name) if kind in REF_IS_AN_ARN else name

    def attribute(self, name: str, attribute: str) -> Any:
        known = name in self._body["Resources"]  # what is not there is cfn-lint's to say
        return self.arn(name) if known and attribute in ("Arn", "TopicArn") else f"{name}.{attribute}"

    def condition(self, name: str) -> bool:
        return self._resolver.truth(self._body["Conditions"][name])

    def mapping(self, name: str, first: str, second: str) -> Any:
        return self._body["Mappings"][name][first][second]

    def _parameter(self, name: str) -> Any:
        declared = self._body["Parameters"][name]
        value = self._parameters.get(name, declared.get("Default", ""))
        if declared["Type"] == "Number":
            return int(value) if str(value).isdigit() else float(value)
        if declared["Type"] == "CommaDelimitedList" or declared["Type"].startswith("List<"):
            return str(value).split(",") if value else []
        return value


Said = Iterator[tuple[str, str, str]]  # rule, logical id, message


def judged(template: Template, gate: str, judge: Callable[[Stack], Said]) -> list[Finding]:
    """What `judge` says of any deployment, less what is excused beside its resource."""
    said = (Finding(gate, *words) for stack in template.stacks for words in judge(stack))
    return unexcused(unique(said), template.resources)


PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::NoValue": NO_VALUE,
    "AWS::NotificationARNs": [],
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/seqdrop/1",
    "AWS::StackName": "seqdrop",
    "AWS::URLSuffix": "amazonaws.com",
}


class _ManagedPolicies:
    """The translator looks up AWS's managed policies by name; those it adds by itself are these."""

    def load(self) -> dict[str, str]:
        return {name.rpartition("/")[2]: f"arn:aws:iam::aws:policy/{name}" for name in MANAGED_POLICIES}


def listed(value: Any) -> list[Any]:
    """A policy's Action, Resource or Principal may be one word or a list of them."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
