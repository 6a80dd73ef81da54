"""Every gate is green on what is here and red, by name, on each planted fault."""

from __future__ import annotations

import ast
import inspect
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from planted import faults, planted, replaced

from gates import asl, cfn, checkov, cycles, dockerfiles, events, excuses, iam, jobs, lock, secrets, shell, storage
from gates import template as templates
from gates.finding import Finding, unexcused

ROOT = Path(__file__).parents[2]
TEMPLATE_GATES: dict[str, Callable[[templates.Template], list[Finding]]] = {
    gate.GATE: gate.check for gate in (cfn, checkov, cycles, events, iam, jobs, storage)
}
FILE_GATES: dict[str, Callable[[dict[str, str]], list[Finding]]] = {
    gate.GATE: gate.check for gate in (dockerfiles, excuses, secrets, shell)
}
OF_TEMPLATE, OF_MACHINES, OF_FILES = faults("template"), faults("machines"), faults("files")
# checkov starts once, for all its faults
CHECKOVS = [fault for fault in OF_TEMPLATE if fault["gate"] == checkov.GATE]
IN_PROCESS = [fault for fault in OF_TEMPLATE if fault["gate"] != checkov.GATE]


@cache
def template() -> templates.Template:
    return templates.read((ROOT / "template.yaml").read_text())


@cache
def as_it_is(gate: str) -> list[Finding]:
    return TEMPLATE_GATES[gate](template())


@cache
def machines() -> list[asl.Machine]:
    paths = (ROOT / "statemachine").glob("*.asl.json")
    return asl.machines(template().source, {f"statemachine/{path.name}": path.read_text() for path in paths})


def weakened(fault: dict[str, Any]) -> templates.Template:
    source = template().source
    return templates.of({**source, "Resources": planted(source["Resources"], fault)})


def rules(findings: list[Finding]) -> set[str]:
    return {finding.rule for finding in findings}


def names(listed: list[dict[str, Any]]) -> list[str]:
    return [fault["name"].replace(" ", "-") for fault in listed]


@pytest.mark.parametrize("fault", IN_PROCESS, ids=names(IN_PROCESS))
def test_a_weakened_template_is_refused_by_name(fault: dict[str, Any]) -> None:
    assert as_it_is(fault["gate"]) == []
    assert fault["rule"] in rules(TEMPLATE_GATES[fault["gate"]](weakened(fault)))


@pytest.fixture(scope="module")
def said_by_checkov() -> dict[str, list[Finding]]:
    """Its answers on the template as it is, under "", and on each fault."""
    every = [template(), *(weakened(fault) for fault in CHECKOVS)]
    return dict(zip(["", *(fault["name"] for fault in CHECKOVS)], checkov.check_all(every), strict=True))


@pytest.mark.parametrize("fault", CHECKOVS, ids=names(CHECKOVS))
def test_checkov_refuses_a_weakened_template_by_name(
    fault: dict[str, Any], said_by_checkov: dict[str, list[Finding]]
) -> None:
    assert said_by_checkov[""] == []
    assert fault["rule"] in rules(said_by_checkov[fault["name"]])


@pytest.mark.parametrize("fault", OF_MACHINES, ids=names(OF_MACHINES))
def test_a_broken_state_machine_is_refused_by_name(fault: dict[str, Any]) -> None:
    [machine] = [machine for machine in machines() if machine.name == fault["machine"]]
    assert asl.check(machine) == []
    text = json.dumps(planted(machine.definition, fault))
    assert fault["rule"] in rules(asl.check(asl.Machine(machine.name, text, machine.substitutions)))


def test_the_machines_agree_with_each_other() -> None:
    pipeline, preparation = sorted(machines(), key=lambda machine: machine.name)
    text = preparation.text.replace('"MaxAttempts": 20', '"MaxAttempts": 19')
    other = asl.Machine(preparation.name, text, preparation.substitutions)
    assert asl.check_all([pipeline, preparation]) == []
    assert rules(asl.check_all([pipeline, other])) == {"retry-uniform"}


def test_a_definition_that_is_no_json_is_refused() -> None:
    assert rules(asl.check(asl.Machine("pipeline", "{", frozenset()))) == {"statelint"}


