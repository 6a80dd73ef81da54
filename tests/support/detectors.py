"""Decide whether a changed template is noticed: by a gate, or by a contract test that reads the template.

`make weakenings` counts all of them; `tests/contract/test_weakenings.py` tries some.
"""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, redirect_stdout
from fnmatch import fnmatchcase
from functools import cache, partial
from itertools import chain, product
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from gates import cycles, events, expected, iam, jobs, rights, storage
from gates.finding import Finding, LocatedProblem
from gates.template import Template
from support.changed_templates import keep, transform_changes
from support.weakenings import Weakening, weakenings

# cfn-lint, checkov and sam take seconds for each template: what they find besides counts as unnoticed.
GATES: tuple[Callable[[Template], list[Finding]], ...] = tuple(
    gate.check for gate in (expected, storage, jobs, events, iam, rights, cycles)
)
CONTRACT_TESTS = {
    "test_rights": (
        "test_every_right_that_a_run_used_is_still_there",
        "test_every_right_was_used_by_a_run_or_is_needed_on_aws_alone",
        "test_a_job_may_read_its_inputs_and_write_its_outputs",
        "test_a_job_may_write_nothing_else",
        "test_every_exception_is_of_a_right_that_no_run_uses",
        "test_other_buckets_of_a_parameter_can_be_read_and_not_written",
        "test_no_job_may_read_or_write_all_results",
        "test_record_run_may_ask_for_the_price_of_spot_instances",
    ),
    "test_steps": (
        "test_a_row_of_the_table_has_all_its_parts",
        "test_nothing_exists_for_a_step_or_a_tool_without_a_row",
        "test_the_state_machines_may_submit_the_job_definitions_of_this_stack_alone",
    ),
    "test_state_machines": (
        "test_the_gate_accepts_a_state_machine",
        "test_the_state_machines_are_consistent_with_each_other",
        "test_the_state_machines_agree_with_the_code_that_they_call",
    ),
    "test_rules": (
        "test_parameters_that_work_are_accepted",
        "test_parameters_that_cannot_work_are_refused",
        "test_every_assertion_refuses_one_of_these_cases",
    ),
    "test_dashboard": (
        "test_every_metric_of_the_stack_is_written_by_its_function",
        "test_every_other_metric_of_the_dashboard_has_an_alarm",
        "test_the_dashboard_shows_every_metric_of_the_stack_that_an_alarm_watches",
        "test_every_widget_shows_the_stack_with_the_statistic_of_its_title",
    ),
}
TEMPLATE_READERS = ("support.pipeline_parts", "support.rights", "support.machine_contract",
                    "support.machine_weakenings")  # fmt: skip
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests/contract"
UNNOTICED = Path(__file__).with_name("unnoticed_weakenings.yaml")


