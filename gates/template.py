"""Present the template as CloudFormation sees it: transformed from SAM and resolved for each kind of deployment."""

from __future__ import annotations

import copy
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from embedded_aws.intrinsics import NO_VALUE, Resolver
from embedded_aws.template import parse as parse_yaml
from samtranslator.translator.transform import transform

from .finding import Finding, LocatedProblem, Problem, drop_duplicates, drop_suppressed

logging.getLogger("samtranslator.metrics.metrics").setLevel(logging.ERROR)  # it warns that nobody collects its metrics
REGION = "us-east-1"
ACCOUNT = "123456789012"
TOOLS = (
    "BwaMem3", "Bwa", "Isaac", "Bcftools", "Strelka",
    "Snpeff", "SamtoolsStats", "Report", "Joint", "Fused", "Reference",
)  # fmt: skip
STEPS = ("Align", "Call", "Scatter", "Annotate", "Collect", "Compose", "Fused", "Merge", "Join", "Prepare")
CODE_PROPERTIES = ("CodeUri", "ContentUri", "DefinitionUri")
# The first of the DEPLOYMENTS is here and all others are elsewhere: a fixed region or account, or the fixed name of a
# stack, in the place of a pseudo parameter is noticed.
HERE = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/seqdrop/1",
    "AWS::StackName": "seqdrop",
    "AWS::URLSuffix": "amazonaws.com",
}
ELSEWHERE = {
    "AWS::AccountId": "210987654321",
    "AWS::Partition": "aws-xx",
    "AWS::Region": "xx-north-9",
    "AWS::StackId": "arn:aws-xx:cloudformation:xx-north-9:210987654321:stack/other/2",
    "AWS::StackName": "other",
    "AWS::URLSuffix": "amazonaws.example",
}
KEY, REGISTRY = "arn:aws-xx:kms:xx-north-9:210987654321:key/theirs", "registry.example.org"
INPUT_BUCKETS, INPUT_KEY = "arn:aws-xx:s3:::lab-a,arn:aws-xx:s3:::lab-b", KEY.replace("theirs", "of-lab")
USER, OPERATOR = "lab@example.org", "operator@example.org"
TOKENS = {"ApiAccess": "jwt", "JwtIssuer": "https://issuer.example.org/pool", "JwtAudience": "lab"}
# Each parameter has two values here, and no two conditions of the template are true in the same deployments or in
# opposite ones: a fixed value in the place of a parameter, and another condition, are noticed. Tests check it. A new
# condition needs another combination: a deployment more, or its parameter in some of these.
DEPLOYMENTS: tuple[dict[str, str], ...] = (
    {},
    {
        "Network": "private",
        "KmsKeyArn": KEY,
        "NotificationEmail": USER,
        "SampleInSubject": "yes",
        **TOKENS,
        "FlowLogs": "ALL",
        "IntelligentTiering": "disabled",
        "FastqArchiveDays": "365",
        "InstanceTypes": "c6id.8xlarge,m6id.8xlarge",
        "InstanceRefresh": "2",
        "MaxVcpus": "512",
        "WholeInstanceVcpus": "32",
        "ScratchSize": "500",
        "ReferenceCacheSize": "0",
        "RetentionDays": "30",
        "VersionDays": "7",
        **{f"{tool}ImageTag": f"0123456789a{number}" for number, tool in enumerate(TOOLS)},
        **{f"{step}Vcpus": f"{number + 3}" for number, step in enumerate(STEPS)},
        **{f"{step}Memory": f"{number + 3}000" for number, step in enumerate(STEPS)},
        **{f"{name}Price{unit}": "0.3" for name in ("Spot", "OnDemand") for unit in ("PerVcpuHour", "PerGibHour")},
        "PricePerScratchGibMonth": "0.3",
        "InstancePrices": "c6id.8xlarge=1.7,m6id.8xlarge=2",
        "MaxRunCost": "12.50",
        "DefaultReference": "chm13",
        "DefaultPanel": "exome",
        "AlignmentFormat": "cram",
        "Form": "split",
        "FusedLimitMib": "2000",
        "ScatterFromMib": "50000",
        "QcPolicy": "exome",
        "LaneWaitMinutes": "0",
        "LayoutWithoutMate": "single",
        "InputBucketArns": INPUT_BUCKETS,
        "ImageRegistry": REGISTRY,
        "Aligner": "bwa",
        "Caller": "strelka",
    },
    {
        "Network": "private",
        "FlowLogs": "REJECT",
        "NotificationEmail": USER,
        "InstanceTypes": "c6i.8xlarge,m6i.8xlarge",
        "ScratchSize": "1000",
        "ScratchThroughput": "250",
        "InputKeyArns": INPUT_KEY,
        "Aligner": "bwa_mem3",
        "ApiAccess": "iam",
    },
    {
        "Network": "existing",
        "NotificationEmail": USER,
        "VpcId": "vpc-1",
        "SubnetIds": "subnet-1,subnet-2",
        "FastqArchiveDays": "90",
        "ReservedConcurrency": "1",
        **TOKENS,
    },
    {
        "Network": "private",
        "AlarmEmail": OPERATOR,
        "SpotShare": "never",
        "InputBucketArns": INPUT_BUCKETS,
        "InputKeyArns": INPUT_KEY,
        "ReservedConcurrency": "2",
        "ImageRegistry": REGISTRY,
    },
    {
        "Zones": "2",
        "FlowLogs": "ALL",
        "AlarmEmail": OPERATOR,
        "IntelligentTiering": "disabled",
        "AlignmentArchiveDays": "180",
        "ImageRegistry": REGISTRY,
        **TOKENS,
    },
)
TYPES_WITH_ARN_AS_REF = {
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
HASHED_ID = re.compile(r'(Layer|FunctionVersion)[0-9a-f]{10}"')  # SAM ends these logical IDs with a hash of the content
MANAGED_POLICIES = ("service-role/AWSLambdaBasicExecutionRole", "AWSXRayDaemonWriteAccess", "AWSXrayWriteOnlyAccess")


@dataclass(frozen=True)
class Template:
    """A SAM template: its text and its parsed content."""

    source: dict[str, Any]
    text: str

    @classmethod
    def parse(cls, text: str) -> Template:
        """Return the template with this text."""
        return cls(parse_yaml(text), text)

    @classmethod
    def from_source(cls, source: dict[str, Any]) -> Template:
        """Return the template with this content, with its text in JSON."""
        return cls(source, json.dumps(source))

    @cached_property
    def transformed(self) -> dict[str, Any]:
        """The CloudFormation template that SAM generates, with unresolved intrinsic functions."""
        os.environ.setdefault("AWS_DEFAULT_REGION", REGION)  # the translator requires it
        body = copy.deepcopy(self.source)
        for name, resource in body["Resources"].items():
            properties = resource.get("Properties", {})
            for key in CODE_PROPERTIES:
                if isinstance(properties.get(key), str):  # SAM requires an S3 location
                    properties[key] = {"Bucket": "code", "Key": name}
        transformed: dict[str, Any] = json.loads(
            HASHED_ID.sub(r'\1"', json.dumps(transform(body, {}, _ManagedPolicies())))
        )
        return transformed

    @property
    def resources(self) -> dict[str, Any]:
        """The resources of the transformed template, by logical ID."""
        resources: dict[str, Any] = self.transformed["Resources"]
        return resources

    @cached_property
    def stacks(self) -> list[Stack]:
        """One stack for each deployment."""
        first, *others = DEPLOYMENTS
        return [
            Stack(self.transformed, first),
            *(Stack(self.transformed, {**ELSEWHERE, **parameters}) for parameters in others),
        ]


class Stack:
    """A template deployed with one set of parameters: its resources, with every intrinsic function resolved.

    The parameters may have pseudo parameters among them, such as those of ELSEWHERE; without them, the stack is HERE.
    """

    def __init__(self, body: dict[str, Any], parameters: dict[str, str]) -> None:
        self._body = body
        self._parameters = parameters
        self._resolver = Resolver(self)
        self.resources = self._resolve_resources(body["Resources"])

    def _resolve_resources(self, resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {
            name: {**resource, "Properties": self.resolve(resource.get("Properties", {}))}
            for name, resource in resources.items()
            if "Condition" not in resource or self.condition(resource["Condition"])
        }

    def with_body(self, body: dict[str, Any], name: str) -> Stack:
        """Return the stack of another template that differs in one resource; only this one is resolved."""
        changed = copy.copy(self)
        changed._body, changed._resolver = body, Resolver(changed)
        others = {key: resource for key, resource in self.resources.items() if key != name}
        changed.resources = {**others, **changed._resolve_resources({name: body["Resources"][name]})}
        return changed

    def of_type(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the logical ID and the resolved properties of each resource of this type."""
        for name, resource in self.resources.items():
            if resource["Type"] == kind:
                yield name, resource["Properties"]

    def arn(self, name: str) -> str:
        """Return the ARN of a resource."""
        kind = self._body["Resources"][name]["Type"]
        service = kind.split("::")[1].lower()
        partition, region, account = (self.ref(f"AWS::{word}") for word in ("Partition", "Region", "AccountId"))
        place = ":" if service == "s3" else f"{region}:{account}"
        resource = f"job-definition/{name}:1" if kind == "AWS::Batch::JobDefinition" else name
        return f"arn:{partition}:{service}:{place}:{resource}"

    def ref(self, name: str) -> Any:
        """Return the value of `Ref`."""
        if name.startswith("AWS::"):
            return NO_PLACE[name] if name in NO_PLACE else self._parameters.get(name, HERE[name])
        if name in self._body.get("Parameters", {}):
            return self._parameter(name)
        kind = self._body["Resources"].get(name, {}).get("Type")
        return self.arn(name) if kind in TYPES_WITH_ARN_AS_REF else name

    def resolve(self, part: Any) -> Any:
        """Return a part of a template with every function replaced."""
        return self._resolver.value(part)

    def attribute(self, name: str, attribute: str) -> Any:
        """Return the value of `Fn::GetAtt`; cfn-lint reports a resource that does not exist."""
        kind = self._body["Resources"].get(name, {}).get("Type")
        suffix = ":*" if kind == "AWS::Logs::LogGroup" else ""  # as CloudFormation returns it
        is_arn = kind and attribute in ("Arn", "TopicArn", "JobDefinitionArn")
        return self.arn(name) + suffix if is_arn else f"{name}.{attribute}"

    def condition(self, name: str) -> bool:
        """Return whether a condition is true in this deployment."""
        return self._resolver.truth(self._body["Conditions"][name])

    def mapping(self, name: str, first: str, second: str) -> Any:
        """Return the value of `Fn::FindInMap`."""
        return self._body["Mappings"][name][str(first)][str(second)]

    def _parameter(self, name: str) -> Any:
        declared = self._body["Parameters"][name]
        value = self._parameters.get(name, declared.get("Default", ""))
        if declared["Type"] == "Number":
            return int(value) if str(value).isdigit() else float(value)
        if declared["Type"] == "CommaDelimitedList" or declared["Type"].startswith("List<"):
            return str(value).split(",") if value else []
        return value


def check_stacks(
    template: Template, gate: str, check_stack: Callable[[Stack], Iterator[LocatedProblem]]
) -> list[Finding]:
    """Run a check on every deployment and return its findings, without the suppressed ones."""
    findings = (Finding(gate, *problem) for stack in template.stacks for problem in check_stack(stack))
    return drop_suppressed(drop_duplicates(findings), template.resources)


def check_by_type(
    stack: Stack, checks: Mapping[str, Callable[[dict[str, Any]], Iterator[Problem]]]
) -> Iterator[LocatedProblem]:
    """Run the check of each resource type on the properties of its resources."""
    for resource_type, check_properties in checks.items():
        for name, properties in stack.of_type(resource_type):
            for rule, message in check_properties(properties):
                yield rule, name, message


NO_PLACE = {"AWS::NoValue": NO_VALUE, "AWS::NotificationARNs": []}


class _ManagedPolicies:
    """Provide the managed policies that the SAM translator looks up by name, as far as it adds them by itself."""

    def load(self) -> dict[str, str]:
        """Return the ARN of each managed policy."""
        return {name.rpartition("/")[2]: f"arn:aws:iam::aws:policy/{name}" for name in MANAGED_POLICIES}


def as_list(value: Any) -> list[Any]:
    """Return a value as a list: the Action, Resource or Principal of a policy may be one string or a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
