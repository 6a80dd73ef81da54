"""seqdrop.plan.layout with generated keys and choices: rules that always hold."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from seqdrop.plan import fastq_names, layout, steps
from seqdrop.plan.choices import Choices
from seqdrop.plan.names import WHOLE_GENOME, canonical
from seqdrop.storage.uri import S3Uri
from support.plan_strategies import choices, endings, names, stems


def tool_names(name: str) -> list[str]:
    """The tools of a step."""
    return [tool.name for step in steps.STEPS if step.name == name for tool in step.tools]


versions = st.text("abcdef0123456789", min_size=1, max_size=8)
IDENTITY = {
    "sample": names,
    "versions": st.lists(st.tuples(versions, versions), min_size=1, max_size=3),
    "choices": choices,
    "genome": versions,
    "aligner": st.sampled_from(tool_names("align")),
    "caller": st.sampled_from(tool_names("call")),
}


def pairs(versions: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return one lane for each two versions of R1 and R2."""
    return [
        {
            "lane": f"L{lane:03}",
            **{
                f"fastq_{mate}": {"uri": f"s3://in/S_L{lane:03}_R{mate}.fastq.gz", "version_id": version}
                for mate, version in enumerate(mates, start=1)
            },
        }
        for lane, mates in enumerate(versions, start=1)
    ]


def run_id(sample: str, versions: list[tuple[str, str]], choices: Choices, **tools: str) -> str:
    return layout.run_id(sample, pairs(versions), choices, **tools)


def relevant(identity: dict[str, Any]) -> dict[str, Any]:
    """Return everything that changes the results of a run."""
    choices = identity["choices"]
    args = {step: words for step, words in choices.args.items() if words}
    return {**identity, "choices": [choices.reference, choices.intervals, args]}


@given(st.fixed_dictionaries(IDENTITY), st.data())
def test_run_ids_are_equal_only_if_the_results_are(one: dict[str, Any], data: st.DataObject) -> None:
    changed = data.draw(st.sets(st.sampled_from(sorted(IDENTITY))))
    two = {**one, **{name: data.draw(IDENTITY[name], label=name) for name in sorted(changed)}}
    assert (run_id(**one) == run_id(**two)) == (relevant(one) == relevant(two))
    assert re.fullmatch("[0-9a-f]{20}", run_id(**one))


@given(IDENTITY["versions"], choices, st.randoms())
def test_a_run_id_does_not_depend_on_the_order_of_lanes(
    versions: list[tuple[str, str]], choices: Choices, order: Any
) -> None:
    lanes = pairs(versions)
    shuffled = order.sample(lanes, len(lanes))
    tools = {"genome": "g", "aligner": "bwa", "caller": "bcftools"}
    assert layout.run_id("S", lanes, choices, **tools) == layout.run_id("S", shuffled, choices, **tools)


@given(stems, endings, choices)
def test_every_address_of_a_plan_is_below_its_results_and_every_value_of_a_job_is_text(
    stem: str, ending: str, choices: Choices
) -> None:
    name = fastq_names.parse(stem + ending)
    if name is None:
        return
    jobs = {step: {"job_queue": "q", "vcpus": "1", "memory": "512"} for step in steps.names()}
    buckets = {"results_bucket": "results", "reference_bucket": "refs"}
    both_mates = [mate for mate in map(fastq_names.parse, name.mates) if mate]
    plan, other = (layout.plan(mate.sample, "r" * 20, choices, **buckets, genome="", jobs=jobs) for mate in both_mates)
    assert canonical(plan) == canonical(other)
    results = f"s3://results/{name.sample}/{'r' * 20}"
    assert plan["results"] == results
    assert (plan["version"], plan["lanes"], plan["steps"]) == (1, choices.lanes, list(steps.names()))
    others = {"version", "sample", "run", "lanes", "steps", "reference", "results", "fingerprint"}
    others |= {
        "intervals",
        "intervals_name",
        "intervals_sha256",
        "sources",
        "aligner",
        "caller",
        "alignment_format",
        "form",
    }
    for word in plan.keys() - others - {*steps.names(), "scatter"}:
        assert plan[word].startswith(f"{results}/")
        assert "/" not in plan[word].removeprefix(f"{results}/")
        assert str(S3Uri.parse(plan[word])) == plan[word]
    assert plan["reference"].startswith(f"s3://refs/{choices.reference}/")
    assert plan["intervals"] == (f"{results}/intervals.bed" if choices.intervals else WHOLE_GENOME)
    for step in (*steps.names(), "scatter"):
        assert all(isinstance(value, str) for value in plan[step].values())
        assert json.loads(plan[step]["args"]) == list(choices.args.get({"scatter": "call"}.get(step, step), []))
