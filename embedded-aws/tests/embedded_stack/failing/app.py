"""Fail each time."""


def handler(event, context):
    print("about to fail")  # noqa: T201
    raise ValueError("as ever")
