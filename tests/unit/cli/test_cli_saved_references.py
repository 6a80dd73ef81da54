"""Test seqdrop_cli.saved_references and `seqdrop references`: what the next embedded AWS has of the last one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from seqdrop.storage import digests
from seqdrop.storage.uri import S3Uri
from seqdrop_cli import project, saved_references
from seqdrop_cli import stack as stacks
from seqdrop_cli.stack import Stack
from support import cli_aws
from support.cli_aws import seqdrop

SUMMARY = {
    "contigs": [{"name": "chr1", "length": 1200}, {"name": "chrM", "length": 300}],
    "indexes": ["bwa", "bwa_mem3", "csq", "snpeff"],
    "ploidy": 1,
    "sources": {"genes": {"uri": "s3://references/hg/source/hg.gtf"}},
}
FILES = {
    "hg/genome.fa": b">chr1\nACGT\n",
    "hg/genome.fa.panel.exome.bed": b"chr1\t3\t4\n",
    "hg/genome.fa.known.clinvar.vcf.gz": b"variants",
    "hg/source/hg.fa": b">chr1\nacgt\n",
    "hg/panel.bed": b"chr1\t1\t2\n",
}


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "template.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return project.state_folder()


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with cli_aws.stack() as stack:
        monkeypatch.setattr(stacks, "open_stack", lambda *_: stack)
        yield stack


def prepare(stack: Stack) -> None:
    """Write a prepared reference, and the files of one whose preparation has not ended."""
    for key, content in {**FILES, "half/genome.fa": b">h"}.items():
        stack.s3.put_object(
            Bucket="references", Key=key, Body=content, ChecksumAlgorithm="CRC64NVME", Metadata={digests.METADATA: "x"}
        )
    cli_aws.write_json(stack, "references", "hg/reference.json", SUMMARY)


def stored(stack: Stack) -> dict[str, bytes]:
    keys = stack.store.list_keys("references", "")
    return {key: stack.s3.get_object(Bucket="references", Key=key)["Body"].read() for key in keys}


def test_references_are_kept_until_the_next_server() -> None:
    with cli_aws.stack() as first:
        prepare(first)
        before = {key: content for key, content in stored(first).items() if not key.startswith("half/")}
        assert saved_references.save(first) == ["hg"]
    with cli_aws.stack() as second:
        assert saved_references.restore(second) == ["hg"]
        assert stored(second) == before
        genome = second.store.head(S3Uri("references", "hg/genome.fa"))
        assert digests.of(genome) == digests.compute(project.state_folder() / "references/hg/genome.fa")


def test_files_that_are_kept_already_are_not_copied_again_and_others_are_deleted(
    stack: Stack, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(stack)
    saved_references.save(stack)
    (checkout / "references/old").mkdir()
    times = {path: path.stat().st_mtime_ns for path in checkout.rglob("genome.fa")}
    stack.s3.put_object(Bucket="references", Key="hg/panel.bed", Body=b"chr1\t5\t9\n", ChecksumAlgorithm="CRC64NVME")
    saved_references.save(stack)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert (checkout / "references/hg/panel.bed").read_bytes() == b"chr1\t5\t9\n"
    assert [path.name for path in (checkout / "references").iterdir()] == ["hg"]
    saved_references.forget()
    assert saved_references.restore(stack) == []


def test_half_of_a_reference_is_not_restored(stack: Stack, checkout: Path) -> None:
    """A disk that is full ends a copy before reference.json, its last file."""
    prepare(stack)
    saved_references.save(stack)
    (checkout / "references/hg/reference.json").unlink()
    assert saved_references.restore(stack) == []


def test_a_key_outside_of_the_folder_is_not_written(stack: Stack, checkout: Path) -> None:
    prepare(stack)
    stack.s3.put_object(Bucket="references", Key="hg/../../../evil", Body=b"x")
    saved_references.save(stack)
    assert not list(checkout.parent.rglob("evil"))


def test_references_are_listed_with_what_they_have(stack: Stack) -> None:
    command = "seqdrop reference GENOME.fa --genes GENES.gtf --name NAME --stack seqdrop"
    assert seqdrop("references") == (0, f"No reference is prepared: `{command}` prepares one.\n")
    prepare(stack)
    cli_aws.write_json(stack, "references", "virus/reference.json", {"contigs": [], "indexes": ["bwa"]})
    lines = [" ".join(line.split()) for line in seqdrop("references")[1].splitlines()]
    size = sum(map(len, FILES.values())) + len(json.dumps(SUMMARY))
    assert lines == [
        "reference contigs bases ploidy aligners genes BED files size",
        f"hg 2 1.5k 1 bwa, bwa_mem3 hg.gtf panel.bed {size}B",
        "virus 0 0 2 bwa none 35B",
    ]
    found: Any = json.loads(seqdrop("references", "--json")[1])
    assert (found[0]["name"], found[0]["bytes"], found[0]["beds"], found[0]["contigs"]) == (
        "hg",
        size,
        ["panel.bed"],
        2,
    )
    panel = {"padding": 9, "targets": 1, "bases": 7}
    more = {**SUMMARY, "panels": {"exome": panel, "kit2": panel}, "known": {"clinvar": {"records": 5}}}
    cli_aws.write_json(stack, "references", "hg/reference.json", more)
    lines = [" ".join(line.split()) for line in seqdrop("references")[1].splitlines()]
    assert lines[0] == "reference contigs bases ploidy aligners genes panels known BED files size"
    assert [
        word for word in ("exome,", "kit2", "clinvar", "panel.bed") if word not in " ".join(lines[1:]).split()
    ] == []
