"""Generated documents are current."""

from __future__ import annotations

import importlib.util
import re
import sys

import pytest
from seqdrop.failure.advice import ADVICE
from support import catalogue
from support.pipeline_parts import template

ROOT = catalogue.ROOT
# `work.warn("CODE", ...)`, `warnings.append(("CODE", ...))` and `{"warning": "CODE", ...}`
WARNING = re.compile(r"""(?:warn\(|append\(\(|"warning":)\s*"([A-Z_]+)\"""")


def test_the_table_of_failures_matches_the_tests() -> None:
    assert catalogue.DOCUMENT.read_text() == catalogue.document(), "run `make failures`"


def test_every_failure_class_is_in_the_table() -> None:
    text = catalogue.DOCUMENT.read_text()
    assert [failure_class for failure_class in ADVICE if f"`{failure_class}" not in text] == []


def test_every_warning_is_documented() -> None:
    sources = [
        path.read_text() for folder in ("layers/common/seqdrop", "containers") for path in (ROOT / folder).rglob("*.py")
    ]
    codes = {code for source in sources for code in WARNING.findall(source)}
    text = catalogue.DOCUMENT.read_text() + (ROOT / "docs/references.md").read_text()
    assert {"LOW_DEPTH", "ONE_LANE", "QUALITY_OFFSET", "GENES_PAST_END"} <= codes
    assert {code for code in codes if f"`{code}`" not in text} == set()


@pytest.mark.parametrize("module", [*catalogue.modules()], ids=lambda module: module.__name__)
def test_every_test_of_a_fault_is_in_the_table_or_marked_as_another_test(module: object) -> None:
    tests = [member for name, member in vars(module).items() if name.startswith("test_") and callable(member)]
    unmarked = [test.__name__ for test in tests if len(marks(test) & {"case", "more"}) != 1]
    assert not unmarked, "every test in tests/faults needs either @case or @more"


def marks(test: object) -> set[str]:
    return {mark.name for mark in getattr(test, "pytestmark", [])}


def test_the_table_of_sizes_has_the_defaults_of_the_template() -> None:
    table = (ROOT / "docs/sizing.md").read_text()
    parameters = template()["Parameters"]
    sizes = [name for name in parameters if re.fullmatch(r"(Align|Call|Annotate|Collect|Compose|Prepare)[VM]\w+", name)]
    assert len(sizes) == 12
    for name in sizes:
        unit = " MiB" if name.endswith("Memory") else ""
        assert f"`{name}` {parameters[name]['Default']}{unit}" in table, name
    for line in re.findall(r"^\| (?:align|call|annotate|collect|compose|prepare) \|.*", table, re.MULTILINE):
        memory, time = line.split(" | ")[3:5]
        assert all(re.match(r"\*(measured|estimate|guess)\*", cell) for cell in (memory, time)), line


def test_readers_of_the_deployment_guide_find_the_table_of_sizes() -> None:
    assert "(sizing.md)" in (ROOT / "docs/deploy.md").read_text()
    assert "docs/sizing.md" in (ROOT / "template.yaml").read_text()


def test_the_sizes_of_samples_are_those_of_the_model_and_fit_the_jobs() -> None:
    """The model leaves a twentieth of the memory free: its inputs are estimates."""
    specification = importlib.util.spec_from_file_location("sizes", ROOT / "bench/sizes.py")
    assert specification
    assert specification.loader
    sizes = importlib.util.module_from_spec(specification)
    sys.modules["sizes"] = sizes  # its dataclass looks itself up
    specification.loader.exec_module(sizes)
    assert "\n".join(sizes.table()) in (ROOT / "docs/sizing.md").read_text(), "run `python bench/sizes.py`"
    assert f"{sizes.without_collect('genome')} instead of" in (ROOT / "docs/sizing.md").read_text()
    guide, samples = (ROOT / "docs/deploy.md").read_text(), (ROOT / "samconfig.toml").read_text()
    for name, price in sizes.prices().items():
        assert re.search(rf"^\| `{name}` .*\| {price} \|$", guide, re.MULTILINE), f"{name}: {price}"
        assert re.search(rf": {price}\b[^\[]*\n\[{name}.deploy.parameters\]", samples), f"{name}: {price}"
    for name in sizes.PAIRS:
        needed = sizes.estimate(name)
        assert needed.memory < 0.95 * needed.given, name
    defaults = {name: value["Default"] for name, value in template()["Parameters"].items() if "Default" in value}
    given = float(defaults["AlignMemory"])
    assert sizes.align_memory(float(defaults["AlignVcpus"]), given) < 0.95 * given
