"""The controller runtime: keys, retries, the barrier, batches, discovered resources; in virtual time on a fake client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import pytest
from tests.fakes.client import FakeClient

from steersman.api.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, NODES, PODS, REPLICA_SETS
from steersman.client.events import EventRecorder
from steersman.loop import runner
from steersman.loop.spec import (
    ControllerSpec,
    Create,
    Decision,
    Delete,
    Emit,
    Fetch,
    Patch,
    Result,
    Snapshot,
    Update,
    Watch,
)
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import Forbidden, NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Key, Obj, key_of

Turn = Callable[[Snapshot, Key, datetime], Decision]


class Controller:
    """A controller whose turns are recorded; `decide` is given by the test."""

    def __init__(self, decide: Callable[[Snapshot, Key], Decision]) -> None:
        self.turns: list[Key] = []
        self._decide = decide

    def __call__(self, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        self.turns.append(key)
        return self._decide(snapshot, key)


def run_with(
    client: FakeClient,
    controller: Controller,
    scenario: Callable[[VirtualClock], Awaitable[None]],
    *,
    watches: tuple[Watch, ...] = (),
    **options: Any,
) -> None:
    async def main() -> None:
        clock = VirtualClock()
        spec = ControllerSpec(
            name="test-controller",
            watches=watches or (Watch(CONFIG_MAPS, keys=lambda obj: [key_of(obj)]), Watch(PODS)),
            reconcile=controller,
            **options,
        )
        recorder = EventRecorder(client, "test", "", clock)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(runner.run(client, [spec], clock, recorder=recorder))
            await clock.advance(0.001)
            await scenario(clock)
            running.cancel()

    asyncio.run(main())


def config(name: str, **metadata: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "x", **metadata}}


def pod(name: str, **metadata: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "x", **metadata}}


def test_every_change_brings_its_keys_from_the_old_and_the_new_object() -> None:
    client = FakeClient()
    client.put(CONFIG_MAPS, config("a", labels={"key": "one"}))
    controller = Controller(lambda snapshot, key: Decision())

    async def scenario(clock: VirtualClock) -> None:
        assert controller.turns == [("x", "one")]
        client.put(CONFIG_MAPS, config("a", labels={"key": "two"}))
        await clock.advance(0)
        assert controller.turns[1:] == [("x", "one"), ("x", "two")]

    watch = Watch(CONFIG_MAPS, keys=lambda obj: [("x", obj["metadata"]["labels"]["key"])])
    run_with(client, controller, scenario, watches=(watch,))


def test_keys_with_sees_all_caches_filled_from_the_first_key_on() -> None:
    client = FakeClient()
    client.put(PODS, pod("p"))
    client.put(CONFIG_MAPS, config("a"))
    controller = Controller(lambda snapshot, key: Decision())

    async def scenario(clock: VirtualClock) -> None:
        assert controller.turns == [("x", "a")]

    mapping = Watch(PODS, keys_with=lambda obj, snapshot: [key_of(found) for found in snapshot.list(CONFIG_MAPS, "x")])
    run_with(client, controller, scenario, watches=(mapping, Watch(CONFIG_MAPS)))


def test_a_key_waits_until_the_caches_have_seen_what_it_wrote() -> None:
    def decide(snapshot: Snapshot, key: Key) -> Decision:
        missing = 1 - len(snapshot.list(PODS, "x"))
        return Decision([Create(PODS, pod(f"p{number}")) for number in range(missing)])

    lagging = FakeClient()
    lagging.put(CONFIG_MAPS, config("a"))
    controller = Controller(decide)
    lagging.hold_watches.clear()

    async def scenario_lagging(clock: VirtualClock) -> None:
        assert lagging.calls == [("create", "pods", "p0")]
        # The watch of config maps is held as well, so a second turn is asked for by time.
        await clock.advance(100)
        assert lagging.calls == [("create", "pods", "p0")], "the pod was made twice on a stale cache"
        lagging.hold_watches.set()
        await clock.advance(1)
        assert len(controller.turns) > 1
        assert lagging.calls == [("create", "pods", "p0")]

    run_with(lagging, controller, scenario_lagging, every_s=1.0, periodic=lambda snapshot: [("x", "a")])


def test_a_write_that_is_never_seen_holds_its_key_for_five_minutes_and_no_longer() -> None:
    client = FakeClient()
    client.put(CONFIG_MAPS, config("a"))
    client.hold_watches.clear()
    controller = Controller(lambda snapshot, key: Decision([Patch(PODS, "x", "p", {"metadata": {"labels": {"a": "b"}}})]))
    client.put(PODS, pod("p"))

    async def scenario(clock: VirtualClock) -> None:
        await clock.advance(298)
        assert len(controller.turns) == 1
        await clock.advance(5)
        assert len(controller.turns) == 2

    run_with(client, controller, scenario, every_s=10.0, periodic=lambda snapshot: [("x", "a")])


def test_a_deletion_is_seen_when_the_object_is_gone_or_going() -> None:
    client = FakeClient()
    client.put(CONFIG_MAPS, config("a"))
    client.put(PODS, pod("free"))
    client.put(PODS, pod("held", finalizers=["x/y"]))
    client.hold_watches.clear()

    def decide(snapshot: Snapshot, key: Key) -> Decision:
        going = [obj for obj in snapshot.list(PODS) if not obj["metadata"].get("deletionTimestamp")]
        return Decision([Delete(PODS, "x", obj["metadata"]["name"], uid=obj["metadata"]["uid"]) for obj in going])

    controller = Controller(decide)

    async def scenario(clock: VirtualClock) -> None:
        await clock.advance(100)
        assert len(controller.turns) == 1
        client.hold_watches.set()
        await clock.advance(2)
        assert len(controller.turns) > 1
        assert [call for call in client.calls if call[0] == "delete"] == [("delete", "pods", "free"), ("delete", "pods", "held")]

    run_with(client, controller, scenario, every_s=1.0, periodic=lambda snapshot: [("x", "a")])


def test_failures_are_tried_again_with_back_off_until_they_succeed() -> None:
    client = FakeClient()
    client.put(CONFIG_MAPS, config("a"))
    client.fail_next("create", ConnectionError("no"), ConnectionError("no"), ConnectionError("no"))

    def decide(snapshot: Snapshot, key: Key) -> Decision:
        return Decision([] if snapshot.list(PODS) else [Create(PODS, pod("p"))])

    controller = Controller(decide)

    async def scenario(clock: VirtualClock) -> None:
        assert len(controller.turns) == 1
        await clock.advance(0.005)
        assert len(controller.turns) == 2
        await clock.advance(1)
        assert len(controller.turns) == 4
        assert len(client.tables[("", "pods")].objects) == 1

    run_with(client, controller, scenario)


def test_a_reconcile_that_raises_is_caught_logged_and_tried_again() -> None:
    client = FakeClient()
    client.put(CONFIG_MAPS, config("a"))

    def decide(snapshot: Snapshot, key: Key) -> Decision:
        if len(controller.turns) < 3:
            raise ZeroDivisionError
        return Decision()

    controller = Controller(decide)

    async def scenario(clock: VirtualClock) -> None:
        await clock.advance(10)
        assert len(controller.turns) == 3

    run_with(client, controller, scenario)


def test_max_retries_gives_up() -> None:
    client = FakeClient()
    client.put(CONFIG_MAPS, config("a"))
    controller = Controller(lambda snapshot, key: Decision([Update(PODS, pod("missing"))]))

    async def scenario(clock: VirtualClock) -> None:
        await clock.advance(1000)
        assert len(controller.turns) == 4

    run_with(client, controller, scenario, max_retries=3)


def test_batches_start_slowly_and_stop_at_the_first_failure() -> None:
    client = FakeClient()
    client.put(CONFIG_MAPS, config("a"))
    seen: list[Sequence[Result]] = []

    def remember(results: Sequence[Result]) -> Decision:
        seen.append(results)
        return Decision([Emit(config("a"), "Warning", "Some", "failed")])

    def decide(snapshot: Snapshot, key: Key) -> Decision:
        return Decision([Create(PODS, pod(f"p{number}"), batch="pods") for number in range(10)], then=remember)

    controller = Controller(decide)
    refused = Forbidden.of("", "pods", "", "exceeded quota")

    async def scenario(clock: VirtualClock) -> None:
        # 1 and 2 succeed, then of 4 the first is refused: 3 are not started.
        assert [(result.error, result.skipped) for result in seen[0]] == [
            (None, False),
            (None, False),
            (None, False),
            (refused, False),
            (None, False),
            (None, False),
            (None, False),
            (None, True),
            (None, True),
            (None, True),
        ]
        event = next(iter(client.tables[("", "events")].objects.values()))
        assert (event["reason"], event["source"]["component"]) == ("Some", "test-controller")

    client.fail_next("create", None, None, None, refused)
    run_with(client, controller, scenario, max_retries=0)


@pytest.mark.parametrize(("options", "source"), [({}, "test-controller"), ({"reports_as": "tester"}, "tester")])
def test_events_name_the_controller_or_what_upstream_calls_its_recorder(options: dict[str, Any], source: str) -> None:
    client = FakeClient()
    client.put(CONFIG_MAPS, config("a"))
    controller = Controller(lambda snapshot, key: Decision([Emit(config("a"), "Normal", "Some", "words")]))

    async def scenario(clock: VirtualClock) -> None:
        (event,) = client.tables[("", "events")].objects.values()
        assert (event["source"], event["reportingComponent"]) == ({"component": source}, source)

    run_with(client, controller, scenario, **options)


def test_fetch_and_delete_of_what_is_missing_are_no_failures() -> None:
    client = FakeClient()
    client.put(CONFIG_MAPS, config("a"))
    seen: list[Result] = []

    def then(results: Sequence[Result]) -> Decision:
        seen.extend(results)
        return Decision()

    controller = Controller(lambda snapshot, key: Decision([Fetch(PODS, "x", "no"), Delete(PODS, "x", "no")], then=then))

    async def scenario(clock: VirtualClock) -> None:
        await clock.advance(100)
        assert len(controller.turns) == 1
        assert all(isinstance(result.error, NotFound) for result in seen)

    run_with(client, controller, scenario)


def test_again_after_brings_the_key_back() -> None:
    client = FakeClient()
    client.put(CONFIG_MAPS, config("a"))
    controller = Controller(lambda snapshot, key: Decision(again_after_s=30))

    async def scenario(clock: VirtualClock) -> None:
        await clock.advance(29)
        assert len(controller.turns) == 1
        await clock.advance(32)
        assert len(controller.turns) == 3

    run_with(client, controller, scenario)


def serve(client: FakeClient, *resources: Resource) -> None:
    """Let discovery show these."""
    items = [
        {
            "metadata": {"name": resource.group},
            "versions": [
                {
                    "version": resource.version,
                    "resources": [
                        {
                            "resource": resource.plural,
                            "responseKind": {"kind": resource.kind},
                            "scope": "Namespaced" if resource.namespaced else "Cluster",
                            "verbs": ["list", "watch", "delete"],
                        }
                    ],
                }
            ],
        }
        for resource in resources
    ]
    client.raw_answers = {
        "/api": {"kind": "APIGroupDiscoveryList", "items": []},
        "/apis": {"kind": "APIGroupDiscoveryList", "items": items},
    }


def test_discovered_resources_come_and_go_with_discovery() -> None:
    client = FakeClient()
    widgets = Resource("example.com", "v1", "widgets", kind="Widget")
    client.put(CONFIG_MAPS, config("a"))
    client.put(widgets, {"metadata": {"name": "w", "namespace": "x", "ownerReferences": [{"uid": "u"}]}})

    serve(client)
    snapshots: list[Snapshot] = []

    def decide(snapshot: Snapshot, key: Key) -> Decision:
        snapshots.append(snapshot)
        return Decision()

    controller = Controller(decide)

    def choose(resources: Sequence[Resource]) -> tuple[Watch, ...]:
        return tuple(Watch(resource, keys=lambda obj: [("widget", obj["metadata"]["name"])]) for resource in resources)

    async def scenario(clock: VirtualClock) -> None:
        snapshot = snapshots[0]
        assert snapshot.find_uid("u") is None
        serve(client, widgets)
        await clock.advance(30)
        assert controller.turns[-1] == ("widget", "w")
        assert [resource.kind for resource, _ in snapshot.dependents("u")] == ["Widget"]
        found = snapshot.find_uid(client.tables[("example.com", "widgets")].objects[("x", "w")]["metadata"]["uid"])
        assert found is not None and found[0].plural == "widgets"
        serve(client)
        await clock.advance(30)
        assert snapshot.dependents("u") == []
        assert snapshot.resources() == ()

    run_with(client, controller, scenario, discovered=choose)


def test_what_a_definition_adds_is_discovered_soon_after_it_has_come() -> None:
    client = FakeClient()
    widgets = Resource("example.com", "v1", "widgets", kind="Widget")
    client.put(CONFIG_MAPS, config("a"))
    client.put(widgets, {"metadata": {"name": "w", "namespace": "x"}})
    serve(client, CUSTOM_RESOURCE_DEFINITIONS)
    controller = Controller(lambda snapshot, key: Decision())

    def choose(resources: Sequence[Resource]) -> tuple[Watch, ...]:
        return tuple(Watch(resource, keys=lambda obj: [("", obj["metadata"]["name"])]) for resource in resources)

    async def scenario(clock: VirtualClock) -> None:
        await clock.advance(5)
        serve(client, CUSTOM_RESOURCE_DEFINITIONS, widgets)
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, {"metadata": {"name": "widgets.example.com"}})
        await clock.advance(runner.DEFINITIONS_SETTLE_S + 0.1)
        assert controller.turns[-1] == ("", "w")

    run_with(client, controller, scenario, discovered=choose)


def test_discovery_that_makes_no_sense_is_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    client = FakeClient()
    widgets = Resource("example.com", "v1", "widgets", kind="Widget")
    client.put(CONFIG_MAPS, config("a"))
    client.put(widgets, {"metadata": {"name": "w", "namespace": "x"}})
    serve(client)
    controller = Controller(lambda snapshot, key: Decision())

    def choose(resources: Sequence[Resource]) -> tuple[Watch, ...]:
        return tuple(Watch(resource, keys=lambda obj: [("", obj["metadata"]["name"])]) for resource in resources)

    async def scenario(clock: VirtualClock) -> None:
        client.raw_answers["/apis"] = "<html>a proxy's page</html>"
        await clock.advance(31)
        serve(client, widgets)
        await clock.advance(2)
        assert controller.turns[-1] == ("", "w")

    with caplog.at_level(logging.ERROR):
        run_with(client, controller, scenario, discovered=choose)
    assert "discovery failed controller=test-controller" in caplog.text


def test_indexes_and_owners_are_per_controller() -> None:
    client = FakeClient()
    client.put(REPLICA_SETS, config("rs"))
    client.put(NODES, {"metadata": {"name": "n"}})
    client.put(PODS, pod("p", ownerReferences=[{"uid": "rs-uid", "controller": True}]))
    checked: list[bool] = []

    def decide(snapshot: Snapshot, key: Key) -> Decision:
        checked.append(
            [obj["metadata"]["name"] for obj in snapshot.owned_by(PODS, "rs-uid")] == ["p"]
            and [obj["metadata"]["name"] for obj in snapshot.indexed(PODS, "initial", "p")] == ["p"]
            and snapshot.get(NODES, "", "n") is not None
        )
        return Decision()

    async def scenario(clock: VirtualClock) -> None:
        assert checked == [True]

    watches = (
        Watch(REPLICA_SETS, keys=lambda obj: [key_of(obj)]),
        Watch(PODS, indexes={"initial": lambda obj: (obj["metadata"]["name"][0],)}),
        Watch(NODES),
    )
    run_with(client, Controller(decide), scenario, watches=watches)
