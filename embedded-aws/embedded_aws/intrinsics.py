"""CloudFormation's functions: Ref, Fn::GetAtt, Fn::Sub and the others, over values that a stack supplies."""

import base64
import re
from collections.abc import Callable
from typing import Any, Protocol

from . import place

NO_VALUE = object()  # AWS::NoValue: the property is as if it were not written
PLACEHOLDER = re.compile(r"\$\{([^}]+)\}")


class Values(Protocol):
    """What the functions ask of a stack."""

    def ref(self, name: str) -> Any: ...
    def attribute(self, name: str, attribute: str) -> Any: ...
    def condition(self, name: str) -> bool: ...
    def mapping(self, name: str, first: str, second: str) -> Any: ...


class Resolver:
    """Replaces each function in a piece of template by its value."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": values.ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": lambda given: given[0].join(str(part) for part in self.value(given[1])),
            "Fn::If": lambda given: self.value(given[1] if values.condition(given[0]) else given[2]),
            "Fn::Select": lambda given: self.value(given[1])[int(self.value(given[0]))],
            "Fn::Split": lambda given: str(self.value(given[1])).split(given[0]),
            "Fn::FindInMap": lambda given: values.mapping(*self.value(given)),
            "Fn::GetAZs": lambda _: [place.REGION + zone for zone in "abc"],
            "Fn::Base64": lambda given: base64.b64encode(str(self.value(given)).encode()).decode(),
        }

    def value(self, piece: Any) -> Any:
        if isinstance(piece, list):
            return [value for value in map(self.value, piece) if value is not NO_VALUE]
        if not isinstance(piece, dict):
            return piece
        if len(piece) == 1 and (function := self._functions.get(next(iter(piece)))):
            return function(next(iter(piece.values())))
        values = ((key, self.value(part)) for key, part in piece.items())
        return {key: value for key, value in values if value is not NO_VALUE}

    def truth(self, condition: dict[str, Any]) -> bool:
        (function, given), *_ = condition.items()
        if function == "Condition":
            return self._values.condition(given)
        if function == "Fn::Equals":
            return str(self.value(given[0])) == str(self.value(given[1]))
        if function == "Fn::Not":
            return not self.truth(given[0])
        every = all if function == "Fn::And" else any
        return every(self.truth(part) for part in given)

    def _get_att(self, given: Any) -> Any:
        name, attribute = given.split(".", 1) if isinstance(given, str) else given
        return self._values.attribute(name, attribute)

    def _sub(self, given: Any) -> str:
        text, own = (given, {}) if isinstance(given, str) else (given[0], self.value(given[1]))
        return PLACEHOLDER.sub(lambda hit: str(self._placeholder(hit[1].strip(), own)), text)

    def _placeholder(self, name: str, own: dict[str, Any]) -> Any:
        if name.startswith("!"):
            return f"${{{name[1:]}}}"  # ${!Literal}
        if name in own:
            return own[name]
        return self._values.attribute(*name.split(".", 1)) if "." in name else self._values.ref(name)
