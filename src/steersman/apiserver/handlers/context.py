"""What the verbs share: the store, the caches, the registry, admission, the clock; and small steps every write takes."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from steersman.apiserver.contracts import (
    AdmissionPlugin,
    AdmissionRequest,
    Authorizer,
    CallHandler,
    Charging,
    MutationInterface,
    ValidationInterface,
)
from steersman.apiserver.metrics import QUICK_S, AdmissionTimes, StoreTimes
from steersman.apiserver.registry import Attached, Registry, Served
from steersman.apiserver.storage import Stored
from steersman.apiserver.watchcache.feed import Feed
from steersman.machinery.clock import Clock
from steersman.machinery.counting import Quick
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import format_time
from steersman.store.interface import Commit, Delete, Guard, Put, Store, Unavailable


class Admission:
    """The plugins in order: all mutate, then (after preparation) all validate. `charging`: what is paid with the commit."""

    def __init__(self, plugins: Sequence[AdmissionPlugin], times: AdmissionTimes, charging: Charging | None = None) -> None:
        self._mutating = tuple(plugin for plugin in plugins if isinstance(plugin, MutationInterface))
        self._validating = tuple(plugin for plugin in plugins if isinstance(plugin, ValidationInterface))
        self._admits: dict[str, list[tuple[MutationInterface, Quick]]] = {}
        self._validates: dict[str, list[tuple[ValidationInterface, Quick]]] = {}
        """By operation, each plugin with what counts its times."""
        self._times = times
        self.charging = charging

    async def admit(self, request: AdmissionRequest) -> None:
        await self._mutate(request)
        if request.changed_from_outside:
            # Once: what is not settled then remains so.
            request.again = True
            await self._mutate(request)

    async def _mutate(self, request: AdmissionRequest) -> None:
        times, now, operation = self._times, self._times.now, request.operation
        plugins = self._admits.get(operation)
        if plugins is None:
            plugins = self._admits[operation] = times.of("admit", operation, self._mutating)
        began = last = now()
        plugin: AdmissionPlugin | None = None
        try:
            for plugin, taken in plugins:
                await plugin.admit(request)
                # In place: there are many plugins, and nearly all have nothing to do.
                at = now()
                seconds = at - last
                taken.sum += seconds
                if seconds < QUICK_S:
                    taken.quick += 1
                else:
                    taken.slow(seconds)
                last = at
        except StatusError:
            times.step("admit", operation, plugin, began, last)
            raise
        times.step("admit", operation, None, began, last)

    async def connect(self, request: AdmissionRequest) -> None:
        """Both phases, of what is passed on and not stored: webhooks and policies only."""
        for mutating in self._mutating:
            if isinstance(mutating, Attached):
                await mutating.admit(request)
        for validating in self._validating:
            if isinstance(validating, Attached):
                await validating.validate(request)

    async def validate(self, request: AdmissionRequest) -> None:
        times, now, operation = self._times, self._times.now, request.operation
        plugins = self._validates.get(operation)
        if plugins is None:
            plugins = self._validates[operation] = times.of("validate", operation, self._validating)
        began = last = now()
        plugin: AdmissionPlugin | None = None
        try:
            for plugin, taken in plugins:
                await plugin.validate(request)
                # In place: there are many plugins, and nearly all have nothing to do.
                at = now()
                seconds = at - last
                taken.sum += seconds
                if seconds < QUICK_S:
                    taken.quick += 1
                else:
                    taken.slow(seconds)
                last = at
        except StatusError:
            times.step("validate", operation, plugin, began, last)
            raise
        times.step("validate", operation, None, began, last)


async def _never(_key: str) -> bool:
    return False


@dataclass(slots=True)
class Api:
    """One per server."""

    store: Store
    feed: Feed
    registry: Registry
    admission: Admission
    authorizer: Authorizer
    clock: Clock
    spawn: Callable[[Coroutine[Any, Any, None]], Callable[[], object]]
    """Run a helper beside a stream; returns what cancels it."""
    remotes: Mapping[tuple[str, str], CallHandler] = field(default_factory=dict)
    """Group-versions that other servers serve (aggregation/), and who passes requests on to them."""
    stale: Callable[[str], Awaitable[bool]] = _never
    """Whether a key's value should be written anew though nothing in it changes (encryption/store.py)."""
    shortest_watch_s: float = 1800.0
    """What a watch lasts at least that names no time; twice that at most."""
    store_times: StoreTimes = field(default_factory=StoreTimes)
    rng: random.Random = field(default_factory=random.Random)
    _second: int = 0
    _stamp: str = ""

    def timestamp(self) -> str:
        """Now, as metav1.Time; formatted once a second."""
        now = self.clock.now()
        second = int(now.timestamp())
        if second != self._second:
            self._second, self._stamp = second, format_time(now)
        return self._stamp

    async def current(self, served: Served, namespace: str, name: str) -> Stored | None:
        """The object as it is now: nothing committed before the call is missed."""
        cache = served.cache
        await self.feed.settle()
        if not cache.loaded:
            await cache.ready.wait()
        return cache.find(cache.form.key(namespace, name))

    async def commit(
        self,
        served: Served,
        key: str,
        value: bytes | None,
        expected: int,
        extra: tuple[Sequence[Guard], Sequence[Put | Delete]],
    ) -> Commit:
        """Write or (value None) delete one object, if its revision is still `expected` (0: does not exist)."""
        converted = served.spec.webhook is not None
        if converted and value is not None:
            value = await served.cache.to_storage(value)
        op: Put | Delete = Delete(key) if value is None else Put(key, value, served.spec.ttl_s)
        resource, operation = served.resource, "delete" if value is None else "update" if expected else "create"
        began_s = self.clock.monotonic()
        try:
            commit = await self.store.commit((Guard(key, expected), *extra[0]), (op, *extra[1]))
        except Unavailable:
            self.store_times.fault(operation, resource.group, resource.plural)
            raise
        self.store_times.took(operation, resource.group, resource.plural, self.clock.monotonic() - began_s)
        found = commit.current.get(key) if converted else None
        if found is not None:
            (seen,) = await served.cache.values([found])
            commit.current[key] = found._replace(value=seen)
        return commit
