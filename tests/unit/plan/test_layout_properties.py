"""seqdrop.plan.layout for any key and any choice: what holds always."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdrop.plan import fastq_names, layout, steps
from seqdrop.plan.choices import PRIORITIES, Choices
from seqdrop.plan.names import NAME, WHOLE_GENOME, canonical, printable
from seqdrop.storage.uri import S3Uri
from support.hostile_names import HARMLESS, HOSTILE

ENDINGS = ["_R1.fastq.gz", "_2.fq", "_S1_L001_R1_001.fastq.gz", ".R2.fastq.gz", " R1.fq.gz", "-R2.fastq"]
stems = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=80), st.text("ab1٢._- /\n", max_size=12))
names = st.from_regex(NAME, fullmatch=True)
versions = st.text("abcdef0123456789", min_size=1, max_size=8)
choices = st.builds(
    Choices,
    names,
    st.one_of(st.just(""), names),
    st.dictionaries(st.sampled_from(steps.names()), st.lists(st.text(max_size=8), max_size=3)),
    st.integers(1, 99),
    st.sampled_from(PRIORITIES),
)


@given(st.text(max_size=1100))
def test_any_text_is_a_fastq_or_none(key: str) -> None:
    found = fastq_names.parse(key)
    assert found is None or HARMLESS.fullmatch(found.sample)


@given(stems, st.sampled_from(ENDINGS))
def test_a_key_that_is_one_gives_a_harmless_sample_and_mates_that_differ_in_a_digit(stem: str, ending: str) -> None:
    found = fastq_names.parse(stem + ending)
    if found is None:
        return
    assert HARMLESS.fullmatch(found.sample)
    assert re.fullmatch("(L[0-9]{3})?", found.lane)
    one, two = found.mates
    assert [(a, b) for a, b in zip(one, two, strict=True) if a != b] == [("1", "2")]
    assert found.mates[found.mate - 1] == stem + ending
    for mate, key in enumerate(found.mates, start=1):
        again = fastq_names.parse(key)
        assert again
        assert (again.sample, again.lane, again.mate, again.mates) == (found.sample, found.lane, mate, found.mates)
        assert key.startswith(found.lanes_prefix)


@pytest.mark.parametrize("stem", HOSTILE)
def test_a_hostile_name_is_no_sample_or_a_harmless_one(stem: str) -> None:
    found = fastq_names.parse(f"{stem}_R1.fastq.gz")
    assert found is None or HARMLESS.fullmatch(found.sample)


@given(st.text())
def test_what_people_are_shown_is_one_printable_line_of_the_same_length(text: str) -> None:
    said = printable(text)
    assert len(said) == len(text)
    assert said.isprintable()
    assert printable(said) == said


def pairs(versions_of: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {
            "lane": f"L{lane:03}",
            **{
                f"fastq_{mate}": {"uri": f"s3://in/S_L{lane:03}_R{mate}.fastq.gz", "version_id": version}
                for mate, version in enumerate(found, start=1)
            },
        }
        for lane, found in enumerate(versions_of, start=1)
    ]


IDENTITY = {
    "sample": names,
    "versions": st.lists(st.tuples(versions, versions), min_size=1, max_size=3),
    "choices": choices,
    "genome": versions,
    "aligner": st.sampled_from(["bwa", "bwa_mem3", "isaac"]),
    "caller": st.sampled_from(["bcftools", "strelka"]),
}


def run_of(sample: str, versions: list[tuple[str, str]], choices: Choices, **tools: str) -> str:
    return layout.run_id(sample, pairs(versions), choices, **tools)


def meant(given: dict[str, Any]) -> Any:
    """All that changes the result of a run."""
    chosen = given["choices"]
    args = {step: words for step, words in chosen.args.items() if words}
    return {**given, "choices": [chosen.reference, chosen.intervals, args]}


@given(st.fixed_dictionaries(IDENTITY), st.data())
def test_a_run_id_changes_with_what_changes_the_result_and_with_nothing_else(
    one: dict[str, Any], data: st.DataObject
) -> None:
    drawn = data.draw(st.sets(st.sampled_from(sorted(IDENTITY))))
    two = {**one, **{name: data.draw(IDENTITY[name], label=name) for name in sorted(drawn)}}
    assert (run_of(**one) == run_of(**two)) == (meant(one) == meant(two))
    assert re.fullmatch("[0-9a-f]{20}", run_of(**one))


@given(IDENTITY["versions"], choices, st.randoms())
def test_a_run_id_does_not_know_the_order_of_lanes(versions: list[tuple[str, str]], chosen: Choices, by: Any) -> None:
    lanes = pairs(versions)
    shuffled = by.sample(lanes, len(lanes))
    tools = {"genome": "g", "aligner": "bwa", "caller": "bcftools"}
    assert layout.run_id("S", lanes, chosen, **tools) == layout.run_id("S", shuffled, chosen, **tools)


@given(stems, st.sampled_from(ENDINGS), choices)
def test_every_address_of_a_plan_lies_below_its_results_and_every_value_of_a_job_is_text(
    stem: str, ending: str, chosen: Choices
) -> None:
    found = fastq_names.parse(stem + ending)
    if found is None:
        return
    sizes = {step: {"job_queue": "q", "vcpus": "1", "memory": "512"} for step in steps.names()}
    buckets = {"results_bucket": "results", "reference_bucket": "refs"}
    made = [layout.plan(name.sample, "r" * 20, chosen, **buckets, jobs=sizes) for name in mates_of(found)]
    assert canonical(made[0]) == canonical(made[1])
    plan = made[0]
    results = f"s3://results/{found.sample}/{'r' * 20}"
    assert plan["results"] == results
    assert (plan["version"], plan["lanes"], plan["steps"]) == (1, chosen.lanes, list(steps.names()))
    inputs = {"version", "sample", "run", "lanes", "steps", "reference", "intervals", "results"}
    for word in plan.keys() - inputs - set(steps.names()):
        assert plan[word].startswith(f"{results}/")
        assert "/" not in plan[word].removeprefix(f"{results}/")
        assert str(S3Uri.parse(plan[word])) == plan[word]
    for word in ("reference", "intervals"):
        assert plan[word].startswith(f"s3://refs/{chosen.reference}/") or plan[word] == WHOLE_GENOME
    for step in steps.names():
        assert all(isinstance(value, str) for value in plan[step].values())
        assert json.loads(plan[step]["args"]) == list(chosen.args.get(step, []))


def mates_of(found: fastq_names.FastqName) -> list[fastq_names.FastqName]:
    return [parsed for parsed in map(fastq_names.parse, found.mates) if parsed]
