"""Verbs that ask what a server is: api-resources, api-versions, version, explain."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.server import world
from tests.unit.cli.kubectl.commands.line import Ran, ran

from steersman.cli.kubectl.commands.explain import wrapped


def run(line: str) -> Ran:
    async def scenario() -> Ran:
        async with world() as made:
            return await ran(line, transport=made.transport)

    return asyncio.run(scenario())


TOLD = {
    "api-resources --api-group=policy": (
        0,
        "NAME                   SHORTNAMES   APIVERSION   NAMESPACED   KIND\n"
        "poddisruptionbudgets   pdb          policy/v1    true         PodDisruptionBudget\n",
        "",
    ),
    "api-resources --api-group=batch -o name --sort-by=name": (0, "cronjobs.batch\njobs.batch\n", ""),
    "api-resources --api-group=zz": (0, "NAME   SHORTNAMES   APIVERSION   NAMESPACED   KIND\n", ""),
    "api-resources --namespaced=false --verbs=get,list,patch --api-group=node.k8s.io --no-headers": (
        0, "runtimeclasses         node.k8s.io/v1   false   RuntimeClass\n", "",
    ),
    "api-resources -o json": (1, "", "error: --output json is not available\n"),
    "api-resources --sort-by=age": (1, "", "error: --sort-by accepts only name or kind\n"),
    "api-versions x": (1, "", "error: unexpected arguments: [x]\nSee 'kubectl api-versions -h' for help and examples\n"),
    "version -o foo": (1, "", "error: --output must be 'yaml' or 'json'\n"),
    "explain pod.spec.foo": (1, "KIND:       Pod\nVERSION:    v1\n\n", 'error: field "foo" does not exist\n'),
    "explain nope": (1, "", 'the server doesn\'t have a resource type "nope"\n'),
    "explain pod..x": (1, "", "error: invalid jsonpath syntax, first node must be field node\n"),
    "explain deploy --api-version=v9": (1, "", 'error: couldn\'t find resource for "/v9, Resource=deployments"\n'),
}  # fmt: skip


@pytest.mark.parametrize("line", TOLD)
def test_what_is_told_is_what_upstream_tells(line: str) -> None:
    assert run(line) == TOLD[line]


def test_versions_are_sorted_with_the_core_one_last() -> None:
    lines = run("api-versions").out.splitlines()
    assert lines == sorted(lines)
    assert lines[-1] == "v1"
    assert "apps/v1" in lines


def test_the_versions_of_client_and_server_are_told() -> None:
    assert run("version").out.splitlines()[0].startswith("Client Version: v1.36.")
    assert run("version").out.splitlines()[1].startswith("Server Version: v1.36.")
    assert "Server" not in run("version --client").out
    assert '"gitVersion": "v1.36.' in run("version -o json").out


def test_explaining_recursively_names_every_field_with_its_type() -> None:
    told = run("explain deployment.spec --recursive").out
    assert told.startswith(
        "GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n\nFIELD: spec <DeploymentSpec>\n\n\nDESCRIPTION:\n"
    )
    assert "\n  selector\t<LabelSelector> -required-\n    matchExpressions\t<[]LabelSelectorRequirement>\n" in told
    assert "\n      creationTimestamp\t<string>\n" in told


def test_lines_are_broken_between_words_only() -> None:
    assert wrapped("aaa bbb ccc\n  dd eeeeeeeeeeee f", 7) == "aaa bbb\nccc\n  dd\neeeeeeeeeeee\nf"
