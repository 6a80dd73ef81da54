"""A JSONPath that can match only once gives the value, not a list with the value.

moto gives a list for every path with an index before a name (`$[0].call` gives `[...]`): the end of extract_json in
stepfunctions/parser/asl/utils/json_path.py.
"""

import re
from collections.abc import Callable
from typing import Any

from moto.stepfunctions.parser.asl.utils import json_path

from embedded_aws.patches import patch_imports

_MULTIPLE = re.compile(r"\*|\.\.|\?\(|\[[^\]]*[:,]")  # wildcard, descent, filter, slice or union
_extract: Callable[[str, Any], Any] = json_path.extract_json


def extract_json(path: str, data: Any) -> Any:
    """Return the value at a path; a list of values for a path that can match more than once."""
    if _MULTIPLE.search(path):
        return _extract(path, data)
    matches = json_path.parse(path).find(data)
    if not matches:
        raise json_path.NoSuchJsonPathError(json_path=path, data=data)
    return matches[0].value


def install() -> None:
    """Patch moto."""
    patch_imports(json_path, "extract_json", extract_json, source="0c042954", package="moto.stepfunctions")
