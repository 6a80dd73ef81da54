"""Name the image that a job runs in, for its receipt."""

from __future__ import annotations

import contextlib
import json
import os

AGENT = "ECS_CONTAINER_METADATA_URI_V4"  # environment variable of every container of ECS, so also of Batch


def running_image() -> dict[str, str]:
    """Return `image`, its repository and tag, and `image_digest`; both are "" for a job without a container.

    The agent of ECS knows them. Without its answer, the image is that of the job definition, which a job that runs as
    a process has too.
    """
    endpoint = os.environ.get(AGENT, "")
    if not endpoint:
        return {"image": "", "image_digest": ""}
    import urllib.request  # noqa: PLC0415  takes as long as a job of few reads needs to look at them

    found: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(endpoint, timeout=2) as response:  # noqa: S310  http of the agent
        found = json.load(response)
    image = found.get("Image") or os.environ.get("SEQDROP_IMAGE", "")
    return {"image": image, "image_digest": found.get("ImageID", "")}
