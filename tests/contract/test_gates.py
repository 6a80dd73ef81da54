"""Every gate accepts this checkout and reports each planted fault by the name of its rule."""

from __future__ import annotations

import ast
import inspect
import json
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.changed_templates import transform_changes
from support.planted import load_faults, plant, replace_text

from gates import (
    asl,
    asl_data,
    asl_fields,
    asl_routes,
    asl_scope,
    cfn,
    checkov,
    cycles,
    dockerfiles,
    events,
    expected,
    iam,
    jobs,
    lock,
    rights,
    secrets,
    shell,
    storage,
    suppressions,
    tables,
)
from gates.finding import Finding, drop_suppressed
from gates.template import ELSEWHERE, HERE, Stack, Template, as_list

ROOT = Path(__file__).parents[2]
TEMPLATE_GATES: dict[str, Callable[[Template], list[Finding]]] = {
    gate.GATE: gate.check for gate in (cfn, checkov, cycles, events, expected, iam, jobs, rights, storage)
}
FILE_GATES: dict[str, Callable[[dict[str, str]], list[Finding]]] = {
    gate.GATE: gate.check for gate in (dockerfiles, secrets, shell, suppressions)
}
TEMPLATE_FAULTS, MACHINE_FAULTS, FILE_FAULTS = load_faults("template"), load_faults("machines"), load_faults("files")
# checkov takes seconds for a template, and for its start: it checks one with all its faults
CHECKOV_FAULTS = [fault for fault in TEMPLATE_FAULTS if fault["gate"] == checkov.GATE]
# cfn-lint takes seconds for a template: it checks one with all its faults
CFN_FAULTS = [fault for fault in TEMPLATE_FAULTS if fault["gate"] == cfn.GATE]
OTHER_TEMPLATE_FAULTS = [fault for fault in TEMPLATE_FAULTS if fault["gate"] not in {checkov.GATE, cfn.GATE}]


@cache
def template() -> Template:
    return Template.parse((ROOT / "template.yaml").read_text())


@cache
def findings_without_fault(gate: str) -> list[Finding]:
    return TEMPLATE_GATES[gate](template())


@cache
def machines() -> list[asl.Machine]:
    paths = (ROOT / "statemachine").glob("*.asl.json")
    return asl.read_machines(template().source, {f"statemachine/{path.name}": path.read_text() for path in paths})


def template_with(*faults: dict[str, Any]) -> Template:
    source = template().source
    for fault in faults:
        source = plant(source, {**fault, "at": [fault.get("section", "Resources"), *fault["at"]]})
    return transform_changes(template(), Template.from_source(source))


def rules(findings: list[Finding]) -> set[str]:
    return {finding.rule for finding in findings}


def names(faults: list[dict[str, Any]]) -> list[str]:
    return [fault["name"].replace(" ", "-") for fault in faults]


@pytest.mark.parametrize("fault", OTHER_TEMPLATE_FAULTS, ids=names(OTHER_TEMPLATE_FAULTS))
def test_a_fault_in_the_template_is_reported_by_its_rule(fault: dict[str, Any]) -> None:
    assert findings_without_fault(fault["gate"]) == []
    assert fault["rule"] in rules(TEMPLATE_GATES[fault["gate"]](template_with(fault)))


def test_cfn_lint_reports_each_fault_in_a_template_by_its_rule() -> None:
    assert findings_without_fault(cfn.GATE) == []
    expected_rules = [fault["rule"] for fault in CFN_FAULTS]
    assert len(expected_rules) == len(set(expected_rules)) >= 2
    assert rules(cfn.check(template_with(*CFN_FAULTS))) >= set(expected_rules)


@pytest.fixture(scope="module")
def checkov_findings() -> list[list[Finding]]:
    """The findings of the unchanged template, and of one with all faults, which are in different resources."""
    assert len({fault["rule"] for fault in CHECKOV_FAULTS}) == len({fault["at"][0] for fault in CHECKOV_FAULTS})
    return checkov.check_all([template(), template_with(*CHECKOV_FAULTS)])


@pytest.mark.parametrize("fault", CHECKOV_FAULTS, ids=names(CHECKOV_FAULTS))
def test_checkov_reports_a_fault_in_the_template_by_its_rule(
    fault: dict[str, Any], checkov_findings: list[list[Finding]]
) -> None:
    without, with_faults = checkov_findings
    assert without == []
    assert (fault["rule"], fault["at"][0]) in {(finding.rule, finding.location) for finding in with_faults}


