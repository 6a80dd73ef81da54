"""seqdrop.runs.pairing: the read pairs of a run, found in the bucket."""

from __future__ import annotations

import pytest
from seqdrop.plan import fastq_names
from seqdrop.plan.choices import ChoiceError
from seqdrop.runs.pairing import Pairing, common_choices, find_pairs
from seqdrop.storage import s3
from support.function_aws import FASTQS, Deployed

R1, R2 = "NA12878_R1.fastq.gz", "NA12878_R2.fastq.gz"
LANE1_R1, LANE1_R2 = "NA12878_L001_R1.fastq.gz", "NA12878_L001_R2.fastq.gz"
LANE2_R1, LANE2_R2 = "NA12878_L002_R1.fastq.gz", "NA12878_L002_R2.fastq.gz"


@pytest.fixture
def fastqs(bucket: str, aws: Deployed) -> Deployed:
    """The empty bucket of FASTQs, as the functions read it."""
    s3.store.cache_clear()
    return aws


def put(aws: Deployed, *keys: str, **choices: str) -> list[str]:
    """Upload FASTQs; return their versions."""
    events = [aws.put(key, f"@{key}".encode(), **choices) for key in keys]
    return [event["detail"]["object"]["version-id"] for event in events]


def find(key: str) -> Pairing:
    name = fastq_names.parse(key)
    assert name
    return find_pairs(FASTQS, name)


def versions(pairing: Pairing) -> list[tuple[str, str, str]]:
    return [(pair.lane, pair.fastq_1.version_id, pair.fastq_2.version_id) for pair in pairing.pairs]


@pytest.mark.parametrize("key", [R1, R2])
def test_a_lone_mate_waits_for_the_other(fastqs: Deployed, key: str) -> None:
    put(fastqs, key)
    pairing = find(key)
    assert (pairing.pairs, pairing.complete) == ([], [])
    assert pairing.missing
    assert pairing.missing.names == (R1, R2)
    assert pairing.missing.message == f"waits until both are there: {R1} and {R2}"


@pytest.mark.parametrize("key", [R1, R2])
def test_a_pair_without_other_lanes_is_complete(fastqs: Deployed, key: str) -> None:
    one, two = put(fastqs, R1, R2)
    pairing = find(key)
    assert versions(pairing) == [("", one, two)]
    assert (pairing.missing, pairing.complete) == (None, [(R1, R2)])


@pytest.mark.parametrize("key", [LANE1_R1, LANE1_R2])
def test_the_number_of_lanes_in_the_metadata_of_r1_makes_a_pair_wait(fastqs: Deployed, key: str) -> None:
    (one,), (two,) = put(fastqs, LANE1_R1, lanes="2"), put(fastqs, LANE1_R2)
    pairing = find(key)
    assert versions(pairing) == [("L001", one, two)]
    assert pairing.complete == [(LANE1_R1, LANE1_R2)]
    assert pairing.missing
    assert pairing.missing.reason == "other lanes have not arrived"
    assert pairing.missing.names == ["NA12878"]


def test_a_number_of_lanes_in_the_metadata_of_r2_alone_makes_no_pair_wait(fastqs: Deployed) -> None:
    put(fastqs, LANE1_R1)
    put(fastqs, LANE1_R2, lanes="2")
    pairing = find(LANE1_R1)
    assert (len(pairing.pairs), pairing.missing) == (1, None)
    with pytest.raises(ChoiceError, match="the mates carry different choices"):
        common_choices(pairing.pairs)


def test_an_incomplete_lane_makes_the_complete_one_wait(fastqs: Deployed) -> None:
    one, two, _ = put(fastqs, LANE1_R1, LANE1_R2, LANE2_R1, lanes="2")
    pairing = find(LANE1_R1)
    assert versions(pairing) == [("L001", one, two)]
    assert pairing.complete == [(LANE1_R1, LANE1_R2)]
    assert pairing.missing
    assert pairing.missing.names == ["NA12878"]


@pytest.mark.parametrize("key", [LANE1_R1, LANE2_R2])
def test_all_lanes_of_a_sample_make_one_run(fastqs: Deployed, key: str) -> None:
    *second, one, two = put(fastqs, LANE2_R1, LANE2_R2, LANE1_R1, LANE1_R2, lanes="2")
    put(fastqs, "NA12878_2_L003_R1.fastq.gz", "NA12878_2_L003_R2.fastq.gz", lanes="2")  # another sample
    pairing = find(key)
    assert versions(pairing) == [("L001", one, two), ("L002", *second)]
    assert pairing.missing is None
    assert pairing.complete == [(LANE1_R1, LANE1_R2), (LANE2_R1, LANE2_R2), ["NA12878"]]


def test_the_versions_are_those_that_are_current_now(fastqs: Deployed) -> None:
    put(fastqs, LANE1_R1, LANE1_R2, LANE2_R1, LANE2_R2, lanes="2")
    replaced = put(fastqs, LANE1_R1, LANE1_R2, LANE2_R1, LANE2_R2, lanes="2")
    assert versions(find(LANE1_R1)) == [("L001", *replaced[:2]), ("L002", *replaced[2:])]


def test_a_deleted_mate_is_missing(fastqs: Deployed) -> None:
    put(fastqs, R1, R2)
    fastqs.s3.delete_object(Bucket=FASTQS, Key=R2)
    assert find(R1).missing


@pytest.mark.parametrize(
    "keys", [[LANE1_R1], [LANE1_R1, LANE1_R2], [LANE1_R1, LANE1_R2, LANE2_R1, LANE2_R2]], ids=["mate", "lane", "all"]
)
def test_finding_pairs_writes_nothing(fastqs: Deployed, keys: list[str]) -> None:
    fastqs.load("start_run")  # the environment in which a call to the run table would succeed
    put(fastqs, *keys, lanes="2")
    fastqs.calls.clear()
    find(LANE1_R1)
    assert fastqs.calls
    assert fastqs.calls <= {"s3:GetObject", "s3:ListBucket"}
