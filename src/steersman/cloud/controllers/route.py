"""The route controller: the provider routes each node's pod range to it, and nodes say whether that works.

One key stands for all nodes. A route that can't be made is tried again with the next period, not with a back-off.
Source: upstream cloud-provider/controllers/route.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias

from steersman.api.resources import NODES
from steersman.cloud.interface import Route, Routes
from steersman.loop.spec import Action, Call, ControllerSpec, Decision, Emit, Patch, Result, Snapshot, Watch
from steersman.machinery.clock import Clock
from steersman.machinery.duration import format_go
from steersman.machinery.meta import Key, Obj, condition, dig, format_time, is_deleting, name_of, uid_of

PERIOD_S = 10.0
_ALL: Key = ("", "")
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class _Attempt:
    """How a creation went and how long it took, which users are told."""

    error: Exception | None
    took_s: float


class _Router:
    def __init__(self, routes: Routes, cluster_name: str, cluster_cidr: str, clock: Clock) -> None:
        self._routes, self._cluster, self._clock = routes, cluster_name, clock
        self._ours = [ipaddress.ip_network(text.strip()) for text in cluster_cidr.split(",")]

    def reconcile(self, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        nodes = [node for node in snapshot.list(NODES) if not is_deleting(node) and _ranges(node)]

        def listed(results: Sequence[Result]) -> Decision:
            return self._compare(nodes, results[0].value, now) if results[0].error is None else Decision()

        return Decision((Call("list routes", partial(self._routes.list, self._cluster)),), then=listed)

    def _compare(self, nodes: Sequence[Obj], routes: Sequence[Route], now: datetime) -> Decision:
        wanted = {(name_of(node), cidr): node for node in nodes for cidr in _ranges(node)}
        there = {(route.target_node, route.destination_cidr) for route in routes if not route.blackhole}
        missing = [place for place in wanted if place not in there]
        actions: list[Action] = []
        for name, cidr in missing:
            node = wanted[name, cidr]
            route = Route(cidr, name, target_addresses=tuple(dig(node, "status", "addresses", default=())))
            create = partial(self._routes.create, self._cluster, uid_of(node), route)
            actions.append(Call("create route", partial(self._attempt, create)))
        for route in routes:
            stale = route.blackhole or (route.target_node, route.destination_cidr) not in wanted
            if stale and self._is_ours(route.destination_cidr):
                actions.append(Call("delete route", partial(self._routes.delete, self._cluster, route)))

        def made(results: Sequence[Result]) -> Decision:
            failed: set[str] = set()
            told: list[Action] = []
            for (name, cidr), result in zip(missing, results):
                attempt: _Attempt = result.value
                if attempt.error is not None:
                    failed.add(name)
                    node = wanted[name, cidr]
                    hint, took = uid_of(node), format_go(round(attempt.took_s, 3))
                    text = f"Could not create route {hint} {cidr} for node {name} after {took}: {attempt.error}"
                    told.append(Emit(node, "Warning", "FailedToCreateRoute", text))
            for node in nodes:
                told += _report(node, name_of(node) not in failed, now)
            return Decision(told)

        return Decision(actions, then=made)

    async def _attempt(self, create: Callable[[], Awaitable[Any]]) -> _Attempt:
        begin_s = self._clock.monotonic()
        try:
            await create()
        except Exception as error:
            return _Attempt(error, self._clock.monotonic() - begin_s)
        return _Attempt(None, self._clock.monotonic() - begin_s)

    def _is_ours(self, cidr: str) -> bool:
        try:
            address = ipaddress.ip_network(cidr).network_address
        except ValueError:
            return False
        return any(address in network for network in self._ours)


def _ranges(node: Obj) -> list[str]:
    found: list[str] = dig(node, "spec", "podCIDRs", default=[])
    first = dig(node, "spec", "podCIDR")
    return found or ([first] if first else [])


def _report(node: Obj, routed: bool, now: datetime) -> list[Action]:
    """The node's NetworkUnavailable condition, if it is not as it should be."""
    status = "False" if routed else "True"
    found = condition(node, "NetworkUnavailable")
    if found is not None and found.get("status") == status:
        return []
    reason, message = (
        ("RouteCreated", "RouteController created a route")
        if routed
        else ("NoRouteCreated", "RouteController failed to create a route")
    )
    moment = format_time(now)
    item = {"type": "NetworkUnavailable", "status": status, "reason": reason, "message": message, "lastTransitionTime": moment}
    patch = {"metadata": {"uid": uid_of(node)}, "status": {"conditions": [item]}}
    return [Patch(NODES, "", name_of(node), patch, "strategic", "status")]


def spec(routes: Routes, cluster_name: str, cluster_cidr: str, clock: Clock) -> ControllerSpec:
    """`cluster_cidr`: routes outside it are not ours and stay."""
    return ControllerSpec(
        name="route-controller",
        reports_as="route_controller",
        watches=(Watch(NODES),),
        reconcile=_Router(routes, cluster_name, cluster_cidr, clock).reconcile,
        workers=1,
        every_s=PERIOD_S,
        periodic=lambda _: (_ALL,),
        retry_s=(PERIOD_S, 300.0),
    )
