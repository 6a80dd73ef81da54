"""seqdrop.storage.uri: an address in S3."""

from __future__ import annotations

import pytest
from seqdrop.storage.uri import S3Uri

BAM = S3Uri("bucket", "NA12878/run/NA12878.bam")


def test_an_address_is_parsed_and_written_unchanged() -> None:
    assert S3Uri.parse(str(BAM)) == BAM
    assert str(BAM) == "s3://bucket/NA12878/run/NA12878.bam"


@pytest.mark.parametrize("text", ["s3://bucket", "s3://bucket/", "s3:///key", "bucket/key", "https://bucket/key", ""])
def test_text_that_is_not_an_object_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an S3 address: .* \(expected s3://bucket/key\)"):
        S3Uri.parse(text)


def test_a_key_may_have_any_character() -> None:
    key = "a b+c/100%2B/ü?x=1#y://z"
    assert S3Uri.parse(f"s3://bucket/{key}").key == key


def test_name_parent_child_and_companion_of_an_address() -> None:
    assert BAM.name == "NA12878.bam"
    assert BAM.parent == S3Uri("bucket", "NA12878/run")
    assert BAM.parent / "NA12878.bam" == BAM
    assert S3Uri("bucket", "folder/") / "file" == S3Uri("bucket", "folder/file")
    assert BAM.companion(".bai") == S3Uri("bucket", "NA12878/run/NA12878.bam.bai")


def test_an_object_is_inside_its_folder_and_those_above_but_not_beside_them() -> None:
    part = BAM.parent / "jobs/scatter.1.bcf"
    assert all(part.is_inside(folder) for folder in (BAM.parent, BAM.parent / "jobs", S3Uri("bucket", "NA12878/")))
    assert not part.is_inside(S3Uri("bucket", "NA12878/ru"))
    assert not part.is_inside(S3Uri("other", "NA12878/run"))
    assert not BAM.parent.is_inside(BAM.parent)
