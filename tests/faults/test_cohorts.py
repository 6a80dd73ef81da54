"""Families and cohorts"""

from __future__ import annotations

import json
from typing import Any

import pytest
from seqdrop.storage import s3
from support import joint_members
from support.catalogue import case
from support.function_aws import FINGERPRINT, REFERENCES, RESULTS, Deployed
from support.joint_members import ask, joined, put_run


@pytest.fixture
def start_run(functions: Deployed) -> Any:
    """Load the function, with the runs of three samples in the table."""
    return joint_members.load(functions)


REFUSED = [
    ({"row": {"status": "FAILED"}}, "run runM01 of M01 has no results: it is FAILED"),
    ({"version": 2}, "run runM01 of M01 is from another version of seqdrop: run the sample again"),
    (
        {"choices": {"caller": "strelka", "args": {}}},
        "run runM01 of M01 was called with strelka: gVCFs of bcftools alone can be joined; run the sample with "
        "`--caller bcftools`",
    ),
    (
        {"choices": {}},
        "run runM01 of M01 was called with an unknown caller: gVCFs of bcftools alone can be joined; run the sample "
        "with `--caller bcftools`",
    ),
    ({"outputs": []}, "run runM01 of M01 has published no gvcf"),
    (
        {"outputs": [], "row": {"status": "QC_FAILED"}},
        "run runM01 of M01 has published no gvcf (its VCFs are held by its QC policy)",
    ),
    (
        {"reference": f"s3://{REFERENCES}/hg/genome.fa"},
        "run runM01 of M01 has another reference (hg) than that of run runC01 of C01 (demo)",
    ),
    (
        {"fingerprint": "0"},
        "run runM01 of M01 has another fingerprint of the reference (0) than that of run runC01 of C01 "
        f"({FINGERPRINT})",
    ),
    (
        {"intervals_sha256": "9a1b"},
        "run runM01 of M01 has another regions (BED file) (9a1b) than that of run runC01 of C01 (none)",
    ),
    (
        {"padding": 100},
        "run runM01 of M01 has another padding of the panel (100) than that of run runC01 of C01 (0)",
    ),
    (
        {"choices": {"caller": "bcftools", "args": {"call": ["--ploidy", "1"]}}},
        "run runM01 of M01 has another ploidy (1) than that of run runC01 of C01 (that of the reference)",
    ),
    ({"row": {"sample": "C01"}}, "C01 is there twice: give one run of each sample"),
]


@case(
    happens="`seqdrop joint` names a run that failed, has no gVCF, or differs from the others in reference, "
    "fingerprint, BED file, ploidy or caller; or its results or its reference have changed since.",
    see="`seqdrop joint` ends with exit code 1, and the name of the run and the reason.",
    does="Compares the manifests of the runs before anything starts. No joint run is started.",
    do="Run the sample again as the message says, or leave it out.",
)
def test_runs_that_cannot_be_joined_are_refused_by_name(functions: Deployed, start_run: Any) -> None:
    for change, message in REFUSED:
        put_run(functions, "M01", **change)
        assert ask(start_run, "runC01", "runF01", "runM01") == {"outcome": "refused", "reason": message}
    put_run(functions, "M01")
    functions.table.put_item(Item={"run": "held-1", "versions": ["v1"]})
    others = [
        (("runC01", "nobody"), {}, "run nobody does not exist"),
        (("runC01", "held-1"), {}, "run held-1 does not exist"),
        (("runC01",), {}, "2 to 100 samples can be joined, not 1"),
        (("runC01", "runM01"), {"name": "C01"}, "C01 is one of the samples: give the joint run another --name"),
        (
            ("runC01", "runM01"),
            {"name": "a/b"},
            "'a/b' is not a valid name: use at most 64 letters, digits, '.', '_' and '-', and no '.annotated' or '.g' "
            "at the end",
        ),
        (("runC01", "runM01"), {"reference": "hg"}, "run runC01 of C01 has another reference (demo) than that (hg)"),
    ]
    for runs, words, message in others:
        assert ask(start_run, *runs, **words) == {"outcome": "refused", "reason": message}
    functions.s3.delete_object(Bucket=RESULTS, Key="M01/runM01/manifest.json")
    assert ask(start_run, "runC01", "runM01")["reason"] == (
        "run runM01 of M01 has no manifest.json: its results were deleted"
    )
    functions.prepare(fingerprint="of today")
    s3.store.cache_clear()
    assert ask(start_run, "runC01", "runF01")["reason"] == (
        "reference demo has changed since run runC01 of C01: run the samples again"
    )
    assert joined(functions) == []


@case(
    happens="A joined run failed its QC policy, lacks lanes that a newer run has, or was called with other options.",
    see="`SUCCEEDED`, and the warning `QC_FAILED`, `SUPERSEDED` or `OTHER_OPTIONS` with the name of the run.",
    does="Joins it. Row, message and manifest have the warning.",
    do="Join the newer run. Look at FORMAT/FT before you compare samples that were called with other options.",
)
def test_doubtful_runs_are_joined_with_a_warning(functions: Deployed, start_run: Any) -> None:
    put_run(functions, "F01", {"status": "QC_FAILED"})
    options = {"caller": "bcftools", "args": {"call": ["--min-depth", "0.5"]}}
    put_run(functions, "M01", {"superseded_by": "newer"}, choices=options)
    run = ask(start_run, "runC01", "runF01", "runM01")["run"]
    reads = json.loads(functions.results()[f"FAMILY/{run}/reads.json"])
    assert [one["message"] for one in reads["warnings"]] == [
        "run runF01 of F01 failed its quality control",
        "run runM01 of M01 lacks lanes that run newer has: join that one",
        "run runM01 of M01 was called with other options than run runC01 of C01: its filters have other limits",
    ]
    assert reads["samples"][2]["least_depth"] == 14.0
