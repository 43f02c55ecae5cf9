"""Runs controllers: informers feed keys into queues, workers reconcile, act, and wait until their own writes are seen.

    informers ──keys──▶ WorkQueue ──▶ reconcile(snapshot, key, now) ──▶ perform ──▶ barrier ──▶ done
                            ▲────────────── back-off, again_after_s ◀──────┘

A key stays "in work" until the informers have seen what its turn wrote (the barrier), so the next turn never decides on
a cache that lacks the last turn's effects; that is why controllers need no expectations.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

from steersman.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from steersman.client import discovery
from steersman.client.events import EventRecorder
from steersman.client.informer import Handler, Informer
from steersman.client.interface import Client
from steersman.loop.perform import failed, perform
from steersman.loop.queue import WorkQueue
from steersman.loop.snapshot import Address, CacheSnapshot, SharedInformers, address
from steersman.loop.spec import ControllerSpec, Create, Decision, Delete, Patch, Result, Update, Watch
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Conflict, NotFound, StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Key, Obj, is_deleting, resource_version_of, uid_of
from steersman.machinery.waiting import Nudge, within

log = logging.getLogger(__name__)

SEEN_LIMIT_S = 300
"""How long a key waits for its own writes to be seen before it goes on without (as upstream's expectations time out)."""

DISCOVERY_PERIOD_S = 30
DISCOVERY_RETRY_S = 1
DEFINITIONS_SETTLE_S = 1
"""From a change of a definition to the next discovery: until then it is served, and others that came with it are as well."""
DISCOVERED_SYNC_LIMIT_S = 30
"""A resource whose list never comes (a dead conversion webhook) must not keep garbage collection from starting."""

Wait: TypeAlias = Callable[[], Awaitable[None]]


async def run(
    client: Client,
    specs: Sequence[ControllerSpec],
    clock: Clock,
    *,
    recorder: EventRecorder,
    metadata_client: Client | None = None,
    acting: Callable[[str], Client] | None = None,
    queues: dict[str, WorkQueue[Key]] | None = None,
) -> None:
    """Run the controllers until cancelled; also runs the recorder.

    `acting(name)` gives the client a controller's actions go through (an identity of its own); without it `client` does.

    `queues` is told the queues, by the controllers' names.

    `metadata_client` (RestClient.metadata_only) serves `discovered` watches; without it they hold whole objects.
    """
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run(), name="events")
        informers = SharedInformers(client, metadata_client or client, clock, group)
        for spec in specs:
            actor = acting(spec.name) if acting else client
            controller = _Controller(spec, informers, client, actor, recorder, clock)
            if queues is not None:
                queues[spec.name] = controller.queue
            group.create_task(controller.run(), name=spec.name)


