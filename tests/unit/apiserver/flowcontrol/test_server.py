"""Priority and fairness through the API: objects are gone by at once, requests are told where they belong, or to come back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.fakes.server import World, config_map, world

from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.serving import ServingSettings
from steersman.machinery.meta import Obj

GROUP = "/apis/flowcontrol.apiserver.k8s.io/v1"
LEVELS, SCHEMAS = f"{GROUP}/prioritylevelconfigurations", f"{GROUP}/flowschemas"
MAPS = "/api/v1/namespaces/default/configmaps"
DUMP = "/debug/api_priority_and_fairness/dump_"


class Held:
    """An admission plugin that keeps creations named `held` until told."""

    name = "Held"

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def admit(self, request: AdmissionRequest) -> None:
        if request.obj is not None and request.name.startswith("held"):
            await self.gate.wait()

    async def validate(self, request: AdmissionRequest) -> None:
        return None


def run(scenario: Callable[[World, Held], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        held = Held()
        async with world(admission=[held], **settings) as w:
            await scenario(w, held)

    asyncio.run(main())


def level(name: str, *, queues: int = 0) -> Obj:
    response: Obj = {"type": "Reject"}
    if queues:
        response = {"type": "Queue", "queuing": {"queues": queues, "handSize": 1, "queueLengthLimit": 1}}
    limited = {"nominalConcurrencyShares": 1, "borrowingLimitPercent": 0, "limitResponse": response}
    spec = {"type": "Limited", "limited": limited}
    return {"apiVersion": GROUP[6:], "kind": "PriorityLevelConfiguration", "metadata": {"name": name}, "spec": spec}


def schema(name: str, to: str, user: str) -> Obj:
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    spec = {
        "priorityLevelConfiguration": {"name": to},
        "matchingPrecedence": 1000,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [{"subjects": [{"kind": "User", "user": {"name": user}}], "resourceRules": [everything]}],
    }
    return {"apiVersion": GROUP[6:], "kind": "FlowSchema", "metadata": {"name": name}, "spec": spec}


async def made(w: World, *, queues: int = 0) -> tuple[str, str]:
    """A level and a schema that puts jane into it; their UIDs."""
    to = await w.obj("POST", LEVELS, level("narrow", queues=queues))
    of = await w.obj("POST", SCHEMAS, schema("janes", "narrow", "jane"))
    await w.clock.advance(0)
    return to["metadata"]["uid"], of["metadata"]["uid"]


ONE_SEAT = {"serving": ServingSettings(max_requests_inflight=2, max_mutating_requests_inflight=1)}
"""Of three: the level `narrow` has one share in six."""


def test_an_answer_says_which_schema_and_level_its_request_belongs_to() -> None:
    async def scenario(w: World, held: Held) -> None:
        to, of = await made(w)
        answer = await w.raw("GET", MAPS, impersonate_user="jane")
        found = {name: value for name, value in answer.headers.items() if name.startswith("x-kubernetes-pf-")}
        assert found == {"x-kubernetes-pf-flowschema-uid": of, "x-kubernetes-pf-prioritylevel-uid": to}
        missing = await w.raw("GET", f"{MAPS}/none", impersonate_user="jane")
        assert missing.status == 404 and missing.headers["x-kubernetes-pf-flowschema-uid"] == of
        other = await w.raw("GET", MAPS, impersonate_user="joe")
        assert other.headers["x-kubernetes-pf-flowschema-uid"] != of

    run(scenario)


def test_a_schema_says_whether_its_level_is_there() -> None:
    async def scenario(w: World, held: Held) -> None:
        await w.obj("POST", SCHEMAS, schema("janes", "narrow", "jane"))
        await w.clock.advance(5.0)

        async def condition() -> tuple[str, str, str]:
            (found,) = (await w.obj("GET", f"{SCHEMAS}/janes"))["status"]["conditions"]
            assert found["type"] == "Dangling"
            return found["status"], found["reason"], found["lastTransitionTime"]

        assert await condition() == ("True", "NotFound", "2026-01-01T00:00:00Z")
        await w.obj("POST", LEVELS, level("narrow"))
        await w.clock.advance(5.0)
        assert await condition() == ("False", "Found", "2026-01-01T00:00:05Z")

    run(scenario)


def test_where_nobody_may_queue_a_request_too_many_is_told_to_come_back() -> None:
    async def scenario(w: World, held: Held) -> None:
        _, of = await made(w)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(w.raw("POST", MAPS, config_map("held"), impersonate_user="jane"))
            await w.clock.advance(0)
            refused = await w.raw("GET", MAPS, impersonate_user="jane")
            assert (await w.raw("GET", MAPS, impersonate_user="joe")).status == 200
            held.gate.set()
        assert first.result().status == 201
        assert (refused.status, refused.body) == (429, b"Too many requests, please try again later.\n")
        assert refused.headers["content-type"] == "text/plain; charset=utf-8"
        assert refused.headers["retry-after"] == "1" and refused.headers["x-kubernetes-pf-flowschema-uid"] == of
        assert (await w.raw("GET", MAPS, impersonate_user="jane")).status == 200

    run(scenario, **ONE_SEAT)


def test_where_one_may_queue_a_request_waits_is_shown_and_is_served() -> None:
    async def scenario(w: World, held: Held) -> None:
        await made(w, queues=1)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(w.raw("POST", MAPS, config_map("held"), impersonate_user="jane"))
            await w.clock.advance(0)
            second = tasks.create_task(w.raw("GET", f"{MAPS}/held", impersonate_user="jane"))
            await w.clock.advance(1.0)
            assert not second.done()
            shown = {name: (await w.raw("GET", DUMP + name)).body.decode().splitlines() for name in ("priority_levels", "queues")}
            requests = (await w.raw("GET", f"{DUMP}requests?includeRequestDetails=1")).body.decode().splitlines()
            numbers = (await w.raw("GET", "/metrics")).body.decode()
            held.gate.set()
        assert second.result().status == 200
        (row,) = (line.split() for line in shown["priority_levels"] if line.startswith("narrow"))
        assert row == ["narrow,", "1,", "false,", "false,", "1,", "1"]
        (row,) = (line.split() for line in shown["queues"] if line.startswith("narrow"))
        assert row[:5] == ["narrow,", "0,", "1,", "0,", "0,"] and row[5].endswith("ss,")
        assert requests[1].split() == [
            "narrow,", "janes,", "0,", "0,", "jane,", "2026-01-01T00:00:00Z,", "1,", "0,", "0s,", "jane,", "get,",
            f"{MAPS}/held,", "default,", "held,", "v1,", "configmaps,",
        ]  # fmt: skip
        both = '{flow_schema="janes",priority_level="narrow"}'
        for name in ("current_inqueue_requests", "current_executing_requests", "current_executing_seats"):
            assert f"apiserver_flowcontrol_{name}{both} 1.0\n" in numbers

    run(scenario, **ONE_SEAT)


def test_a_watch_holds_its_seat_until_it_has_begun() -> None:
    async def scenario(w: World, held: Held) -> None:
        await made(w)
        await w.raw("POST", MAPS, config_map("there"))
        async with w.transport.stream("GET", f"{MAPS}?watch=1", headers={"impersonate-user": "jane"}) as watch:
            assert (await w.raw("GET", MAPS, impersonate_user="jane")).status == 429
            chunks = watch.chunks()
            assert b"there" in await anext(chunks)

            async def next_one() -> bytes:
                return await anext(chunks)

            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(next_one())
                await w.clock.advance(0)
                assert (await w.raw("GET", MAPS, impersonate_user="jane")).status == 200
                await w.raw("POST", MAPS, config_map("later"))
            assert b"later" in following.result()
        # One that is never read gives its seat back as well.
        async with w.transport.stream("GET", f"{MAPS}?watch=1", headers={"impersonate-user": "jane"}):
            pass
        assert (await w.raw("GET", MAPS, impersonate_user="jane")).status == 200

    run(scenario, **ONE_SEAT)


def test_what_fails_gives_its_seat_back() -> None:
    async def scenario(w: World, held: Held) -> None:
        await made(w)
        for method, target in (
            ("GET", f"{MAPS}/none"),
            ("POST", f"{MAPS}/a"),
            ("GET", f"{MAPS}?limit=x"),
            ("GET", f"{MAPS}?watch=1&limit=x"),
        ):
            assert 400 <= (await w.raw(method, target, b"{}", impersonate_user="jane")).status < 429
        slow = await w.raw("POST", f"{MAPS}?timeout=10ms", config_map("held"), impersonate_user="jane")
        assert slow.status == 504
        assert (await w.raw("GET", MAPS, impersonate_user="jane")).status == 200

    run(scenario, **ONE_SEAT)


def test_without_fairness_the_two_limits_hold() -> None:
    async def scenario(w: World, held: Held) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(w.raw("POST", MAPS, config_map("held"), impersonate_user="jane"))
            await w.clock.advance(0)
            assert (await w.raw("POST", MAPS, config_map("other"), impersonate_user="jane")).status == 429
            assert (await w.raw("POST", MAPS, config_map("mine"))).status == 201
            answer = await w.raw("GET", MAPS, impersonate_user="jane")
            assert answer.status == 200 and "x-kubernetes-pf-flowschema-uid" not in answer.headers
            held.gate.set()

    run(scenario, serving=ServingSettings(priority_and_fairness=False, max_requests_inflight=2, max_mutating_requests_inflight=1))


def test_a_queued_watch_with_a_timeout_that_is_none_keeps_no_seat_for_good() -> None:
    async def scenario(w: World, held: Held) -> None:
        await made(w, queues=1)
        watch = f"{MAPS}?watch=true&timeout=abc&timeoutSeconds=1"
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(w.raw("POST", MAPS, config_map("held"), impersonate_user="jane"))
            await w.clock.advance(0)
            watching = tasks.create_task(w.raw("GET", watch, impersonate_user="jane"))
            await w.clock.advance(0)
            held.gate.set()
            await w.clock.advance(2)
        assert watching.result().status == 200
        async with asyncio.TaskGroup() as tasks:
            after = tasks.create_task(w.raw("GET", MAPS, impersonate_user="jane"))
            await w.clock.advance(20)
        assert after.result().status == 200

    run(scenario, **ONE_SEAT)
