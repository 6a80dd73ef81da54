"""The rights that a request needs, by its service and its operation.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, unquote

from embedded_aws import aws
from embedded_aws.faults.operations import identify
from embedded_aws.request_body import read_body
from embedded_aws.signatures import RefusedError

from .objects import needs_of_s3
from .statements import Need

Fields = dict[str, Any]
REST = {"batch", "lambda"}  # the path names the operation
PREFIXES = {"monitoring": "cloudwatch"}  # of actions, where it is not the service of the signature
TRANSACTIONS = {
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


def needs_of(service: str, environ: Fields) -> list[Need]:
    """Return the rights that a request needs; `service` is that of its signature. Raise RefusedError."""
    if service == "s3":
        return needs_of_s3(environ)
    operation, fields = _call(service, environ)
    if not operation:
        raise RefusedError("AccessDenied", f"The operation of this request to {service} is not known to this AWS.")
    if operation == "PutEvents":
        return [_need_of_event(entry) for entry in fields.get("Entries", [])]
    find = FINDERS.get(service, _of_anything)
    prefix = PREFIXES.get(service, service)
    return [Need(f"{prefix}:{action}", resource) for action, resource in find(operation, fields)]


def _call(service: str, environ: Fields) -> tuple[str, Fields]:
    """Return operation and parameters of a request; "" for a form that SDKs do not use."""
    if service in REST:
        call = identify(service, environ, lambda: b"") if not environ.get("HTTP_X_AMZ_TARGET") else None
        path = unquote(environ["RAW_URI"].partition("?")[0])
        query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        return (call.operation if call else ""), {**_json(environ), **query, "path": path}
    if environ["PATH_INFO"] != "/" or environ.get("QUERY_STRING"):
        return "", {}
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rpartition(".")[2], _json(environ)
    form = parse_qs(read_body(environ).decode(errors="replace"))
    fields = {name: values[0] for name, values in form.items() if len(values) == 1}
    return fields.get("Action", ""), fields


def _json(environ: Fields) -> Fields:
    try:
        fields = json.loads(read_body(environ) or b"{}")
    except ValueError:  # the payload of a function need not be JSON
        return {}
    return fields if isinstance(fields, dict) else {}


Calls = Iterable[tuple[str, str]]  # action, resource


def _arn(service: str, resource: str) -> str:
    """Return the ARN of a resource that may be named by its ARN."""
    return (
        resource
        if resource.startswith("arn:")
        else f"arn:{aws.PARTITION}:{service}:{aws.REGION}:{aws.ACCOUNT}:{resource}"
    )


def _of_anything(operation: str, _: Fields) -> Calls:
    return [(operation, "*")]


def _of_dynamodb(operation: str, fields: Fields) -> Calls:
    if operation in ("TransactGetItems", "TransactWriteItems"):
        return [(TRANSACTIONS[kind], _table(item)) for each in fields["TransactItems"] for kind, item in each.items()]
    if tables := fields.get("RequestItems"):
        return [(operation, _table({"TableName": name})) for name in tables]
    return [(operation, _table(fields) if "TableName" in fields else "*")]


def _table(fields: Fields) -> str:
    name = fields["TableName"]
    table = name if name.startswith("arn:") else _arn("dynamodb", f"table/{name}")
    return f"{table}/index/{fields['IndexName']}" if "IndexName" in fields else table


def _of_states(operation: str, fields: Fields) -> Calls:
    names = ("executionArn", "stateMachineArn", "stateMachineAliasArn", "activityArn")
    return [(operation, next((fields[name] for name in names if name in fields), "*"))]


def _need_of_event(entry: Fields) -> Need:
    """Return the right to send an event from its source to its bus."""
    bus = entry.get("EventBusName") or "default"
    resource = _arn("events", bus if bus.startswith("arn:") else f"event-bus/{bus}")
    return Need("events:PutEvents", resource, (("events:source", entry.get("Source", "")),))


def _of_sns(operation: str, fields: Fields) -> Calls:
    return [(operation, fields.get("TopicArn") or fields.get("TargetArn") or "*")]


def _of_sqs(operation: str, fields: Fields) -> Calls:
    name = fields.get("QueueName") or fields.get("QueueUrl", "").rpartition("/")[2]
    return [(operation.removesuffix("Batch"), _arn("sqs", name) if name else "*")]


def _of_logs(operation: str, fields: Fields) -> Calls:
    name = fields.get("logGroupName")
    stream = f"log-stream:{fields['logStreamName']}" if "logStreamName" in fields else "*"
    return [(operation, _arn("logs", f"log-group:{name}:{stream}") if name else "*")]


def _of_lambda(operation: str, fields: Fields) -> Calls:
    name = fields["path"].partition("/functions/")[2].partition("/")[0]
    qualifier = f":{fields['Qualifier']}" if "Qualifier" in fields else ""
    action = "InvokeFunction" if operation in ("Invoke", "InvokeAsync", "InvokeWithResponseStream") else operation
    return [
        (action, (name if name.startswith("arn:") else _arn("lambda", f"function:{name}")) + qualifier if name else "*")
    ]


def _of_batch(operation: str, fields: Fields) -> Calls:
    if operation == "SubmitJob":
        kinds = {"jobDefinition": "job-definition", "jobQueue": "job-queue"}
        resources = [_arn("batch", _typed(kind, fields.get(name, ""))) for name, kind in kinds.items()]
        tagging = [("TagResource", _arn("batch", "job/new"))] if fields.get("tags") else []
        return [*((operation, resource) for resource in resources), *tagging]
    job = fields.get("jobId")
    return [(operation, _arn("batch", f"job/{job}") if job else "*")]


def _typed(kind: str, name: str) -> str:
    return name if name.startswith("arn:") else f"{kind}/{name}"


FINDERS: dict[str, Callable[[str, Fields], Calls]] = {
    "batch": _of_batch,
    "dynamodb": _of_dynamodb,
    "lambda": _of_lambda,
    "logs": _of_logs,
    "sns": _of_sns,
    "sqs": _of_sqs,
    "states": _of_states,
}