@pytest.mark.parametrize("fault", MACHINE_FAULTS, ids=names(MACHINE_FAULTS))
def test_a_fault_in_a_state_machine_is_reported_by_its_rule(fault: dict[str, Any]) -> None:
    [machine] = [machine for machine in machines() if machine.name == fault["machine"]]
    assert asl.check(machine) == []
    text = json.dumps(plant(machine.definition, fault))
    assert fault["rule"] in rules(asl.check(asl.Machine(machine.name, text, machine.substitutions)))


def test_state_machines_with_different_retries_are_reported() -> None:
    *others, preparation = sorted(machines(), key=lambda machine: machine.name)
    text = preparation.text.replace('"MaxAttempts": 20', '"MaxAttempts": 19')
    other = asl.Machine(preparation.name, text, preparation.substitutions)
    assert asl.check_all([*others, preparation]) == []
    assert rules(asl.check_all([*others, other])) == {"retry-uniform"}


def test_a_definition_with_invalid_json_is_reported() -> None:
    assert rules(asl.check(asl.Machine("pipeline", "{", frozenset()))) == {"statelint"}


@pytest.mark.parametrize("fault", FILE_FAULTS, ids=names(FILE_FAULTS))
def test_a_fault_in_a_file_is_reported_by_its_rule(fault: dict[str, Any]) -> None:
    text = (ROOT / fault["file"]).read_text()
    changed = replace_text(text, fault["find"], "".join(fault["by"]), fault["name"])
    if fault["gate"] == lock.GATE:
        findings = lock.compare_export(fault["file"], text, changed)
        assert lock.compare_export(fault["file"], text, text) == []
    else:
        findings = FILE_GATES[fault["gate"]]({fault["file"]: changed})
        assert FILE_GATES[fault["gate"]]({fault["file"]: text}) == []
    assert fault["rule"] in rules(findings)


def test_shellcheck_reads_the_user_data() -> None:
    scripts = shell.user_data(template())
    assert list(scripts) == ["LaunchTemplate.UserData"]
    assert shell.check(scripts) == []
    unquoted = {name: text.replace('"$disk"', "$disk") for name, text in scripts.items()}
    assert "SC2086" in rules(shell.check(unquoted))


