"""Take longer than allowed."""

import time


def handler(event, context):
    time.sleep(event["seconds"])
    return "in time"
