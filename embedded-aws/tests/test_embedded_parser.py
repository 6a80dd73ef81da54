"""The interpreter of state machines: a definition is parsed once, whatever the number of executions."""

import json

from embedded_aws.adapters import sfn_parser


def test_a_definition_is_parsed_once() -> None:
    definition = json.dumps({"StartAt": "Only", "States": {"Only": {"Type": "Succeed"}}})
    first, second = sfn_parser.PARSE(definition), sfn_parser.PARSE(definition)
    assert (first[0] is second[0], first[1] is second[1]) == (True, True)
