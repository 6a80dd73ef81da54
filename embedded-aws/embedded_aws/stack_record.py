"""CloudFormation's description of the stack: describe_stacks answers as it does on AWS.

Not with moto: its CloudFormation creates the resources itself (cloudformation/models.py:401), drops most properties,
and takes longer to import than all other services.
"""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs
from xml.etree.ElementTree import Element, SubElement, tostring

from .stack import Stack

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
STATUS = "CREATE_COMPLETE"


@dataclass
class StackRecord:
    """A WSGI application in front of moto's: it answers requests about the stack, and passes on all others."""

    application: Wsgi
    stack: Stack | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    created: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))

    def register(self, stack: Stack, outputs: dict[str, str]) -> None:
        """Answer for this stack from now on."""
        self.stack, self.outputs = stack, outputs

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, or pass it on."""
        if self.stack is None or "/cloudformation/aws4_request" not in environ.get("HTTP_AUTHORIZATION", ""):
            return self.application(environ, start)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        request = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        actions = {
            "DescribeStacks": self._stacks,
            "DescribeStackResources": self._resources,
            "ListStackResources": self._summaries,
        }
        if action := actions.get(request.get("Action", "")):
            return self._respond(request, action, start)
        environ["wsgi.input"] = io.BytesIO(body)
        return self.application(environ, start)

    def _respond(
        self, request: dict[str, str], action: Callable[[Stack], list[Element]], start: Callable[..., Any]
    ) -> Iterable[bytes]:
        stack, name = self.stack, request.get("StackName")
        if stack is None or name not in (None, stack.name, stack.stack_id):
            start("400 Bad Request", [("Content-Type", "text/xml")])
            return [_error(f"Stack with id {name} does not exist")]
        root = Element(f"{request['Action']}Response", xmlns=NAMESPACE)
        SubElement(root, f"{request['Action']}Result").extend(action(stack))
        start("200 OK", [("Content-Type", "text/xml")])
        return [tostring(root)]

    def _stacks(self, stack: Stack) -> list[Element]:
        parameters = [
            {"ParameterKey": name, "ParameterValue": ",".join(value) if isinstance(value, list) else str(value)}
            for name, value in stack.parameters.items()
        ]
        outputs = [{"OutputKey": name, "OutputValue": value} for name, value in self.outputs.items()]
        member = _structure(
            "member",
            {"StackId": stack.stack_id, "StackName": stack.name, "CreationTime": self.created, "StackStatus": STATUS},
        )
        member.append(_list("Parameters", parameters))
        member.append(_list("Outputs", outputs))
        stacks = Element("Stacks")
        stacks.append(member)
        return [stacks]

    def _resources(self, stack: Stack) -> list[Element]:
        common = {"StackId": stack.stack_id, "StackName": stack.name, "Timestamp": self.created}
        return [_list("StackResources", [common | resource for resource in _resources_of(stack)])]

    def _summaries(self, stack: Stack) -> list[Element]:
        common = {"LastUpdatedTimestamp": self.created}
        return [_list("StackResourceSummaries", [common | resource for resource in _resources_of(stack)])]


def _resources_of(stack: Stack) -> list[dict[str, str]]:
    return [
        {
            "LogicalResourceId": name,
            "PhysicalResourceId": resource.physical_id,
            "ResourceType": stack.resource_type(name),
            "ResourceStatus": STATUS,
        }
        for name, resource in stack.resources.items()
    ]


def _structure(tag: str, fields: dict[str, str]) -> Element:
    element = Element(tag)
    for name, value in fields.items():
        SubElement(element, name).text = value
    return element


def _list(tag: str, members: list[dict[str, str]]) -> Element:
    element = Element(tag)
    element.extend(_structure("member", member) for member in members)
    return element


def _error(message: str) -> bytes:
    root = Element("ErrorResponse", xmlns=NAMESPACE)
    root.append(_structure("Error", {"Type": "Sender", "Code": "ValidationError", "Message": message}))
    return tostring(root)
