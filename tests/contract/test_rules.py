"""The rules of the template refuse parameters that cannot work together, before anything is created."""

from __future__ import annotations

import pytest
from embedded_aws import parameters, rules
from embedded_aws.template import Template, TemplateError
from support.changed_templates import template_of
from support.pipeline_parts import ROOT, template

from gates.storage import ARCHIVES
from gates.template import DEPLOYMENTS, Stack


def check(**overrides: str) -> None:
    body = template_of(template()).transformed
    rules.check(body, parameters.values(Template(body, {}), overrides))


@pytest.mark.parametrize("deployment", [*DEPLOYMENTS, {"InstanceTypes": "optimal", "ScratchSize": "1000"}])
def test_parameters_that_work_are_accepted(deployment: dict[str, str]) -> None:
    check(**deployment)


REFUSED: list[tuple[dict[str, str], str]] = [
    ({"Network": "existing", "SubnetIds": "subnet-1"}, "Network=existing needs VpcId"),
    ({"Network": "existing", "VpcId": "vpc-1"}, "Network=existing needs SubnetIds"),
    ({"InstanceTypes": "default_x86_64"}, "InstanceTypes without local disks need ScratchSize"),
    ({"InstanceTypes": "default_arm64"}, "InstanceTypes without local disks need ScratchSize"),
    ({"InstanceTypes": "optimal"}, "InstanceTypes without local disks need ScratchSize"),
    ({"ApiAccess": "jwt", "JwtAudience": "lab"}, "ApiAccess=jwt needs JwtIssuer"),
    ({"ApiAccess": "jwt", "JwtIssuer": "https://issuer.example.org"}, "ApiAccess=jwt needs JwtAudience"),
    ({"JwtIssuer": "http://issuer.example.org"}, "JwtIssuer"),
    ({"MaxVcpus": "100"}, "MaxVcpus"),
    ({"SubnetIds": "subnet-1, subnet-2"}, "and subnets, with `,` between them and no spaces"),
    ({"InstanceTypes": "c6id, m6id"}, "with `,` between them and no spaces"),
    ({"VpcId": "subnet-1"}, "must match"),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED)
def test_parameters_that_cannot_work_are_refused(overrides: dict[str, str], message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        check(**overrides)


def test_every_assertion_refuses_one_of_these_cases() -> None:
    """Another one might refuse parameters that work."""
    rules = template()["Rules"].values()
    texts = [assertion["AssertDescription"] for rule in rules for assertion in rule["Assertions"]]
    assert [text for text in texts if not any(message in text for _, message in REFUSED)] == []


def test_the_vcpus_of_the_stack_are_divided_without_rest_as_the_documentation_says() -> None:
    source = template()
    divided = source["Mappings"]["Vcpus"]
    assert [int(total) for total in divided] == source["Parameters"]["MaxVcpus"]["AllowedValues"]
    documented = (ROOT / "docs/operations.md").read_text()
    for total, parts in divided.items():
        assert sum(parts.values()) == int(total)
        assert f"| {total} | {parts['Spot']} | {parts['OnDemand']} |\n" in documented


def test_nothing_is_archived_unless_a_parameter_asks_for_it() -> None:
    body = template_of(template()).transformed
    archiving = Stack(body, {"FastqArchiveDays": "365", "AlignmentArchiveDays": "180"})
    assert archive_rules(Stack(body, {})) == []
    assert archive_rules(archiving) == [("archive-fastqs", 365), ("archive-alignments", 180)]


def archive_rules(stack: Stack) -> list[tuple[str, int]]:
    return [
        (rule["Id"], transition["TransitionInDays"])
        for _, bucket in stack.of_type("AWS::S3::Bucket")
        for rule in bucket["LifecycleConfiguration"]["Rules"]
        for transition in rule.get("Transitions", [])
        if transition["StorageClass"] in ARCHIVES
    ]
