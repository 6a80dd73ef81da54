"""The rights of the roles of functions, jobs and state machines: those in the template, and those that runs used.

`make rights` runs the pipeline in every way and writes the used ones to used_rights.jsonl.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded_aws.intrinsics import NO_VALUE, Resolver
from embedded_aws.rights import Need, Roles
from seqdrop.plan.steps import Tool

from support.pipeline_parts import template

USED = Path(__file__).with_name("used_rights.jsonl")
STACK, PLACE = "seqdrop", "us-east-1:123456789012"  # as in the stacks of the tests


@dataclass(frozen=True, order=True)
class Right:
    """An action pattern and a resource pattern of a statement."""

    role: str
    action: str
    resource: str


class Names:
    """The names that a stack has on the embedded AWS."""

    def __init__(self, stack: dict[str, Any]) -> None:
        self._template = stack

    def ref(self, name: str) -> Any:
        pseudo = {
            "AWS::AccountId": PLACE.partition(":")[2],
            "AWS::NoValue": NO_VALUE,
            "AWS::Partition": "aws",
            "AWS::Region": PLACE.partition(":")[0],
            "AWS::StackName": STACK,
        }
        if name.endswith("Aliaslive"):
            return f"{self.ref(name.removesuffix('Aliaslive'))}:live"
        if name in self._template["Parameters"]:
            return self._template["Parameters"][name].get("Default", "")
        return pseudo.get(name) or self.attribute(name, "Arn")

    def attribute(self, name: str, attribute: str) -> Any:
        assert attribute == "Arn"
        resource = self._template["Resources"][name]
        match resource["Type"]:
            case "AWS::S3::Bucket":
                return f"arn:aws:s3:::{STACK}-{name.lower()}"
            case "AWS::DynamoDB::Table":
                return f"arn:aws:dynamodb:{PLACE}:table/{STACK}-{name}"
            case "AWS::Batch::JobQueue":
                return f"arn:aws:batch:{PLACE}:job-queue/{STACK}-{name}"
            case "AWS::Serverless::Function":
                return f"arn:aws:lambda:{PLACE}:function:{STACK}-{name}"
            case "AWS::Serverless::StateMachine":
                own = resource["Properties"].get("Name", {"Fn::Sub": f"{STACK}-{name}"})["Fn::Sub"]
                return f"arn:aws:states:{PLACE}:stateMachine:{own.replace('${AWS::StackName}', STACK)}"
        return f"arn:aws:{resource['Type'].split('::')[1].lower()}:{PLACE}:{STACK}-{name}"

    def condition(self, name: str) -> bool:
        return Resolver(self).truth(self._template["Conditions"][name])

    def mapping(self, name: str, first: str, second: str) -> Any:
        return self._template["Mappings"][name][first][second]


def job_role(stack: dict[str, Any], tool: Tool) -> str:
    """Return the role of the job definition of a tool."""
    name = "".join(word.capitalize() for word in tool.name.split("_"))
    container = stack["Resources"][f"{name}JobDefinition"]["Properties"]["ContainerProperties"]
    return str(container["JobRoleArn"]["Fn::GetAtt"][0])


def policies(stack: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the policies of each role, with the names that its resources have on the embedded AWS."""
    resolver, found = Resolver(Names(stack)), {}
    for name, resource in stack["Resources"].items():
        own = resource.get("Properties", {}).get("Policies", [])
        if resource["Type"] == "AWS::Serverless::Function":
            found[f"{name}Role"] = resolver.value(own)
        elif resource["Type"] == "AWS::IAM::Role" and name.endswith(("JobRole", "StateMachineRole")):
            found[name] = resolver.value([policy["PolicyDocument"] for policy in own])
    return found


def allowed(stack: dict[str, Any]) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield role, actions and resources of every statement that allows something."""
    for role, documents in policies(stack).items():
        for document in documents:
            for statement in document["Statement"]:
                if statement["Effect"] == "Allow":
                    yield role, as_list(statement["Action"]), as_list(statement["Resource"])


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def roles(stack: dict[str, Any]) -> Roles:
    """Return the roles, by name, as the embedded AWS enforces them."""
    found = Roles()
    for name, documents in policies(stack).items():
        found.add(name, name, documents)
    return found


def may(roles: Roles, role: str, action: str, uri: str) -> bool:
    """Return whether a role allows an action on an object, by its address in the buckets of the stack."""
    return roles.may(role, Need(action, f"arn:aws:s3:::{uri.removeprefix('s3://')}"))


def used() -> set[Right]:
    """Return the rights that runs used when `make rights` was run last."""
    return read(USED)


def read(path: Path) -> set[Right]:
    """Return the rights of a file: that of the recorded ones, or one that the embedded AWS has written."""
    return {Right(**json.loads(line)) for line in path.read_text().splitlines()}


def write(path: Path, rights: Iterable[Right]) -> None:
    """Write rights in order, as `read` reads them."""
    path.write_text("".join(json.dumps(vars(right)) + "\n" for right in sorted(rights)))


def unused(stack: dict[str, Any]) -> list[Right]:
    """Return the parts of statements that no run used: an action with all its resources, or the other way round."""
    known = used()
    return [
        right
        for role, actions, resources in allowed(stack)
        for right in (
            *(Right(role, action, " ".join(resources)) for action in actions),
            *(Right(role, " ".join(actions), resource) for resource in resources),
        )
        if not any(_is_part(each, right) for each in known)
    ]


def lost(stack: dict[str, Any]) -> list[Right]:
    """Return the rights that a run used and that no statement has any more."""
    return sorted(used() - each_right(stack))


def each_right(stack: dict[str, Any]) -> set[Right]:
    """Return every action of every statement with each of its resources."""
    return {
        Right(role, action, resource)
        for role, actions, resources in allowed(stack)
        for action in actions
        for resource in resources
    }


def _is_part(one: Right, right: Right) -> bool:
    return one.role == right.role and one.action in right.action.split() and one.resource in right.resource.split()


def main(record: Path, *options: str) -> None:
    """Write the rights of the template that are in a record of the embedded AWS, each once, in order.

    `--add`: those that are written already stay.
    """
    recorded = read(record) | (used() if "--add" in options else set())
    write(USED, recorded & each_right(template()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