@cache
def contract_modules() -> dict[str, ModuleType]:
    """Return the modules of CONTRACT_TESTS: their tests are called here with other templates."""
    modules = {}
    for name in CONTRACT_TESTS:
        spec = importlib.util.spec_from_file_location(f"weakened_{name}", FOLDER / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        modules[name] = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(modules[name])
    return modules


def arguments(test: Callable[..., None]) -> Iterator[dict[str, Any]]:
    """Yield the arguments of each case of a test, from its `parametrize` marks."""
    marks = [mark.args for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    names = [[names] if isinstance(names, str) else list(names) for names, _ in marks]
    for values in product(*(cases for _, cases in marks)):
        pairs = zip(names, values, strict=True)
        yield {
            key: item
            for keys, value in pairs
            for key, item in zip(keys, value if len(keys) > 1 else [value], strict=True)
        }


def weakened(original: Template, weakening: Weakening) -> Template:
    """Return the template with a weakening."""
    return transform_changes(original, Template(weakening.apply(original.source), ""))


def noticed(original: Template, weakening: Weakening) -> str:
    """Return the first finding of a gate or the first failing contract test, or an empty string."""
    other = weakened(original, weakening)
    keep(other)  # for the contract tests
    gates = partial(noticed_by_gate, other, weakening)
    tests = partial(noticed_by_contract_test, other.source, weakening)
    first, second = (tests, gates) if "Policies" in weakening.path else (gates, tests)  # first what notices more
    return first() or second()


def noticed_by_gate(changed: Template, weakening: Weakening) -> str:
    """Return the first finding of the gates, or an empty string; the checks of the changed part come first."""
    try:
        part = (f"expected: {problem}" for problem in problems_of_part(changed, weakening))
        findings = (str(finding) for gate in GATES for finding in gate(changed))
        return next(chain(part, findings), "")
    except Exception as error:  # noqa: BLE001 - a template that a gate cannot read fails `make check` too
        return f"{type(error).__name__}: {error}"


def problems_of_part(changed: Template, weakening: Weakening) -> Iterator[LocatedProblem]:
    """Yield what the gate `expected` finds in the changed part alone: most weakenings need no other check."""
    section, name = weakening.path[:2]
    if section == "Parameters":
        yield from expected.check_parameters(changed.source["Parameters"])
    elif section == "Conditions":
        yield from expected.check_conditions(changed)
    elif section == "Outputs":
        yield from expected.check_outputs(changed.source)
    elif section == "Resources" and "stacks" in vars(changed):
        for stack in changed.stacks:
            if name in stack.resources:
                resource = stack.resources[name]
                yield from expected.check_resource(stack, name, resource)
                yield from expected.check_keys(name, resource)


def noticed_by_contract_test(source: dict[str, Any], weakening: Weakening) -> str:
    """Return the first contract test that fails with this template, or an empty string."""
    modules = contract_modules()
    with ExitStack() as stack:
        for name in TEMPLATE_READERS:
            stack.enter_context(patch(f"{name}.template", lambda: source))
        for module in filter(lambda each: hasattr(each, "template"), modules.values()):
            stack.enter_context(patch.object(module, "template", lambda: source))
        stack.enter_context(redirect_stdout(io.StringIO()))
        first = "test_rights" if "Policies" in weakening.path else "test_steps"
        for name, tests in sorted(CONTRACT_TESTS.items(), key=lambda item: item[0] != first):
            for test in tests:
                function = getattr(modules[name], test)
                for case in arguments(function):
                    try:
                        function(**case)
                    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - as in pytest, every error fails
                        return f"{name}.{test}: {type(error).__name__}"
    return ""


@cache
def base() -> Template:
    """Return the template of this checkout, transformed and resolved."""
    template = Template.parse((ROOT / "template.yaml").read_text())
    assert template.stacks
    return template


@cache
def accepted() -> dict[str, str]:
    """Return the weakenings that nothing has to notice, as patterns, with their reasons."""
    reasons: dict[str, str] = yaml.safe_load(UNNOTICED.read_text())
    return reasons


def is_accepted(weakening: Weakening) -> bool:
    """Return whether a weakening is one of those that nothing has to notice."""
    return any(matches(weakening, pattern) for pattern in accepted())


def matches(weakening: Weakening, pattern: str) -> bool:
    """Return whether a pattern of the accepted weakenings stands for this one."""
    return fnmatchcase(str(weakening), pattern)


def is_noticed(weakening: Weakening) -> bool:
    """Return whether a gate or a contract test notices a weakening of the template of this checkout."""
    return bool(noticed(base(), weakening))


def main() -> int:
    """Try every weakening, print the unnoticed ones and the numbers, and return 1 if one is not accepted."""
    every = list(weakenings(base().source))
    contract_modules()  # once, before the processes start
    with ProcessPoolExecutor() as pool:
        results = pool.map(is_noticed, every, chunksize=50)
        unnoticed = [weakening for weakening, result in zip(every, results, strict=True) if not result]
    for weakening in unnoticed:
        sys.stdout.write(f"unnoticed{', accepted' * is_accepted(weakening)}: {weakening}\n")
    sys.stdout.write(f"{len(every) - len(unnoticed)} of {len(every)} weakenings are noticed\n")
    return 0 if all(map(is_accepted, unnoticed)) else 1


if __name__ == "__main__":
    sys.exit(main())
