"""RestClient: the API's verbs over a Transport: URLs, queries, content types, errors and watch frames.

Not here: caches (informer.py), retries (the caller knows what a failure means to it), credentials (the transport's).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from steersman.client.interface import Answer, Transport, WatchEvent
from steersman.machinery.errors import from_status
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, name_of, namespace_of

PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}

_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class RestClient:
    """Implements client.interface.Client. `field_manager` goes with every write and is needed for `apply`.

    `on_warning` gets the text of each Warning header.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        user_agent: str = "steersman",
        field_manager: str = "",
        on_warning: Callable[[str], None] | None = None,
    ) -> None:
        self.transport = transport
        self._user_agent, self._field_manager, self._on_warning = user_agent, field_manager, on_warning
        self._accept, self._accept_list = _JSON, _JSON

    def metadata_only(self) -> RestClient:
        """This client, asking for PartialObjectMetadata in place of whole objects."""
        narrowed = RestClient(
            self.transport, user_agent=self._user_agent, field_manager=self._field_manager, on_warning=self._on_warning
        )
        narrowed._accept, narrowed._accept_list = _METADATA, _METADATA_LIST
        return narrowed

    async def close(self) -> None:
        await self.transport.close()

    async def get(
        self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "", resource_version: str = ""
    ) -> Obj:
        target = object_path(resource, namespace, name, subresource) + query(resourceVersion=resource_version)
        return await self._call("GET", target)

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
        params = query(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=limit,
            resourceVersion=resource_version,
            **{"continue": continue_},
        )
        found = await self._call("GET", collection_path(resource, namespace) + params, accept=self._accept_list)
        return _with_item_kinds(found, resource)

    async def create(self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = "") -> Obj:
        namespace = namespace or namespace_of(obj)
        _need_namespace(resource, namespace)
        path = object_path(resource, namespace, name, subresource) if name else collection_path(resource, namespace)
        return await self._call("POST", path + query(fieldManager=self._field_manager), orjson.dumps(obj))

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        path = object_path(resource, namespace_of(obj), name_of(obj), subresource)
        return await self._call("PUT", path + query(fieldManager=self._field_manager), orjson.dumps(obj))

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Obj | Sequence[Obj],
        namespace: str = "",
        *,
        kind: str = "merge",
        subresource: str = "",
        force: bool = True,
    ) -> Obj:
        """`force` (take over fields of other managers) matters to `apply` only."""
        manager = self._field_manager
        forced = ""
        if kind == "apply":
            manager = manager or self._user_agent.partition("/")[0]
            forced = "true" if force else ""
        target = object_path(resource, namespace, name, subresource) + query(fieldManager=manager, force=forced)
        return await self._call("PATCH", target, orjson.dumps(patch), content_type=PATCH_TYPES[kind])

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
        options = delete_options(grace_period_s, propagation, uid, resource_version)
        body = orjson.dumps(options) if options else b""
        return await self._call("DELETE", object_path(resource, namespace, name), body)

    async def delete_collection(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> Obj:
        params = query(labelSelector=label_selector, fieldSelector=field_selector)
        return await self._call("DELETE", collection_path(resource, namespace) + params)

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
        """Ends when the server ends it. Close it (contextlib.aclosing) when leaving early."""
        target = collection_path(resource, namespace) + query(
            watch="true",
            allowWatchBookmarks="true" if bookmarks else "",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
            timeoutSeconds=timeout_s,
        )
        async with self.transport.stream("GET", target, headers=self._headers(self._accept)) as answer:
            if answer.status != 200:
                body = b"".join([chunk async for chunk in answer.chunks()])
                raise from_status(_parse(body), answer.status)
            async for line in lines(answer.chunks()):
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise from_status(status, int(status.get("code") or 500))
                yield WatchEvent(event["type"], event["object"])

    async def raw(self, method: str, target: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Any:
        sent = {**self._headers("application/json, */*"), **(headers or {})}
        if body and not any(name.lower() == "content-type" for name in sent):
            sent["Content-Type"] = _JSON
        answer = await self.transport.request(method, target, headers=sent, body=body)
        self._check(answer)
        return _parse(answer.body)

    async def _call(self, method: str, target: str, body: bytes = b"", *, content_type: str = _JSON, accept: str = "") -> Obj:
        headers = self._headers(accept or self._accept)
        if body:
            headers["Content-Type"] = content_type
        answer = await self.transport.request(method, target, headers=headers, body=body)
        self._check(answer)
        found: Obj = orjson.loads(answer.body)
        return found

    def _headers(self, accept: str) -> dict[str, str]:
        return {"Accept": accept, "User-Agent": self._user_agent}

    def _check(self, answer: Answer) -> None:
        if self._on_warning is not None and (header := answer.headers.get("warning")):
            for text in parse_warnings(header):
                self._on_warning(text)
        if not 200 <= answer.status < 300:
            raise from_status(_parse(answer.body), answer.status)


def collection_path(resource: Resource, namespace: str = "") -> str:
    """The escaped path of a collection; no namespace means all."""
    return resource.path(_segment(namespace, "namespace") if namespace else None)


def object_path(resource: Resource, namespace: str, name: str, subresource: str = "") -> str:
    """The escaped path of an object. ValueError where a part is missing or can't be one path segment.

    An empty name would address the whole collection, which for DELETE is a disaster: hence the strictness.
    """
    if not name:
        raise ValueError("resource name may not be empty")
    _need_namespace(resource, namespace)
    # Subresources like `proxy/metrics` are paths of their own.
    tail = quote(subresource, safe="/:") if subresource else None
    return resource.path(_segment(namespace, "namespace") if namespace else None, _segment(name, "name"), tail)


def query(**params: str | int) -> str:
    """`?a=b&c=d`, escaped, without empty values; empty text if none is left."""
    kept = {name: value for name, value in params.items() if value}
    return f"?{urlencode(kept, quote_via=quote)}" if kept else ""


def delete_options(grace_period_s: int | None, propagation: str, uid: str, resource_version: str) -> Obj:
    """A meta/v1 DeleteOptions, or {} if nothing is asked for."""
    options: Obj = {}
    if grace_period_s is not None:
        options["gracePeriodSeconds"] = grace_period_s
    if propagation:
        options["propagationPolicy"] = propagation
    preconditions = {k: v for k, v in (("uid", uid), ("resourceVersion", resource_version)) if v}
    if preconditions:
        options["preconditions"] = preconditions
    return {"kind": "DeleteOptions", "apiVersion": "v1", **options} if options else {}


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Newline-ended frames of a stream. A frame that spans chunks is joined once, when its end has come."""
    pending: list[bytes] = []
    async for chunk in chunks:
        if b"\n" not in chunk:
            pending.append(chunk)
            continue
        if pending:
            pending.append(chunk)
            chunk = b"".join(pending)
            pending = []
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            if line:
                yield line
        if rest:
            pending.append(rest)


def parse_warnings(header: str) -> list[str]:
    """The texts of a Warning header (RFC 7234, `299 - "text"`, comma separated; quotes escaped by backslash)."""
    found: list[str] = []
    text: list[str] | None = None
    escaped = False
    for char in header:
        if text is None:
            text = [] if char == '"' else None
        elif escaped:
            text.append(char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            found.append("".join(text))
            text = None
        else:
            text.append(char)
    return found


def _need_namespace(resource: Resource, namespace: str) -> None:
    if resource.namespaced and not namespace:
        raise ValueError(f"an empty namespace may not be set for an object of {resource.qualified}")


def _segment(value: str, what: str) -> str:
    if value in (".", "..") or "/" in value or "%" in value:
        raise ValueError(f"invalid {what} {value!r}: it may not be '.' or '..' and may not contain '/' or '%'")
    return quote(value, safe=":")


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="replace")


def _with_item_kinds(found: Obj, resource: Resource) -> Obj:
    """Items of a list carry no kind and apiVersion of their own: the list says it for all. Put them where readers look."""
    items = found.get("items") or []
    found["items"] = items
    if items and not items[0].get("kind"):
        kind = resource.kind or str(found.get("kind") or "").removesuffix("List")
        api_version = found.get("apiVersion") or resource.api_version
        found["items"] = [{"kind": kind, "apiVersion": api_version, **item} for item in items]
    return found
