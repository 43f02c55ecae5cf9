"""Watch events as bytes, in the form the client asked for. Plain JSON frames are made once and shared by all watchers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import orjson

from steersman.api.protobuf.objects import watch_frame
from steersman.apiserver import tables
from steersman.apiserver.negotiate import JSON, PROTOBUF, YAML, Format
from steersman.apiserver.registry import Served
from steersman.apiserver.storage import Stored
from steersman.apiserver.watchcache.watcher import Item
from steersman.machinery.clock import Clock
from steersman.machinery.errors import NotAcceptable, StatusError
from steersman.machinery.meta import Obj

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Frames(Protocol):
    """What a watch stream needs."""

    content_type: str

    def frame(self, item: Item) -> bytes: ...

    def added(self, stored: Stored) -> bytes: ...

    def bookmark(self, revision: int, *, initial_end: bool = False) -> bytes: ...

    def error(self, error: StatusError) -> bytes: ...


def frames_for(form: Format, served: Served, include_object: str, clock: Clock) -> Frames:
    """Raises NotAcceptable for forms a watch cannot have, BadRequest."""
    if form.media_type == YAML:
        raise NotAcceptable("only the following media types are accepted: application/json;stream=watch")
    if form.media_type == PROTOBUF:
        return ProtobufFrames(served)
    if not form.transform:
        return PlainFrames(served)
    if form.transform == "Table":
        include = tables.include_object(include_object)
        table = _table_of(served, form, include, clock)
        return TransformedFrames(served, table, lambda mark: tables.bookmark(served, mark, form.version, include))
    return TransformedFrames(
        served, lambda stored: tables.partial(served, stored, form.version), lambda mark: tables.partial_of(mark, form.version)
    )


def _frame(kind: str, obj: Obj) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (kind.encode(), orjson.dumps(obj))


def _bookmark_of(kind: str, api_version: str, revision: int, initial_end: bool) -> Obj:
    metadata: Obj = {"resourceVersion": str(revision), "creationTimestamp": None}
    if initial_end:
        metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
    return {"kind": kind, "apiVersion": api_version, "metadata": metadata}


class PlainFrames:
    """The cached bytes, framed."""

    content_type = JSON

    def __init__(self, served: Served) -> None:
        self._served = served
        self._head = served.head

    def frame(self, item: Item) -> bytes:
        change = item.change
        if change is None:
            return self.bookmark(item.revision)
        key = (item.type, self._head)
        made = change.frames.get(key)
        if made is None:
            made = change.frames[key] = self._make(item.type, item.stored)
        return made

    def added(self, stored: Stored) -> bytes:
        return self._make("ADDED", stored)

    def bookmark(self, revision: int, *, initial_end: bool = False) -> bytes:
        resource = self._served.resource
        body = _bookmark_of(resource.kind, resource.api_version, revision, initial_end)
        return b'{"type":"BOOKMARK","object":%b}\n' % orjson.dumps(body)

    def error(self, error: StatusError) -> bytes:
        return b'{"type":"ERROR","object":%b}\n' % orjson.dumps(error.status())

    def _make(self, kind: str, stored: Stored) -> bytes:
        return b'{"type":"%b","object":%b%b}\n' % (kind.encode(), self._head, self._served.tail(stored))


class TransformedFrames:
    """Objects, and bookmarks as well, as Tables or PartialObjectMetadata: such clients may know no other kind."""

    content_type = JSON

    def __init__(self, served: Served, transform: Callable[[Stored], Obj], of_bookmark: Callable[[Obj], Obj]) -> None:
        self._served, self._plain = served, PlainFrames(served)
        self._transform, self._of_bookmark = transform, of_bookmark

    def frame(self, item: Item) -> bytes:
        if item.change is None:
            return self.bookmark(item.revision)
        return self._make(item.type, item.stored)

    def added(self, stored: Stored) -> bytes:
        return self._make("ADDED", stored)

    def bookmark(self, revision: int, *, initial_end: bool = False) -> bytes:
        resource = self._served.resource
        mark = _bookmark_of(resource.kind, resource.api_version, revision, initial_end)
        return _frame("BOOKMARK", self._of_bookmark(mark))

    def error(self, error: StatusError) -> bytes:
        return self._plain.error(error)

    def _make(self, kind: str, stored: Stored) -> bytes:
        return _frame(kind, self._transform(stored))


class ProtobufFrames:
    """For clients that take nothing but protobuf: length-prefixed messages."""

    content_type = f"{PROTOBUF};stream=watch"

    def __init__(self, served: Served) -> None:
        self._served = served

    def frame(self, item: Item) -> bytes:
        return self.bookmark(item.revision) if item.change is None else self._make(item.type, item.stored)

    def added(self, stored: Stored) -> bytes:
        return self._make("ADDED", stored)

    def bookmark(self, revision: int, *, initial_end: bool = False) -> bytes:
        resource = self._served.resource
        return watch_frame("BOOKMARK", _bookmark_of(resource.kind, resource.api_version, revision, initial_end))

    def error(self, error: StatusError) -> bytes:
        return watch_frame("ERROR", error.status())

    def _make(self, kind: str, stored: Stored) -> bytes:
        resource = self._served.resource
        names = {"kind": resource.kind, "apiVersion": resource.api_version}
        return watch_frame(kind, {**self._served.decode(stored), **names})


def _table_of(served: Served, form: Format, include_object: str, clock: Clock) -> Callable[[Stored], Obj]:
    """One-row Tables; only the first has the column definitions."""
    first = True

    def transform(stored: Stored) -> Obj:
        nonlocal first
        meta = {"resourceVersion": str(stored.revision)}
        made = tables.table(served, [stored], meta, form.version, include_object, clock.now())
        if not first:
            made["columnDefinitions"] = None
        first = False
        return made

    return transform
