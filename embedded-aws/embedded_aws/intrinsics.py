"""Intrinsic functions of CloudFormation: Ref, Fn::GetAtt, Fn::Sub and the others."""

import base64
import re
from collections.abc import Callable
from typing import Any, Protocol

from . import aws

NO_VALUE = object()  # AWS::NoValue: the property is omitted
PLACEHOLDER = re.compile(r"\$\{([^}]+)\}")


class Values(Protocol):
    """Values of a stack that the functions use."""

    def ref(self, name: str) -> Any:
        """Return the value of Ref."""

    def attribute(self, name: str, attribute: str) -> Any:
        """Return the value of Fn::GetAtt."""

    def condition(self, name: str) -> bool:
        """Return whether a condition of the template is true."""

    def mapping(self, name: str, first: str, second: str) -> Any:
        """Return the value of Fn::FindInMap."""


class Resolver:
    """Replaces each function in a part of a template by its value."""

    def __init__(self, values: Values) -> None:
        """Resolve with the values of one stack."""
        self._values = values
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": values.ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": lambda args: args[0].join(str(item) for item in self.value(args[1])),
            "Fn::If": lambda args: self.value(args[1] if values.condition(args[0]) else args[2]),
            "Fn::Select": lambda args: self.value(args[1])[int(self.value(args[0]))],
            "Fn::Split": lambda args: str(self.value(args[1])).split(args[0]),
            "Fn::FindInMap": lambda args: values.mapping(*self.value(args)),
            "Fn::GetAZs": lambda _: [aws.REGION + zone for zone in "abc"],
            "Fn::Base64": lambda arg: base64.b64encode(str(self.value(arg)).encode()).decode(),
        }

    def value(self, part: Any) -> Any:
        """Return a part of a template with every function replaced; omit what is AWS::NoValue."""
        if isinstance(part, list):
            return [value for value in map(self.value, part) if value is not NO_VALUE]
        if not isinstance(part, dict):
            return part
        if len(part) == 1 and (function := self._functions.get(next(iter(part)))):
            return function(next(iter(part.values())))
        values = ((key, self.value(item)) for key, item in part.items())
        return {key: value for key, value in values if value is not NO_VALUE}

    def truth(self, condition: dict[str, Any]) -> bool:
        """Evaluate a condition of a template."""
        (function, args), *_ = condition.items()
        if function == "Condition":
            return self._values.condition(args)
        if function == "Fn::Equals":
            return str(self.value(args[0])) == str(self.value(args[1]))
        if function == "Fn::Not":
            return not self.truth(args[0])
        combine = all if function == "Fn::And" else any
        return combine(self.truth(operand) for operand in args)

    def _get_att(self, args: Any) -> Any:
        name, attribute = args.split(".", 1) if isinstance(args, str) else args
        return self._values.attribute(name, attribute)

    def _sub(self, args: Any) -> str:
        text, variables = (args, {}) if isinstance(args, str) else (args[0], self.value(args[1]))
        return PLACEHOLDER.sub(lambda match: str(self._placeholder(match[1].strip(), variables)), text)

    def _placeholder(self, name: str, variables: dict[str, Any]) -> Any:
        if name.startswith("!"):
            return f"${{{name[1:]}}}"  # ${!Literal}
        if name in variables:
            return variables[name]
        return self._values.attribute(*name.split(".", 1)) if "." in name else self._values.ref(name)
