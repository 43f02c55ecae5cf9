"""EventRecorder: core/v1 Events about objects, written in the background.

Recording never blocks and never fails the caller: a full queue drops, an unreachable server is tried again for a while.
Repeats become a higher count of the same event; many similar ones are combined; a source that floods one object is
held back. Source: client-go tools/record events_cache.go, whose numbers are used.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from steersman.api.resources import EVENTS
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import NotFound, StatusError
from steersman.machinery.meta import Obj, format_time, name_of, namespace_of, new_uid, uid_of
from steersman.machinery.waiting import within

log = logging.getLogger(__name__)

QUEUE_LIMIT = 10_000
CACHE_LIMIT = 4096
SIMILAR_LIMIT = 10
SIMILAR_WINDOW_S = 600
BURST = 25
REFILL_PER_S = 1 / 300
RETRIES = 12
RETRY_PAUSE_S = 10


_V = TypeVar("_V")


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


@dataclass(slots=True)
class _Similar:
    messages: set[str] = field(default_factory=set)
    at_s: float = 0.0


class EventRecorder:
    """Records events of `component` on `host` (empty for controllers). `run()` must be running for them to be written."""

    def __init__(self, client: Client, component: str, host: str, clock: Clock) -> None:
        self._client, self._component, self._host, self._clock = client, component, host, clock
        self._known: OrderedDict[tuple[str, ...], Obj] = OrderedDict()
        self._similar: OrderedDict[tuple[str, ...], _Similar] = OrderedDict()
        self._buckets: OrderedDict[tuple[str, ...], _Bucket] = OrderedDict()
        # By (namespace, name): an event repeated before it was written is written once, with its newest count.
        self._pending: dict[tuple[str, str], Obj] = {}
        self._filled = asyncio.Event()
        self._last_ns = 0

    def event(
        self,
        about: Obj,
        type: str,
        reason: str,
        message: str,
        *,
        related: Obj | None = None,
        action: str = "",
        component: str = "",
        field_path: str = "",
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Record that something happened to `about`. type: Normal or Warning. field_path: `spec.containers{web}`."""
        component = component or self._component
        regarding = reference(about, field_path)
        # Not its version and not which part of it: the object's changes must not make old events new.
        source = (component, self._host, *(regarding.get(part, "") for part in ("kind", "namespace", "name", "uid")))
        if not self._allowed(source):
            return
        key, message = self._combined((*source, type, reason), field_path, message)
        now = format_time(self._clock.now())
        written = self._known.get(key)
        if written is not None:
            written = {**written, "count": written["count"] + 1, "lastTimestamp": now, "message": message}
        else:
            written = {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": self._name(regarding), "namespace": regarding.get("namespace") or "default"},
                "involvedObject": regarding,
                "reason": reason,
                "message": message,
                "type": type,
                "source": {"component": component, **({"host": self._host} if self._host else {})},
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
                "eventTime": None,
                "reportingComponent": component,
                "reportingInstance": self._host,
                **({"action": action} if action else {}),
                **({"related": reference(related)} if related is not None else {}),
            }
            if annotations:
                written["metadata"]["annotations"] = dict(annotations)
        self._known[key] = written
        self._known.move_to_end(key)
        if len(self._known) > CACHE_LIMIT:
            self._known.popitem(last=False)
        self._put(written)

    async def run(self) -> None:
        """Write what is recorded, until cancelled."""
        while True:
            while not self._pending:
                self._filled.clear()
                await self._filled.wait()
            event = self._pending.pop(next(iter(self._pending)))
            await self._write(event)

    async def flush(self, limit_s: float) -> None:
        """Write what is still waiting, each tried once, for so long at most: the last words of what ends."""
        await within(self._clock, limit_s, self._flush)

    async def _flush(self) -> None:
        while self._pending:
            event = self._pending.pop(next(iter(self._pending)))
            try:
                await self._send(event)
            except (StatusError, ConnectionError) as error:
                log.info("event not written at the end reason=%s error=%s", event["reason"], error)

    def _put(self, event: Obj) -> None:
        key = (event["metadata"]["namespace"], event["metadata"]["name"])
        if key not in self._pending and len(self._pending) >= QUEUE_LIMIT:
            log.warning("event dropped, too many are waiting reason=%s", event["reason"])
            return
        self._pending[key] = event
        self._filled.set()

    async def _write(self, event: Obj) -> None:
        for _ in range(RETRIES):
            try:
                await self._send(event)
                return
            except StatusError as error:
                # The server said no (a namespace that is ending, say): asking again would not change that.
                log.info("event refused reason=%s error=%s", event["reason"], error)
                return
            except ConnectionError as error:
                log.info("event not written, trying again reason=%s error=%s", event["reason"], error)
                await self._clock.sleep(RETRY_PAUSE_S)
            except Exception:
                # An answer that makes no sense, say: whoever records an event must not end by it.
                log.exception("event not written reason=%s", event["reason"])
                return

    async def _send(self, event: Obj) -> None:
        name, namespace = event["metadata"]["name"], event["metadata"]["namespace"]
        if event["count"] > 1:
            change = {key: event[key] for key in ("count", "lastTimestamp", "message")}
            try:
                await self._client.patch(EVENTS, name, change, namespace)
                return
            except NotFound:
                # Its time to live is over, or its first writing was coalesced with this one.
                log.debug("event is gone, making it anew name=%s", name)
        await self._client.create(EVENTS, event, namespace)

    def _combined(self, group: tuple[str, ...], field_path: str, message: str) -> tuple[tuple[str, ...], str]:
        """What makes the event the same as an earlier one, and its message: with too many messages, the group alone."""
        now_s = self._clock.monotonic()
        similar = _remembered(self._similar, group, _Similar(at_s=now_s))
        if now_s - similar.at_s > SIMILAR_WINDOW_S:
            similar.messages.clear()
        similar.at_s = now_s
        similar.messages.add(message)
        if len(similar.messages) <= SIMILAR_LIMIT:
            return (*group, field_path, message), message
        similar.messages.pop()
        return group, f"(combined from similar events): {message}"

    def _name(self, regarding: Obj) -> str:
        # Never the same twice: two events of one microsecond must not get one name.
        self._last_ns = max(self._last_ns + 1, int(self._clock.now().timestamp() * 1_000_000) * 1000)
        name = f"{regarding.get('name', '')}.{self._last_ns:x}"
        # As upstream: names that would become too long give way altogether.
        return name if len(name) <= 253 else new_uid()

    def _allowed(self, source: tuple[str, ...]) -> bool:
        now_s = self._clock.monotonic()
        bucket = _remembered(self._buckets, source, _Bucket(BURST, now_s))
        bucket.tokens = min(BURST, bucket.tokens + (now_s - bucket.at_s) * REFILL_PER_S)
        bucket.at_s = now_s
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


def reference(obj: Obj, field_path: str = "") -> Obj:
    """A core/v1 ObjectReference to an object, or the reference itself if it is one (it has a name at its top)."""
    if "metadata" not in obj:
        return obj
    found = {
        "kind": obj.get("kind") or "",
        "namespace": namespace_of(obj),
        "name": name_of(obj),
        "uid": uid_of(obj),
        "apiVersion": obj.get("apiVersion") or "",
        "resourceVersion": str(obj["metadata"].get("resourceVersion") or ""),
        "fieldPath": field_path,
    }
    return {key: value for key, value in found.items() if value}


def _remembered(cache: OrderedDict[tuple[str, ...], _V], key: tuple[str, ...], fresh: _V) -> _V:
    """The cache's entry, made if missing, as the most recently used of at most CACHE_LIMIT."""
    found = cache.setdefault(key, fresh)
    cache.move_to_end(key)
    if len(cache) > CACHE_LIMIT:
        cache.popitem(last=False)
    return found
