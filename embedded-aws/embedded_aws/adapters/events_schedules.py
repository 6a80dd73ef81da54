"""Rules with a schedule rate(N minutes|hours|days), fired by a timer; moto stores them and never fires them."""

import re
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.events.models import events_backends

from embedded_aws import aws

from .events_bus import iso_time, send_to_targets

SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
TICK = 1.0  # seconds

_due: dict[str, float] = {}  # by rule ARN, on the monotonic clock


def interval(expression: str | None) -> int | None:
    """Return the seconds of a rate() expression, or None for any other: cron() is never fired."""
    match = RATE.fullmatch(expression or "")
    return int(match[1]) * SECONDS[match[2]] if match else None


def _fire_due_rules(now: float) -> None:
    for bus in events_backends[aws.ACCOUNT][aws.REGION].event_buses.values():
        for rule in list(bus.rules.values()):
            seconds = interval(rule.scheduled_expression)
            if seconds and rule.state == "ENABLED" and now >= _due.setdefault(rule.arn, now + seconds):
                _due[rule.arn] = now + seconds
                send_to_targets(rule, _event(rule))


def _event(rule: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": aws.ACCOUNT,
        "time": iso_time(datetime.now(UTC)),
        "region": aws.REGION,
        "resources": [rule.arn],
        "detail": {},
    }


def _tick() -> None:
    while True:
        _fire_due_rules(time.monotonic())
        time.sleep(TICK)


def start() -> None:
    """Start the timer."""
    threading.Thread(target=_tick, name="schedules", daemon=True).start()
