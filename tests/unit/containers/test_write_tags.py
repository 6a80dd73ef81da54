"""The tags of the images are written to samconfig.toml, and nothing else there changes."""

from __future__ import annotations

import tomllib

from containers.write_tags import with_tags

CONFIG = """version = 0.1

[default.deploy.parameters]
capabilities = "CAPABILITY_IAM"
{overrides}
[default.build.parameters]
cached = false
"""
TAGS = ["BwaImageTag=new1", "MultiqcImageTag=new2"]


def parameters(text: str) -> list[str]:
    words: list[str] = tomllib.loads(text)["default"]["deploy"]["parameters"]["parameter_overrides"]
    return words


def test_tags_are_added_to_a_configuration_without_overrides() -> None:
    text = with_tags(CONFIG.format(overrides=""), TAGS)
    assert parameters(text) == TAGS
    assert tomllib.loads(text)["default"]["build"] == {"parameters": {"cached": False}}


def test_older_tags_are_replaced_and_other_parameters_stay() -> None:
    older = '"Aligner=bwa", "BwaImageTag=old", "Caller=bcftools", "RemovedToolImageTag=old", "ImageTag=old"'
    text = CONFIG.format(overrides=f"parameter_overrides = [{older}]\n")
    assert parameters(with_tags(text, TAGS)) == ["Aligner=bwa", "Caller=bcftools", *TAGS]


def test_overrides_of_a_guided_deployment_stay() -> None:
    guided = 'parameter_overrides = "Aligner=\\"isaac\\" NotificationEmail=\\"\\""\nregion = "x"\n'
    text = with_tags(CONFIG.format(overrides=guided), TAGS)
    assert parameters(text) == ["Aligner=isaac", "NotificationEmail=", *TAGS]
    assert tomllib.loads(text)["default"]["deploy"]["parameters"]["region"] == "x"


def test_writing_the_same_tags_again_changes_nothing() -> None:
    once = with_tags(CONFIG.format(overrides=""), TAGS)
    assert with_tags(once, TAGS) == once