@pytest.mark.parametrize("fault", OF_FILES, ids=names(OF_FILES))
def test_a_fault_in_a_file_is_refused_by_name(fault: dict[str, Any]) -> None:
    text = (ROOT / fault["file"]).read_text()
    bad = replaced(text, fault["find"], "".join(fault["by"]), fault["name"])
    if fault["gate"] == lock.GATE:
        findings = lock.same(fault["file"], text, bad)
        assert lock.same(fault["file"], text, text) == []
    else:
        findings = FILE_GATES[fault["gate"]]({fault["file"]: bad})
        assert FILE_GATES[fault["gate"]]({fault["file"]: text}) == []
    assert fault["rule"] in rules(findings)


def test_user_data_goes_through_shellcheck() -> None:
    scripts = shell.user_data(template())
    assert list(scripts) == ["LaunchTemplate.UserData"]
    assert shell.check(scripts) == []
    bad = {name: text.replace('"$disk"', "$disk") for name, text in scripts.items()}
    assert "SC2086" in rules(shell.check(bad))


def test_a_dependency_that_the_lock_does_not_have_is_refused(tmp_path: Path) -> None:
    for name in ("uv.lock", "README.md", "layers/common/pyproject.toml", "containers/pyproject.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    project = (ROOT / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(replaced(project, '"rich>=14"', '"rich>=9000"', "an unlocked package"))
    assert rules(lock.in_step(tmp_path)) == {"lock-in-step"}


def test_the_bill_of_materials_is_complete_and_a_gap_in_it_is_found() -> None:
    bill = lock.bill_of_materials()
    assert lock.complete(bill) == []
    del bill["components"][0]["version"]
    assert [finding.message for finding in lock.complete(bill)] == ["has no version"]


def test_an_excuse_counts_with_its_reason_only_and_for_its_own_resource() -> None:
    found = [Finding("jobs", "non-root", name, "") for name in ("A", "B", "C")]
    excuse = {"id": "non-root", "comment": "it must bind port 80"}
    resources = {
        "A": {"Metadata": {"gates": {"skip": [excuse]}}},
        "B": {"Metadata": {"gates": {"skip": [{"id": "non-root"}]}}},
        "C": {},
    }
    assert [finding.where for finding in unexcused(found, resources)] == ["B", "C"]


def test_every_exception_of_the_permissions_gate_is_needed() -> None:
    stack = template().stacks[0]
    actions = {
        action
        for policy in iam.policies(stack)
        for statement in policy.document["Statement"]
        if "*" in templates.listed(statement["Resource"])
        for action in templates.listed(statement["Action"])
    }
    assert set(iam.KNOWN_RISKS) <= actions
    roles = [role for _, role in stack.of_type("AWS::IAM::Role")]
    attached = {arn.rpartition("/")[2] for role in roles for arn in role.get("ManagedPolicyArns", [])}
    assert set(iam.MANAGED) == attached


def test_every_condition_of_the_template_holds_in_one_deployment_and_not_in_another() -> None:
    stacks = template().stacks
    for name in template().source["Conditions"]:
        assert {stack.condition(name) for stack in stacks} == {True, False}, name


def test_every_rule_of_ours_has_a_fault_that_it_refuses() -> None:
    planted_rules = {(fault.get("gate", asl.GATE), fault["rule"]) for fault in OF_TEMPLATE + OF_MACHINES + OF_FILES}
    for gate in (asl, dockerfiles, events, excuses, iam, jobs, storage):
        assert {rule for rule in yielded(gate) if (gate.GATE, rule) not in planted_rules} == set()


def yielded(gate: ModuleType) -> set[str]:
    """The rules that the functions of a module yield by their names."""
    tree = ast.walk(ast.parse(inspect.getsource(gate)))
    tuples = [node.value for node in tree if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple)]
    return {first.value for first in (t.elts[0] for t in tuples) if isinstance(first, ast.Constant)}


def test_there_are_as_many_faults_as_promised() -> None:
    assert (len(OF_TEMPLATE) >= 30, len(OF_MACHINES) >= 20) == (True, True)
    for listed in (OF_TEMPLATE, OF_MACHINES, OF_FILES):
        assert len(set(names(listed))) == len(listed)
