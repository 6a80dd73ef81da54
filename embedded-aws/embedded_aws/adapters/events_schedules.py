"""Rules with a schedule: rate(N minutes|hours|days) by a timer. moto keeps them and never fires them."""

import re
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.events.models import events_backends

from embedded_aws import place

from .events_bus import iso, send

SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
TICK = 1.0  # seconds

_due: dict[str, float] = {}  # by rule ARN, on the monotonic clock


def interval(expression: str | None) -> int | None:
    """Seconds; None for what this AWS does not fire: cron()."""
    found = RATE.fullmatch(expression or "")
    return int(found[1]) * SECONDS[found[2]] if found else None


def _fire_what_is_due(now: float) -> None:
    for bus in events_backends[place.ACCOUNT][place.REGION].event_buses.values():
        for rule in list(bus.rules.values()):
            every = interval(rule.scheduled_expression)
            if every and rule.state == "ENABLED" and now >= _due.setdefault(rule.arn, now + every):
                _due[rule.arn] = now + every
                send(rule, _event(rule))


def _event(rule: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": place.ACCOUNT,
        "time": iso(datetime.now(UTC)),
        "region": place.REGION,
        "resources": [rule.arn],
        "detail": {},
    }


def _tick() -> None:
    while True:
        _fire_what_is_due(time.monotonic())
        time.sleep(TICK)


def start() -> None:
    threading.Thread(target=_tick, name="schedules", daemon=True).start()
