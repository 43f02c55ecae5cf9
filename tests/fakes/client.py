"""An API in a dictionary: enough for informers, the controller runtime and electors. Not an API server."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from steersman.client.interface import WatchEvent
from steersman.machinery.clock import RealClock
from steersman.machinery.errors import AlreadyExists, Conflict, Expired, NotFound
from steersman.machinery.fields import parse as parse_fields
from steersman.machinery.gvk import Resource
from steersman.machinery.labeltext import parse as parse_labels
from steersman.machinery.meta import Key, Obj, is_deleting, key_of, labels_of

_REAL = RealClock()


@dataclass(slots=True)
class _Change:
    version: int
    type: str
    obj: Obj


@dataclass(slots=True)
class _Table:
    objects: dict[Key, Obj] = field(default_factory=dict)
    log: list[_Change] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class FakeClient:
    """Implements client.interface.Client. `calls` records every write; `fail_next` makes calls of a verb fail in turn.

    `hold_watches` clear: watches deliver nothing (a lagging cache). `break_watches()`: they end with an error.
    """

    def __init__(self) -> None:
        self.version = 100
        self.tables: dict[tuple[str, str], _Table] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.bodies: list[Any] = []
        self.failures: dict[str, list[Exception | None]] = {}
        self.hold_watches = asyncio.Event()
        self.hold_watches.set()
        self.oldest = 0
        self._breaks: list[Exception] = []
        self.watches = 0
        self.raw_answers: dict[str, Any] = {}

    # --- what a test does behind the client's back -----------------------------------------------------------------

    def put(self, resource: Resource, obj: Obj) -> Obj:
        """Create or replace, without a call being recorded."""
        table = self._table(resource)
        self.version += 1
        old = table.objects.get(key_of(obj))
        stored = copy.deepcopy({"apiVersion": resource.api_version, "kind": resource.kind, **obj})
        stored["metadata"].setdefault("uid", old["metadata"]["uid"] if old else f"uid-{self.version}")
        stored["metadata"]["resourceVersion"] = str(self.version)
        table.objects[key_of(obj)] = stored
        self._log(table, "MODIFIED" if old else "ADDED", stored)
        return copy.deepcopy(stored)

    def drop(self, resource: Resource, namespace: str, name: str) -> Obj:
        table = self._table(resource)
        self.version += 1
        gone = table.objects.pop((namespace, name))
        gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self.version)}}
        self._log(table, "DELETED", gone)
        return gone

    def bookmark(self, resource: Resource) -> None:
        self.version += 1
        self._log(self._table(resource), "BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}})

    def compact(self) -> None:
        """Forget history: watches from before now get 410."""
        self.oldest = self.version

    def break_watches(self, error: Exception) -> None:
        self._breaks.append(error)
        for table in self.tables.values():
            table.changed.set()

    def fail_next(self, verb: str, *errors: Exception | None) -> None:
        """The outcome of the next calls of a verb; None lets one through."""
        self.failures.setdefault(verb, []).extend(errors)

    # --- the client's verbs ----------------------------------------------------------------------------------------

    async def get(
        self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "", resource_version: str = ""
    ) -> Obj:
        await self._turn("get")
        return copy.deepcopy(self._found(resource, namespace, name))

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
        await self._turn("list")
        items = [
            copy.deepcopy(obj)
            for obj in self._table(resource).objects.values()
            if _selected(obj, namespace, label_selector, field_selector)
        ]
        return {"kind": f"{resource.kind}List", "metadata": {"resourceVersion": str(self.version)}, "items": items}

    async def create(self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = "") -> Obj:
        obj = copy.deepcopy(obj)
        self._record("create", resource, name or obj["metadata"].get("name", ""), obj, subresource)
        await self._turn("create")
        if subresource:
            return {"kind": "Status", "status": "Success"}
        if namespace:
            obj["metadata"]["namespace"] = namespace
        if "name" not in obj["metadata"]:
            obj["metadata"]["name"] = f"{obj['metadata']['generateName']}{self.version}"
        if key_of(obj) in self._table(resource).objects:
            raise AlreadyExists.of(resource.group, resource.plural, obj["metadata"]["name"])
        return self.put(resource, obj)

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        self._record("update", resource, obj["metadata"]["name"], obj, subresource)
        await self._turn("update")
        old = self._found(resource, *key_of(obj))
        version = obj["metadata"].get("resourceVersion")
        if version and version != old["metadata"]["resourceVersion"]:
            raise Conflict.of(resource.group, resource.plural, obj["metadata"]["name"])
        return self.put(resource, obj)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Obj | Sequence[Obj],
        namespace: str = "",
        *,
        kind: str = "merge",
        subresource: str = "",
    ) -> Obj:
        self._record("patch", resource, name, patch, subresource)
        await self._turn("patch")
        old = self._found(resource, namespace, name)
        return self.put(resource, merged(old, patch) if isinstance(patch, dict) else old)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        grace_period_s: int | None = None,
        propagation: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> Obj:
        self._record("delete", resource, name, None, "")
        await self._turn("delete")
        found = self._found(resource, namespace, name)
        if uid and uid != found["metadata"]["uid"]:
            raise Conflict.of(resource.group, resource.plural, name)
        if found["metadata"].get("finalizers"):
            if not is_deleting(found):
                metadata = {**found["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
                return self.put(resource, {**found, "metadata": metadata})
            return found
        return self.drop(resource, namespace, name)

    async def delete_collection(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> Obj:
        for obj in [*self._table(resource).objects.values()]:
            if _selected(obj, namespace, label_selector, field_selector):
                self.drop(resource, *key_of(obj))
        return {"kind": "Status", "status": "Success"}

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
        await self._turn("watch")
        self.watches += 1
        seen = int(resource_version or "0")
        table = self._table(resource)
        while True:
            if self._breaks:
                raise self._breaks.pop(0)
            if seen < self.oldest:
                raise Expired("too old resource version")
            await self.hold_watches.wait()
            table.changed.clear()
            for change in [change for change in table.log if change.version > seen]:
                seen = change.version
                if change.type == "BOOKMARK" or _selected(change.obj, namespace, label_selector, field_selector):
                    yield WatchEvent(change.type, copy.deepcopy(change.obj))
            if not any(change.version > seen for change in table.log):
                await table.changed.wait()

    async def raw(self, method: str, target: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Any:
        await self._turn("raw")
        if target not in self.raw_answers:
            raise NotFound("the server could not find the requested resource")
        return self.raw_answers[target]

    async def _turn(self, verb: str) -> None:
        """A request takes at least one turn of the loop; and it fails if the test wants it to."""
        await _REAL.sleep(0)
        error = self.failures[verb].pop(0) if self.failures.get(verb) else None
        if error is not None:
            raise error

    def _record(self, verb: str, resource: Resource, name: str, body: Any, subresource: str) -> None:
        self.calls.append((verb, f"{resource.plural}/{subresource}" if subresource else resource.plural, name))
        self.bodies.append(copy.deepcopy(body))

    def _table(self, resource: Resource) -> _Table:
        return self.tables.setdefault((resource.group, resource.plural), _Table())

    def _found(self, resource: Resource, namespace: str, name: str) -> Obj:
        found = self._table(resource).objects.get((namespace, name))
        if found is None:
            raise NotFound.of(resource.group, resource.plural, name)
        return found

    def _log(self, table: _Table, type: str, obj: Obj) -> None:
        table.log.append(_Change(self.version, type, obj))
        table.changed.set()


def _selected(obj: Obj, namespace: str, label_selector: str, field_selector: str) -> bool:
    if namespace and obj["metadata"].get("namespace") != namespace:
        return False
    if label_selector and not parse_labels(label_selector).matches(labels_of(obj)):
        return False
    values = {
        "metadata.name": obj["metadata"].get("name", ""),
        "spec.nodeName": (obj.get("spec") or {}).get("nodeName", ""),
        "status.phase": (obj.get("status") or {}).get("phase", ""),
        **{f"involvedObject.{key}": value for key, value in (obj.get("involvedObject") or {}).items()},
    }
    return not field_selector or parse_fields(field_selector).matches(values)


def merged(into: Any, patch: Any) -> Any:
    """RFC 7396, enough for tests."""
    if not isinstance(patch, dict):
        return patch
    result = dict(into) if isinstance(into, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
