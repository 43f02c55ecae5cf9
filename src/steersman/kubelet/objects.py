"""ConfigMaps, Secrets and service account tokens that pods of this node use: read when needed, kept while in use.

A pod must see what was there when it came to the node, so an object is read anew if the copy was asked for earlier than
that; pods that come at the same time share one read. What is still in use a moment later is watched, so that changes reach
running pods at once (upstream's watch based manager); until then a copy is good for a minute.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from steersman.api.resources import SERVICE_ACCOUNTS
from steersman.client.informer import Informer
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, name_of, namespace_of, parse_time, resource_version_of, uid_of

TTL_S = 60.0
SETTLE_S = 2.0
"""Pods that live no longer than this don't cost a watch."""
_NEVER = float("-inf")


@dataclass(slots=True)
class _Entry:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    obj: Obj | None = None
    read_at_s: float = _NEVER
    users: set[str] = field(default_factory=set)
    follower: asyncio.Task[None] | None = None
    informer: Informer | None = None

    @property
    def followed(self) -> bool:
        """The watch has the object: it will tell of every change."""
        return self.informer is not None and any(self.informer)


class ObjectCache:
    """Reads by (resource, namespace, name)."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._entries: dict[tuple[Resource, str, str], _Entry] = {}
        self._arrived: dict[str, float] = {}
        self._group: asyncio.TaskGroup | None = None
        self._changed: Callable[[str], None] = lambda pod_uid: None

    def follow(self, group: asyncio.TaskGroup, changed: Callable[[str], None]) -> None:
        """From now on watch what pods use; `changed` gets the uid of each pod that uses what has changed."""
        self._group, self._changed = group, changed

    def register(self, pod_uid: str) -> None:
        """A pod came to the node: from now on it sees nothing older."""
        self._arrived.setdefault(pod_uid, self._clock.monotonic())

    def release(self, pod_uid: str) -> None:
        """The pod is gone; drop what only it used."""
        self._arrived.pop(pod_uid, None)
        for key, entry in list(self._entries.items()):
            entry.users.discard(pod_uid)
            if not entry.users:
                if entry.follower is not None:
                    entry.follower.cancel()
                del self._entries[key]

    async def get(self, resource: Resource, namespace: str, name: str, pod_uid: str) -> Obj | None:
        """The object, None if there is none. Shared: never change it. Raises StatusError, ConnectionError."""
        entry = self._entries.setdefault((resource, namespace, name), _Entry())
        entry.users.add(pod_uid)
        needed_s = self._arrived.get(pod_uid, _NEVER)
        if not entry.followed:
            needed_s = max(needed_s, self._clock.monotonic() - TTL_S)
        if entry.obj is not None and entry.obj.get("immutable"):
            return entry.obj
        if self._group is not None and entry.follower is None:
            entry.follower = self._group.create_task(self._follow(entry, resource, namespace, name))
        if entry.read_at_s < needed_s:
            async with entry.lock:
                if entry.read_at_s < needed_s:
                    started_s, before = self._clock.monotonic(), entry.obj
                    try:
                        found = await self._client.get(resource, name, namespace)
                        # The watch may have been faster, and told of a later one.
                        if entry.obj is before or not _is_older(found, entry.obj):
                            entry.obj = found
                    except NotFound:
                        entry.obj = None
                    # A missing object is asked for again by every try: the pod waits for it.
                    entry.read_at_s = started_s if entry.obj is not None else _NEVER
        return entry.obj

    async def read(self, resource: Resource, namespace: str, name: str) -> Obj:
        """The object as it is now. Raises NotFound, StatusError, ConnectionError."""
        return await self._client.get(resource, name, namespace)

    async def _follow(self, entry: _Entry, resource: Resource, namespace: str, name: str) -> None:
        await self._clock.sleep(SETTLE_S)

        def note(_old: Obj | None, new: Obj | None) -> None:
            if new is not None and entry.obj is not None and not _is_older(entry.obj, new):
                return
            entry.obj, entry.read_at_s = new, self._clock.monotonic() if new is not None else _NEVER
            for pod_uid in list(entry.users):
                self._changed(pod_uid)

        # Nodes may watch single objects only, by name.
        entry.informer = Informer(
            self._client, resource, clock=self._clock, namespace=namespace, field_selector=f"metadata.name={name}"
        )
        entry.informer.add_handler(note)
        async with asyncio.TaskGroup() as group:
            group.create_task(entry.informer.run())
            await entry.informer.synced.wait()
            if entry.obj is not None and not any(entry.informer):
                # Deleted before the watch began. If it is in fact too new for the list, the next read finds it.
                note(None, None)


def _is_older(obj: Obj, than: Obj | None) -> bool:
    return than is not None and resource_version_of(obj) < resource_version_of(than)


@dataclass(slots=True)
class _Token:
    token: str
    refresh_at: datetime
    refresh_at_s: float
    """The same by the monotonic clock. Whichever comes first: the wall clock may have been set back since."""


class TokenCache:
    """Bound service account tokens, one per pod and projection, renewed at 80 % of their life or after a day."""

    def __init__(self, client: Client, clock: Clock, rng: random.Random) -> None:
        self._client, self._clock, self._rng = client, clock, rng
        self._tokens: dict[str, dict[tuple[Sequence[str], int], _Token]] = {}

    def release(self, pod_uid: str) -> None:
        self._tokens.pop(pod_uid, None)

    async def get(self, pod: Obj, audiences: Sequence[str], expiration_s: int) -> str:
        """The token. Raises StatusError, ConnectionError when a new one is needed and can't be had."""
        tokens = self._tokens.setdefault(uid_of(pod), {})
        key = (tuple(audiences), expiration_s)
        found = tokens.get(key)
        if found is not None and self._clock.now() < found.refresh_at and self._clock.monotonic() < found.refresh_at_s:
            return found.token
        account = (pod.get("spec") or {}).get("serviceAccountName") or "default"
        ref = {"kind": "Pod", "apiVersion": "v1", "name": name_of(pod), "uid": uid_of(pod)}
        wanted: Obj = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {"name": account, "namespace": namespace_of(pod)},
            "spec": {"audiences": list(audiences), "expirationSeconds": expiration_s, "boundObjectRef": ref},
        }
        now = self._clock.now()
        answer = await self._client.create(SERVICE_ACCOUNTS, wanted, namespace_of(pod), name=account, subresource="token")
        status = answer["status"]
        expires = parse_time(status.get("expirationTimestamp")) or now + timedelta(seconds=expiration_s)
        life_s = min((expires - now).total_seconds() * 0.8, 86400.0)
        life_s -= self._rng.uniform(0, 10)
        tokens[key] = _Token(str(status["token"]), now + timedelta(seconds=life_s), self._clock.monotonic() + life_s)
        return tokens[key].token
