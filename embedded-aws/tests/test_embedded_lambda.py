"""Lambda of the embedded AWS: layers, context, timeouts, asynchronous failures."""

import json
from typing import Any

import pytest
from embedded_server import Server, eventually, packed_source


def invoke(aws: Server, name: str, event: Any) -> tuple[Any, bool]:
    answer = aws.functions.invoke(FunctionName=aws.output(name), Payload=json.dumps(event))
    return json.load(answer["Payload"]), "FunctionError" in answer


def lines(aws: Server, name: str) -> list[str]:
    events = aws.logs.filter_log_events(logGroupName=f"/aws/lambda/{aws.output(name)}")["events"]
    return [event["message"] for event in events]


def test_a_function_has_its_layer_its_environment_and_its_context(aws: Server) -> None:
    answer, failed = invoke(aws, "Echo", {"a": [1, None, "ü"]})
    assert not failed
    assert answer["event"] == {"a": [1, None, "ü"]}
    assert (answer["layer"], answer["greeting"]) == ("from the layer", "hello")
    assert 0 < answer["milliseconds"] <= 10_000
    assert answer["arn"].endswith(":function:t-EchoFunction")
    assert "seen t-EchoFunction" in lines(aws, "Echo")


def test_a_function_cannot_import_packages_of_the_server(aws: Server) -> None:
    """A package that is neither in the function nor in Lambda is missing, as on AWS."""
    source = "def handler(event, context):\n    import moto\n"
    answer, failed = invoke_source(aws, "nosy", source)
    assert failed
    assert answer["errorType"] == "ModuleNotFoundError"


def test_a_module_of_a_function_is_not_hidden_by_one_of_the_server(aws: Server) -> None:
    source = "import lambda_pool\ndef handler(event, context):\n    return lambda_pool.WHOSE\n"
    aws.create_function("same-names", source, {"lambda_pool": "WHOSE = 'of the function'\n"})
    answer = aws.functions.invoke(FunctionName="same-names", Payload=b"{}")
    assert json.load(answer["Payload"]) == "of the function"


def invoke_source(aws: Server, name: str, source: str) -> tuple[Any, bool]:
    aws.create_function(name, source)
    answer = aws.functions.invoke(FunctionName=name, Payload=b"{}")
    return json.load(answer["Payload"]), "FunctionError" in answer


def test_a_failure_is_answered_as_by_lambda(aws: Server) -> None:
    answer, failed = invoke(aws, "Failing", {})
    assert failed
    assert (answer["errorType"], answer["errorMessage"]) == ("ValueError", "as ever")


def test_a_function_that_ends_its_interpreter_is_answered_and_replaced(aws: Server) -> None:
    answer, failed = invoke_source(aws, "leaving", "import os\ndef handler(event, context):\n    os._exit(3)\n")
    assert (answer["errorType"], failed) == ("Runtime.ExitError", True)


def test_a_function_that_exceeds_its_timeout_is_stopped_and_works_again(aws: Server) -> None:
    answer, failed = invoke(aws, "Slow", {"seconds": 30})
    assert failed
    assert "Task timed out after 3.00 seconds" in answer["errorMessage"]
    assert invoke(aws, "Slow", {"seconds": 0}) == ("in time", False)


def test_an_asynchronous_failure_is_retried_twice_and_reported(aws: Server) -> None:
    before = lines(aws, "Failing").count("about to fail")
    answer = aws.functions.invoke(FunctionName=aws.output("Failing"), InvocationType="Event", Payload=b'{"id": 7}')
    assert answer["StatusCode"] == 202
    (report,) = aws.messages("Failures", lambda body: body["requestPayload"] == {"id": 7})
    assert report["requestContext"]["condition"] == "RetriesExhausted"
    assert report["requestContext"]["approximateInvokeCount"] == 3
    assert report["responsePayload"]["errorType"] == "ValueError"
    eventually(lambda: lines(aws, "Failing").count("about to fail") == before + 3, "three tries in the log")


