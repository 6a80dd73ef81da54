"""seqdrop.jobs.arguments: the command line of a job and the options of its tool."""

from __future__ import annotations

import argparse

import pytest
from seqdrop.failure.verdict import UsageError
from seqdrop.jobs import arguments
from seqdrop.storage.uri import S3Uri

ARGUMENTS = {"results": "s3://b/f", "run": "r", "attempt": "1", "vcpus": "4", "memory": "1024", "args": "[]"}


def parse(*names: str, **values: str) -> argparse.Namespace:
    argv = [arg for name, value in {**ARGUMENTS, **values}.items() for arg in (f"--{name}", value)]
    return arguments.parse(argv, "A test.", *names)


def test_arguments_are_parsed_into_their_types() -> None:
    args = parse(
        "sample", "bam", "intervals", "genes", sample="S", bam="s3://b/k", intervals="all", genes="none", args='["-x"]'
    )
    assert vars(args) == {
        "sample": "S",
        "bam": S3Uri("b", "k"),
        "intervals": None,
        "genes": None,
        "results": S3Uri("b", "f"),
        "run": "r",
        "attempt": "1",
        "vcpus": 4,
        "memory": 1024,
        "args": ["-x"],
    }
    assert parse("intervals", intervals="s3://b/x.bed").intervals == S3Uri("b", "x.bed")


def test_options_are_those_of_the_tool_in_the_table() -> None:
    options = arguments.parse_options(["--min-quality", "20"], "bcftools")
    assert (options.min_quality, options.ploidy) == (20.0, None)
    assert arguments.parse_options([], "strelka").exome is False


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "--exome", '"--exome"', "[1]"])
def test_args_must_be_a_list_of_strings(text: str) -> None:
    with pytest.raises(UsageError, match="args must be a JSON list of strings"):
        arguments.parse_options(arguments.parse_json_list(text), "strelka")


def test_an_option_of_another_tool_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^strelka has no option --ploidy; it allows --exome$"):
        arguments.parse_options(["--ploidy", "1"], "strelka")


def test_only_the_options_that_are_set_become_flags_of_the_tool() -> None:
    options = argparse.Namespace(min_mq=0, min_bq=None, min_quality=2.5)
    flags = arguments.tool_options(options, min_mq="-q", min_bq="-Q", min_quality="--quality")
    assert flags == ["-q", "0", "--quality", "2.5"]


def test_a_json_object_has_json_objects() -> None:
    assert arguments.parse_json_object('{"fasta": {"version_id": "v"}}') == {"fasta": {"version_id": "v"}}


@pytest.mark.parametrize("text", ["", "[]", "1", '{"fasta": "v"}', '{"fasta": [1]}'])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a JSON object of JSON objects|Expecting value"):
        arguments.parse_json_object(text)
