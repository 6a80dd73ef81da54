"""What SAM cannot do yet: a test fails as soon as it can, since the template should then use it."""

from __future__ import annotations

from samtranslator.model.sam_resources import SamStateMachine


def test_sam_has_no_key_for_state_machines() -> None:
    """Else encrypt the state machines with the key of the stack: docs/operations.md, "A key of your own"."""
    assert "EncryptionConfiguration" not in SamStateMachine.property_types
    assert "Tracing" in SamStateMachine.property_types, "the table of the properties"
