"""`seqdrop joint`: a family of three, from its reads to one VCF with the genotypes of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from seqdrop.plan.choices import Choices
from seqdrop_cli import joint
from seqdrop_cli.demo.files import SEED
from seqdrop_cli.demo.truth import site, trimmed
from seqdrop_cli.stack import Stack
from support import trio
from support.pipeline_runs import fetch, fetch_json, inject, jobs_of, keys, run_tool, upload_pair, wait_for_end

NAMES = ["FATHER", "MOTHER", "CHILD"]
FAMILY_SEED = 100


@pytest.fixture(scope="module")
def family(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> trio.Family:
    """Run the pipeline on the reads of all three."""
    family, files = trio.write_reads(tmp_path_factory.mktemp("family"), SEED, FAMILY_SEED)
    for name in NAMES:
        upload_pair(stack, files[name], name)
    assert [wait_for_end(stack, name)["status"] for name in NAMES] == ["SUCCEEDED"] * 3
    return family


def genotypes(vcf: Path) -> dict[Any, list[str]]:
    """Return the genotypes of all samples at each allele with PASS; other alleles of a site count as the reference."""
    found = {}
    split = run_tool("bcftools", "norm", "-m", "-any", vcf).splitlines()
    for line in split:
        if not line.startswith("#"):
            contig, position, _, ref, alt, _, filters, _, _, *columns = line.split("\t")
            if filters == "PASS":
                alleles = ["/".join(sorted(column.split(":")[0].split("/"))) for column in columns]
                found[trimmed(contig, int(position), ref, alt)] = alleles
    return found


def test_a_family_is_called_without_mendelian_violations(
    stack: Stack, family: trio.Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A child of the array job runs out of memory: the doctor repeats it, and not the one that is done."""
    with inject(stack, {"job": "merge-*:1", "fault": "out_of_memory"}):
        row = joint.run_joint(stack, NAMES, "", Choices("demo"), tmp_path)
    assert (row["status"], row["kind"], row["sample"], row["reference"]) == (
        "SUCCEEDED",
        "joint",
        "FATHER-MOTHER-CHILD",
        "demo",
    )
    assert row["samples"] == NAMES
    vcf = fetch(stack, row, "FATHER-MOTHER-CHILD.vcf.gz", tmp_path)
    assert run_tool("bcftools", "query", "-l", vcf).split() == NAMES

    planted = {name: {site(one): one.genotype for one in family[name]} for name in NAMES}
    expected = {at: [planted[name].get(at, "0/0") for name in NAMES] for name in NAMES for at in planted[name]}
    found = genotypes(vcf)
    assert {at: found.get(at) for at in expected} == expected

    # bcftools itself, on all calls with PASS: mother, father, child
    passed = tmp_path / "passed.vcf.gz"
    run_tool("bcftools", "view", "-f", "PASS", "-Oz", "-o", passed, vcf)
    counts = run_tool("bcftools", "+mendelian", passed, "-t", "MOTHER,FATHER,CHILD", "-m", "c").splitlines()[-1]
    good, bad, skipped, _ = counts.split("\t")
    assert (int(bad), int(skipped)) == (0, 0)
    assert int(good) >= len(expected)

    annotated = fetch(stack, row, "FATHER-MOTHER-CHILD.annotated.vcf.gz", tmp_path)
    assert run_tool("bcftools", "query", "-f", "%INFO/ANN\n", annotated).count("missense_variant") >= 10

    manifest = fetch_json(stack, row, "manifest.json")
    assert (manifest["complete"], manifest["kind"]) == (True, "joint")
    assert [one["sample"] for one in manifest["samples"]] == NAMES
    assert {output["name"] for output in manifest["outputs"]} >= {"vcf", "vcf.tbi", "annotated_vcf"}
    assert all(output["crc64nvme"] for output in manifest["outputs"])

    assert [job["arrayProperties"]["size"] for job in jobs_of(stack, row, "merge")] == [2, 2]
    receipts = [fetch_json(stack, row, f"jobs/merge.{index}.json") for index in (0, 1)]
    assert [receipt["attempt"] for receipt in receipts] == ["1", "2"]
    downloaded = {path.name for path in (tmp_path / "FATHER-MOTHER-CHILD" / row["run"]).iterdir()}
    assert "FATHER-MOTHER-CHILD.vcf.gz" in downloaded
    assert not any(name.endswith(".bcf") for name in downloaded)
    assert "jobs/merge.0.bcf" in keys(stack, row)

    # the same command again starts nothing
    again = joint.run_joint(stack, NAMES, "", Choices(), tmp_path / "again")
    assert (again["run"], again["execution"]) == (row["run"], row["execution"])
    capsys.readouterr()
