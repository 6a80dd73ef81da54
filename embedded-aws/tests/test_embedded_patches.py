"""patch(): an attribute of another package is replaced only while its source is the expected one."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from embedded_aws import adapters, hashes, patches
from embedded_aws.patches import PatchError, patch, patch_imports, require, source_hash

SOURCE = """
LIMIT = 5

def greet():
    return "hello"

class Job:
    kind = "job"

    def run(self):
        return "ran"

    @property
    def size(self):
        return 1

    @size.setter
    def size(self, value):
        pass

    @staticmethod
    def name():
        return "job"
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package as moto is one: its source in a file, and a module that imports a function by name."""
    (tmp_path / "thelibrary").mkdir()
    (tmp_path / "thelibrary" / "__init__.py").write_text("")
    (tmp_path / "thelibrary" / "models.py").write_text(SOURCE)
    (tmp_path / "thelibrary" / "importer.py").write_text("from thelibrary.models import greet\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("thelibrary")]:
        monkeypatch.delitem(sys.modules, name)
    importlib.import_module("thelibrary.importer")
    return importlib.import_module("thelibrary.models")


def other() -> str:
    return "other"


def test_an_unchanged_method_is_replaced(library: ModuleType) -> None:
    patch(library.Job, "run", lambda _: "patched", source=source_hash(library.Job.run))
    assert library.Job().run() == "patched"


def test_functions_classes_properties_and_values_are_replaced(library: ModuleType) -> None:
    for owner, name in (
        (library, "greet"),
        (library, "LIMIT"),
        (library.Job, "size"),
        (library.Job, "name"),
        (library, "Job"),
    ):
        patch(owner, name, other, source=source_hash(vars(owner)[name]))
        assert vars(owner)[name] is other


@pytest.mark.parametrize("name", ["greet", "LIMIT", "Job"])
def test_a_changed_source_is_refused_and_nothing_is_replaced(library: ModuleType, name: str) -> None:
    original = getattr(library, name)
    with pytest.raises(PatchError) as error:
        patch(library, name, other, source="00000000")
    assert getattr(library, name) is original
    assert str(error.value) == (
        f"thelibrary: the source of thelibrary.models.{name} has changed (hash {source_hash(original)}, expected "
        "00000000): install the version that embedded-aws requires, or compare the two sources, adapt "
        f"{__name__} and write the new hash there (`python -m embedded_aws.hashes` prints the present hashes)"
    )


def test_a_missing_attribute_is_refused(library: ModuleType) -> None:
    with pytest.raises(PatchError, match=r"^thelibrary has no thelibrary\.models\.Job\.stop, which .* depends on: "):
        patch(library.Job, "stop", other, source="00000000")


def test_a_changed_line_changes_the_hash_and_a_changed_layout_does_not(library: ModuleType, tmp_path: Path) -> None:
    before = source_hash(library.Job.run)
    assert before == source_hash(
        written(tmp_path, "\n\n    def run(self):\n\n        return 'ran'   \n".replace("'", '"'))
    )
    assert before != source_hash(written(tmp_path, "    def run(self):\n        return 'walked'\n"))


def written(folder: Path, body: str) -> object:
    """The method `run` of a class with this body."""
    path = folder / f"written_{len(list(folder.iterdir()))}.py"
    path.write_text(f"class Job:\n{body}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Job.run


def test_both_functions_of_a_property_count(library: ModuleType) -> None:
    size = vars(library.Job)["size"]
    assert source_hash(size) != source_hash(property(size.fget))


def test_a_function_is_replaced_in_every_module_that_imported_it(library: ModuleType) -> None:
    importer = sys.modules["thelibrary.importer"]
    patch_imports(library, "greet", other, source=source_hash(library.greet), package="thelibrary")
    assert (library.greet, vars(importer)["greet"]) == (other, other)


def test_the_same_replacement_twice_is_one(library: ModuleType) -> None:
    expected = source_hash(library.greet)
    patch(library, "greet", other, source=expected)
    patch(library, "greet", other, source=expected)
    assert library.greet is other


def test_a_source_that_is_only_used_is_checked_too(library: ModuleType) -> None:
    require(library, "greet", source=source_hash(library.greet))
    with pytest.raises(PatchError, match="has changed"):
        require(library, "greet", source="00000000")


def test_the_version_of_the_package_is_reported() -> None:
    import moto.batch.models

    with pytest.raises(
        PatchError, match=rf"^moto {re.escape(importlib.import_module('moto').__version__)}: the source"
    ):
        patch(moto.batch.models, "Job", other, source="00000000")


def test_the_installed_moto_is_the_one_that_the_adapters_were_written_for() -> None:
    with patches.listing() as checks:
        adapters.patch_moto()
    assert [check.message for check in checks if not check.passes] == []


def test_hashes_are_listed_for_an_upgrade(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert hashes.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(
        re.match(r"ok +[0-9a-f]{8}  moto\.batch\.models\.Job  \(embedded_aws\.adapters\.batch_jobs\)", line)
        for line in lines
    )
    monkeypatch.setattr(
        adapters, "patch_moto", lambda: patch(importlib.import_module("moto"), "x", 1, source="00000000")
    )
    assert hashes.main() == 1
    assert capsys.readouterr().out.startswith("MISSING -         moto.x  (")