def test_a_dependency_missing_in_the_lock_file_is_reported(tmp_path: Path) -> None:
    for name in ("uv.lock", "README.md", "layers/common/pyproject.toml", "containers/pyproject.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    project = (ROOT / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(replace_text(project, '"rich>=14"', '"rich>=9000"', "an unlocked package"))
    assert rules(lock.check_lock(tmp_path)) == {"lock-up-to-date"}


def test_the_bill_of_materials_is_complete_and_a_missing_version_is_reported() -> None:
    bill = lock.bill_of_materials()
    assert lock.check_bill(bill) == []
    del bill["components"][0]["version"]
    assert [finding.message for finding in lock.check_bill(bill)] == ["has no version; pin the package in uv.lock"]


def test_a_suppression_needs_a_reason_and_covers_its_own_resource_only() -> None:
    findings = [Finding("jobs", "non-root", name, "") for name in ("A", "B", "C")]
    suppression = {"id": "non-root", "comment": "it must bind port 80"}
    resources = {
        "A": {"Metadata": {"gates": {"skip": [suppression]}}},
        "B": {"Metadata": {"gates": {"skip": [{"id": "non-root"}]}}},
        "C": {},
    }
    assert [finding.location for finding in drop_suppressed(findings, resources)] == ["B", "C"]


def test_every_accepted_permission_is_used_by_the_template() -> None:
    stack = template().stacks[0]
    actions = {
        action
        for policy in iam.identity_policies(stack)
        for statement in policy.document["Statement"]
        if "*" in as_list(statement["Resource"])
        for action in as_list(statement["Action"])
    }
    assert set(iam.ACCEPTED_RISKS) <= actions
    roles = [role for _, role in stack.of_type("AWS::IAM::Role")]
    attached = {arn.rpartition("/")[2] for role in roles for arn in role.get("ManagedPolicyArns", [])}
    assert set(iam.ACCEPTED_MANAGED_POLICIES) == attached


def truths(condition: str, stacks: list[Stack]) -> tuple[bool, ...]:
    """Return whether a condition is true, for each deployment."""
    return tuple(stack.condition(condition) for stack in stacks)


def test_every_condition_is_true_in_one_deployment_and_false_in_another() -> None:
    for name in template().source["Conditions"]:
        assert set(truths(name, template().stacks)) == {True, False}, name


def test_no_two_conditions_are_true_in_the_same_or_in_opposite_deployments() -> None:
    """Otherwise one in the place of the other, perhaps with its branches swapped, looks the same."""
    alike: dict[frozenset[tuple[bool, ...]], list[str]] = {}
    for name in template().source["Conditions"]:
        vector = truths(name, template().stacks)
        alike.setdefault(frozenset({vector, tuple(not truth for truth in vector)}), []).append(name)
    exchangeable = [names for names in alike.values() if len(names) > 1]
    assert exchangeable == [], "set a parameter of one of them in another of the DEPLOYMENTS of gates/template.py"


def test_each_condition_of_a_resource_differs_from_all_others_where_the_resource_is_deployed() -> None:
    for name, resource in template().resources.items():
        stacks = [stack for stack in template().stacks if name in stack.resources]
        for condition in conditions_in(resource.get("Properties", {})):
            expected = truths(condition, stacks)
            assert set(expected) == {True, False}, (name, condition)
            same = [other for other in template().source["Conditions"] if truths(other, stacks) == expected]
            assert same == [condition], (name, "change the DEPLOYMENTS of gates/template.py")


def conditions_in(value: Any) -> Iterator[str]:
    """Yield the condition of each `Fn::If`."""
    if isinstance(value, list):
        for item in value:
            yield from conditions_in(item)
    elif isinstance(value, dict):
        if "Fn::If" in value:
            yield value["Fn::If"][0]
        for item in value.values():
            yield from conditions_in(item)


def test_every_parameter_has_two_values_in_the_deployments() -> None:
    """Otherwise a fixed value in the place of a parameter looks the same."""
    stacks = template().stacks
    for name in template().source["Parameters"]:
        assert len({str(stack.ref(name)) for stack in stacks}) > 1, name


def test_no_two_parameters_have_the_same_values_in_the_deployments() -> None:
    """Otherwise one in the place of the other looks the same."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in template().source["Parameters"]:
        alike.setdefault(tuple(str(stack.ref(name)) for stack in template().stacks), []).append(name)
    exchangeable = [names for names in alike.values() if len(names) > 1]
    assert exchangeable == [], "give one of them another value in the DEPLOYMENTS of gates/template.py"


def test_every_resource_is_deployed_elsewhere() -> None:
    """Otherwise a fixed region, account or name of a stack in the place of a pseudo parameter looks the same."""
    assert HERE.keys() == ELSEWHERE.keys()
    assert [name for name in HERE if HERE[name] == ELSEWHERE[name]] == []
    elsewhere = [stack for stack in template().stacks if stack.ref("AWS::Region") == ELSEWHERE["AWS::Region"]]
    deployed = {name for stack in elsewhere for name in stack.resources}
    assert template().resources.keys() - deployed == set()


def test_a_table_with_two_entries_of_one_name_is_refused(tmp_path: Path) -> None:
    """YAML would drop the first one, with its values."""
    table = tmp_path / "table.yaml"
    table.write_text('RunTable: [{why: a, BillingMode: b}]\n"*Queue": [{why: c, Priority: 1}]\n')
    assert [row.selector for row in tables.read_rows(table)] == ["RunTable", "*Queue"]
    table.write_text(table.read_text() + "RunTable: [{why: d, BillingMode: e}]\n")
    with pytest.raises(ValueError, match="two entries for RunTable"):
        list(tables.read_rows(table))


def test_the_values_of_a_row_have_the_name_of_the_resource() -> None:
    row = tables.Row("table.yaml", "*Queue", "why", json.dumps({"Name": "<Stem>", "Label": "the <stem>"}))
    assert tables.values_for(row, "DeadLetterQueue") == {"Name": "DeadLetter", "Label": "the dead_letter"}


def test_every_rule_has_a_planted_fault() -> None:
    planted_rules = {
        (fault.get("gate", asl_scope.GATE), fault["rule"]) for fault in TEMPLATE_FAULTS + MACHINE_FAULTS + FILE_FAULTS
    }
    modules = {gate.GATE: [gate] for gate in (dockerfiles, events, expected, iam, jobs, rights, storage, suppressions)}
    for name, parts in {**modules, asl_scope.GATE: [asl, asl_data, asl_fields, asl_routes]}.items():
        rules = {rule for part in parts for rule in rules_of_module(part)}
        assert {rule for rule in rules if (name, rule) not in planted_rules} == set()


def rules_of_module(gate: ModuleType) -> set[str]:
    """Return the rules whose names the functions of a module yield."""
    tree = ast.walk(ast.parse(inspect.getsource(gate)))
    tuples = [node.value for node in tree if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple)]
    return {first.value for first in (t.elts[0] for t in tuples) if isinstance(first, ast.Constant)}


def test_the_tables_have_enough_faults_and_no_duplicate_names() -> None:
    assert (len(TEMPLATE_FAULTS) >= 30, len(MACHINE_FAULTS) >= 20) == (True, True)
    for faults in (TEMPLATE_FAULTS, MACHINE_FAULTS, FILE_FAULTS):
        assert len(set(names(faults))) == len(faults)
