"""End the pause before a retry when the execution is stopped; moto sleeps to its end (retry/retrier_decl.py:107).

SFN_WAIT_TIME_SCALE shortens the pause for tests: with 0.01, five minutes last three seconds.
"""

import os
import threading
from typing import Any

from moto.stepfunctions.parser.asl.component.common.retry.max_attempts_decl import MaxAttemptsOutcome
from moto.stepfunctions.parser.asl.component.common.retry.retrier_decl import RetrierDecl
from moto.stepfunctions.parser.asl.component.common.retry.retrier_outcome import RetrierOutcome

from embedded_aws.patches import patch

from . import sfn_stops

SCALE = "SFN_WAIT_TIME_SCALE"


def _eval_body(self: Any, env: Any) -> None:
    self.error_equals.eval(env)
    if not env.stack.pop():
        env.stack.append(RetrierOutcome.Skipped)
        return
    self.max_attempts.eval(env=env)
    if env.stack.pop() == MaxAttemptsOutcome.EXHAUSTED:
        env.stack.append(RetrierOutcome.Failed)
        return
    for part in (self.interval_seconds, self.backoff_rate, self.max_delay_seconds, self.jitter_strategy):
        part.eval(env=env)
    sfn_stops.wait(env, threading.Event(), env.stack.pop() * float(os.environ.get(SCALE, "1")))
    env.stack.append(RetrierOutcome.Executed)


def install() -> None:
    """Patch moto."""
    patch(RetrierDecl, "_eval_body", _eval_body, source="db03ff0c")