class _Controller:
    """One controller at work."""

    def __init__(
        self,
        spec: ControllerSpec,
        informers: SharedInformers,
        client: Client,
        actor: Client,
        recorder: EventRecorder,
        clock: Clock,
    ) -> None:
        self._spec, self._informers, self._client, self._recorder, self._clock = spec, informers, client, recorder, clock
        self._actor = actor
        first_s, longest_s = spec.retry_s
        self.queue: WorkQueue[Key] = WorkQueue(clock, retry_base_s=first_s, retry_limit_s=longest_s)
        self._snapshot = CacheSnapshot(spec.name)
        self._selective: set[Address] = {address(watch.resource) for watch in spec.watches if watch.field_selector}
        self._discovered: dict[Address, tuple[Watch, Informer, Handler]] = {}
        self._definitions = Nudge()
        self._follows_definitions = False

    async def run(self) -> None:
        attached = [(watch, self._informers.of(watch)) for watch in self._spec.watches]
        for watch, informer in attached:
            self._snapshot.attach(watch, informer)
            if self._spec.discovered is not None and not watch.field_selector:
                self._snapshot.attach_discovered(watch.resource, informer)
        for _, informer in attached:
            await informer.synced.wait()
        if self._spec.discovered is not None:
            while not await self._discover(self._spec.discovered):
                await self._clock.sleep(DISCOVERY_RETRY_S)
            await within(self._clock, DISCOVERED_SYNC_LIMIT_S, self._discovered_synced)
        # Only now, when every cache is filled: keys_with may look into any of them.
        for watch, informer in attached:
            if watch.keys is not None or watch.keys_with is not None:
                informer.add_handler(partial(self._changed, watch))
        async with asyncio.TaskGroup() as group:
            group.create_task(self.queue.run())
            for _ in range(self._spec.workers):
                group.create_task(self._work(group))
            if self._spec.every_s is not None:
                group.create_task(self._periodically(self._spec.every_s))
            if self._spec.discovered is not None:
                group.create_task(self._keep_discovering(self._spec.discovered))

    # --- keys ------------------------------------------------------------------------------------------------------

    def _changed(self, watch: Watch, old: Obj | None, new: Obj | None) -> None:
        for obj in (old, new):
            if obj is None:
                continue
            if watch.keys is not None:
                for key in watch.keys(obj):
                    self.queue.add(key)
            if watch.keys_with is not None:
                for key in watch.keys_with(obj, self._snapshot):
                    self.queue.add(key)

    async def _periodically(self, every_s: float) -> None:
        while True:
            try:
                keys = self._spec.periodic(self._snapshot) if self._spec.periodic is not None else [("", "")]
                for key in keys:
                    self.queue.add(key)
            except Exception:
                log.exception("periodic keys failed controller=%s", self._spec.name)
            await self._clock.sleep(every_s)

    # --- turns -----------------------------------------------------------------------------------------------------

    async def _work(self, group: asyncio.TaskGroup) -> None:
        while True:
            key = await self.queue.get()
            waits = await self._turn(key)
            if waits:
                group.create_task(self._until_seen(key, waits))
            else:
                self.queue.done(key)

    async def _turn(self, key: Key) -> list[Wait]:
        """Reconcile one key and act; gives what must be seen before its next turn. This is the per-key boundary."""
        waits: list[Wait] = []
        try:
            decision = self._spec.reconcile(self._snapshot, key, self._clock.now())
            again_after_s, errors = await self._carry_out(decision, waits)
        except Exception as error:
            log.exception("reconcile failed controller=%s key=%s/%s", self._spec.name, *key)
            again_after_s, errors = None, [error]
        if errors:
            self._requeue(key, errors)
        else:
            self.queue.forget(key)
        if again_after_s is not None:
            self.queue.add_after(key, again_after_s)
        return waits

    async def _carry_out(self, decision: Decision, waits: list[Wait]) -> tuple[float | None, list[Exception]]:
        errors: list[Exception] = []
        while True:
            results = await perform(decision.actions, self._actor, self._recorder, self._spec.reports_as or self._spec.name)
            for result in results:
                if failed(result) and result.error is not None:
                    errors.append(result.error)
                if (wait := self._unseen(result)) is not None:
                    waits.append(wait)
            if decision.then is None:
                return decision.again_after_s, errors
            decision = decision.then(results)

    def _requeue(self, key: Key, errors: list[Exception]) -> None:
        name, limit = self._spec.name, self._spec.max_retries
        if limit is not None and self.queue.failures(key) >= limit:
            log.warning("giving up controller=%s key=%s/%s error=%s", name, *key, errors[0])
            self.queue.forget(key)
            return
        pause_s = self.queue.retry(key)
        for error in errors:
            # A conflict is a cache that lags behind: everyday, and over at the next try.
            level = logging.DEBUG if isinstance(error, Conflict) else logging.WARNING
            log.log(level, "action failed controller=%s key=%s/%s retry_s=%.3f error=%s", name, *key, pause_s, error)

    # --- the barrier -----------------------------------------------------------------------------------------------

    def _unseen(self, result: Result) -> Wait | None:
        """What to wait for until the informers have caught up with this result, if anything."""
        match result.action:
            case Delete(resource=resource, namespace=namespace, name=name):
                informer = self._seeing(resource)
                if informer is None or not (result.obj is not None or isinstance(result.error, NotFound)):
                    return None
                held = informer.get(namespace, name)
                if held is None or is_deleting(held):
                    return None
                return partial(informer.wait_until, (namespace, name), partial(_gone, uid_of(held)))
            case Create(resource=resource) | Update(resource=resource) | Patch(resource=resource):
                informer = self._seeing(resource)
                if informer is None or result.obj is None:
                    return None
                version = resource_version_of(result.obj)
                return partial(informer.wait_for, version) if version > informer.last_seen else None
        return None

    def _seeing(self, resource: Resource) -> Informer | None:
        # A cache with a field selector may never show the object: no use waiting for it.
        return None if address(resource) in self._selective else self._snapshot.informer(resource)

    async def _until_seen(self, key: Key, waits: list[Wait]) -> None:
        async def all_seen() -> None:
            for wait in waits:
                await wait()

        try:
            if not await within(self._clock, SEEN_LIMIT_S, all_seen):
                log.warning("own writes not seen, going on controller=%s key=%s/%s", self._spec.name, *key)
        finally:
            self.queue.done(key)

    # --- discovered watches ----------------------------------------------------------------------------------------

    async def _keep_discovering(self, choose: Callable[[Sequence[Resource]], tuple[Watch, ...]]) -> None:
        found = True
        while True:
            if await self._definitions.wait_within(self._clock, DISCOVERY_PERIOD_S if found else DISCOVERY_RETRY_S):
                await self._clock.sleep(DEFINITIONS_SETTLE_S)
            self._definitions.clear()
            found = await self._discover(choose)

    async def _discover(self, choose: Callable[[Sequence[Resource]], tuple[Watch, ...]]) -> bool:
        """Start informers for what is newly served and stop those of what is served no more. False if nobody answered."""
        try:
            resources = await discovery.listable(self._client)
            chosen = {address(watch.resource): watch for watch in choose(resources)}
        except (StatusError, ConnectionError) as error:
            log.warning("discovery failed controller=%s error=%s", self._spec.name, error)
            return False
        except Exception:
            # Any group's server may answer with what makes no sense: all controllers would end by it.
            log.exception("discovery failed controller=%s", self._spec.name)
            return False
        self._snapshot.set_resources(resources)
        if not self._follows_definitions and address(CUSTOM_RESOURCE_DEFINITIONS) in map(address, resources):
            # Upstream asks every 30 seconds: as long, objects of a kind that has just been defined would have no owners.
            self._follows_definitions = True
            self._informers.metadata_only(CUSTOM_RESOURCE_DEFINITIONS).add_handler(lambda old, new: self._definitions.set())
        for gone in self._discovered.keys() - chosen.keys():
            watch, informer, handler = self._discovered.pop(gone)
            informer.remove_handler(handler)
            self._informers.drop_metadata_only(watch.resource, watch.field_selector)
            self._snapshot.detach_discovered(watch.resource)
        fresh = [(where, watch) for where, watch in chosen.items() if where not in self._discovered]
        informers = {where: self._informers.metadata_only(watch.resource, watch.field_selector) for where, watch in fresh}
        for where, watch in fresh:
            self._snapshot.attach_discovered(watch.resource, informers[where])
        # Only now: a filled informer calls its handler at once, and what it maps to may lie in any of the others.
        for where, watch in fresh:
            handler = partial(self._changed, watch)
            self._discovered[where] = (watch, informers[where], handler)
            informers[where].add_handler(handler)
        return True

    async def _discovered_synced(self) -> None:
        for _, informer, _ in tuple(self._discovered.values()):
            await informer.synced.wait()


def _gone(uid: str, obj: Obj | None) -> bool:
    return obj is None or is_deleting(obj) or uid_of(obj) != uid
