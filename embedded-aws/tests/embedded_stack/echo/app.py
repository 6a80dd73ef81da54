"""Keep what arrived in the table, and answer with what a handler can see of itself."""

import json
import os

import boto3
import layered


def handler(event, context):
    table = boto3.client("dynamodb")
    table.put_item(
        TableName=os.environ["SEEN_TABLE"],
        Item={"id": {"S": context.aws_request_id}, "sample": {"S": "echo"}, "event": {"S": json.dumps(event)}},
    )
    print("seen", context.function_name)  # noqa: T201
    return {
        "event": event,
        "greeting": os.environ["GREETING"],
        "layer": layered.NAME,
        "milliseconds": context.get_remaining_time_in_millis(),
        "arn": context.invoked_function_arn,
        "version": context.function_version,
        "pid": os.getpid(),
    }
