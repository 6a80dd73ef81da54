"""A JSONPath that can match only once gives the value, not a list with the value.

moto gives a list for every path with an index before a name (`$[0].call` gives `[...]`): the end of extract_json in
stepfunctions/parser/asl/utils/json_path.py.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from moto.stepfunctions.parser.asl.utils import json_path

from embedded_aws.patches import patch, patch_imports

_MULTIPLE = re.compile(r"\*|\.\.|\?\(|\[[^\]]*[:,]")  # wildcard, descent, filter, slice or union
_parse = cache(json_path.parse)
_extract: Callable[[str, Any], Any] = json_path.extract_json


def extract_json(path: str, data: Any) -> Any:
    """Return the value at a path; a list of values for a path that can match more than once."""
    if _MULTIPLE.search(path):
        return _extract(path, data)
    matches = _parse(path).find(data)
    if not matches:
        raise json_path.NoSuchJsonPathError(json_path=path, data=data)
    return matches[0].value


def install() -> None:
    """Patch moto."""
    # Most paths are evaluated for every execution, and parsing one takes a hundred times as long as its evaluation.
    patch(json_path, "parse", _parse, source="c3139295")
    patch_imports(json_path, "extract_json", extract_json, source="0c042954", package="moto.stepfunctions")
