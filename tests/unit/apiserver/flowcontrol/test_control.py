"""Requests, their seats and their turns, as the pipeline meets them: who waits, who is told to come back, what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from steersman.apiserver.contracts import Dropped, RequestInfo, UserInfo
from steersman.apiserver.flowcontrol.control import Begun, FlowControl, Seat, Size
from steersman.apiserver.flowcontrol.inflight import FREE, MaxInFlight
from steersman.apiserver.http import Request
from steersman.apiserver.requestinfo import parse
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj

JANE = UserInfo("jane", groups=("system:authenticated",))
JOE = UserInfo("joe", groups=("system:authenticated",))
ADMIN = UserInfo("root", groups=("system:masters", "system:authenticated"))


def level(name: str, *, shares: int = 1, queues: int = 1, hand: int = 1, length: int = 2, uid: str = "") -> Obj:
    response: Obj = {"type": "Reject"}
    if queues:
        response = {"type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": length}}
    limited = {"nominalConcurrencyShares": shares, "lendablePercent": 0, "borrowingLimitPercent": 0, "limitResponse": response}
    return {"metadata": {"name": name, "uid": uid or f"uid-{name}"}, "spec": {"type": "Limited", "limited": limited}}


def schema(name: str, to: str, *users: str, precedence: int = 100) -> Obj:
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    subjects = [{"kind": "User", "user": {"name": user}} for user in users or ("*",)]
    spec = {
        "priorityLevelConfiguration": {"name": to},
        "matchingPrecedence": precedence,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [{"subjects": subjects, "resourceRules": [everything]}],
    }
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": spec}


class World:
    """One seat for everybody's requests, in the level `all`; the mandatory level catch-all has the rest."""

    def __init__(self, total: int = 6, shares: int = 1) -> None:
        self.clock = VirtualClock()
        self.objects = Size(0, 0)
        self.control = FlowControl(total, self.clock, lambda info: self.objects)
        self.control.configure([schema("everybody", "all")], [level("all", shares=shares)])

    def admit(self, user: UserInfo = JANE, path: str = "/api/v1/pods/x", method: str = "GET", query: str = "") -> Begun | Seat:
        request = Request(method, path, query)
        return self.control.admit(request, parse(method, path, request.query_pairs), user)

    def counts(self) -> tuple[int, int, int]:
        counts = self.control.levels["all"].counts_of("everybody")
        return counts.dispatched, counts.executing, counts.waiting


def run(scenario: Callable[[World], Awaitable[None]], **spec: int) -> None:
    async def main() -> None:
        world = World(**spec)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(world.control.run())
            await scenario(world)
            task.cancel()

    asyncio.run(main())


def test_a_request_waits_until_another_leaves() -> None:
    async def scenario(w: World) -> None:
        first = w.admit()
        second = w.admit(JOE)
        assert not first.waits and second.waits and w.counts() == (1, 1, 1)
        async with asyncio.TaskGroup() as tasks:
            turn = tasks.create_task(second.granted(15.0))
            await w.clock.advance(1.0)
            assert not turn.done()
            first.leave()
        assert w.counts() == (2, 1, 0)
        second.leave()
        second.leave()
        assert w.counts() == (2, 0, 0) and w.control.levels["all"].queues.idle

    run(scenario)


def test_who_has_waited_long_enough_is_told_to_come_back() -> None:
    async def scenario(w: World) -> None:
        first, second = w.admit(), w.admit()
        async with asyncio.TaskGroup() as tasks:
            turn = tasks.create_task(_dropped(second, 15.0))
            await w.clock.advance(14.9)
            assert not turn.done()
            await w.clock.advance(0.5)
            dropped = turn.result()
        assert dropped.retry_after_s == 1 and str(dropped) == "Too many requests, please try again later."
        assert dropped.headers == {
            "X-Kubernetes-Pf-Flowschema-Uid": "uid-everybody",
            "X-Kubernetes-Pf-Prioritylevel-Uid": "uid-all",
        }
        assert w.control.levels["all"].counts_of("everybody").rejected == {"time-out": 1}
        first.leave()
        assert w.control.levels["all"].queues.idle

    run(scenario)


async def _dropped(seat: Begun | Seat, limit_s: float) -> Dropped:
    with pytest.raises(Dropped) as dropped:
        await seat.granted(limit_s)
    return dropped.value


def test_a_client_that_goes_away_while_it_waits_leaves_its_place() -> None:
    async def scenario(w: World) -> None:
        first, second, third = w.admit(), w.admit(), w.admit()
        async with asyncio.TaskGroup() as tasks:
            gone, stays = tasks.create_task(second.granted(15.0)), tasks.create_task(third.granted(15.0))
            await w.clock.advance(0)
            gone.cancel()
            await w.clock.advance(0)
            first.leave()
            await w.clock.advance(0)
            assert stays.done()
        assert w.control.levels["all"].counts_of("everybody").rejected == {"cancelled": 1}
        third.leave()
        assert w.control.levels["all"].queues.idle

    run(scenario)


