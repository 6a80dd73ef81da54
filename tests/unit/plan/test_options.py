"""seqdrop.plan.options: the options that a run may pass to a tool."""

from __future__ import annotations

from typing import Any

import pytest
from seqdrop.plan import options
from seqdrop.plan.options import Number, Option, OptionError

OPTIONS = (
    Option("--exome"),
    Option("--rna"),
    Option("--ploidy", Number(1, 12)),
    Option("--min-share", Number(0, 1, decimal=True)),
)


def test_options_are_parsed_into_their_types_or_none() -> None:
    parsed = options.parse("tool", OPTIONS, ["--exome", "--min-share", "0.25", "--ploidy=12"])
    assert vars(parsed) == {"exome": True, "rna": False, "min_share": 0.25, "ploidy": 12}
    assert vars(options.parse("tool", OPTIONS, [])) == {
        "exome": False,
        "rna": False,
        "min_share": None,
        "ploidy": None,
    }


@pytest.mark.parametrize(
    "text", ["0", "13", "-1", "+2", "2.0", "1e1", " 2", "1_0", "\N{ARABIC-INDIC DIGIT ONE}", "nan", ""]
)
def test_a_whole_number_is_plain_digits_within_bounds(text: str) -> None:
    with pytest.raises(OptionError, match=r"must be a whole number from 1 to 12|expected one argument"):
        options.parse("tool", OPTIONS, ["--ploidy", text])


@pytest.mark.parametrize("text", ["-0.1", "1.01", "nan", "inf", "1e-3", ".5", "0x1", "1" * 400])
def test_a_number_is_plain_digits_within_bounds(text: str) -> None:
    with pytest.raises(OptionError, match="must be a number from 0 to 1") as raised:
        options.parse("tool", OPTIONS, ["--min-share", text])
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    "words",
    [["--exo"], ["--outdir", "/"], ["extra"], ["--"], ["--exome", "--"], ["--ploidy"], ["--ploidy", "many"], "--exome",
     [1], {"--exome": 1}, None, ["--exome"] * 51],
)  # fmt: skip
def test_any_other_option_or_argument_is_refused(words: Any) -> None:
    with pytest.raises(OptionError):
        options.parse("tool", OPTIONS, words)


def test_the_refusal_of_an_option_names_those_that_the_tool_allows() -> None:
    with pytest.raises(OptionError) as raised:
        options.parse("tool", OPTIONS, ["--outdir\x1b[31m", "/"])
    allowed = "--exome, --rna, --ploidy N (1 to 12), --min-share N (0 to 1)"
    assert str(raised.value) == f"tool has no option --outdir; it allows {allowed}"
    with pytest.raises(OptionError, match=r"^tool has no option -x; it allows none$"):
        options.parse("tool", (), ["-x"])
