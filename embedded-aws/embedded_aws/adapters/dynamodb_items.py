"""Items of a table are written to an answer without a search for attributes that they do not have.

An attribute is a dict with one of ten members, such as {"S": "text"}. For each of the other nine moto tries every name
that the member could have in an object of its own (core/serialize.py:391): an answer with 20 items takes 40 ms.
"""

from typing import Any

from moto.core.serialize import BaseJSONSerializer

from embedded_aws.patches import patch

ATTRIBUTE = "AttributeValue"  # the name in the API of DynamoDB

_serialize = BaseJSONSerializer._serialize_type_structure


def _serialize_structure(self: Any, serialized: dict[str, Any], value: Any, shape: Any, key: str) -> None:
    if shape.name != ATTRIBUTE or type(value) is not dict or not key:
        _serialize(self, serialized, value, shape, key)
        return
    members: dict[str, Any] = self.MAP_TYPE()
    for name in shape.members.keys() & value.keys():
        self._serialize_structure_member(members, value, shape.members[name], name)
    self._default_serialize(serialized, members, shape, key)


def install() -> None:
    """Patch moto."""
    patch(BaseJSONSerializer, "_serialize_type_structure", _serialize_structure, source="a9043bc9")
