"""Transform and resolve a changed template again only where it has changed: all of it takes longer than most gates."""

from __future__ import annotations

from typing import Any

from gates.template import Template

Source = dict[str, Any]
_kept: list[Template] = []  # the last one


def template_of(source: Source) -> Template:
    """Return the template of a source that nothing changes; the same one as before for the same source."""
    if not _kept or _kept[0].source is not source:
        keep(Template.from_source(source))
    return _kept[0]


def keep(template: Template) -> None:
    """Let `template_of` return this template for its source."""
    _kept[:] = [template]


def transform_changes(original: Template, template: Template) -> Template:
    """Return the template, transformed already unless SAM transforms something in which it is not the original.

    Its stacks are resolved already if one resource alone differs, and not in its type: others may refer to that.
    """
    before, after = original.source, template.source
    sections = [name for name in before | after if before.get(name) != after.get(name)]
    if not all(isinstance(after.get(name), dict) and name in original.transformed for name in sections):
        return template
    names = {name: _changed_keys(before[name], after[name]) for name in sections}
    if any(_is_transformed(source, name) for source in (before, after) for name in names.get("Resources", ())):
        return template
    parts = {name: _replaced(original.transformed[name], after[name], keys) for name, keys in names.items()}
    body = vars(template)["transformed"] = {**original.transformed, **parts}
    if list(names) == ["Resources"] and len(names["Resources"]) == 1:
        [name] = names["Resources"]
        types = [source["Resources"].get(name, {}).get("Type") for source in (before, after)]
        if types[0] == types[1] and name in body["Resources"]:
            vars(template)["stacks"] = [stack.with_body(body, name) for stack in original.stacks]
    return template


def _changed_keys(before: Source, after: Source) -> list[str]:
    return [key for key in before | after if before.get(key) != after.get(key)]


def _is_transformed(source: Source, name: str) -> bool:
    return "Serverless" in source["Resources"].get(name, {}).get("Type", "")


def _replaced(transformed: Source, source: Source, keys: list[str]) -> Source:
    kept = {key: value for key, value in transformed.items() if key not in keys}
    return kept | {key: source[key] for key in keys if key in source}
