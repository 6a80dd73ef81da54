"""The way of an event: from who emits it through the rules that match to their targets, the caller long answered.

Replaces Rule.send_to_targets (events/models.py:146), which runs inside the caller's request, with a float for `time`.
"""

import copy
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.events.models import Rule, events_backends

from embedded_aws import place
from embedded_aws.patches import patch

from .delivery import later
from .events_targets import deliver

Event = dict[str, Any]


def emit(source: str, detail_type: str, resources: list[str], detail: dict[str, Any]) -> None:
    """One event of an AWS service, on the default bus."""
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": place.ACCOUNT,
        "time": iso(datetime.now(UTC)),
        "region": place.REGION,
        "resources": resources,
        "detail": detail,
    }
    for rule in list(events_backends[place.ACCOUNT][place.REGION].event_buses["default"].rules.values()):
        rule.send_to_targets(event)


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def send(rule: Any, event: Event) -> None:
    """To all targets, whether the pattern matches or not: a schedule has none."""
    event = copy.deepcopy(event)
    if isinstance(event.get("time"), int | float):
        event["time"] = iso(datetime.fromtimestamp(event["time"], UTC))
    for target in list(rule.targets):
        later(deliver, rule.arn, target, event)


def _send_to_targets(self: Any, original_event: Event, **_: Any) -> None:
    # An empty pattern matches everything in moto; a rule without one is a schedule's.
    if (
        self.state == "ENABLED"
        and self.event_pattern.get_pattern()
        and self.event_pattern.matches_event(original_event)
    ):
        send(self, original_event)


def install() -> None:
    patch(Rule, "send_to_targets", _send_to_targets, source="cd893954")
