"""containers/joint with the real bcftools: alleles, genotypes, unknown genotypes, parts of the genome."""

from __future__ import annotations

from pathlib import Path

import pytest
from seqdrop.jobs import regions
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan.bed import Interval
from seqdrop.storage import s3
from support.job_runs import in_this_process
from support.joint_run import CONTIGS, Block, JointRun

from containers.joint import run
from containers.joint.evidence import LOW_DEPTH, Evidence, Genotype, site_span
from containers.joint.run import split_genome

ALL: list[Block] = [("c1", 1, 250_000, 30), ("c2", 1, 1_000, 30)]  # blocks of a genome without calls
GENOTYPES = "%CHROM %POS %REF %ALT %FILTER[ %GT:%DP:%FT]\n"


@pytest.fixture
def joint(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JointRun:
    in_this_process(monkeypatch, tmp_path)
    run = JointRun(bucket, tmp_path)
    run.put_reference()
    return run


def test_alleles_of_one_position_are_in_one_record_with_the_genotypes_of_all(joint: JointRun) -> None:
    joint.add("A", [("c1", 100, "A", "C", "PASS", "0/1"), ("c2", 7, "A", "T", "LowQual", "0/1")], ALL)
    joint.add("B", [("c1", 100, "A", "G,C", "PASS", "1/2"), ("c2", 7, "A", "T", "PASS", "1/1")], ALL)
    joint.add("C", [("c1", 100, "ACC", "A", "LowQual", "0/1"), ("c2", 9, "A", "T", "LowQual;LowDepth", "0/1")], ALL)
    assert joint.join()["counts"] == {"samples": 3, "variants": 2, "variants_all": 3}
    assert joint.query(GENOTYPES) == [
        "c1 100 ACC CCC,GCC,A PASS 0/1:30:PASS 2/1:30:PASS 0/3:30:LowQual",
        "c2 7 A T PASS 0/1:30:LowQual 1/1:30:PASS 0/0:30:.",
        "c2 9 A T LowQual;LowDepth 0/0:30:. 0/0:30:. 0/1:30:LowQual;LowDepth",
    ]
    assert joint.query("%AC %AN %NS[ %AD]\n")[0] == "2,1,1 6 3 10,10,.,. 10,10,10,. 10,.,.,10"


def test_a_base_with_few_reads_or_none_is_unknown(joint: JointRun) -> None:
    """`bcftools merge --gvcf` would call all of them 0/0."""
    calls = [("c1", at, "A", "C", "PASS", "0/1") for at in (100, 200, 300, 400)]
    blocks = [("c1", 100, 100, 7), ("c1", 200, 200, 8), ("c1", 400, 400, 30)]
    joint.add("A", calls, ALL)
    joint.add("B", [], blocks, least=7.5)
    joint.add("C", [], [("c1", 100, 100, 2), ("c1", 200, 200, 3)], least=0.0)  # two reads prove nothing in any run
    joint.join()
    assert joint.query("[ %GT:%DP:%FT]\n", "-s", "B,C") == [
        " ./.:7:LowDepth ./.:2:LowDepth",
        " 0/0:8:. 0/0:3:.",
        " ./.:0:LowDepth ./.:0:LowDepth",
        " 0/0:30:. ./.:0:LowDepth",
    ]


@pytest.mark.parametrize(
    ("alleles", "blocks", "genotype"),
    [
        ("ACCC A", [(100, 103, 30)], Genotype(True, 30)),
        ("ACCC A", [(90, 101, 30), (102, 120, 12)], Genotype(True, 12)),  # two blocks next to each other
        ("ACCC A", [(90, 101, 30), (100, 100, 2), (102, 120, 12)], Genotype(True, 12)),  # a record twice
        ("ACCC A", [(90, 101, 30), (102, 120, 5)], Genotype(False, 5, LOW_DEPTH)),  # the deleted bases have few reads
        ("ACCC A", [(90, 101, 30), (103, 120, 30)], Genotype(False, 0, LOW_DEPTH)),  # a gap within
        ("ACCC A", [(90, 102, 30)], Genotype(False, 0, LOW_DEPTH)),
        ("A ACC", [(90, 101, 30)], Genotype(True, 30)),  # both bases beside an insertion
        ("A ACC", [(90, 100, 30)], Genotype(False, 0, LOW_DEPTH)),
        ("A C", [(90, 100, 30)], Genotype(True, 30)),
        ("A C", [(101, 110, 30)], Genotype(False, 0, LOW_DEPTH)),
        ("A C", [], Genotype(False, 0, LOW_DEPTH)),
    ],
)
def test_the_evidence_is_that_of_every_base_of_a_site(
    alleles: str, blocks: list[tuple[int, int, int]], genotype: Genotype
) -> None:
    ref, alt = alleles.split()
    evidence = Evidence(least_depth=7.5)
    for block in blocks:
        evidence.add(*block)
    assert evidence.genotype(*site_span(100, ref, [alt])) == genotype


def test_a_base_that_a_call_of_the_sample_deletes_is_unknown(joint: JointRun) -> None:
    calls = [("c1", at, "A", "C", "PASS", "0/1") for at in (100, 101, 103, 104)]
    joint.add("A", calls, ALL)
    joint.add("B", [("c1", 100, "AGGG", "A", "LowQual", "0/1")], [("c1", 1, 99, 30), ("c1", 101, 250_000, 30)])
    joint.join()
    assert joint.query("%POS[ %GT:%FT]\n", "-s", "B") == [
        "100 0/2:LowQual",
        "101 ./.:Overlap",
        "103 ./.:Overlap",
        "104 0/0:.",
    ]


def test_a_snp_within_a_deletion_of_another_sample_is_no_deletion(joint: JointRun) -> None:
    joint.add("A", [("c1", 100, "AGGG", "A", "PASS", "0/1")], ALL)
    joint.add("B", [("c1", 102, "G", "C", "PASS", "0/1")], [("c1", 1, 101, 30), ("c1", 103, 250_000, 30)])
    joint.join()
    assert joint.query("%POS[ %GT:%FT]\n") == ["100 0/1:PASS 0/0:.", "102 ./.:Overlap 0/1:PASS"]


def test_haploid_genotypes_are_completed_as_haploid(joint: JointRun) -> None:
    joint.add("A", [("c1", 100, "A", "C", "PASS", "1"), ("c1", 200, "A", "C", "PASS", "1")], ALL, ploidy=1)
    joint.add("B", [], [("c1", 100, 100, 30)], ploidy=1)
    joint.join()
    assert joint.query("[ %GT]\n") == [" 1 0", " 1 ."]


def test_a_deletion_over_the_border_of_two_pieces_is_in_one_record(joint: JointRun) -> None:
    """Pieces have 200,100 bases here: the second begins at base 200,101."""
    border = 200_100
    joint.add("A", [("c1", border - 1, "AGGG", "A", "PASS", "0/1"), ("c1", 249_000, "A", "C", "PASS", "0/1")], ALL)
    joint.add("B", [("c1", border + 1, "G", "C", "PASS", "0/1")], ALL)
    joint.join()
    assert split_genome([{"name": "c1", "length": CONTIGS["c1"]}, {"name": "c2", "length": 1000}])[0] == [
        Interval("c1", 0, border)
    ]
    assert joint.query("%POS[ %GT:%FT]\n") == [
        f"{border - 1} 0/1:PASS 0/0:.",
        f"{border + 1} ./.:Overlap 0/1:PASS",
        "249000 0/1:PASS 0/0:.",
    ]


@pytest.mark.parametrize("parts", [2, 3, 7])
@pytest.mark.parametrize("lengths", [[1], [5, 900_000, 30, 199_999], [3_000_000]])
def test_the_parts_have_each_base_of_the_genome_once_and_in_order(lengths: list[int], parts: int) -> None:
    contigs = [{"name": f"c{number}", "length": length} for number, length in enumerate(lengths)]
    pieces = split_genome(contigs)
    found = [one for index in range(parts) for piece in regions.of_part(pieces, index, parts) for one in piece]
    bases = {contig["name"]: 0 for contig in contigs}
    for name, start, end in found:
        assert start == bases[name]
        bases[name] = end
    assert bases == {contig["name"]: contig["length"] for contig in contigs}
    assert list(dict.fromkeys(one.contig for one in found)) == list(bases)


def test_a_part_without_pieces_has_no_file(joint: JointRun) -> None:
    joint.put_reference(c1=1000)
    joint.add("A", [("c1", 100, "A", "C", "PASS", "0/1")], ALL)
    joint.add("B", [], ALL)
    joint.join(parts=3)
    receipts = [s3.store().read_json(joint.results / f"jobs/merge.{index}.json") for index in range(3)]
    assert [len(receipt["outputs"]) for receipt in receipts] == [0, 0, 1]
    assert joint.query("%POS[ %GT]\n") == ["100 0/1 0/0"]


def test_parts_that_the_lifecycle_deletes_after_they_were_joined_are_not_merged_again(joint: JointRun) -> None:
    joint.add("A", [], ALL)
    joint.add("B", [], ALL)
    joint.join()
    part = joint.results / "jobs/merge.0.bcf"
    s3.store().client.delete_object(Bucket=part.bucket, Key=part.key)
    with pytest.raises(SystemExit) as end:
        joint.join()
    assert (end.value.code, s3.store().find(part)) == (0, None)


def test_a_part_that_is_deleted_before_it_is_joined_is_no_fault_of_the_samples(
    joint: JointRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    joint.add("A", [], ALL)
    joint.add("B", [], ALL)
    part, fetch_part = joint.results / "jobs/merge.1.bcf", run.fetch_part

    def delete_first(work: Workspace, index: str) -> list[Path]:
        if stored := s3.store().find(part):
            s3.store().client.delete_object(Bucket=part.bucket, Key=part.key, VersionId=stored.version_id)
        return fetch_part(work, index)

    monkeypatch.setattr(run, "fetch_part", delete_first)
    with pytest.raises(SystemExit):
        joint.join()
    verdict = s3.store().read_json(joint.results / "failures/join.1.1.json")
    assert verdict["class"] == "RESULTS_CHANGED"
    assert "a result of this run was deleted before the run ended" in verdict["message"]


def test_the_header_has_the_filters_of_no_single_sample_and_the_warnings_are_repeated(joint: JointRun) -> None:
    joint.warnings = [{"warning": "QC_FAILED", "message": "run r of A failed its quality control"}]
    joint.add("A", [], ALL)
    joint.add("B", [], ALL)
    receipt = joint.join()
    assert receipt["counts"] == {"samples": 2, "variants": 0, "variants_all": 0}
    assert receipt["warnings"] == joint.warnings
    assert joint.query("%POS\n") == []
    header = joint.header()
    described = "No sample has a call with PASS here: FORMAT/FT has their filters"
    assert f'##FILTER=<ID=LowDepth,Description="{described}">' in header
    assert "##INFO=<ID=MQ" not in header
    assert "FORMAT/DP<7.25" not in header


def test_a_file_of_another_sample_is_refused(joint: JointRun) -> None:
    joint.add("A", [], ALL)
    joint.add("B", [], ALL)
    joint.samples[1]["sample"] = "X"
    with pytest.raises(SystemExit):
        joint.join()
    assert (joint.verdict()["class"], joint.verdict()["message"]) == (
        "RESULTS_CHANGED",
        "B.vcf.gz has other samples than its run",
    )


def test_a_call_that_bcftools_merge_loses_is_noticed(joint: JointRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake bcftools drops the last record of a merge."""
    joint.add("A", [("c1", 100, "A", "C", "PASS", "0/1"), ("c1", 200, "A", "C", "PASS", "0/1")], ALL)
    joint.add("B", [], ALL)
    joint.install(monkeypatch, 'case "$1" in merge) last=; for w; do [ "$last" = -o ] && out=$w; last=$w; done; '
                  'real "$@" && sed -i \'$d\' "$out";; *) real "$@";; esac')  # fmt: skip
    with pytest.raises(SystemExit):
        joint.join()
    assert joint.verdict()["message"] == "2 calls went into bcftools merge but 1 came out"
