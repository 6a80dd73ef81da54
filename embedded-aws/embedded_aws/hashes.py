"""`python -m embedded_aws.hashes`: print the hash of every attribute that an adapter replaces or depends on.

For an upgrade of moto: the lines marked CHANGED or MISSING need work, in the module at the end of the line.
"""

import sys

from . import adapters
from .patches import listing


def main() -> int:
    """Print one line for each attribute; return 1 if any source differs from the expected one."""
    with listing() as checks:
        adapters.patch_moto()
    for check in checks:
        state = "ok" if check.passes else "MISSING" if check.current is None else "CHANGED"
        print(f"{state:8}{check.current or '-':10}{check.attribute}  ({check.adapter})")  # noqa: T201
    return 0 if all(check.passes for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
