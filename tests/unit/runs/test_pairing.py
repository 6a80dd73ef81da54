"""seqdrop.runs.pairing: the read pairs of a run, found in the bucket."""

from __future__ import annotations

import re

import pytest
from seqdrop.failure.verdict import BadInputError
from seqdrop.plan import fastq_names
from seqdrop.plan.choices import ChoiceError
from seqdrop.runs.pairing import Pairing, check_storage, common_choices, find_pairs
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
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
    arrived = "R1" if key == R1 else "R2"
    pattern = rf"{R2 if key == R1 else R1} is missing; {arrived} came \d{{4}}-\d\d-\d\d \d\d:\d\d UTC"
    assert re.fullmatch(pattern, pairing.missing.message)


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


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("NA12878_R1.fastq.gz", "NA12878_R2.fq.gz"),
        ("NA12878_R1.fastq.gz", "NA12878_R2.fastq"),
        ("in/NA12878/R1.FASTQ.GZ", "in/NA12878/r2.fq"),
    ],
)
@pytest.mark.parametrize("event", [0, 1])
def test_one_mate_may_be_compressed_and_the_other_not(fastqs: Deployed, one: str, two: str, event: int) -> None:
    if "r2" in two:
        one, two = one.replace("/R1", "/S_R1"), two.replace("/r2", "/S_r2")
    versions_put = put(fastqs, one, two)
    pairing = find((one, two)[event])
    assert versions(pairing) == [("", *versions_put)]
    names = [fastq_names.parse(key) for key in (one, two)]
    assert pairing.complete == [name.mates for name in names if name]  # each may have a waiting row


def test_a_file_whose_own_mate_is_there_is_no_mate_of_another(fastqs: Deployed) -> None:
    one, two, _ = put(fastqs, R1, R2, "NA12878_R2.fastq")
    assert versions(find(R1)) == [("", one, two)]
    assert find("NA12878_R2.fastq").missing


def test_of_several_possible_mates_none_is_chosen_and_all_are_named(fastqs: Deployed) -> None:
    put(fastqs, R1, "NA12878_R2.fastq", "NA12878_R2.fq.gz")
    for key in (R1, "NA12878_R2.fastq", "NA12878_R2.fq.gz"):
        assert find(key).missing
    missing = find(R1).missing
    assert missing
    assert missing.message.endswith("; not its mate by name: NA12878_R2.fastq, NA12878_R2.fq.gz")


def test_a_lone_mate_names_the_files_that_nearly_match(fastqs: Deployed) -> None:
    put(fastqs, R1, "NA12878_R2_trimmed.fastq.gz", "NA12878_2_R2.fastq.gz")
    missing = find(R1).missing
    assert missing
    assert missing.message.endswith("; not its mate by name: NA12878_R2_trimmed.fastq.gz")


def test_lanes_of_another_line_of_the_sample_sheet_are_not_mixed(fastqs: Deployed) -> None:
    """Case 04-lanes-prefix."""
    keys = [f"A_S{n}_L00{lane}_R{mate}_001.fastq.gz" for n in (12, 1) for lane in (1, 2) for mate in (1, 2)]
    for number, key in enumerate(keys, start=1):
        put(fastqs, key, lanes="2")
        pairing = find(key)
        assert (pairing.missing is None) == (number in {4, 8})
        if pairing.missing is None:
            assert [pair.keys for pair in pairing.pairs] == [tuple(keys[n : n + 2]) for n in (number - 4, number - 2)]


def test_two_pairs_of_one_lane_are_refused(fastqs: Deployed) -> None:
    put(fastqs, LANE1_R1, LANE1_R2, "NA12878_L001_R1_trimmed.fq", "NA12878_L001_R2_trimmed.fq", lanes="2")
    with pytest.raises(ChoiceError, match="two pairs of lane L001: delete one of them"):
        common_choices(find(LANE1_R1).pairs)


CHUNKS = [f"PATF_L001_R{mate}_{chunk}.fastq.gz" for chunk in ("001", "002") for mate in (1, 2)]


