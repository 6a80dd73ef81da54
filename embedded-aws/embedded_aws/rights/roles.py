"""The roles of a stack: what each one may do, and which of its rights were used."""

import json
import logging
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from embedded_aws import aws

from .conditions import Context, context_of
from .statements import Grant, Need, Statement, statements

log = logging.getLogger(__name__)
RECORD = "EMBEDDED_AWS_RIGHTS"  # environment variable: the file to which used rights are appended
MAX_DECISIONS = 10_000  # kept in memory for each role
XRAY = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
LOGS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
# The policies that SAM adds to the roles of functions. Every other managed policy allows nothing here.
MANAGED: dict[str, tuple[str, ...]] = {
    "AWSLambdaBasicExecutionRole": LOGS,
    "AWSLambdaSQSQueueExecutionRole": (
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        *LOGS,
    ),
    "AWSXRayDaemonWriteAccess": (*XRAY, "xray:GetSamplingRules", "xray:GetSamplingTargets"),
    "AWSXrayWriteOnlyAccess": (*XRAY, "xray:GetSamplingRules", "xray:GetSamplingTargets"),
}
ALWAYS = {"sts:GetCallerIdentity"}  # needs no right


@dataclass
class Role:
    """A role with its inline policies and the names of its managed ones."""

    name: str  # its logical id in the template
    statements: tuple[Statement, ...]
    context: Context  # condition keys of all its requests
    _decisions: dict[Need, bool] = field(default_factory=dict)
    _used: set[Grant] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def may(self, need: Need) -> bool:
        """Return whether an Allow statement matches and no Deny statement does. Decisions are kept."""
        decision = self._decisions.get(need)
        if decision is None:
            decision = self._decide(need)
            if len(self._decisions) >= MAX_DECISIONS:
                self._decisions.clear()
            self._decisions[need] = decision
        return decision

    def _decide(self, need: Need) -> bool:
        matching = [
            (statement, grant) for statement in self.statements if (grant := statement.match(need, self.context))
        ]
        if not matching or not all(statement.allows for statement, _ in matching):
            return need.action in ALWAYS
        self._record({grant for _, grant in matching})
        return True

    def _record(self, grants: set[Grant]) -> None:
        """Append the patterns that are used for the first time to the file of EMBEDDED_AWS_RIGHTS."""
        if not (path := os.environ.get(RECORD)):
            return
        with self._lock:
            new = grants - self._used
            self._used |= new
        with Path(path).open("a") as file:
            file.writelines(json.dumps({"role": self.name, **vars(grant)}) + "\n" for grant in new)


class Roles:
    """All roles of a server, by ARN."""

    def __init__(self) -> None:
        """Begin without roles."""
        self._roles: dict[str, Role] = {}

    def add(self, arn: str, name: str, policies: list[dict[str, Any]], managed: Iterable[str] = ()) -> None:
        """Add a role: its inline policy documents, and the ARNs of its managed policies.

        Raises UnknownConditionError: a condition that is ignored would allow what AWS denies.
        """
        names = [arn.rpartition("/")[2] for arn in managed]
        actions = [action for policy in names for action in MANAGED.get(policy, ())]
        known = [{"Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}}] if actions else []
        self._roles[arn] = Role(name, tuple(statements([*policies, *known])), context_of(arn))

    def may(self, arn: str, need: Need) -> bool:
        """Return whether a role allows a call. A role that does not exist allows nothing."""
        role = self._roles.get(arn)
        return role.may(need) if role else need.action in ALWAYS

    def denial(self, arn: str, needs: Iterable[Need]) -> str:
        """Return the message of AWS about the first of the calls that a role does not allow, or ""."""
        for need in needs:
            if not self.may(arn, need):
                message = (
                    f"User: {_session(arn)} is not authorized to perform: {need.action} on resource: "
                    f'"{need.resource}" because no identity-based policy allows the {need.action} action'
                )
                log.warning("denied: %s", message)
                return message
        return ""


def _session(arn: str) -> str:
    return f"arn:{aws.PARTITION}:sts::{aws.ACCOUNT}:assumed-role/{arn.rpartition('/')[2]}/local"


@cache
def roles() -> Roles:
    """Return the roles of this process."""
    return Roles()