def test_a_state_machine_invokes_a_function(aws: Server) -> None:
    parameters = {"FunctionName": aws.output("Echo"), "Payload": {"x.$": "$.x"}}
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": parameters,
        "OutputPath": "$.Payload",
        "End": True,
    }
    execution = aws.execute({"Ask": task}, {"x": 1})
    assert json.loads(execution["output"])["event"] == {"x": 1}


@pytest.mark.parametrize(
    ("output", "qualifier"), [("EchoVersion", "1"), ("EchoAlias", "live")], ids=["version", "alias"]
)
def test_a_qualified_arn_invokes_the_published_version(aws: Server, output: str, qualifier: str) -> None:
    arn = aws.output(output)
    assert arn.endswith(f":function:t-EchoFunction:{qualifier}")
    answer = aws.functions.invoke(FunctionName=arn, Payload=b"{}")
    payload = json.load(answer["Payload"])
    assert (payload["version"], payload["arn"], answer["ExecutedVersion"]) == ("1", arn, "1")
    assert (payload["layer"], payload["greeting"]) == ("from the layer", "hello")


@pytest.mark.parametrize("qualifier", ["1", "live", "$LATEST"])
def test_a_qualifier_beside_the_name_is_part_of_the_invoked_arn(aws: Server, qualifier: str) -> None:
    answer = aws.functions.invoke(FunctionName=aws.output("Echo"), Qualifier=qualifier, Payload=b"{}")
    version = qualifier if qualifier == "$LATEST" else "1"
    payload = json.load(answer["Payload"])
    assert payload["arn"].endswith(f":function:t-EchoFunction:{qualifier}")
    assert (payload["version"], answer["ExecutedVersion"]) == (version, version)


def test_a_published_version_keeps_its_code_and_its_environment(aws: Server) -> None:
    answer, failed = invoke_source(aws, "changing", "def handler(event, context):\n    return 'first'\n")
    assert (answer, failed) == ("first", False)
    version = aws.functions.publish_version(FunctionName="changing")["Version"]
    code = packed_source("def handler(event, context):\n    return 'second'\n")
    aws.functions.update_function_code(FunctionName="changing", ZipFile=code)
    answers = [
        json.load(aws.functions.invoke(FunctionName=f"changing{suffix}", Payload=b"{}")["Payload"])
        for suffix in ("", f":{version}")
    ]
    assert answers == ["second", "first"]


def test_a_state_machine_invokes_versions_and_aliases(aws: Server) -> None:
    output = json.loads(aws.ended(aws.start(aws.output("Ask"), {"x": 1}))["output"])
    version, alias = aws.output("EchoVersion"), aws.output("EchoAlias")
    assert output == {
        "x": 1,
        "by_version": {"arn": version, "version": "1", "executed": "1"},
        "by_alias": {"arn": alias, "version": "1", "executed": "1"},
        "called": {"arn": version, "version": "1"},
    }


def test_an_asynchronous_failure_of_an_alias_is_reported_with_its_version(aws: Server) -> None:
    arn = aws.output("FailingAlias")
    aws.functions.invoke(FunctionName=arn, InvocationType="Event", Payload=b'{"id": 8}')
    (report,) = aws.messages("Failures", lambda body: body["requestPayload"] == {"id": 8})
    assert report["requestContext"]["functionArn"] == arn
    assert report["responseContext"]["executedVersion"] == "1"


def test_aliases_and_versions_are_listed(aws: Server) -> None:
    name = aws.output("Echo")
    (alias,) = aws.functions.list_aliases(FunctionName=name)["Aliases"]
    assert (alias["Name"], alias["FunctionVersion"], alias["AliasArn"]) == ("live", "1", aws.output("EchoAlias"))
    versions = aws.functions.list_versions_by_function(FunctionName=name)["Versions"]
    assert [version["Version"] for version in versions] == ["$LATEST", "1"]
