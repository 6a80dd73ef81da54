"""Whatever is removed, widened or renamed in the template, a gate or a contract test notices it."""

from __future__ import annotations

import random

import pytest
from support import detectors
from support.weakenings import Weakening, weakenings

WEAKENINGS = list(weakenings(detectors.base().source))
# `make weakenings` tries all: minutes
SAMPLE = random.Random(11).sample(WEAKENINGS, 300)  # noqa: S311 - a sample of a test is no secret
MIN_SHARE = 0.95


def test_the_template_of_this_checkout_is_accepted() -> None:
    """Otherwise every weakening would be noticed."""
    topic = detectors.base().source["Resources"]["RunTopic"]
    unchanged = Weakening(("Resources", "RunTopic"), "unchanged", topic)
    assert detectors.noticed(detectors.base(), unchanged) == ""


def test_a_sample_of_weakenings_is_noticed() -> None:
    unnoticed = [weakening for weakening in SAMPLE if not detectors.is_noticed(weakening)]
    unexpected = [str(weakening) for weakening in unnoticed if not detectors.is_accepted(weakening)]
    assert unexpected == [], (
        "add each value to a table in gates/expected_values/ (CONTRIBUTING.md, Gates), "
        f"or to {detectors.UNNOTICED.name} with the reason why it does not matter"
    )
    assert 1 - len(unnoticed) / len(SAMPLE) >= MIN_SHARE


def test_few_weakenings_are_accepted() -> None:
    accepted = [weakening for weakening in WEAKENINGS if detectors.is_accepted(weakening)]
    assert len(accepted) / len(WEAKENINGS) <= 1 - MIN_SHARE


def test_what_is_accepted_exists_and_is_not_noticed() -> None:
    for pattern in detectors.accepted():
        first = next(weakening for weakening in WEAKENINGS if detectors.matches(weakening, pattern))
        assert not detectors.is_noticed(first), f"a gate notices {pattern}: remove it from {detectors.UNNOTICED.name}"


@pytest.mark.parametrize(
    "change",
    [
        "Resources.StartRunFunction: removed",
        "Resources.MateWaitingAlarm.Properties.Threshold: 24 -> 240",
        "Resources.MateWaitingAlarm.Properties.Threshold: 24 -> 2",
        "Resources.RunTable.Properties.TimeToLiveSpecification.Enabled: True -> False",
        "Resources.DefaultJobQueue.Properties.ComputeEnvironmentOrder: branches swapped",
        "Resources.RunSubscription.Properties.TopicArn: RunTopic -> AlarmTopic",
        "Resources.AlignJobRole.Properties.Policies.0.PolicyDocument.Statement.2.Action: "
        "'s3:PutObjectTagging' -> 's3:*'",
        "Resources.AlignJobRole.Properties.Policies.0.PolicyDocument.Statement.1.Resource.0: "
        "'${ResultsBucket.Arn}/*.bam' -> '${ResultsBucket.Arn}/*'",
    ],
)
def test_keys_are_removed_widened_and_renamed(change: str) -> None:
    assert change in [str(weakening) for weakening in WEAKENINGS]
