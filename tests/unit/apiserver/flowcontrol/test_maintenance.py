"""The objects of priority and fairness that every cluster has: made at the start, kept, left to those who took them over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.fakes.cluster import Cluster, cluster

from steersman.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from steersman.apiserver.flowcontrol.bootstrap import (
    AUTOUPDATE,
    MANDATORY_LEVELS,
    MANDATORY_SCHEMAS,
    SUGGESTED_LEVELS,
    SUGGESTED_SCHEMAS,
)
from steersman.apiserver.flowcontrol.maintenance import revise
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, name_of


def run(directory: Path, scenario: Callable[[Cluster], Awaitable[None]]) -> None:
    async def main() -> None:
        async with cluster(directory) as made:
            await scenario(made)

    asyncio.run(main())


async def revisions(made: Cluster) -> set[str]:
    lists = [await made.admin.list(resource) for resource in (FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS)]
    return {item["metadata"]["resourceVersion"] for found in lists for item in found["items"]}


def test_a_new_cluster_has_all_of_them_and_none_dangles(tmp_path: Path) -> None:
    async def scenario(made: Cluster) -> None:
        for resource, wanted in (
            (PRIORITY_LEVEL_CONFIGURATIONS, (*MANDATORY_LEVELS, *SUGGESTED_LEVELS)),
            (FLOW_SCHEMAS, (*MANDATORY_SCHEMAS, *SUGGESTED_SCHEMAS)),
        ):
            found = {name_of(item): item for item in (await made.admin.list(resource))["items"]}
            assert found.keys() == {name_of(obj) for obj in wanted}
            for obj in wanted:
                there = found[name_of(obj)]
                assert there["spec"] == obj["spec"] and there["metadata"]["annotations"] == {AUTOUPDATE: "true"}
                managers = {field["manager"] for field in there["metadata"]["managedFields"]}
                assert "api-priority-and-fairness-config-producer-v1" in managers
        for schema in (await made.admin.list(FLOW_SCHEMAS))["items"]:
            (condition,) = schema["status"]["conditions"]
            assert (condition["type"], condition["status"], condition["reason"]) == ("Dangling", "False", "Found")

    run(tmp_path, scenario)


def test_within_a_minute_what_was_changed_or_deleted_is_as_before(tmp_path: Path) -> None:
    async def scenario(made: Cluster) -> None:
        admin = made.admin
        await admin.delete(FLOW_SCHEMAS, "catch-all")
        await admin.delete(PRIORITY_LEVEL_CONFIGURATIONS, "system")
        await admin.patch(FLOW_SCHEMAS, "probes", {"spec": {"matchingPrecedence": 77}})
        await made.clock.advance(61.0)
        assert (await admin.get(FLOW_SCHEMAS, "probes"))["spec"]["matchingPrecedence"] == 2
        await admin.get(FLOW_SCHEMAS, "catch-all")
        await admin.get(PRIORITY_LEVEL_CONFIGURATIONS, "system")
        await made.clock.advance(5.0)
        settled = await revisions(made)
        await made.clock.advance(180.0)
        assert await revisions(made) == settled

    run(tmp_path, scenario)


def test_what_somebody_took_over_stays_and_what_is_left_over_goes(tmp_path: Path) -> None:
    async def scenario(made: Cluster) -> None:
        admin = made.admin
        mine = {"metadata": {"annotations": {AUTOUPDATE: "false"}}, "spec": {"matchingPrecedence": 77}}
        await admin.patch(FLOW_SCHEMAS, "probes", mine)
        spec = {"priorityLevelConfiguration": {"name": "exempt"}}
        for name, marks in (("of-another-version", {AUTOUPDATE: "true"}), ("somebodys", {})):
            await admin.create(FLOW_SCHEMAS, {"metadata": {"name": name, "annotations": marks}, "spec": spec})
        await made.clock.advance(61.0)
        assert (await admin.get(FLOW_SCHEMAS, "probes"))["spec"]["matchingPrecedence"] == 77
        await admin.get(FLOW_SCHEMAS, "somebodys")
        with pytest.raises(NotFound):
            await admin.get(FLOW_SCHEMAS, "of-another-version")

    run(tmp_path, scenario)


def schema(annotation: str | None, generation: int, precedence: int) -> Obj:
    annotations = {} if annotation is None else {AUTOUPDATE: annotation}
    meta = {"name": "x", "generation": generation, "annotations": annotations}
    return {"metadata": meta, "spec": {"matchingPrecedence": precedence}}


@pytest.mark.parametrize(
    ("annotation", "generation", "always", "expected"),
    [
        ("true", 5, False, ("true", 1)),
        ("false", 1, False, None),
        (None, 1, False, ("true", 1)),
        (None, 2, False, ("false", 2)),
        ("maybe", 2, False, ("false", 2)),
        ("false", 1, True, ("true", 1)),
    ],
)
def test_the_annotation_says_whose_a_suggested_object_is(
    annotation: str | None, generation: int, always: bool, expected: tuple[str, int] | None
) -> None:
    revised = revise(schema(annotation, generation, 2), schema("true", 1, 1), always=always)
    found = revised and (revised["metadata"]["annotations"][AUTOUPDATE], revised["spec"]["matchingPrecedence"])
    assert found == expected


def test_the_shares_of_the_exempt_level_are_the_administrators() -> None:
    (wanted,) = (level for level in MANDATORY_LEVELS if name_of(level) == "exempt")
    given = {"nominalConcurrencyShares": 50, "lendablePercent": 10}
    present = {**wanted, "spec": {**wanted["spec"], "exempt": given}}
    assert revise(present, wanted, always=True) is None
    spoilt = {**wanted, "spec": {"type": "Limited", "exempt": given}}
    revised = revise(spoilt, wanted, always=True)
    assert revised is not None and revised["spec"] == {"type": "Exempt", "exempt": given}
