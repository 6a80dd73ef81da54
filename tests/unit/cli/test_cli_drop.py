import json

import pytest
from seqdrop.plan.choices import Choices
from seqdrop_cli import drop, reference, upload
from seqdrop_cli.drop import Order
from seqdrop_cli.placing import places
from seqdrop_cli.problem import Problem
from seqdrop_cli.reference import Source
from seqdrop_cli.upload import Drop
from support import cli_aws


@pytest.fixture
def stack():
    with cli_aws.stack() as made:
        made.s3.put_object(Bucket="references", Key="hg/reference.json", Body=json.dumps({"contigs": []}))
        made.s3.put_object(Bucket="references", Key="half/source/half.fa", Body=b">c")
        yield made


@pytest.fixture
def order(tmp_path):
    for mate in (1, 2):
        (tmp_path / f"S1_R{mate}.fastq.gz").write_bytes(b"reads %d" % mate)
    files = Drop.of([tmp_path / "S1_R1.fastq.gz", tmp_path / "S1_R2.fastq.gz"], None)
    return Order(files, None, None, intervals="", args={}, prefix="", results=tmp_path / "out")


def dropped_before(stack, order, **row):
    """The files are in the bucket and a row says what became of them; answers the run's id."""
    stored = next(iter(places(stack, order.drop, "", {}))).fill(stack, {})
    run = upload.run_id(stack, order.drop, stored, Choices(reference="hg"), genome="")
    stack.table.put_item(Item={"run": run, "sample": "S1", "results": f"s3://results/S1/{run}", **row})
    return run


def versions(stack):
    return len(stack.s3.list_object_versions(Bucket="fastq").get("Versions", []))


def test_files_of_a_finished_run_are_not_uploaded_again(stack, order, capsys):
    run = dropped_before(stack, order, status="SUCCEEDED")
    assert drop._dropped(stack, order, Choices(), Choices(reference="hg")) == run
    assert versions(stack) == 2
    assert f"dropped before: that is run {run}" in capsys.readouterr().out


def test_files_of_a_failed_run_are_dropped_anew(stack, order):
    run = dropped_before(stack, order, status="FAILED")
    assert drop._dropped(stack, order, Choices(), Choices(reference="hg")) != run
    assert versions(stack) == 4


def test_a_refused_run_says_why(stack, order, capsys):
    run = dropped_before(stack, order, status="FAILED", **{"class": "REFERENCE", "message": "hg has no index of bwa."})
    with pytest.raises(Problem, match="refused before anything was started"):
        drop._noticed(stack, run)
    assert capsys.readouterr().out.splitlines()[:2] == ["REFERENCE", "hg has no index of bwa."]


def test_a_drop_that_nothing_notices_is_a_problem_after_a_while(stack, monkeypatch):
    monkeypatch.setattr(drop, "NOTICED_WITHIN", 0)
    with pytest.raises(Problem, match="no run began"):
        drop._noticed(stack, cli_aws.RUN)


def test_who_interrupts_before_a_run_is_noticed_is_told_that_it_goes_on(stack, order, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(drop, "_noticed", interrupted)
    with pytest.raises(Problem, match="No longer following; the run goes on") as raised:
        drop.run(stack, order)
    assert raised.value.code == 130


def test_results_that_cannot_be_written_stay_where_they_are(stack, order, monkeypatch):
    order.results.write_text("a file")
    row = {"run": cli_aws.RUN, "status": "SUCCEEDED", "results": "s3://results/S1/r"}
    with pytest.raises(Problem) as raised:
        drop._fetched(stack, order, row)
    assert str(raised.value) == (
        f"Run {cli_aws.RUN} succeeded; its results stay at s3://results/S1/r: File exists at {order.results}"
    )


def test_the_deployments_reference_is_used_when_none_is_chosen(stack):
    assert reference.resolve(stack, None) == "hg"


def test_an_unknown_reference_names_those_there_are(stack):
    with pytest.raises(Problem, match=r"'mm' is not prepared \(there: hg\)"):
        reference.resolve(stack, "mm")


def test_a_reference_is_called_after_its_file(tmp_path):
    (tmp_path / "GRCh38.p14.fa.gz").touch()
    assert Source.of(tmp_path / "GRCh38.p14.fa.gz", None, None).name == "GRCh38.p14"


def test_a_genome_that_is_none_by_its_name_is_refused(tmp_path):
    (tmp_path / "reads.bam").touch()
    with pytest.raises(Problem, match="not a FASTA"):
        Source.of(tmp_path / "reads.bam", None, None)


def test_words_for_a_tool_are_given_step_by_step():
    assert drop.step_words(["align=--no-mark-duplicates", "call=-q 20"]) == {
        "align": ["--no-mark-duplicates"],
        "call": ["-q", "20"],
    }


@pytest.mark.parametrize("text", ["sort=-x", "align", "align="])
def test_words_for_no_step_are_refused(text):
    with pytest.raises(Problem, match="STEP=WORDS"):
        drop.step_words([text])
