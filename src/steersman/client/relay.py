"""One watch for many followers: clients of one process whose lists and watches are served from shared informers.

A thousand kubelets would otherwise keep thousands of connections, most of them for the same objects. Each still has its own
informers, which do not know the difference; every other request goes to the server as it is. What is widened, so that one watch
serves all: pods by node, nodes by name. Any other selection is shared by those who ask for the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeAlias

from steersman.api.resources import NODES, PODS
from steersman.client.informer import Informer
from steersman.client.interface import Client, Transport, WatchEvent
from steersman.client.rest import RestClient
from steersman.machinery.clock import Clock
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig

_WIDENED = {(PODS, "spec.nodeName"): ("spec", "nodeName"), (NODES, "metadata.name"): ("metadata", "name")}
_Queue: TypeAlias = "asyncio.Queue[WatchEvent]"
_Selection: TypeAlias = tuple[Resource, str, str, str]


@dataclass(slots=True)
class _Shared:
    """One informer and who follows it: queues by the value at `path` that their objects must have ("" without a path)."""

    informer: Informer
    path: tuple[str, ...]
    followers: dict[str, list[_Queue]] = field(default_factory=dict)
    running: asyncio.Task[None] | None = None

    def value(self, obj: Obj | None) -> str | None:
        if obj is None:
            return None
        return str(dig(obj, *self.path, default="") or "") if self.path else ""

    def changed(self, old: Obj | None, new: Obj | None) -> None:
        """An object that comes into a selection is added there, one that leaves it is deleted there."""
        before, after = self.value(old), self.value(new)
        if old is not None and before is not None and before != after:
            self._tell(before, WatchEvent("DELETED", old))
        if new is not None and after is not None:
            self._tell(after, WatchEvent("MODIFIED" if before == after else "ADDED", new))

    def _tell(self, value: str, event: WatchEvent) -> None:
        for queue in self.followers.get(value, ()):
            queue.put_nowait(event)


class Relay:
    """The shared informers. `client` reads for all, `group` is where they run."""

    def __init__(self, client: Client, clock: Clock, group: asyncio.TaskGroup) -> None:
        self._client, self._clock, self._group = client, clock, group
        self._shared: dict[_Selection, _Shared] = {}

    async def follow(self, selection: _Selection, queue: _Queue) -> tuple[list[Obj], int]:
        """The objects now and their resourceVersion; every change from then on goes to the queue, until `leave`."""
        key, path, value = _widened(selection)
        shared = self._shared.get(key)
        if shared is None:
            resource, namespace, labels, fields = key
            informer = Informer(
                self._client, resource, clock=self._clock, namespace=namespace, label_selector=labels, field_selector=fields
            )
            if path:
                informer.add_index("relayed", lambda obj: (str(dig(obj, *path, default="") or ""),))
            shared = self._shared[key] = _Shared(informer, path)
            informer.add_handler(shared.changed)
            shared.running = self._group.create_task(informer.run())
        shared.followers.setdefault(value, []).append(queue)
        try:
            await shared.informer.synced.wait()
        except asyncio.CancelledError:
            self.leave(selection, queue)
            raise
        # What came until now is in the list: nothing may come twice, since the second time it is old.
        while not queue.empty():
            queue.get_nowait()
        found = shared.informer.indexed("relayed", value) if path else shared.informer.list()
        return found, shared.informer.last_seen

    def leave(self, selection: _Selection, queue: _Queue) -> None:
        """The last one to leave ends the watch."""
        key, _, value = _widened(selection)
        shared = self._shared.get(key)
        if shared is None or queue not in shared.followers.get(value, ()):
            return
        shared.followers[value].remove(queue)
        if not shared.followers[value]:
            del shared.followers[value]
        if not shared.followers and shared.running is not None:
            shared.running.cancel()
            del self._shared[key]


def _widened(selection: _Selection) -> tuple[_Selection, tuple[str, ...], str]:
    """(what is watched for all, path of the field that tells followers apart, its value)."""
    resource, namespace, labels, fields = selection
    label, _, value = fields.partition("=")
    path = _WIDENED.get((resource, label), ())
    return ((resource, namespace, labels, ""), path, value) if path else (selection, (), "")


class RelayedClient(RestClient):
    """A client whose informers are fed by a relay. Meant for informers: a list is the beginning of the watch that follows it."""

    def __init__(self, transport: Transport, relay: Relay, *, user_agent: str, field_manager: str = "") -> None:
        super().__init__(transport, user_agent=user_agent, field_manager=field_manager)
        self._relay = relay
        self._queues: dict[_Selection, _Queue] = {}

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
        resource_version: str = "",
    ) -> Obj:
        selection = (resource, namespace, label_selector, field_selector)
        earlier = self._queues.pop(selection, None)
        if earlier is not None:
            self._relay.leave(selection, earlier)
        queue: _Queue = asyncio.Queue()
        items, version = await self._relay.follow(selection, queue)
        self._queues[selection] = queue
        return {"items": items, "metadata": {"resourceVersion": str(version)}}

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout_s: int = 0,
        bookmarks: bool = True,
    ) -> AsyncIterator[WatchEvent]:
        """From the list before it to its own end; never cut off, whatever `timeout_s` says."""
        selection = (resource, namespace, label_selector, field_selector)
        queue = self._queues[selection]
        try:
            while True:
                yield await queue.get()
        finally:
            if self._queues.get(selection) is queue:
                del self._queues[selection]
            self._relay.leave(selection, queue)
