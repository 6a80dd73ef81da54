"""Create the resources of a template in the order of their references."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from . import aws, parameters, rules
from .intrinsics import NO_VALUE, Resolver
from .rights.conditions import UnknownConditionError
from .template import Template, TemplateError


@dataclass(frozen=True)
class CreatedResource:
    """The values of Ref and Fn::GetAtt for a resource."""

    physical_id: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ResourceSpec:
    """A resource to create."""

    stack: str
    logical_id: str
    properties: dict[str, Any]
    source: Callable[[str], Path]  # the folder or file of a resource that has code

    def name(self, property_name: str, limit: int = 64) -> str:
        """Return the name in the template, or one derived from the stack and the logical id."""
        return str(self.properties.get(property_name) or f"{self.stack}-{self.logical_id}"[:limit])


Creator = Callable[[ResourceSpec], CreatedResource]


class Stack:
    """One deployment. A reference to a resource creates the resource first."""

    def __init__(self, name: str, template: Template, overrides: dict[str, str], creators: dict[str, Creator]) -> None:
        """Validate the parameters; raise TemplateError. `creators` has a function for each type of resource."""
        self.name, self._template, self._creators = name, template, creators
        self.parameters = parameters.values(template, overrides)
        rules.check(template.body, self.parameters)
        self.resources: dict[str, CreatedResource] = {}
        self.skipped: list[str] = []
        self._in_creation: list[str] = []
        self._resolver = Resolver(self)

    def deploy(self) -> dict[str, str]:
        """Create every resource; return the outputs."""
        for name in self._template.resources:
            self._ensure(name)
        outputs = self._template.body.get("Outputs", {})
        return {
            name: str(self._resolver.value(output["Value"]))
            for name, output in outputs.items()
            if self._enabled(output)
        }

    def resolve(self, part: Any) -> Any:
        """Return a part of the template with every function replaced."""
        return self._resolver.value(part)

    def ref(self, name: str) -> Any:
        """Return a pseudo parameter, a parameter, or the physical id of a resource."""
        pseudo = {
            "AWS::AccountId": aws.ACCOUNT,
            "AWS::NoValue": NO_VALUE,
            "AWS::NotificationARNs": [],
            "AWS::Partition": aws.PARTITION,
            "AWS::Region": aws.REGION,
            "AWS::StackId": self.stack_id,
            "AWS::StackName": self.name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        if name in pseudo:
            return pseudo[name]
        return self.parameters[name] if name in self.parameters else self._ensure(name).physical_id

    def attribute(self, name: str, attribute: str) -> Any:
        """Return an attribute of a resource, or a placeholder for an attribute that this AWS does not have."""
        resource = self._ensure(name)
        return resource.attributes.get(attribute, f"{resource.physical_id}.{attribute}")

    def condition(self, name: str) -> bool:
        """Evaluate a condition of the template."""
        return self._resolver.truth(self._template.body["Conditions"][name])

    def mapping(self, name: str, first: str, second: str) -> Any:
        """Return a value of a mapping."""
        return self._template.body["Mappings"][name][str(first)][str(second)]  # a key may be a number

    @property
    def stack_id(self) -> str:
        """ARN of the stack."""
        return f"arn:{aws.PARTITION}:cloudformation:{aws.REGION}:{aws.ACCOUNT}:stack/{self.name}/local"

    def resource_type(self, name: str) -> str:
        """Return the type of a resource."""
        return str(self._template.resources[name]["Type"])

    def _ensure(self, name: str) -> CreatedResource:
        if name in self.resources:
            return self.resources[name]
        if name not in self._template.resources:
            raise TemplateError(f"the template has no resource or parameter {name}")
        if name in self._in_creation:
            raise TemplateError(f"circular dependency: {' -> '.join([*self._in_creation, name])}")
        declared = self._template.resources[name]
        if not self._enabled(declared):
            return CreatedResource("")
        self._in_creation.append(name)
        self.resources[name] = self._create(name, declared)
        self._in_creation.remove(name)
        return self.resources[name]

    def _create(self, name: str, declared: dict[str, Any]) -> CreatedResource:
        depends_on = declared.get("DependsOn", [])
        for other in [depends_on] if isinstance(depends_on, str) else depends_on:
            self._ensure(other)
        if (creator := self._creators.get(declared["Type"])) is None:
            return self._skip(name, declared)
        properties = self._resolver.value(declared.get("Properties", {}))
        try:
            return creator(ResourceSpec(self.name, name, properties, self._template.sources.__getitem__))
        except (ClientError, ParamValidationError, UnknownConditionError) as error:
            raise TemplateError(f"could not create {name} ({declared['Type']}): {error}") from error

    def _skip(self, name: str, declared: dict[str, Any]) -> CreatedResource:
        """Give a resource of another type an id, so that references to it resolve."""
        self.skipped.append(f"{name} ({declared['Type']})")
        arn = f"arn:{aws.PARTITION}:local:{aws.REGION}:{aws.ACCOUNT}:{name}"
        return CreatedResource(f"{self.name}-{name}", {"Arn": arn})

    def _enabled(self, declared: dict[str, Any]) -> bool:
        return "Condition" not in declared or self.condition(declared["Condition"])
