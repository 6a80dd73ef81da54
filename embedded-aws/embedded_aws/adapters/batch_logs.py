"""Job output in the log group of the job definition, while the job runs; moto writes it once, at the end."""

import time
import uuid
from typing import Any

DEFAULT_GROUP = "/aws/batch/job"


class JobLog:
    """The log stream of one attempt."""

    def __init__(self, backend: Any, definition: Any) -> None:
        """Create the stream."""
        options = definition.container_properties.get("logConfiguration", {}).get("options", {})
        prefix = options.get("awslogs-stream-prefix", definition.name)
        self.group = options.get("awslogs-group", DEFAULT_GROUP)
        self.stream = f"{prefix}/default/{uuid.uuid4().hex}"  # as an ECS task id: one for each attempt
        self._backend = backend
        backend.ensure_log_group(self.group)
        backend.ensure_log_stream(self.group, self.stream)

    def write(self, lines: list[str]) -> None:
        """Append lines; the service does not accept empty ones."""
        now = int(time.time() * 1000)
        if events := [{"timestamp": now, "message": line} for line in lines if line]:
            self._backend.put_log_events(self.group, self.stream, events)
