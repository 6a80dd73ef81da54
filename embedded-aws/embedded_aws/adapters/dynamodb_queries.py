"""A query looks only at the items with its key: with N items, N queries do not sort N items N times.

Wraps Table.query (dynamodb/models/table.py:745), which sorts all items of the table before it selects those of the key
(all_items).
"""

from typing import Any

from moto.dynamodb.models.table import Table

from embedded_aws.patches import patch

_query = Table.query


def _query_key(self: Any, hash_key: Any, *args: Any, hash_key_conditions: Any = None, **more: Any) -> Any:
    table = _only(self, hash_key_conditions) if hash_key_conditions else self
    return _query(table, hash_key, *args, hash_key_conditions=hash_key_conditions, **more)


def _only(table: Any, conditions: list[tuple[str, Any]]) -> Any:
    """Return the table with only those items that have these attributes."""
    view = object.__new__(type(table))
    view.__dict__ = {**table.__dict__, "items": _found(table, dict(conditions))}
    return view


def _found(table: Any, wanted: dict[str, Any]) -> dict[Any, Any]:
    """Return the items in the form of Table.items: by hash key, then by range key if the table has one."""
    if table.hash_key_attr in wanted:
        key = wanted[table.hash_key_attr]
        return {key: table.items[key]} if key in table.items else {}
    if not table.range_key_attr:
        return {key: item for key, item in list(table.items.items()) if _has(item, wanted)}
    groups = ((key, list(group.items())) for key, group in list(table.items.items()))
    return {key: {name: item for name, item in group if _has(item, wanted)} for key, group in groups}


def _has(item: Any, wanted: dict[str, Any]) -> bool:
    """Return whether an item has these attributes: texts are compared at once, numbers by their value."""
    for name, value in wanted.items():
        attribute = item.attrs.get(name)
        if attribute is None or attribute.type != value.type:
            return False
        if attribute.value != value.value and (value.type == "S" or attribute != value):
            return False
    return True


def install() -> None:
    """Patch moto."""
    patch(Table, "query", _query_key, source="192b0e76")