def test_a_turn_that_comes_as_its_client_goes_is_passed_on() -> None:
    async def scenario(w: World) -> None:
        first, second, third = w.admit(), w.admit(), w.admit()
        async with asyncio.TaskGroup() as tasks:
            gone, stays = tasks.create_task(second.granted(15.0)), tasks.create_task(third.granted(15.0))
            await w.clock.advance(0)
            first.leave()
            gone.cancel()
            await w.clock.advance(0)
            assert stays.done()
        third.leave()
        assert w.control.levels["all"].queues.idle and w.counts() == (3, 0, 0)

    run(scenario)


def test_a_full_queue_turns_away_and_administrators_pass() -> None:
    async def scenario(w: World) -> None:
        seats = [w.admit() for _ in range(3)]
        with pytest.raises(Dropped):
            w.admit()
        assert not w.admit(ADMIN).waits
        assert [seat.waits for seat in seats] == [False, True, True]

    run(scenario)


def test_large_lists_take_more_seats_and_wait_for_them() -> None:
    async def scenario(w: World) -> None:
        w.objects = Size(10_000, 1_000)
        small = w.admit(path="/api/v1/pods", query="limit=100")
        large = [w.admit(path="/api/v1/pods") for _ in range(7)]
        assert small.seats == 1 and {seat.seats for seat in large} == {10}
        assert [seat.waits for seat in large] == [False] * 6 + [True]

    run(scenario, total=70, shares=1000)


def test_a_level_that_goes_is_served_to_its_end_and_its_users_are_somebody_elses() -> None:
    async def scenario(w: World) -> None:
        first, second = w.admit(), w.admit()
        w.control.configure([schema("everybody", "all")], [])
        gone = w.control.levels["all"]
        assert gone.quiescing and second.waits
        assert w.admit().flow.level.name == "catch-all"
        first.leave()
        assert not second.waits
        second.leave()
        w.control.adjust()
        assert "all" not in w.control.levels

    run(scenario)


def test_what_is_configured_holds_from_the_next_request_on() -> None:
    async def scenario(w: World) -> None:
        assert w.admit().flow.schema == "everybody"
        w.control.configure(
            [schema("everybody", "all"), schema("janes", "other", "jane", precedence=7)], [level("all"), level("other")]
        )
        assert w.admit().headers["X-Kubernetes-Pf-Flowschema-Uid"] == "uid-janes"
        assert w.admit(JOE).flow.schema == "everybody"

    run(scenario)


def test_a_busy_level_borrows_what_others_do_not_use() -> None:
    async def scenario(w: World) -> None:
        lends, borrows = level("lends", shares=5), level("borrows", shares=1, length=50)
        lends["spec"]["limited"]["lendablePercent"] = 100
        del borrows["spec"]["limited"]["borrowingLimitPercent"]
        w.control.configure([schema("everybody", "borrows")], [lends, borrows])
        seats = [w.admit() for _ in range(8)]
        before = sum(not seat.waits for seat in seats)
        await w.clock.advance(20.0)
        after = sum(not seat.waits for seat in seats)
        assert before < 4 < after

    run(scenario, total=12)


def test_a_request_that_no_schema_knows_is_the_catch_alls() -> None:
    async def scenario(w: World) -> None:
        seat = w.control.admit(Request("GET", "/nowhere"), RequestInfo("get", "/nowhere"), UserInfo("nobody"))
        assert (seat.flow.schema, seat.flow.level.name) == ("catch-all", "catch-all")

    run(scenario)


@pytest.mark.parametrize(
    ("user", "method", "path", "allowed"),
    [(JANE, "GET", "/api/v1/pods", 2), (JANE, "POST", "/api/v1/pods", 1), (ADMIN, "GET", "/api/v1/pods", 9)],
)
def test_without_fairness_so_many_reads_and_writes_are_served(user: UserInfo, method: str, path: str, allowed: int) -> None:
    limits = MaxInFlight(2, 1)
    request, info = Request(method, path), parse(method, path)
    seats = [limits.admit(request, info, user) for _ in range(allowed)]
    if user is JANE:
        with pytest.raises(Dropped):
            limits.admit(request, info, user)
        seats[0].leave()
        seats[0].leave()
        limits.admit(request, info, user)
        with pytest.raises(Dropped):
            limits.admit(request, info, user)
    assert limits.admit(request, parse("GET", "/api/v1/pods", [("watch", "1")]), user) is FREE
    assert MaxInFlight(0, 0).admit(request, info, JANE) is FREE
