from pathlib import Path

import pytest
from seqdrop.plan import layout
from seqdrop.plan.choices import Choices
from seqdrop_cli import upload
from seqdrop_cli.placing import places
from seqdrop_cli.problem import Problem
from seqdrop_cli.upload import Drop
from support import cli_aws


@pytest.fixture
def stack():
    with cli_aws.stack() as made:
        yield made


def files(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).write_bytes(name.encode() * 10)
    return [folder / name for name in names]


def test_a_pair_keeps_its_names(tmp_path):
    drop = Drop.of(files(tmp_path, "NA1_R1.fastq.gz", "NA1_R2.fastq.gz"), None)
    assert (drop.sample, drop.names) == ("NA1", (("NA1_R1.fastq.gz", "NA1_R2.fastq.gz"),))


def test_a_chosen_sample_renames_the_pair_and_keeps_its_extension(tmp_path):
    drop = Drop.of(files(tmp_path, "a.1.fq.gz", "a.2.fq.gz"), "NA1")
    assert drop.names == (("NA1_R1.fq.gz", "NA1_R2.fq.gz"),)


def test_lanes_of_one_sample_make_one_drop(tmp_path):
    names = [f"NA1_S1_L00{lane}_R{mate}_001.fastq.gz" for lane in (1, 2) for mate in (1, 2)]
    drop = Drop.of(files(tmp_path, *names), None)
    assert (drop.sample, len(drop.pairs)) == ("NA1", 2)


def test_a_chosen_sample_numbers_its_lanes(tmp_path):
    drop = Drop.of(files(tmp_path, "a.1.fq.gz", "a.2.fq.gz", "b.1.fq.gz", "b.2.fq.gz"), "NA1")
    assert drop.names[1] == ("NA1_L002_R1.fq.gz", "NA1_L002_R2.fq.gz")


@pytest.mark.parametrize(
    ("names", "sample", "sentence"),
    [
        (["A_R1.fastq.gz"], None, "no pairs"),
        (["A_R2.fastq.gz", "A_R1.fastq.gz"], None, "give R1 first"),
        (["A_R1.fastq.gz", "B_R2.fastq.gz"], None, "no mates"),
        (["a.fastq.gz", "b.fastq.gz"], None, "names no sample"),
        (["A_R1.fastq.gz", "A_R2.fastq.gz", "B_R1.fastq.gz", "B_R2.fastq.gz"], None, "not lanes of one sample"),
        (["A_R1.fastq.gz", "A_R2.fastq.gz"], "no/slash", "no sample id"),
        (["A_R1.fastq.gz", "A_R2.fastq.gz"], "NA1_L001", "choose another"),
        (["a.bam", "b.bam"], "A", "no FASTQ by its name"),
    ],
)
def test_files_that_are_no_pairs_of_one_sample_are_refused_in_a_sentence(tmp_path, names, sample, sentence):
    with pytest.raises(Problem, match=sentence):
        Drop.of(files(tmp_path, *names), sample)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Problem, match="A_R1"):
        Drop.of([tmp_path / "A_R1.fastq.gz", tmp_path / "A_R2.fastq.gz"], None)


def test_one_file_as_both_mates_is_refused(tmp_path):
    [r1] = files(tmp_path, "A_R1.fastq.gz")
    (tmp_path / "A_R2.fastq.gz").symlink_to(r1)
    with pytest.raises(Problem, match="both mates"):
        Drop.of([r1, tmp_path / "A_R2.fastq.gz"], None)


def dropped(stack, drop, prefix, choices):
    place = next(iter(places(stack, drop, prefix, choices.to_metadata())))
    return place.fill(stack, choices.to_metadata())


def addresses(stored):
    return [pinned["uri"] for pinned in stored]


def test_both_mates_carry_the_choices_and_the_run_is_named_after_their_versions(tmp_path, stack):
    drop = Drop.of(files(tmp_path, "NA1_R1.fastq.gz", "NA1_R2.fastq.gz"), None)
    choices = Choices(reference="hg", args={"align": ["--no-mark-duplicates"]})
    stored = dropped(stack, drop, "batch7/", choices)
    heads = [stack.s3.head_object(Bucket="fastq", Key=f"batch7/NA1_R{mate}.fastq.gz") for mate in (1, 2)]
    assert [Choices.from_metadata(head["Metadata"]) for head in heads] == [choices, choices]
    assert [pinned["version_id"] for pinned in stored] == [head["VersionId"] for head in heads]
    assert addresses(stored) == [f"s3://fastq/batch7/NA1_R{mate}.fastq.gz" for mate in (1, 2)]
    pairs = [{"fastq_1": stored[0], "fastq_2": stored[1]}]
    expected = layout.run_id("NA1", pairs, choices, genome="", aligner="bwa_mem3", caller="bcftools")
    assert upload.run_id(stack, drop, stored, choices, genome="") == expected


def test_the_same_bytes_with_the_same_choices_need_not_travel_again(tmp_path, stack):
    drop = Drop.of(files(tmp_path, "NA1_R1.fastq.gz", "NA1_R2.fastq.gz"), None)
    stored = dropped(stack, drop, "", Choices())
    place = next(iter(places(stack, drop, "", {})))
    assert place.is_full
    assert place.stored() == stored


def test_a_mate_left_by_an_interrupted_upload_is_completed(tmp_path, stack):
    drop = Drop.of(files(tmp_path, "NA1_R1.fastq.gz", "NA1_R2.fastq.gz"), None)
    place = next(iter(places(stack, drop, "", {})))
    [first] = upload.put(stack, place.files[:1], {})
    assert dropped(stack, drop, "", Choices())[0] == first
    assert addresses(dropped(stack, drop, "", Choices())) == [f"s3://fastq/NA1_R{mate}.fastq.gz" for mate in (1, 2)]


@pytest.mark.parametrize("choices", [Choices(), Choices(reference="hg")], ids=["other reads", "other choices"])
def test_files_of_another_drop_are_never_overwritten(tmp_path, stack, choices):
    drop = Drop.of(files(tmp_path, "NA1_R1.fastq.gz", "NA1_R2.fastq.gz"), None)
    dropped(stack, drop, "", Choices())
    if not choices.reference:
        for path in drop.pairs[0]:
            path.write_bytes(b"other")
    folder, name = addresses(dropped(stack, drop, "", choices))[1].removeprefix("s3://fastq/").split("/")
    assert (len(folder), name) == (12, "NA1_R2.fastq.gz")
    assert len(stack.s3.list_object_versions(Bucket="fastq")["Versions"]) == 4
    assert stack.s3.list_objects_v2(Bucket="fastq")["KeyCount"] == 4
