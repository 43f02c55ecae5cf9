"""Recording events: upstream's form, counting of repeats, combining, flood control; never blocking."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from tests.fakes.client import FakeClient

from steersman.client import events
from steersman.client.events import EventRecorder
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import Forbidden
from steersman.machinery.meta import Obj

POD: Obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "x", "uid": "u", "resourceVersion": "7"}}


def recorded(client: FakeClient) -> list[Obj]:
    return list(client.tables[("", "events")].objects.values()) if ("", "events") in client.tables else []


def run(client: FakeClient, scenario: Callable[[EventRecorder, VirtualClock], Awaitable[None]]) -> list[Obj]:
    async def main() -> None:
        clock = VirtualClock()
        recorder = EventRecorder(client, "kubelet", "n1", clock)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(recorder.run())
            await scenario(recorder, clock)
            await clock.advance(0, settle_turns=200)
            task.cancel()

    asyncio.run(main())
    return recorded(client)


def test_an_event_has_the_form_that_clients_know() -> None:
    async def scenario(recorder: EventRecorder, clock: VirtualClock) -> None:
        recorder.event(POD, "Normal", "Pulled", "image is there", field_path="spec.containers{web}")

    (event,) = run(FakeClient(), scenario)
    assert event["metadata"]["name"] == "web.18867251edfa0000"
    assert event["metadata"]["namespace"] == "x"
    assert event["involvedObject"] == {
        "kind": "Pod",
        "namespace": "x",
        "name": "web",
        "uid": "u",
        "apiVersion": "v1",
        "resourceVersion": "7",
        "fieldPath": "spec.containers{web}",
    }
    assert (event["source"], event["reportingComponent"], event["count"]) == (
        {"component": "kubelet", "host": "n1"},
        "kubelet",
        1,
    )
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-01-01T00:00:00Z"


def test_events_about_cluster_scoped_objects_are_in_default() -> None:
    async def scenario(recorder: EventRecorder, clock: VirtualClock) -> None:
        recorder.event({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}, "Normal", "Starting", "up")

    assert run(FakeClient(), scenario)[0]["metadata"]["namespace"] == "default"


def test_repeats_become_a_count_by_patch_or_before_they_are_written() -> None:
    client = FakeClient()

    async def scenario(recorder: EventRecorder, clock: VirtualClock) -> None:
        recorder.event(POD, "Warning", "BackOff", "waiting")
        recorder.event(POD, "Warning", "BackOff", "waiting")
        await clock.advance(60)
        changed = {**POD, "metadata": {**POD["metadata"], "resourceVersion": "9"}}
        recorder.event(changed, "Warning", "BackOff", "waiting")

    (event,) = run(client, scenario)
    assert (event["count"], event["firstTimestamp"], event["lastTimestamp"]) == (
        3,
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:01:00Z",
    )
    assert client.calls[-1][0] == "patch"


def test_more_than_ten_similar_events_are_combined_into_one() -> None:
    async def scenario(recorder: EventRecorder, clock: VirtualClock) -> None:
        for number in range(15):
            recorder.event(POD, "Warning", "Failed", f"error {number}")
            await clock.advance(1)

    found = run(FakeClient(), scenario)
    assert len(found) == 11
    assert (found[-1]["message"], found[-1]["count"]) == ("(combined from similar events): error 14", 5)


def test_a_flood_about_one_object_is_held_back_to_a_burst_and_a_trickle() -> None:
    async def scenario(recorder: EventRecorder, clock: VirtualClock) -> None:
        for _ in range(100):
            recorder.event(POD, "Normal", "Again", "and again")
        await clock.advance(600)
        for _ in range(100):
            recorder.event(POD, "Normal", "Again", "and again")

    assert run(FakeClient(), scenario)[0]["count"] == events.BURST + 2


def test_an_unreachable_server_is_tried_again_and_a_refusal_is_not() -> None:
    client = FakeClient()
    client.fail_next("create", ConnectionError("down"), ConnectionError("down"), None, Forbidden("namespace is ending"))

    async def scenario(recorder: EventRecorder, clock: VirtualClock) -> None:
        recorder.event(POD, "Normal", "One", "one")
        recorder.event(POD, "Normal", "Two", "two")
        recorder.event(POD, "Normal", "Three", "three")
        await clock.advance(25)

    # Events of one moment have one name each, so a later one must not replace an earlier one.
    assert [event["reason"] for event in run(client, scenario)] == ["One", "Three"]


def test_an_answer_that_makes_no_sense_costs_one_event_and_not_the_recorder(caplog: pytest.LogCaptureFixture) -> None:
    client = FakeClient()
    client.fail_next("create", ValueError("a proxy's page"))

    async def scenario(recorder: EventRecorder, clock: VirtualClock) -> None:
        recorder.event(POD, "Normal", "One", "one")
        recorder.event(POD, "Normal", "Two", "two")
        await clock.advance(1)

    with caplog.at_level(logging.ERROR):
        assert [event["reason"] for event in run(client, scenario)] == ["Two"]
    assert "event not written reason=One" in caplog.text
