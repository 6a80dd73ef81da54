"""Job output in the log group its definition names, line by line while it runs; moto writes it once, at the end."""

import time
import uuid
from typing import Any

DEFAULT_GROUP = "/aws/batch/job"


class JobLog:
    """One attempt's log stream."""

    def __init__(self, backend: Any, definition: Any) -> None:
        options = definition.container_properties.get("logConfiguration", {}).get("options", {})
        prefix = options.get("awslogs-stream-prefix", definition.name)
        self.group = options.get("awslogs-group", DEFAULT_GROUP)
        self.stream = f"{prefix}/default/{uuid.uuid4().hex}"  # an ECS task id: a new one each attempt
        self._backend = backend
        backend.ensure_log_group(self.group)
        backend.ensure_log_stream(self.group, self.stream)

    def write(self, lines: list[str]) -> None:
        now = int(time.time() * 1000)
        if events := [{"timestamp": now, "message": line} for line in lines if line]:
            self._backend.put_log_events(self.group, self.stream, events)
