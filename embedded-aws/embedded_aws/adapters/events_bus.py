"""Send an event through the matching rules to their targets, after the caller has its answer.

Replaces Rule.send_to_targets (events/models.py:146), which runs inside the caller's request, with a float as `time`.
"""

import copy
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.events.models import Rule, events_backends

from embedded_aws import aws
from embedded_aws.patches import patch

from .delivery import enqueue
from .events_targets import deliver

Event = dict[str, Any]


def emit(source: str, detail_type: str, resources: list[str], detail: dict[str, Any]) -> None:
    """Send an event of an AWS service to the default bus."""
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": aws.ACCOUNT,
        "time": iso_time(datetime.now(UTC)),
        "region": aws.REGION,
        "resources": resources,
        "detail": detail,
    }
    for rule in list(events_backends[aws.ACCOUNT][aws.REGION].event_buses["default"].rules.values()):
        rule.send_to_targets(event)


def iso_time(moment: datetime) -> str:
    """Format a time as the events of AWS do."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def send_to_targets(rule: Any, event: Event) -> None:
    """Send an event to all targets of a rule, without its pattern: a schedule has none."""
    event = copy.deepcopy(event)
    if isinstance(event.get("time"), int | float):
        event["time"] = iso_time(datetime.fromtimestamp(event["time"], UTC))
    for target in list(rule.targets):
        enqueue(deliver, rule.arn, target, event)


def _send_to_targets(self: Any, original_event: Event, **_: Any) -> None:
    # In moto an empty pattern matches every event; a rule without a pattern is a schedule.
    if (
        self.state == "ENABLED"
        and self.event_pattern.get_pattern()
        and self.event_pattern.matches_event(original_event)
    ):
        send_to_targets(self, original_event)


def install() -> None:
    """Patch moto."""
    patch(Rule, "send_to_targets", _send_to_targets, source="cd893954")
