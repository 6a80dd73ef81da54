"""seqdrop.jobs.arguments: the command line of a job and the options of its tool."""

from __future__ import annotations

import argparse
from typing import Any

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


def test_options_are_parsed_into_their_types_or_none() -> None:
    options = arguments.parse_options(
        ["--exome", "--min-quality", "20"], "--exome", "--rna", min_quality=float, ploidy=int
    )
    assert vars(options) == {"exome": True, "rna": False, "min_quality": 20.0, "ploidy": None}


@pytest.mark.parametrize(
    "text", ["0", "13", "-1", "+2", "2.0", "1e1", " 2", "1_0", "\N{ARABIC-INDIC DIGIT ONE}", "nan", ""]
)
def test_a_whole_number_is_plain_digits_within_bounds(text: str) -> None:
    assert arguments.parse_options(["--ploidy", "12"], ploidy=arguments.integer(1, 12)).ploidy == 12
    with pytest.raises(UsageError, match=r"must be a whole number from 1 to 12|expected one argument"):
        arguments.parse_options(["--ploidy", text], ploidy=arguments.integer(1, 12))


@pytest.mark.parametrize("text", ["-0.1", "1.01", "nan", "inf", "1e-3", ".5", "0x1", "1" * 400])
def test_a_number_is_plain_digits_within_bounds(text: str) -> None:
    assert arguments.parse_options(["--min-share", "0.25"], min_share=arguments.number(0, 1)).min_share == 0.25
    with pytest.raises(UsageError, match="must be a number from 0 to 1") as raised:
        arguments.parse_options(["--min-share", text], min_share=arguments.number(0, 1))
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "--exome", '"--exome"', "[1]"])
def test_args_must_be_a_list_of_strings(text: str) -> None:
    with pytest.raises(UsageError, match="args must be a JSON list of strings"):
        arguments.parse_options(arguments.parse_json_list(text), "--exome")


@pytest.mark.parametrize(
    "args",
    [["--exo"], ["--outdir", "/"], ["extra"], ["--ploidy"], ["--ploidy", "many"], "--exome", [1], {"--exome": 1}, None],
)
def test_any_other_option_or_argument_is_refused(args: Any) -> None:
    with pytest.raises(UsageError):
        arguments.parse_options(args, "--exome", ploidy=int)


def test_only_the_options_that_are_set_become_flags_of_the_tool() -> None:
    options = argparse.Namespace(min_mq=0, min_bq=None, min_quality=2.5)
    flags = arguments.tool_options(options, min_mq="-q", min_bq="-Q", min_quality="--quality")
    assert flags == ["-q", "0", "--quality", "2.5"]
