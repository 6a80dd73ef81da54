"""The tag of the images is written into samconfig.toml, and nothing else there changes."""

from __future__ import annotations

import tomllib

from containers.write_tag import with_tag

CONFIG = """version = 0.1

[default.deploy.parameters]
capabilities = "CAPABILITY_IAM"
{overrides}
[default.build.parameters]
cached = false
"""


def parameters(text: str) -> list[str]:
    words: list[str] = tomllib.loads(text)["default"]["deploy"]["parameters"]["parameter_overrides"]
    return words


def test_the_tag_is_added_where_there_is_none() -> None:
    text = with_tag(CONFIG.format(overrides=""), "abc123")
    assert parameters(text) == ["ImageTag=abc123"]
    assert tomllib.loads(text)["default"]["build"] == {"parameters": {"cached": False}}


def test_an_older_tag_is_replaced_and_other_parameters_stay() -> None:
    given = CONFIG.format(overrides='parameter_overrides = ["Aligner=bwa", "ImageTag=old", "Caller=bcftools"]\n')
    assert parameters(with_tag(given, "new")) == ["Aligner=bwa", "Caller=bcftools", "ImageTag=new"]


def test_what_a_guided_deployment_wrote_stays() -> None:
    guided = 'parameter_overrides = "Aligner=\\"isaac\\" NotificationEmail=\\"\\""\nregion = "x"\n'
    text = with_tag(CONFIG.format(overrides=guided), "new")
    assert parameters(text) == ["Aligner=isaac", "NotificationEmail=", "ImageTag=new"]
    assert tomllib.loads(text)["default"]["deploy"]["parameters"]["region"] == "x"


def test_writing_the_same_tag_again_changes_nothing() -> None:
    once = with_tag(CONFIG.format(overrides=""), "abc123")
    assert with_tag(once, "abc123") == once
