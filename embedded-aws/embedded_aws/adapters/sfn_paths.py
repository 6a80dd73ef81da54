"""A JSONPath that can match but once gives the value, not a list of it.

moto wraps whatever an index comes before (`$[0].call` gives `[...]`): stepfunctions/parser/asl/utils/json_path.py, at
the end of extract_json.
"""

import re
from collections.abc import Callable
from typing import Any

from moto.stepfunctions.parser.asl.utils import json_path

from embedded_aws.patches import patch_imports

_MANY = re.compile(r"\*|\.\.|\?\(|\[[^\]]*[:,]")  # wildcard, descent, filter, slice or union
_extract: Callable[[str, Any], Any] = json_path.extract_json


def extract_json(path: str, data: Any) -> Any:
    if _MANY.search(path):
        return _extract(path, data)
    matches = json_path.parse(path).find(data)
    if not matches:
        raise json_path.NoSuchJsonPathError(json_path=path, data=data)
    return matches[0].value


def install() -> None:
    patch_imports(json_path, "extract_json", extract_json, source="0c042954", package="moto.stepfunctions")
