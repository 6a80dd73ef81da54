"""Create a template's resources in the order their references ask for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from . import parameters, place
from .intrinsics import NO_VALUE, Resolver
from .template import Template, TemplateError


@dataclass(frozen=True)
class Made:
    """What Ref and Fn::GetAtt say of a created resource."""

    physical_id: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A resource to create."""

    stack: str
    logical_id: str
    properties: dict[str, Any]
    source: Callable[[str], Path]  # the folder or file behind a resource that has code

    def name(self, property_name: str, limit: int = 64) -> str:
        return str(self.properties.get(property_name) or f"{self.stack}-{self.logical_id}"[:limit])


Creator = Callable[[Asked], Made]


class Stack:
    """One deployment. Asking for a resource creates it."""

    def __init__(self, name: str, template: Template, given: dict[str, str], creators: dict[str, Creator]) -> None:
        self.name, self._template, self._creators = name, template, creators
        self.parameters = parameters.values(template, given)
        self.made: dict[str, Made] = {}
        self.skipped: list[str] = []
        self._making: list[str] = []
        self._resolver = Resolver(self)

    def deploy(self) -> dict[str, str]:
        """The outputs."""
        for name in self._template.resources:
            self._ensure(name)
        outputs = self._template.body.get("Outputs", {})
        return {
            name: str(self._resolver.value(output["Value"])) for name, output in outputs.items() if self._wanted(output)
        }

    def resolved(self, piece: Any) -> Any:
        return self._resolver.value(piece)

    def ref(self, name: str) -> Any:
        pseudo = {
            "AWS::AccountId": place.ACCOUNT,
            "AWS::NoValue": NO_VALUE,
            "AWS::NotificationARNs": [],
            "AWS::Partition": place.PARTITION,
            "AWS::Region": place.REGION,
            "AWS::StackId": self.stack_id,
            "AWS::StackName": self.name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        if name in pseudo:
            return pseudo[name]
        return self.parameters[name] if name in self.parameters else self._ensure(name).physical_id

    def attribute(self, name: str, attribute: str) -> Any:
        made = self._ensure(name)
        return made.attributes.get(attribute, f"{made.physical_id}.{attribute}")

    def condition(self, name: str) -> bool:
        return self._resolver.truth(self._template.body["Conditions"][name])

    def mapping(self, name: str, first: str, second: str) -> Any:
        return self._template.body["Mappings"][name][first][second]

    @property
    def stack_id(self) -> str:
        return f"arn:{place.PARTITION}:cloudformation:{place.REGION}:{place.ACCOUNT}:stack/{self.name}/local"

    def resource_type(self, name: str) -> str:
        return str(self._template.resources[name]["Type"])

    def _ensure(self, name: str) -> Made:
        if name in self.made:
            return self.made[name]
        if name not in self._template.resources:
            raise TemplateError(f"nothing in the template is called {name}")
        if name in self._making:
            raise TemplateError(f"circular dependency: {' -> '.join([*self._making, name])}")
        resource = self._template.resources[name]
        if not self._wanted(resource):
            return Made("")
        self._making.append(name)
        self.made[name] = self._create(name, resource)
        self._making.remove(name)
        return self.made[name]

    def _create(self, name: str, resource: dict[str, Any]) -> Made:
        depends_on = resource.get("DependsOn", [])
        for other in [depends_on] if isinstance(depends_on, str) else depends_on:
            self._ensure(other)
        if (creator := self._creators.get(resource["Type"])) is None:
            self.skipped.append(f"{name} ({resource['Type']})")
            return Made(
                f"{self.name}-{name}", {"Arn": f"arn:{place.PARTITION}:local:{place.REGION}:{place.ACCOUNT}:{name}"}
            )
        properties = self._resolver.value(resource.get("Properties", {}))
        try:
            return creator(Asked(self.name, name, properties, self._template.sources.__getitem__))
        except (ClientError, ParamValidationError) as error:
            raise TemplateError(f"could not create {name} ({resource['Type']}): {error}") from error

    def _wanted(self, resource: dict[str, Any]) -> bool:
        return "Condition" not in resource or self.condition(resource["Condition"])
