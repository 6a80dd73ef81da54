from __future__ import annotations

import pytest
from seqdrop.failure.classify import UNPLACEABLE
from seqdrop_cli.queued import describe


@pytest.mark.parametrize("reason", UNPLACEABLE)
def test_each_reason_that_ends_a_job_has_its_own_cause(reason: str) -> None:
    others = {describe("RUNNABLE", other).partition("Likely cause: ")[2] for other in UNPLACEABLE if other != reason}
    line = describe("RUNNABLE", f"{reason} - details")
    assert line.startswith(f"RUNNABLE ({reason} - details). Likely cause: ")
    assert line.partition("Likely cause: ")[2] not in others


def test_an_unknown_misconfiguration_names_the_compute_environment() -> None:
    assert describe("RUNNABLE", "MISCONFIGURATION:NEW").endswith("see its status in Batch.")


@pytest.mark.parametrize("reason", ["", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - no c6i"])
def test_a_job_without_capacity_leads_to_the_quotas(reason: str) -> None:
    assert "the vCPU quotas of the account (docs/deploy.md, step 0)" in describe("RUNNABLE", reason)


def test_a_job_that_starts_is_not_stuck() -> None:
    assert describe("STARTING", "") == "STARTING: its instance pulls the image and starts the container."


def test_a_reason_cannot_write_to_the_terminal() -> None:
    assert "\x1b" not in describe("RUNNABLE", "odd \x1b[31m reason")
