"""Lambda of the embedded AWS: layers, context, timeouts, asynchronous failures."""

import json
from typing import Any

from embedded_server import Server, eventually


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


def test_a_function_finds_nothing_of_the_server(aws: Server) -> None:
    """What it did not bring and Lambda does not have fails here too."""
    source = "def handler(event, context):\n    import moto\n"
    answer, failed = invoke_source(aws, "nosy", source)
    assert failed
    assert answer["errorType"] == "ModuleNotFoundError"


def invoke_source(aws: Server, name: str, source: str) -> tuple[Any, bool]:
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", source)
    aws.functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler="app.handler",
        Role=aws.output("Role"),
        Code={"ZipFile": packed.getvalue()},
    )
    answer = aws.functions.invoke(FunctionName=name, Payload=b"{}")
    return json.load(answer["Payload"]), "FunctionError" in answer


def test_a_failure_is_answered_as_lambda_does(aws: Server) -> None:
    answer, failed = invoke(aws, "Failing", {})
    assert failed
    assert (answer["errorType"], answer["errorMessage"]) == ("ValueError", "as ever")


def test_a_function_that_ends_its_interpreter_is_answered_and_replaced(aws: Server) -> None:
    answer, failed = invoke_source(aws, "leaving", "import os\ndef handler(event, context):\n    os._exit(3)\n")
    assert (answer["errorType"], failed) == ("Runtime.ExitError", True)


def test_a_function_past_its_timeout_is_stopped_and_works_again(aws: Server) -> None:
    answer, failed = invoke(aws, "Slow", {"seconds": 30})
    assert failed
    assert "Task timed out after 3.00 seconds" in answer["errorMessage"]
    assert invoke(aws, "Slow", {"seconds": 0}) == ("in time", False)


def test_an_asynchronous_failure_is_tried_three_times_and_reported(aws: Server) -> None:
    before = lines(aws, "Failing").count("about to fail")
    answer = aws.functions.invoke(FunctionName=aws.output("Failing"), InvocationType="Event", Payload=b'{"id": 7}')
    assert answer["StatusCode"] == 202
    (told,) = aws.messages("Failures", lambda body: body["requestPayload"] == {"id": 7})
    assert told["requestContext"]["condition"] == "RetriesExhausted"
    assert told["requestContext"]["approximateInvokeCount"] == 3
    assert told["responsePayload"]["errorType"] == "ValueError"
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
