"""The command line of a job."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from seqdrop.failure.verdict import UsageError
from seqdrop.jobs import arguments
from seqdrop.storage.uri import S3Uri

ARGUMENTS = {"results": "s3://b/f", "run": "r", "attempt": "1", "vcpus": "4", "memory": "1024", "args": "[]"}


def parsed(*words: str, **values: str) -> argparse.Namespace:
    line = [word for name, value in {**ARGUMENTS, **values}.items() for word in (f"--{name}", value)]
    return arguments.parse(line, "A test.", *words)


def test_words_become_what_they_stand_for() -> None:
    args = parsed(
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
    assert parsed("intervals", intervals="s3://b/x.bed").intervals == S3Uri("b", "x.bed")


def test_options_are_those_that_a_wrapper_names() -> None:
    chosen = arguments.parse_options(
        ["--exome", "--min-quality", "20"], "--exome", "--rna", min_quality=float, ploidy=int
    )
    assert vars(chosen) == {"exome": True, "rna": False, "min_quality": 20.0, "ploidy": None}


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
def test_args_that_are_no_list_of_words_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="args must be a JSON list of words"):
        arguments.parse_options(arguments.parse_json_list(text), "--exome")


@pytest.mark.parametrize(
    "words",
    [["--exo"], ["--outdir", "/"], ["extra"], ["--ploidy"], ["--ploidy", "many"], "--exome", [1], {"--exome": 1}, None],
)
def test_any_other_word_is_refused(words: Any) -> None:
    with pytest.raises(UsageError):
        arguments.parse_options(words, "--exome", ploidy=int)