@pytest.mark.parametrize("keys", [[2], [2, 3], [0, 1, 2], [0, 1, 2, 3], [0, 2]])
@pytest.mark.parametrize("event", [0, -1])
def test_a_chunk_of_a_lane_is_never_a_pair_of_its_own(fastqs: Deployed, keys: list[int], event: int) -> None:
    """Case 06-chunk-002."""
    names = [CHUNKS[number] for number in keys]
    put(fastqs, *names)
    pairing = find(names[event])
    assert (pairing.pairs, pairing.missing) == ([], None)
    assert pairing.chunks
    assert "lane L001 of PATF is in chunks" in pairing.chunks.message
    assert "002" in pairing.chunks.message


def test_the_first_chunk_alone_is_a_whole_lane(fastqs: Deployed) -> None:
    put(fastqs, *CHUNKS[:2], "PATF_L002_R1_002.fastq.gz")
    pairing = find(CHUNKS[0])
    assert (len(pairing.pairs), pairing.chunks) == (1, None)


def test_chunks_with_their_number_of_pairs_make_one_run(fastqs: Deployed) -> None:
    one, two, three, four = put(fastqs, *CHUNKS, lanes="2")
    for key in CHUNKS:
        assert versions(find(key)) == [("L001", one, two), ("L001_002", three, four)]


def test_an_archived_mate_is_refused_with_its_storage_class(fastqs: Deployed) -> None:
    """Case 15-archived-class."""
    put(fastqs, R1)
    fastqs.s3.put_object(Bucket=FASTQS, Key=R2, Body=b"x", StorageClass="DEEP_ARCHIVE")
    with pytest.raises(BadInputError, match=r"restore NA12878_R2\.fastq\.gz \(DEEP_ARCHIVE\) first") as raised:
        check_storage(find(R1).pairs)
    assert raised.value.failure_class == "BAD_INPUT.ARCHIVED"


@pytest.mark.parametrize("storage_class", ["STANDARD", "STANDARD_IA", "GLACIER_IR", "INTELLIGENT_TIERING"])
def test_a_mate_that_can_be_read_at_once_is_not_archived(fastqs: Deployed, storage_class: str) -> None:
    put(fastqs, R1)
    fastqs.s3.put_object(Bucket=FASTQS, Key=R2, Body=b"x", StorageClass=storage_class)
    check_storage(find(R1).pairs)


def test_an_archived_mate_that_was_restored_can_be_read(fastqs: Deployed) -> None:
    put(fastqs, R1)
    fastqs.s3.put_object(Bucket=FASTQS, Key=R2, Body=b"x", StorageClass="GLACIER")
    fastqs.s3.restore_object(Bucket=FASTQS, Key=R2, RestoreRequest={"Days": 1})
    assert 'ongoing-request="false"' in fastqs.s3.head_object(Bucket=FASTQS, Key=R2)["Restore"]
    check_storage(find(R1).pairs)


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


def test_each_file_of_the_lanes_is_asked_for_once(fastqs: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    put(fastqs, LANE1_R1, LANE1_R2, LANE2_R1, LANE2_R2)
    asked = list[str]()
    find_stored = s3.Store.find

    def count(store: s3.Store, uri: S3Uri) -> s3.StoredObject | None:
        asked.append(uri.key)
        return find_stored(store, uri)

    monkeypatch.setattr(s3.Store, "find", count)
    name = fastq_names.parse(LANE1_R1)
    assert name
    assert [pair.lane for pair in find_pairs(FASTQS, name, join_lanes=True).pairs] == ["L001", "L002"]
    assert asked[2:] == [LANE1_R1, LANE1_R2, LANE2_R1, LANE2_R2]  # after both mates of the event


def test_a_chunk_that_a_sheet_will_name_is_no_chunk_of_a_run_by_name(fastqs: Deployed) -> None:
    one, two = (f"A_S1_L001_R{mate}_001.fastq.gz" for mate in (1, 2))
    put(fastqs, one, two)
    put(fastqs, *(key.replace("_001.", "_002.") for key in (one, two)), sheet="yes")
    found = find(one)
    assert (found.chunks, [pair.keys for pair in found.pairs]) == (None, [(one, two)])
