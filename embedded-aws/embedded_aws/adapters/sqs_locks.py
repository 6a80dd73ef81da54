"""One lock for all changes of a queue: moto loses messages that are sent while another thread deletes one.

Wraps Queue.delete_message (sqs/models.py:606) and SQSBackend.receive_message (sqs/models.py:967), which moves messages
to the dead letter queue and may give one message to two callers.
"""

from typing import Any

from moto.sqs.models import Queue, SQSBackend

from embedded_aws.patches import patch

_delete = Queue.delete_message
_receive = SQSBackend.receive_message


def _delete_locked(self: Any, receipt_handle: str) -> None:
    with self._messages_lock:
        _delete(self, receipt_handle)


def _receive_locked(self: Any, queue_name: str, *args: Any, **kwargs: Any) -> Any:
    with self.get_queue(queue_name)._messages_lock:  # a caller that waits for messages releases it
        return _receive(self, queue_name, *args, **kwargs)


def install() -> None:
    """Patch moto."""
    patch(Queue, "delete_message", _delete_locked, source="9700172d")
    patch(SQSBackend, "receive_message", _receive_locked, source="632ee656")
