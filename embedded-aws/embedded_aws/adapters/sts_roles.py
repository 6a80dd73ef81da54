"""AssumeRole returns the access key of the role: moto returns one that no request may use here (sts/models.py:73)."""

from typing import Any

from moto.sts.exceptions import STSValidationError
from moto.sts.models import AssumedRole, STSBackend

from embedded_aws.keys import keys
from embedded_aws.patches import patch

_assume = STSBackend.assume_role


def assume_role(backend: STSBackend, role_arn: str, policy: str | None, **rest: Any) -> AssumedRole:
    """Assume a role; refuse a session policy, since its limits would not be enforced."""
    if policy:
        raise STSValidationError("This AWS does not enforce session policies: assume the role without Policy.")
    role = _assume(backend, role_arn=role_arn, policy="", **rest)
    key = keys().of_role(role_arn)
    role.access_key_id, role.secret_access_key = key.id, key.secret
    return role


def install() -> None:
    """Patch moto."""
    patch(STSBackend, "assume_role", assume_role, source="be6dc8be")
